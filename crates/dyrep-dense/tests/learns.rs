//! Detectors and segmenters that learn what they are shown, grow while they do, and find the same once they are deployed.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use burn::module::{Module, ModuleDisplay};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Int, Tensor, TensorData};
use dyrep_boxes::{AnchorGenerator, Anchors, BBox, Detection, PostProcess, Size, pyramid};
use dyrep_burn::{
    Branches, Controller, ControllerConfig, NormRule, PathPatterns, Preset, deploy, layers,
};
use dyrep_dense::{Criterion, Truth, segmentation_loss};
use dyrep_models::{
    DetectionHead, Detector, DetectorConfig, ResNetConfig, SegmentationHead, Segmenter,
    SegmenterConfig,
};
use dyrep_tests::under_test;

const SIDE: usize = 64;
const CLASSES: usize = 2;
const STEPS: usize = 100;

/// Bright squares and dark ones, by picture: corner, side, class.
const OBJECTS: [&[([usize; 2], usize, usize)]; 3] =
    [&[([6, 8], 24, 0)], &[([30, 4], 28, 1), ([4, 36], 22, 0)], &[([20, 24], 32, 1)]];

fn pictures(device: &Device) -> Tensor<4> {
    let mut values = vec![];
    for objects in OBJECTS {
        for channel in 0..3 {
            for y in 0..SIDE {
                for x in 0..SIDE {
                    let ground = 0.2 * ((x * 7 + y * 13 + channel * 5) as f32).sin();
                    let class = class_at(objects, y, x);
                    values.push(ground + [0.0, 1.0, -1.0][class]);
                }
            }
        }
    }
    Tensor::from_data(TensorData::new(values, [OBJECTS.len(), 3, SIDE, SIDE]), device)
}

/// 0 where there is nothing, else 1 more than the class.
fn class_at(objects: &[([usize; 2], usize, usize)], y: usize, x: usize) -> usize {
    let inside = |place: usize, start: usize, side: usize| (start..start + side).contains(&place);
    let found = objects
        .iter()
        .find(|([left, top], side, _)| inside(x, *left, *side) && inside(y, *top, *side));
    found.map_or(0, |(_, _, class)| class + 1)
}

fn truths() -> Vec<Truth> {
    let bbox = |([x, y], side, _): &([usize; 2], usize, usize)| {
        let [x, y, side] = [*x, *y, *side].map(|value| value as f32);
        BBox::new(x, y, x + side, y + side)
    };
    let truth = |objects: &&[([usize; 2], usize, usize)]| Truth {
        boxes: objects.iter().map(bbox).collect(),
        classes: objects.iter().map(|(_, _, class)| *class).collect(),
    };
    OBJECTS.iter().map(truth).collect()
}

fn backbone() -> ResNetConfig {
    ResNetConfig::resnet18(1).with_width(8)
}

/// Trains, and lets one layer of those that match grow halfway.
fn train<M: Module + ModuleDisplay + 'static>(
    mut network: M,
    steps: usize,
    (grow_in, branches): (&str, Branches),
    loss: impl Fn(&M) -> Tensor<1>,
    run: impl Fn(&M),
) -> M {
    let mut optimizer: ModuleOptimizer = AdamConfig::new().init();
    let mut controller = Controller::new(ControllerConfig {
        interval: 1,
        calibration_batches: 1,
        norm_rule: NormRule::Neutral,
        branches,
        grow_in: PathPatterns::new([grow_in]).unwrap(),
        ..Default::default()
    })
    .unwrap();
    for step in 0..steps {
        let gradients = GradientsParams::from_grads(loss(&network).backward(), &network);
        controller.observe(&network, &gradients);
        let rate = 3e-3 * (1.0 - step as f64 / steps as f64);
        network = optimizer.step(rate, network, gradients);
        if step == steps / 2 {
            controller.adjust(&mut network, &mut optimizer, 1, |network, _| run(network)).unwrap();
        }
    }
    assert!(layers(&network).iter().any(|(_, layer)| !layer.is_plain()), "something has grown");
    network
}

/// Every object is among the few that are surest.
fn check(found: &[Vec<Detection>], truths: &[Truth]) {
    for (picture, (found, truth)) in found.iter().zip(truths).enumerate() {
        let surest = &found[..found.len().min(3 * truth.boxes.len())];
        for (bbox, class) in truth.boxes.iter().zip(&truth.classes) {
            let hits = |found: &Detection| found.class == *class && bbox.iou(found.bbox) > 0.5;
            assert!(surest.iter().any(hits), "picture {picture}: {surest:?}, not {truth:?}");
        }
    }
}

fn learns(
    head: DetectionHead,
    (steps, grown): (usize, Branches),
    generator: &AnchorGenerator,
    by: PostProcess,
) {
    let device = under_test().autodiff();
    device.seed(1);
    let size = Size { height: SIDE as u32, width: SIDE as u32 };
    let anchors: Anchors = generator.anchors(size, &pyramid(size).unwrap()).unwrap();
    let criterion = Criterion { head, classes: CLASSES };
    let targets = criterion.targets(&truths(), &anchors).unwrap();
    let config = DetectorConfig::new(head, backbone(), CLASSES).with_channels(32);
    let network: Detector = config.init(&device).unwrap();
    let loss =
        |network: &Detector| criterion.loss(&network.forward(pictures(&device)), &targets).total();
    let run = |network: &Detector| drop(network.forward(pictures(&under_test())));
    let network = train(network, steps, (r"head\..*conv\.", grown), loss, run);
    let found = |network: &Detector| {
        let outputs = network.forward(pictures(&under_test()));
        criterion.detect(&outputs, &anchors, &[size; OBJECTS.len()], &by).unwrap()
    };
    let trained = found(&network.valid());
    check(&trained, &truths());
    let shipped = found(&deploy(&network));
    check(&shipped, &truths());
    for (trained, shipped) in trained.iter().flatten().zip(shipped.iter().flatten()).take(4) {
        assert_eq!(trained.class, shipped.class);
        assert!((trained.score - shipped.score).abs() < 1e-3, "{trained:?} {shipped:?}");
    }
}

/// One after the other: they share the device's random numbers.
#[test]
fn dense_networks_learn_grow_and_ship() {
    // What grows in heads without norms has none either: five levels would share the statistics of one.
    let grown = (2 * STEPS, Branches::Online(Preset::DyRep));
    let (generator, by) = (AnchorGenerator::retinanet(), PostProcess::retinanet());
    learns(DetectionHead::RetinaNet, grown, &generator, by);
    let grown = (STEPS, Preset::DyRep.into());
    learns(DetectionHead::Fcos, grown, &AnchorGenerator::fcos(), PostProcess::fcos());
    for head in [SegmentationHead::Fcn, SegmentationHead::Psp] {
        learns_pixels(head);
    }
}

fn learns_pixels(head: SegmentationHead) {
    let device = under_test().autodiff();
    device.seed(1);
    let labels: Vec<i64> = OBJECTS
        .iter()
        .flat_map(|objects| (0..SIDE * SIDE).map(|i| class_at(objects, i / SIDE, i % SIDE) as i64))
        .collect();
    let shape = [OBJECTS.len(), SIDE, SIDE];
    let given = |device: &Device| {
        Tensor::<3, Int>::from_data(TensorData::new(labels.clone(), shape), device)
    };
    let config = SegmenterConfig::new(head, backbone(), CLASSES + 1);
    let network: Segmenter = config.init(&device).unwrap();
    let loss = |network: &Segmenter| {
        segmentation_loss(network.forward_all(pictures(&device)), &given(&device), 0.4)
    };
    let run = |network: &Segmenter| drop(network.forward_all(pictures(&under_test())));
    let network = train(network, STEPS / 2, ("^classifier", Preset::DyRep.into()), loss, run);
    let right = |network: &Segmenter| {
        let found = network.forward(pictures(&under_test())).argmax(1).squeeze_dim::<3>(1);
        let right = found.equal(given(&under_test())).float().mean();
        right.into_scalar::<f32>()
    };
    let trained = right(&network.valid());
    assert!(trained > 0.9, "{head:?}: {trained}");
    assert!((right(&deploy(&network)) - trained).abs() < 1e-3);
}
