//! Networks that find objects.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use burn::module::Module;
use burn::tensor::Tensor;
use common::{learn_and_grow, paths, pictures, with_random_norms};
use dyrep_burn::{Branches, NormRule, Preset, deploy, layers};
use dyrep_models::{
    Branching, DetectionHead, Detector, DetectorConfig, LevelOutput, ModelError, ResNetConfig,
    Selection, fold_norms,
};
use dyrep_tests::close::relative_difference;
use dyrep_tests::device::allowed;
use dyrep_tests::under_test;

/// Outputs before and after growth, fusion and folding, of the largest.
const TOLERANCE: f64 = 1e-5;
const CLASSES: usize = 3;
const HEADS: [DetectionHead; 2] = [DetectionHead::RetinaNet, DetectionHead::Fcos];

fn narrow(head: DetectionHead) -> DetectorConfig {
    let backbone = ResNetConfig::resnet18(1).with_width(8).with_in_channels(2);
    DetectorConfig::new(head, backbone, CLASSES).with_channels(32).with_anchors(2)
}

/// Everything that a detector says, in one list.
fn all(levels: &[LevelOutput]) -> Tensor<1> {
    let maps = levels.iter().flat_map(|level| {
        let centreness = level.centreness.clone();
        [Some(level.logits.clone()), Some(level.boxes.clone()), centreness].into_iter().flatten()
    });
    Tensor::cat(maps.map(|maps| maps.flatten::<1>(0, 3)).collect(), 0)
}

/// torchvision's, of 91 classes.
#[test]
fn detectors_have_torchvision_s_parameters() {
    let device = under_test();
    let of = |head| DetectorConfig::new(head, ResNetConfig::resnet50(1), 91).init(&device).unwrap();
    let [retina, fcos] = HEADS.map(of);
    assert_eq!([retina.params(), fcos.params()], [34_068_119, 32_322_720]);
    for (network, name) in [
        (&retina, "backbone.fpn.inner_blocks.2.0.bias"),
        (&retina, "backbone.fpn.extra_blocks.p7.weight"),
        (&retina, "head.classification_head.conv.3.0.weight"),
        (&retina, "head.regression_head.bbox_reg.bias"),
        (&fcos, "head.classification_head.conv.4.gamma"),
        (&fcos, "head.regression_head.bbox_ctrness.bias"),
    ] {
        let names = paths(network);
        assert!(names.iter().any(|it| it == name), "{name} is not among {names:?}");
    }
}

#[test]
fn levels_have_the_sizes_of_their_strides() {
    let device = under_test();
    for head in HEADS {
        let network = narrow(head).init(&device).unwrap();
        let levels = network.valid().forward(pictures([2, 2, 70, 100], &device));
        let mut size = [70usize, 100].map(|side| side.div_ceil(8));
        for level in &levels {
            let [batch, channels, height, width] = level.logits.dims();
            assert_eq!([height, width], size);
            let anchors = channels / CLASSES;
            assert_eq!(anchors, if head == DetectionHead::Fcos { 1 } else { 2 });
            let places = height * width * anchors;
            assert_eq!(level.rows_of_logits(CLASSES).dims(), [batch, places, CLASSES]);
            assert_eq!(level.rows_of_boxes().dims(), [batch, places, 4]);
            let centreness = level.rows_of_centreness().map(|rows| rows.dims());
            assert_eq!(centreness.is_some(), head == DetectionHead::Fcos);
            // Row (y · width + x) · anchors + a is anchor a of the place.
            let (rows, maps) = (level.rows_of_boxes(), level.boxes.clone());
            let (y, x, a) = (height - 1, width / 2, anchors - 1);
            let row = (y * width + x) * anchors + a;
            let one = rows.slice([1..2, row..row + 1, 0..4]).flatten::<1>(0, 2);
            let other = maps.slice([1..2, 4 * a..4 * a + 4, y..y + 1, x..x + 1]).flatten::<1>(0, 3);
            one.into_data().assert_eq(&other.into_data(), true);
            size = size.map(|side| side.div_ceil(2));
        }
        // A class begins with one in a hundred.
        let first = levels[0].logits.clone().mean().into_scalar::<f32>();
        assert!((first + (99f32).ln()).abs() < 0.2, "{first}");
    }
}

/// Blocks in backbone, pyramid and heads; the last layers stay plain.
#[test]
fn every_strategy_deploys_to_the_same_outputs() {
    let device = under_test();
    let images = pictures([2, 2, 64, 72], &device);
    for head in HEADS {
        for branches in [
            Preset::Plain.into(),
            Preset::RepVgg.into(),
            Preset::Dbb.into(),
            Preset::DyRep.into(),
            Branches::Online(Preset::DyRep),
        ] {
            let config = narrow(head).with_branches(branches.clone());
            let network = with_random_norms(config.init(&device).unwrap());
            let is_plain = branches == Preset::Plain.into();
            for (path, layer) in layers(&network) {
                let large = layer.geometry().kernel_size() != [1, 1];
                let last = path.ends_with("cls_logits") || path.contains("bbox_");
                assert_eq!(layer.is_plain(), is_plain || !large || last, "{path}");
            }
            let trained = all(&network.valid().forward(images.clone()));
            let deployed = deploy(&network);
            assert!(layers(&deployed).iter().all(|(_, layer)| layer.is_plain()));
            let folded = fold_norms(&deployed);
            for outputs in [deployed.forward(images.clone()), folded.forward(images.clone())] {
                let difference = relative_difference(all(&outputs), trained.clone());
                assert!(difference < allowed(TOLERANCE), "{config:?}: {difference:e}");
            }
        }
    }
}

/// A layer of a head grows, driven by the detector's own loss: inference stays what it was, and by the neutral rule training
/// in the first place.
#[test]
fn a_detector_learns_and_grows_in_its_heads() {
    let device = under_test().autodiff();
    let inner = under_test();
    let images = |device| pictures([2, 2, 64, 64], device);
    for head in HEADS {
        let network: Detector = with_random_norms(narrow(head).init(&device).unwrap());
        let loss = |network: &Detector| {
            let outputs = all(&network.forward(images(&device)));
            (outputs - 0.5).powi_scalar(2).mean()
        };
        let run = |network: &Detector| drop(network.forward(images(&inner)));
        let outputs = |network: &Detector| all(&network.valid().forward(images(&inner)));
        let (grow_in, rule) = (r"head\..*conv\.", NormRule::Neutral);
        let (moved, path) = learn_and_grow(network, grow_in, rule, loss, run, outputs);
        assert!(path.starts_with("head."), "{path}");
        assert!(moved < allowed(TOLERANCE), "{moved:e}");
    }
}

#[test]
fn impossible_detectors_are_refused() {
    let device = under_test();
    let refused = |config: DetectorConfig| config.init(&device).unwrap_err();
    let config = narrow(DetectionHead::Fcos);
    let zero = |name| ModelError::Zero { name };
    assert_eq!(refused(DetectorConfig { classes: 0, ..config.clone() }), zero("classes"));
    assert_eq!(refused(config.clone().with_channels(0)), zero("channels"));
    let odd = ModelError::NoMultiple { name: "channels", of: 32, value: 40 };
    assert_eq!(refused(config.clone().with_channels(40)), odd);
    let path = "head.classification_head.cls_logits".to_owned();
    let only = Selection { layers: vec![path.clone()], ..Selection::default() };
    let named = config.clone().with_branches(Branching { branches: Preset::Dbb.into(), only });
    assert_eq!(refused(named), ModelError::StaysPlain { path });
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<DetectorConfig>(&text).unwrap(), config);
}
