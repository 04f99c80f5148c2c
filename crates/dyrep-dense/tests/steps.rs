//! Three training steps of a small RetinaNet against one of torchvision's parts (`golden/steps.py`). Of FCOS PyTorch's own
//! steps in `f32` and in `f64` are 0.5% apart by the second loss, so there is nothing to hold ours against.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Tensor, TensorData};
use dyrep_boxes::{AnchorGenerator, BBox, Size, pyramid};
use dyrep_dense::{Criterion, Truth};
use dyrep_models::{DetectionHead, Detector, DetectorConfig, ResNetConfig};
use dyrep_tests::device::allowed;
use dyrep_tests::params::{fill, read};
use dyrep_tests::under_test;
use serde::Deserialize;

/// Measured below 2e-6. Of a loss, and of the sum of a parameter's absolute values.
const TOLERANCE: f64 = 1e-5;
const CLASSES: usize = 3;
const PICTURE: Size = Size { height: 64, width: 96 };

#[derive(Deserialize)]
struct Steps {
    losses: Vec<Vec<f64>>,
    /// Sum, and sum of absolute values.
    parameters: BTreeMap<String, [f64; 2]>,
    statistics: BTreeMap<String, f64>,
}

fn golden() -> Steps {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/steps.json");
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// The name that a parameter has in PyTorch.
fn theirs(path: &str) -> String {
    path.replace(".gamma", ".weight").replace(".beta", ".bias")
}

fn is_running(path: &str) -> bool {
    path.contains("running_")
}

/// Parameters as the script starts them.
fn start(network: Detector) -> Detector {
    let before = read(&network);
    let mut names: Vec<String> =
        before.keys().filter(|path| !is_running(path)).map(|path| theirs(path)).collect();
    names.sort();
    fill(network, |path, shape| {
        if is_running(path) {
            return before[path].clone();
        }
        let name = theirs(path);
        let salt = names.iter().position(|it| *it == name).unwrap();
        let wave = |i: usize| (12.9 * i as f64 + 7.3 * (salt + 1) as f64).sin();
        let count = shape.iter().product::<usize>();
        let value = |i: usize| match (shape.len(), name.ends_with("weight")) {
            (4, _) => wave(i) * (2.0 / (count / shape[0]) as f64).sqrt(),
            (_, true) => 1.0 + 0.3 * wave(i),
            (_, false) => 0.1 * wave(i),
        };
        let values: Vec<f32> = (0..count).map(|i| value(i) as f32).collect();
        TensorData::new(values, shape.to_vec())
    })
}

fn pictures(device: &Device) -> Tensor<4> {
    let shape = [2, 3, PICTURE.height as usize, PICTURE.width as usize];
    let value = |i: usize| (0.37 * i as f64 + (i as f64).sqrt()).sin() as f32;
    let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn truths() -> [Truth; 2] {
    let first = [BBox::new(3.0, 5.0, 40.0, 43.0), BBox::new(50.5, 10.0, 90.0, 44.25)];
    [
        Truth { boxes: first.to_vec(), classes: vec![0, 2] },
        Truth { boxes: vec![BBox::new(10.0, 8.0, 74.0, 60.0)], classes: vec![1] },
    ]
}

#[test]
fn steps_are_torchvision_s() {
    let (golden, head) = (golden(), DetectionHead::RetinaNet);
    let device = under_test().autodiff();
    let backbone = ResNetConfig { depths: [1; 4], ..ResNetConfig::resnet18(1) }.with_width(8);
    let config = DetectorConfig::new(head, backbone, CLASSES).with_channels(32);
    let mut network = start(config.init(&device).unwrap());
    let generator = AnchorGenerator::retinanet();
    let anchors = generator.anchors(PICTURE, &pyramid(PICTURE).unwrap()).unwrap();
    let criterion = Criterion { head, classes: CLASSES };
    let targets = criterion.targets(&truths(), &anchors).unwrap();
    let momentum = MomentumConfig { momentum: 0.9, dampening: 0.0, nesterov: false };
    let mut optimizer = SgdConfig::new()
        .with_momentum(Some(momentum))
        .with_weight_decay(Some(WeightDecayConfig::new(1e-4)))
        .init();
    let close = |got: f64, want: f64, size: f64, what: &str| {
        let off = (got - want).abs() / size.max(1e-3);
        assert!(off < allowed(TOLERANCE), "{what}: {got} and {want}");
    };
    for (step, want) in golden.losses.iter().enumerate() {
        let losses = criterion.loss(&network.forward(pictures(&device)), &targets);
        let of = |loss: Tensor<1>| f64::from(loss.into_scalar::<f32>());
        let total = losses.total();
        let got = [losses.classes, losses.boxes].map(of);
        assert_eq!(got.len(), want.len());
        for (got, want) in got.into_iter().zip(want) {
            close(got, *want, *want, &format!("a loss of step {step}"));
        }
        let gradients = GradientsParams::from_grads(total.backward(), &network);
        network = optimizer.step(0.002, network, gradients);
    }
    // What was seen last is written down when training ends.
    let after = read(&network.valid());
    assert_eq!(after.len(), golden.parameters.len() + golden.statistics.len());
    for (path, data) in after {
        let values: Vec<f64> = data.iter::<f32>().map(f64::from).collect();
        let sum: f64 = values.iter().sum();
        let size: f64 = values.iter().map(|value| value.abs()).sum();
        let name = theirs(&path);
        if is_running(&path) {
            // Means are held against the deviations around them, which are of the order of one; variances are the biased
            // ones, as Burn keeps them, where PyTorch's are not.
            if path.ends_with("running_mean") {
                close(sum, golden.statistics[&name], size.max(values.len() as f64), &name);
            }
        } else {
            let [want, of_sizes] = golden.parameters[&name];
            close(sum, want, of_sizes, &name);
            close(size, of_sizes, of_sizes, &name);
        }
    }
}
