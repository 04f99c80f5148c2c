//! Layers that are trained in another way than the rest: frozen, at another rate, with another decay.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use common::{METHODS, Options, assert_same_bits, bits, network};
use dyrep_burn::{AdjustOptions, Calibration, Change, CutRule, PathPatterns, Preset, grow, layers};
use dyrep_models::ResNet;
use dyrep_tests::under_test;
use dyrep_train::{Ended, Groups, OptimizerConfig, ParameterGroup, TrainError};

fn group(matching: &[&str]) -> ParameterGroup {
    let matching = PathPatterns::new(matching).unwrap();
    ParameterGroup { matching, learning_rate_scale: None, weight_decay: None, frozen: false }
}

fn frozen(matching: &[&str]) -> Vec<ParameterGroup> {
    vec![ParameterGroup { frozen: true, ..group(matching) }]
}

/// The parameters and statistics below some paths.
fn below(network: &ResNet, paths: &[&str]) -> BTreeMap<String, Vec<u32>> {
    let chosen = |name: &String| paths.iter().any(|path| name.starts_with(path));
    bits(network).into_iter().filter(|(name, _)| chosen(name)).collect()
}

const FROZEN: [&str; 3] = ["conv1.", "bn1.", "layer1."];
const MATCHING: [&str; 2] = ["^(conv1|bn1)$", "^layer1"];

fn run(folder: &Path, epochs: usize, resume: bool, average: Option<f64>) -> Ended<ResNet> {
    let mut options = Options::new(5, folder);
    options.training.optimizer.groups = frozen(&MATCHING);
    options.training.epochs = epochs;
    options.training.optimizer.ema_decay = average;
    options.training.recalibration = 2;
    // Everything is cut that can be.
    options.training.controller.as_mut().unwrap().cut_rule = CutRule::TopK { keep: 0 };
    options.network = with_block(options.network);
    Options { resume, ..options }.run().unwrap()
}

/// With a block in the frozen part, and one elsewhere.
fn with_block(network: ResNet) -> ResNet {
    let input = Tensor::<4>::ones([2, 1, 8, 8], &under_test());
    let forward = |net: &ResNet, _: usize| drop(net.forward(input.clone().to_device(&home(net))));
    let mut calibrate = forward;
    let mut calibration = Calibration::new(1, &mut calibrate);
    let options = AdjustOptions::default();
    let branches = Preset::AcNet.into();
    ["layer1.0.conv1", "layer4.1.conv1"].iter().fold(network, |network, path| {
        grow(&network, path, &branches, &options, &mut calibration).unwrap()
    })
}

fn home(network: &ResNet) -> burn::tensor::Device {
    network.devices().remove(0)
}

/// Neither weights nor statistics move, nothing grows there and nothing is cut, with an average of weights and without,
/// also where norms are measured anew before evaluation; and a resumed run is the whole one.
#[test]
fn what_is_frozen_stays_to_the_bit() {
    let start = with_block(network()).valid();
    for average in [None, Some(0.9)] {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let want = run(folders[0].path(), 5, false, average);
        let end = &want.network;
        assert_eq!(below(end, &FROZEN), below(&start, &FROZEN));
        assert_ne!(below(end, &["layer2."]), below(&start, &["layer2."]), "the rest is trained");
        assert!(!layers(end)[1].1.is_plain(), "the frozen block is there");
        let changed = |cut: bool| -> Vec<&str> {
            let events = want.log.as_ref().unwrap().events();
            let events = events.filter(|event| cut == matches!(event.change, Change::Cut { .. }));
            events.map(|event| event.change.path()).collect()
        };
        let [grown, cut] = [false, true].map(changed);
        assert!(!grown.is_empty() && cut.contains(&"layer4.1.conv1"), "{grown:?} {cut:?}");
        let inside = |path: &&&str| path.starts_with("layer1.") || path.starts_with("conv1");
        assert_eq!(grown.iter().chain(&cut).find(inside), None);
        run(folders[1].path(), 2, false, average);
        assert_same_bits(&run(folders[1].path(), 5, true, average).network, end);
    }
}

/// All but what is frozen are candidates.
#[test]
fn what_is_frozen_does_not_grow() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new(5, folder.path());
    options.training.optimizer.groups = frozen(&["^layer[123]", r"^layer4\.0"]);
    options.training.controller.as_mut().unwrap().growths = 9;
    let ended = options.run().unwrap();
    let log = ended.log.unwrap();
    let grown: Vec<&str> = log.events().map(|event| event.change.path()).collect();
    assert!(
        grown.iter().all(|path| path.starts_with("layer4.1") || path.starts_with("conv1")),
        "{grown:?}"
    );
    assert!(grown.len() >= 3, "{grown:?}");
}

#[test]
fn mistakes_are_told() {
    let network = network();
    let of = |matching: &[&str]| {
        Groups::of(&OptimizerConfig { groups: frozen(matching), ..plain() }, &network)
    };
    let error = of(&["^layer1", "^layer9"]).unwrap_err();
    assert!(matches!(error, TrainError::NoSuchParameters { .. }));
    let error = error.to_string();
    assert!(error.contains("`^layer9`") && error.contains("layer4.1.conv2"), "{error}");
    let error = of(&["."]).unwrap().freeze(network.clone()).unwrap_err();
    assert!(matches!(error, TrainError::NothingTrains), "{error}");
}

/// How far each parameter moved where every gradient is 1, by its path.
fn moved(config: &OptimizerConfig, network: &ResNet) -> BTreeMap<String, f64> {
    #[derive(Default)]
    struct Ones(GradientsParams);
    impl ModuleVisitor for Ones {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.is_require_grad() {
                let ones = param.val().without_autodiff().ones_like();
                self.0.register(param.id, ones);
            }
        }
    }
    let mut ones = Ones::default();
    network.visit(&mut ones);
    let mut optimizer = Groups::of(config, network).unwrap().optimizer(config);
    let after = optimizer.step(0.25, network.clone(), ones.0);
    let value = |(name, bits): (String, Vec<u32>)| (name, f64::from(f32::from_bits(bits[0])));
    let before: BTreeMap<_, _> = bits(network).into_iter().map(value).collect();
    let after = bits(&after).into_iter().map(value);
    after.map(|(name, after)| (name.clone(), before[&name] - after)).collect()
}

/// Gradients are taken off, and nothing else.
fn plain() -> OptimizerConfig {
    OptimizerConfig {
        method: dyrep_train::Method::Sgd { momentum: 0.0, nesterov: false },
        weight_decay: 0.0,
        decay_norms_and_biases: true,
        ..OptimizerConfig::imagenet()
    }
}

#[track_caller]
fn near(found: f64, want: f64) {
    assert!((found - want).abs() < 1e-5, "{found} instead of {want}");
}

/// timm 1.0.31's `param_groups_layer_decay` of its ResNet-18, by the same rule: the stem, eight blocks, the head.
#[test]
fn rates_fall_from_the_head_to_the_stem() {
    let moved = moved(&OptimizerConfig { layer_decay: Some(0.5), ..plain() }, &network());
    for (name, scale) in [
        ("conv1.weight", 0.001_953_125),
        ("bn1.gamma", 0.001_953_125),
        ("layer1.0.conv1.weight", 0.003_906_25),
        ("layer2.0.downsample.0.weight", 0.015_625),
        ("layer4.1.bn2.beta", 0.5),
        ("fc.weight", 1.0),
        ("fc.bias", 1.0),
    ] {
        near(moved[name], 0.25 * scale);
    }
}

#[test]
fn rates_and_decays_are_those_of_the_last_group() {
    let spared = OptimizerConfig {
        weight_decay: 1.0,
        decay_norms_and_biases: false,
        layer_decay: Some(0.5),
        groups: vec![
            ParameterGroup { learning_rate_scale: Some(0.5), ..group(&["^layer4"]) },
            ParameterGroup { weight_decay: Some(2.0), ..group(&[r"^layer4\.1\.conv1\.weight$"]) },
            ParameterGroup { learning_rate_scale: Some(4.0), ..group(&[r"bn2\.gamma$"]) },
        ],
        ..plain()
    };
    let network = network();
    let moved = moved(&spared, &network);
    let value = |name: &str| {
        let (_, bits) = bits(&network).into_iter().find(|(path, _)| path == name).unwrap();
        f64::from(f32::from_bits(bits[0]))
    };
    // Layer decay, the group's scale, and decay but for norms.
    let weight = "layer4.1.conv2.weight";
    near(moved[weight], 0.25 * 0.5 * 0.5 * (1.0 + value(weight)));
    near(moved["layer4.1.bn1.gamma"], 0.25 * 0.5 * 0.5);
    let other = "layer4.1.conv1.weight";
    near(moved[other], 0.25 * 0.5 * (1.0 + 2.0 * value(other)));
    near(moved["layer4.1.bn2.gamma"], 0.25 * 0.5 * 4.0);
    near(moved["layer4.1.bn2.beta"], 0.25 * 0.5 * 0.5);
}

/// A convolution's group is that of all its branches, also of those that grow later: with every optimiser.
#[test]
fn what_grows_belongs_to_its_layer() {
    let groups = vec![ParameterGroup {
        learning_rate_scale: Some(0.125),
        ..group(&[r"^layer4\.1\.conv1\.weight$"])
    }];
    let network = with_block(network());
    for method in METHODS {
        let [slow, all] = [groups.clone(), vec![]]
            .map(|groups| moved(&OptimizerConfig { method, groups, ..plain() }, &network));
        let mut inside = 0;
        for (name, moved) in all.iter().filter(|(name, _)| !name.contains("running_")) {
            let of_group = name.starts_with("layer4.1.conv1.");
            inside += usize::from(of_group);
            near(slow[name], if of_group { 0.125 * moved } else { *moved });
        }
        assert!(inside > 6, "a block has many parameters");
    }
}
