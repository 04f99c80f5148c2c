//! Every network with every strategy: shapes, deployment, growth in a step.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use burn::module::Module;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{DType, Tensor};
use common::{narrow, pictures, with_random_norms};
use dyrep_burn::{Change, Controller, ControllerConfig, Preset, deploy, layers};
use dyrep_models::{
    Branching, ConvNorms, Model, ModelConfig, ModelName, SelectLayers, Selection, Stem, fold_norms,
    silence_norms,
};
use dyrep_tests::close::relative_difference;
use dyrep_tests::device::{allowed, computes};
use dyrep_tests::under_test;

/// Logits before and after a growth or a deployment, of the largest. Measured: 1.6e-6 in float32.
const TOLERANCE: f64 = 1e-5;
const CLASSES: usize = 5;
const SHAPE: [usize; 4] = [2, 2, 32, 32];

fn config(name: ModelName) -> ModelConfig {
    narrow(name, CLASSES).with_in_channels(SHAPE[1])
}

fn family(name: &str) -> Vec<ModelName> {
    let found: Vec<_> = ModelName::all().filter(|model| model.name().contains(name)).collect();
    assert!(!found.is_empty());
    found
}

/// Shapes, and that the deployed form is plain and gives the same logits.
fn check(name: ModelName, config: &ModelConfig) -> f64 {
    let device = under_test();
    let network = with_random_norms(config.init(&device).unwrap());
    let input = pictures(SHAPE, &device);
    let trained = network.valid().forward(input.clone());
    assert_eq!(trained.dims(), [SHAPE[0], CLASSES], "{name}");
    let deployed = deploy(&network);
    assert!(layers(&deployed).iter().all(|(_, layer)| layer.is_plain()), "{name}");
    let difference = relative_difference(deployed.forward(input), trained);
    assert!(difference < allowed(TOLERANCE), "{name} {config:?}: {difference:e}");
    difference
}

fn check_family(family_name: &str) {
    let mut worst: f64 = 0.0;
    for name in family(family_name) {
        for preset in [Preset::Plain, Preset::AcNet, Preset::RepVgg, Preset::Dbb, Preset::DyRep] {
            for stem in [Stem::Imagenet, Stem::Small] {
                let config = config(name).with_branches(preset).with_stem(stem);
                worst = worst.max(check(name, &config));
            }
        }
    }
    assert!(worst > 0.0, "nothing was fused");
}

/// A network of every family, in training and in evaluation, in its input's 16 bits: about what it is in 32.
#[test]
fn every_family_computes_in_16_bits() {
    let graph = under_test().autodiff();
    let families =
        ["resnet18", "resnet50", "vgg11", "mobilenet_v1", "mobilenet_v2", "mobileone_s4"];
    for name in families.into_iter().chain(["repvgg_a0", "repvit_m0_9"]) {
        let name: ModelName = name.parse().unwrap();
        let config = config(name).with_branches(Preset::RepVgg);
        let network = with_random_norms(config.init(&graph).unwrap());
        let input = pictures(SHAPE, &graph);
        for dtype in [DType::BF16, DType::F16].into_iter().filter(|dtype| computes(*dtype)) {
            let evaluated = network.valid();
            let half = evaluated.forward(input.clone().inner().cast(dtype));
            assert_eq!(half.dtype(), dtype, "{name}");
            let full = evaluated.forward(input.clone().inner());
            let off = relative_difference(half.cast(DType::F32), full);
            let most = if dtype == DType::BF16 { 0.1 } else { 0.02 };
            assert!(off < most, "{name} as {dtype:?}: {off:.1e}");
            let [half, full] = [dtype, DType::F32].map(|dtype| {
                let logits = network.forward(input.clone().cast(dtype)).cast(DType::F32);
                GradientsParams::from_grads(logits.sum().backward(), &network).len()
            });
            assert_eq!(half, full, "{name}: parameters without a gradient");
        }
    }
}

#[test]
fn every_resnet_deploys() {
    check_family("resn");
}

#[test]
fn every_vgg_deploys() {
    check_family("vgg1");
}

#[test]
fn every_mobilenet_deploys() {
    check_family("mobilenet");
}

#[test]
fn every_mobileone_deploys() {
    check_family("mobileone");
}

#[test]
fn every_repvit_deploys() {
    check_family("repvit");
}

#[test]
fn every_repvgg_deploys() {
    check_family("repvgg");
}

/// Without norms made random, a fresh block hides what its branches add: the comparison must be able to fail.
#[test]
fn a_network_with_other_norms_differs() {
    let device = under_test();
    let network = config(family("resnet18")[0]).with_branches(Preset::Dbb).init(&device).unwrap();
    let input = pictures(SHAPE, &device);
    let fresh = deploy(&network).forward(input.clone());
    let other = with_random_norms(network).valid().forward(input);
    assert!(relative_difference(other, fresh) > 0.1);
}

/// Every norm is folded into its convolution and passes values through; the given network stays as it is.
#[test]
fn folded_norms_do_the_same() {
    let device = under_test();
    let names = [
        "resnet18",
        "resnet50d",
        "resnext50_32x4d",
        "vgg11_bn",
        "mobilenet_v1",
        "mobilenet_v2",
        "mobileone_s4",
        "repvit_m0_9",
        "repvgg_a0",
    ];
    for name in names.map(|name| name.parse::<ModelName>().unwrap()) {
        for preset in [Preset::Plain, Preset::Dbb] {
            let config = config(name).with_branches(preset).with_stem(Stem::Small);
            let network = with_random_norms(config.init(&device).unwrap());
            let input = pictures(SHAPE, &device);
            let want = network.forward(input.clone());
            let folded = fold_norms(&network);
            let difference = relative_difference(folded.forward(input.clone()), want.clone());
            assert!(difference < allowed(TOLERANCE), "{name} {preset:?}: {difference:e}");
            assert!(layers(&folded).iter().all(|(_, layer)| layer.is_plain()));
            network.forward(input.clone()).into_data().assert_eq(&want.clone().into_data(), true);
            // The control: norms that pass values through over kernels that do not hold them.
            let silent = silence_norms(&deploy(&network)).forward(input.clone());
            let missing = !network.conv_norms().is_empty();
            let off = relative_difference(silent, want.clone());
            assert_eq!(off > 0.01, missing, "{name} {preset:?}");
            // Clones share their statistics: whoever is silenced, the others are not.
            let _silent = silence_norms(&network.clone());
            network.forward(input.clone()).into_data().assert_eq(&want.into_data(), true);
        }
    }
}

/// A step of training, a growth, the same function, another step; returns what grew.
fn check_growth(name: ModelName, only: Option<&Selection>) -> String {
    let device = under_test().autodiff();
    // Norms of the few values that are left at the end of the large stem have gradients without bounds.
    let plain = config(name).with_branches(Preset::Plain).with_stem(Stem::Small);
    let mut network: Model = with_random_norms(plain.init(&device).unwrap());
    let mut optimizer = SgdConfig::new().init();
    let input = || pictures(SHAPE, &device);
    let gradients = |network: &Model| {
        let loss = network.forward(input()).powi_scalar(2).mean();
        GradientsParams::from_grads(loss.backward(), network)
    };
    let inner = under_test();
    let grow_in = only.map_or_else(Default::default, |only| only.patterns(&network).unwrap());
    let config =
        ControllerConfig { interval: 1, calibration_batches: 1, grow_in, ..Default::default() };
    let mut controller = Controller::new(config).unwrap();
    let observed = gradients(&network);
    controller.observe(&network, &observed);
    network = optimizer.step(1e-4, network, observed);
    let before = network.valid().forward(pictures(SHAPE, &inner));
    let run = |network: &Model, _: usize| drop(network.forward(pictures(SHAPE, &inner)));
    let adjustment = controller.adjust(&mut network, &mut optimizer, 1, run).unwrap();
    let change = &adjustment.events[0].change;
    assert!(matches!(change, Change::Grew { .. }), "{name}");
    let difference = relative_difference(network.valid().forward(pictures(SHAPE, &inner)), before);
    assert!(difference < allowed(TOLERANCE), "{name}: {difference:e}");
    let stepped = gradients(&network);
    network = optimizer.step(1e-4, network, stepped);
    let logits = network.valid().forward(pictures(SHAPE, &inner));
    assert!(logits.abs().max().into_scalar::<f32>().is_finite(), "{name}");
    change.path().to_owned()
}

#[test]
fn every_network_grows() {
    for name in ModelName::all() {
        check_growth(name, None);
    }
}

#[test]
fn only_what_is_chosen_grows() {
    let layers = vec!["stages.3.0.conv".to_owned()];
    let only = Selection { layers, kernels: vec![[3, 3]], ..Selection::default() };
    assert_eq!(check_growth("repvgg_a0".parse().unwrap(), Some(&only)), "stages.3.0.conv");
}

/// Each stage halves the maps of the one before; the head's input is the last.
#[test]
fn features_are_the_stages() {
    let device = under_test();
    let cases = [
        ("resnet50", Stem::Imagenet, vec![(32, 8), (64, 4), (128, 2), (256, 1)]),
        ("resnet18", Stem::Small, vec![(8, 32), (16, 16), (32, 8), (64, 4)]),
        ("resnet50d", Stem::Imagenet, vec![(32, 8), (64, 4), (128, 2), (256, 1)]),
        ("mobilenet_v2", Stem::Imagenet, vec![(8, 16), (8, 8), (8, 4), (24, 2), (80, 1)]),
        ("mobilenet_v2", Stem::Small, vec![(8, 32), (8, 16), (8, 8), (24, 4), (80, 2)]),
        ("mobileone_s0", Stem::Imagenet, vec![(8, 8), (21, 4), (43, 2), (171, 1)]),
        ("vgg13", Stem::Imagenet, vec![(8, 32), (16, 16), (32, 8), (64, 4), (64, 2)]),
        ("cifar_vgg16", Stem::Small, vec![(8, 32), (16, 16), (32, 8), (64, 4), (64, 2)]),
        ("mobilenet_v1", Stem::Imagenet, vec![(16, 16), (32, 8), (64, 4), (128, 2), (256, 1)]),
        ("repvgg_b1g4", Stem::Imagenet, vec![(16, 8), (32, 4), (64, 2), (256, 1)]),
        ("repvgg_b1g4", Stem::Small, vec![(16, 16), (32, 8), (64, 4), (256, 2)]),
    ];
    for (name, stem, want) in cases {
        let network = config(name.parse().unwrap()).with_stem(stem).init(&device).unwrap();
        let features = network.features(pictures(SHAPE, &device));
        let sizes = features.iter().map(Tensor::dims).collect::<Vec<_>>();
        let want: Vec<_> = want.iter().map(|&(width, side)| [2, width, side, side]).collect();
        assert_eq!(sizes, want, "{name}");
    }
}

/// Branches in part of a network leave the rest plain.
#[test]
fn branches_in_chosen_layers_only() {
    let name: ModelName = "resnet18".parse().unwrap();
    let only = Selection { layers: vec!["layer3.0.conv2".to_owned()], ..Selection::default() };
    let config = config(name).with_branches(Branching::from(Preset::Dbb).only(only));
    check(name, &config);
    let network = config.init(&under_test()).unwrap();
    let blocks = layers(&network).into_iter().filter(|(_, layer)| !layer.is_plain());
    assert_eq!(blocks.map(|(path, _)| path).collect::<Vec<_>>(), ["layer3.0.conv2"]);
    // RepVGG: a norm stands behind what started plain, and only there.
    let only = Selection { kernels: vec![[1, 1]], ..Selection::default() };
    let repvgg = narrow("repvgg_a0".parse().unwrap(), 3);
    let error = repvgg.with_branches(Branching::from(Preset::Dbb).only(only)).init(&under_test());
    assert!(error.unwrap_err().to_string().starts_with("no convolution of the network is chosen"));
}
