//! Networks that give every pixel a class.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use burn::module::Module;
use common::{learn_and_grow, paths, pictures, with_random_norms};
use dyrep_burn::{Branches, NormRule, PathPatterns, Preset, deploy, layers};
use dyrep_models::{
    Branching, ModelError, ResNetBackbone, ResNetConfig, ResNetForm, SegmentationHead, Segmented,
    Segmenter, SegmenterConfig, Selection, fold_norms,
};
use dyrep_tests::close::relative_difference;
use dyrep_tests::device::allowed;
use dyrep_tests::params::{fill, read};
use dyrep_tests::under_test;

/// Logits before and after growth, fusion and folding, of the largest.
const TOLERANCE: f64 = 1e-5;
const CLASSES: usize = 5;
const HEADS: [SegmentationHead; 2] = [SegmentationHead::Fcn, SegmentationHead::Psp];

fn narrow(head: SegmentationHead, backbone: ResNetConfig) -> SegmenterConfig {
    SegmenterConfig::new(head, backbone.with_width(8).with_in_channels(2), CLASSES)
}

/// torchvision's, with the second head, 21 classes.
#[test]
fn fcn_has_torchvision_s_parameters() {
    let device = under_test();
    let fcn = |backbone| SegmenterConfig::new(SegmentationHead::Fcn, backbone, 21);
    let network = fcn(ResNetConfig::resnet50(1)).init(&device).unwrap();
    assert_eq!(network.params(), 35_322_218);
    let names = paths(&network);
    for name in [
        "backbone.conv1.weight",
        "backbone.layer3.0.downsample.1.gamma",
        "classifier.0.weight",
        "classifier.1.running_var",
        "classifier.4.bias",
        "aux_classifier.4.weight",
    ] {
        assert!(names.iter().any(|it| it == name), "{name} is not among {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("fc.")));
    assert_eq!(fcn(ResNetConfig::resnet101(1)).init(&device).unwrap().params(), 54_314_346);
}

/// What a dilated network computes at every fourth pixel is what the other one computes (arXiv 1511.07122).
#[test]
fn a_dilated_network_is_the_other_one_at_more_pixels() {
    let device = under_test();
    for config in [ResNetConfig::resnet18(1), ResNetConfig::resnet50(1), ResNetConfig::resnet50d(1)]
    {
        let config = config.with_width(8);
        let strided: ResNetBackbone =
            with_random_norms(config.init(&device).unwrap()).valid().into();
        let dilated: ResNetBackbone = config.clone().with_stride_8().init(&device).unwrap().into();
        let values = read(&strided);
        let dilated = fill(dilated.valid(), |path, _| values[path].clone());
        let images = pictures([1, 3, 64, 96], &device);
        let few = strided.features(images.clone());
        let many = dilated.features(images);
        for (stage, (few, many)) in few.into_iter().zip(many).enumerate() {
            let [_, _, height, width] = few.dims();
            let step = if stage == 3 {
                4
            } else if stage == 2 {
                2
            } else {
                1
            };
            assert_eq!(many.dims()[2..], [height * step, width * step]);
            // Shortcuts of form D average where they become smaller: the two are different networks from there on.
            if config.form == ResNetForm::D && stage > 1 {
                continue;
            }
            let [batch, channels, ..] = few.dims();
            let seen = many.reshape([batch * channels, height, step, width * step]);
            let seen = seen.slice([0..batch * channels, 0..height, 0..1, 0..width * step]);
            let seen = seen.reshape([batch * channels * height, width, step, 1]);
            let seen = seen.slice([0..batch * channels * height, 0..width, 0..1, 0..1]);
            let difference = relative_difference(seen.reshape(few.dims()), few);
            assert!(difference < allowed(TOLERANCE), "stage {stage}: {difference:e}");
        }
    }
}

/// Blocks in backbone and heads, of norms and online, deployed and with norms folded away.
#[test]
fn every_strategy_deploys_to_the_same_logits() {
    let device = under_test();
    let (images, shape) = (pictures([2, 2, 33, 40], &device), [2, CLASSES, 33, 40]);
    for head in HEADS {
        for backbone in [ResNetConfig::resnet18(1), ResNetConfig::resnet50(1)] {
            for preset in [Preset::Plain, Preset::RepVgg, Preset::Dbb, Preset::DyRep] {
                let config = narrow(head, backbone.clone()).with_branches(preset);
                let network = with_random_norms(config.init(&device).unwrap());
                let trained = network.valid().forward(images.clone());
                assert_eq!(trained.dims(), shape);
                let deployed = deploy(&network);
                assert!(layers(&deployed).iter().all(|(_, layer)| layer.is_plain()));
                let all = deployed.forward_all(images.clone());
                assert_eq!(all.auxiliary.unwrap().dims(), shape);
                let shipped = fold_norms(&deployed.without_auxiliary());
                for logits in [all.logits, shipped.forward(images.clone())] {
                    let difference = relative_difference(logits, trained.clone());
                    assert!(difference < allowed(TOLERANCE), "{config:?}: {difference:e}");
                }
            }
        }
    }
}

/// Branches by pattern: in a head alone, or online in the backbone alone.
#[test]
fn heads_and_backbone_are_chosen_by_pattern() {
    let device = under_test();
    let blocks = |only: &str, branches: Branches| {
        let matching = PathPatterns::new([only]).unwrap();
        let only = Selection { matching, ..Selection::default() };
        let config = narrow(SegmentationHead::Psp, ResNetConfig::resnet18(1));
        let network = config.with_branches(Branching { branches, only }).init(&device).unwrap();
        let layers = layers(&network).into_iter().filter(|(_, layer)| !layer.is_plain());
        layers.map(|(path, _)| path).collect::<Vec<_>>()
    };
    assert_eq!(blocks("^classifier", Preset::Dbb.into()), ["classifier.cls.0"]);
    let online = blocks("^backbone.layer4", Branches::Online(Preset::DyRep));
    assert_eq!(online.len(), 4, "{online:?}");
}

/// A step with both losses, after which a controller grows a layer of a head: inference stays what it was.
#[test]
fn a_segmenter_learns_and_grows() {
    let device = under_test().autodiff();
    let inner = under_test();
    let images = |device| pictures([2, 2, 32, 40], device);
    for head in HEADS {
        let network: Segmenter =
            with_random_norms(narrow(head, ResNetConfig::resnet18(1)).init(&device).unwrap());
        let loss = |network: &Segmenter| {
            let Segmented { logits, auxiliary } = network.forward_all(images(&device));
            logits.powi_scalar(2).mean() + auxiliary.unwrap().powi_scalar(2).mean() * 0.4
        };
        let run = |network: &Segmenter| drop(network.forward_all(images(&inner)));
        let logits = |network: &Segmenter| network.valid().forward(images(&inner)).flatten(0, 3);
        let rule = NormRule::default();
        let (moved, _) = learn_and_grow(network, "^classifier", rule, loss, run, logits);
        assert!(moved < allowed(TOLERANCE), "{moved:e}");
    }
}

#[test]
fn impossible_segmenters_are_refused() {
    let device = under_test();
    let config = SegmenterConfig::new(SegmentationHead::Fcn, ResNetConfig::resnet18(1), 0);
    assert_eq!(config.init(&device).unwrap_err(), ModelError::Zero { name: "classes" });
    let config =
        SegmenterConfig::new(SegmentationHead::Psp, ResNetConfig::resnet18(1).with_width(0), 2);
    assert_eq!(config.init(&device).unwrap_err(), ModelError::Zero { name: "width" });
    let text = serde_json::to_string(&narrow(SegmentationHead::Psp, ResNetConfig::resnet18(1)));
    let read: SegmenterConfig = serde_json::from_str(&text.unwrap()).unwrap();
    assert_eq!(read, narrow(SegmentationHead::Psp, ResNetConfig::resnet18(1)));
}
