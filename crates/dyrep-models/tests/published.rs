//! Parameters, multiply-adds and names of the published networks, without their weights: parameters wait until they are
//! used, and the sizes of maps are those of a narrow network of the same form.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use common::{narrow, paths};
use dyrep_burn::{InputSizes, Preset, Structure};
use dyrep_models::{MODELS, ModelName};
use dyrep_tests::under_test;

/// Name, parameters and billions of multiply-adds at 224×224 and 1000 classes, as torchvision's documentation has them.
const TORCHVISION: [(&str, u64, f64); 17] = [
    ("resnet18", 11_689_512, 1.814),
    ("resnet34", 21_797_672, 3.664),
    ("resnet50", 25_557_032, 4.089),
    ("resnet101", 44_549_160, 7.801),
    ("resnet152", 60_192_808, 11.514),
    ("resnext50_32x4d", 25_028_904, 4.23),
    ("wide_resnet50_2", 68_883_240, 11.398),
    ("wide_resnet101_2", 126_886_696, 22.753),
    ("mobilenet_v2", 3_504_872, 0.301),
    ("vgg11", 132_863_336, 7.609),
    ("vgg11_bn", 132_868_840, 7.609),
    ("vgg13", 133_047_848, 11.308),
    ("vgg13_bn", 133_053_736, 11.308),
    ("vgg16", 138_357_544, 15.47),
    ("vgg16_bn", 138_365_992, 15.47),
    ("vgg19", 143_667_240, 19.632),
    ("vgg19_bn", 143_678_248, 19.632),
];

/// Name, millions of parameters and billions of multiply-adds of the deployed network, from the README of the published
/// code. B2g2 and B3g2 are defined there, but not in the table.
const REPVGG: [(&str, f64, f64); 11] = [
    ("repvgg_a0", 8.30, 1.4),
    ("repvgg_a1", 12.78, 2.4),
    ("repvgg_a2", 25.49, 5.1),
    ("repvgg_b0", 14.33, 3.1),
    ("repvgg_b1", 51.82, 11.8),
    ("repvgg_b1g2", 41.36, 8.8),
    ("repvgg_b1g4", 36.12, 7.3),
    ("repvgg_b2", 80.31, 18.4),
    ("repvgg_b2g4", 55.77, 11.3),
    ("repvgg_b3", 110.96, 26.2),
    ("repvgg_b3g4", 75.62, 16.1),
];

/// Name, millions of parameters, millions of multiply-adds (arXiv 1704.04861, tables 4 and 6).
const MOBILENET: [(&str, f64, f64); 4] = [
    ("mobilenet_v1", 4.2, 569.0),
    ("mobilenet_v1_075", 2.6, 325.0),
    ("mobilenet_v1_050", 1.3, 149.0),
    ("mobilenet_v1_025", 0.5, 41.0),
];

/// Name, parameters, and billions of multiply-adds as timm's table of results has them.
const RESNET_D: [(&str, u64, f64); 5] = [
    ("resnet18d", 11_708_744, 2.06),
    ("resnet34d", 21_816_904, 3.91),
    ("resnet50d", 25_576_264, 4.35),
    ("resnet101d", 44_568_392, 8.08),
    ("resnet152d", 60_212_040, 11.8),
];

/// Name, millions of multiply-adds and millions of parameters, from the README of the published code (TensorFlow's
/// `slim`).
const MOBILENET_V2: [(&str, f64, f64); 4] = [
    ("mobilenet_v2_140", 582.0, 6.06),
    ("mobilenet_v2_075", 209.0, 2.61),
    ("mobilenet_v2_050", 97.0, 1.95),
    ("mobilenet_v2_035", 59.0, 1.66),
];

/// Name, millions of parameters and of multiply-adds of the deployed network (arXiv 2206.04040, table 9).
const MOBILEONE: [(&str, f64, f64); 5] = [
    ("mobileone_s0", 2.1, 275.0),
    ("mobileone_s1", 4.8, 825.0),
    ("mobileone_s2", 7.8, 1299.0),
    ("mobileone_s3", 10.1, 1896.0),
    ("mobileone_s4", 14.8, 2978.0),
];

/// Name, millions of parameters and billions of multiply-adds of the deployed network without norms (arXiv 2307.09283,
/// table 2), and exactly the parameters of timm's, trained with one classifier and fused.
const REPVIT: [(&str, f64, f64, [usize; 2]); 5] = [
    ("repvit_m0_9", 5.1, 0.8, [5_103_560, 5_067_056]),
    ("repvit_m1_0", 6.8, 1.1, [6_852_900, 6_810_312]),
    ("repvit_m1_1", 8.2, 1.3, [8_288_888, 8_244_312]),
    ("repvit_m1_5", 14.0, 2.3, [14_130_408, 14_049_992]),
    ("repvit_m2_3", 22.9, 4.5, [23_046_512, 22_926_792]),
];

/// Parameters and multiply-adds of the deployed network.
fn count(name: &str, classes: usize, side: usize) -> (u64, u64) {
    let device = under_test();
    let name: ModelName = name.parse().unwrap();
    let full = name.config(classes).init(&device).unwrap();
    let twin = narrow(name, classes).with_branches(Preset::Plain).init(&device).unwrap();
    let sizes = InputSizes::measure(&twin, |twin| {
        drop(twin.forward(Tensor::zeros([1, 3, side, side], &device)));
    });
    let structure = Structure::of(&full);
    let (trained, deployed) = (sizes.cost(&structure), sizes.cost(&structure.deployed()));
    let params = full.params() as u64 - trained.params + deployed.params;
    (params, deployed.macs + linear_weights(&full))
}

fn linear_weights<M: Module>(network: &M) -> u64 {
    struct Linear(u64);
    impl ModuleVisitor for Linear {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 += if D == 2 { param.lazy_shape().num_elements() as u64 } else { 0 };
        }
    }
    let mut linear = Linear(0);
    network.visit(&mut linear);
    linear.0
}

#[test]
fn torchvisions_networks() {
    for (name, want_params, want_giga) in TORCHVISION {
        let (params, macs) = count(name, 1000, 224);
        assert_eq!(params, want_params, "{name}");
        // The table has three digits.
        let giga = macs as f64 / 1e9;
        assert!((giga - want_giga).abs() < 6e-4, "{name}: {giga} GMAC, published {want_giga}");
    }
    // What a picture that passes through counts is the same.
    let model = "resnet18".parse::<ModelName>().unwrap().config(1000).init(&under_test()).unwrap();
    assert_eq!(model.flops([3, 224, 224]), count("resnet18", 1000, 224).1);
    assert_eq!(model.params(), 11_689_512);
}

#[test]
fn resnet_d() {
    for (name, want_params, want_giga) in RESNET_D {
        let (params, macs) = count(name, 1000, 224);
        assert_eq!(params, want_params, "{name}");
        let giga = macs as f64 / 1e9;
        assert!((giga - want_giga).abs() < 0.011 * want_giga, "{name}: {giga}");
    }
}

#[test]
fn mobilenet_v2() {
    for (name, want_mega, want_params) in MOBILENET_V2 {
        let (params, macs) = count(name, 1000, 224);
        let (params, mega) = (params as f64 / 1e6, macs as f64 / 1e6);
        assert!((params - want_params).abs() < 0.05, "{name}: {params} M");
        assert!((mega - want_mega).abs() < 1.0, "{name}: {mega} MMAC");
    }
}

#[test]
fn mobileone() {
    for (name, want_params, want_mega) in MOBILEONE {
        let (params, macs) = count(name, 1000, 224);
        let (params, mega) = (params as f64 / 1e6, macs as f64 / 1e6);
        assert!((params - want_params).abs() < 0.05, "{name}: {params} M");
        // Not told is whether that of a squeeze-and-excitation is counted: 1 in 2978.
        assert!((mega - want_mega).abs() < 1e-3 * want_mega, "{name}: {mega} MMAC");
    }
    // What timm's modules have, trained and re-parameterised.
    let exact = [("mobileone_s0", 5_293_272, 2_078_504), ("mobileone_s4", 14_951_248, 14_838_352)];
    for (name, trained, deployed) in exact {
        let network = name.parse::<ModelName>().unwrap().config(1000).init(&under_test()).unwrap();
        assert_eq!(network.params(), trained, "{name}");
        assert_eq!(count(name, 1000, 224).0, deployed, "{name}");
    }
}

#[test]
fn repvit() {
    for (name, want_params, want_giga, [trained, fused]) in REPVIT {
        let config = name.parse::<ModelName>().unwrap().config(1000);
        assert_eq!(config.init(&under_test()).unwrap().params(), trained, "{name}");
        let plain = config.with_branches(Preset::Plain).init(&under_test()).unwrap();
        let graph = plain.graph().unwrap().without_norms(&plain).unwrap();
        assert_eq!(graph.params(), fused, "{name}");
        // The paper tells one digit.
        assert!((fused as f64 / 1e6 - want_params).abs() < 0.051, "{name}");
        let giga = count(name, 1000, 224).1 as f64 / 1e9;
        assert!((giga - want_giga).abs() < 0.051, "{name}: {giga} GMAC");
    }
}

#[test]
fn repvgg() {
    for (name, want_params, want_giga) in REPVGG {
        let (params, macs) = count(name, 1000, 224);
        let (mega, giga) = (params as f64 / 1e6, macs as f64 / 1e9);
        // The table cuts some off where it should round.
        assert!((mega - want_params).abs() < 0.01, "{name}: {mega} M, published {want_params}");
        assert!((giga - want_giga).abs() < 0.051, "{name}: {giga} GMAC, published {want_giga}");
    }
    // The other branches are the same convolution.
    for (name, ..) in REPVGG {
        assert_eq!(count(&format!("qa{name}"), 1000, 224), count(name, 1000, 224));
    }
    for (two, [one, four]) in [("b2g2", ["b2", "b2g4"]), ("b3g2", ["b3", "b3g4"])] {
        let of = |form: &str| count(&format!("repvgg_{form}"), 1000, 224).0;
        assert!((of(four)..of(one)).contains(&of(two)), "{two}");
    }
}

#[test]
fn mobilenet_v1() {
    for (name, want_params, want_mega) in MOBILENET {
        let (params, macs) = count(name, 1000, 224);
        let (params, mega) = (params as f64 / 1e6, macs as f64 / 1e6);
        assert!(
            (params - want_params).abs() < 0.051,
            "{name}: {params} M, published {want_params}"
        );
        assert!((mega - want_mega).abs() < 0.51, "{name}: {mega} MMAC, published {want_mega}");
    }
}

/// The usual count of this network, biases of the convolutions included.
#[test]
fn vgg16_of_cifar() {
    let (params, macs) = count("cifar_vgg16", 10, 32);
    assert_eq!(params, 14_728_266);
    assert_eq!(macs, 313_201_664);
}

/// All tables together are the registry.
#[test]
fn every_network_is_in_a_table() {
    let torchvision = TORCHVISION.map(|row| row.0);
    let (repvgg, mobilenet) = (REPVGG.map(|row| row.0), MOBILENET.map(|row| row.0));
    let (form_d, second) = (RESNET_D.map(|row| row.0), MOBILENET_V2.map(|row| row.0));
    let (one, vit) = (MOBILEONE.map(|row| row.0), REPVIT.map(|row| row.0));
    let rest = ["cifar_vgg16", "repvgg_b2g2", "repvgg_b3g2"];
    let mut known =
        [&torchvision[..], &form_d, &repvgg, &mobilenet, &second, &one, &vit, &rest].concat();
    let quantised = MODELS
        .iter()
        .filter(|name| name.strip_prefix("qa").is_some_and(|name| known.contains(&name)));
    let quantised: Vec<&str> = quantised.copied().collect();
    assert_eq!(quantised.len(), 13);
    known.extend(quantised);
    let mut names = MODELS.to_vec();
    known.sort_unstable();
    names.sort_unstable();
    assert_eq!(known, names);
    let error = "resnet19".parse::<ModelName>().unwrap_err().to_string();
    assert!(error.starts_with("unknown model `resnet19`; known: resnet18, resnet34"), "{error}");
}

/// Names as in torchvision's (for MobileNetV1 and RepVGG timm's) files, but that Burn's norms have γ and β.
#[test]
fn paths_are_those_of_the_published_files() {
    let cases = [
        ("resnet18", "conv1.weight bn1.running_var layer1.0.conv1.weight layer4.1.bn2.beta"),
        ("resnet18", "layer2.0.downsample.0.weight layer2.0.downsample.1.gamma fc.bias"),
        ("resnet50", "layer1.0.conv3.weight layer1.0.bn3.gamma layer1.0.downsample.0.weight"),
        ("vgg11", "features.0.weight features.18.bias classifier.0.weight classifier.6.bias"),
        ("vgg16_bn", "features.0.bias features.1.gamma features.41.running_mean"),
        ("cifar_vgg16", "features.40.weight classifier.weight classifier.bias"),
        ("mobilenet_v1", "conv_stem.weight bn1.gamma blocks.3.5.conv_dw.weight"),
        ("mobilenet_v1", "blocks.0.0.bn1.beta blocks.0.0.conv_pw.weight classifier.weight"),
        ("resnet50d", "conv1.0.weight conv1.4.running_mean conv1.6.weight bn1.gamma"),
        ("resnet50d", "layer1.0.downsample.1.weight layer2.0.downsample.2.beta"),
        ("mobilenet_v2", "features.0.0.weight features.0.1.gamma features.1.conv.0.0.weight"),
        ("mobilenet_v2", "features.1.conv.1.weight features.1.conv.2.beta features.2.conv.3.beta"),
        ("mobilenet_v2", "features.17.conv.1.1.beta features.18.0.weight classifier.1.weight"),
        ("mobileone_s0", "stem.conv.1x1.bn.gamma stages.0.0.conv.kxk.4.conv.weight"),
        ("mobileone_s4", "stages.3.1.attn.fc2.bias stages.2.10.attn.fc1.weight head.fc.bias"),
        ("repvit_m0_9", "stem.conv1.c.weight stages.0.blocks.0.token_mixer.kxk.conv.weight"),
        (
            "repvit_m0_9",
            "stages.1.downsample.pre_block.token_mixer.1x1.conv.bias head.head.bn.gamma",
        ),
        (
            "repvit_m0_9",
            "stages.3.blocks.0.se.fc2.bias stages.3.blocks.1.channel_mixer.conv2.bn.beta",
        ),
        ("repvgg_a0", "stem.conv.kxk.conv.weight stages.2.13.conv.identity.bn.gamma head.fc.bias"),
    ];
    for (name, wanted) in cases {
        let name: ModelName = name.parse().unwrap();
        let found = paths(&narrow(name, 10).init(&under_test()).unwrap());
        for path in wanted.split(' ') {
            assert!(found.iter().any(|known| known == path), "{name} has no {path}: {found:?}");
        }
    }
    let plain = narrow("repvgg_a0".parse().unwrap(), 10).with_branches(Preset::Plain);
    let found = paths(&plain.init(&under_test()).unwrap());
    assert!(found.iter().any(|path| path == "stages.0.0.conv.weight"), "{found:?}");
    assert!(found.iter().any(|path| path == "stages.0.0.bn.gamma"), "{found:?}");
}
