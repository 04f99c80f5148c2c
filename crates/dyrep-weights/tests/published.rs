//! Files of others load: the network then gives PyTorch's logits, in training form and deployed.
//!
//! The files come from `golden/make.py`.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    assert_close, bottleneck, expected, golden, mobilenet, repvgg, repvgg_a0, resnet, vgg,
};
use dyrep_burn::{Structure, deploy};
use dyrep_models::ModelConfig;
use dyrep_tests::close::relative_difference;
use dyrep_tests::under_test;
use dyrep_weights::{Container, Naming, OpenOptions, Part};
use rstest::rstest;

#[rstest]
#[case::torchvision(
    "resnet_wrapped.pth",
    resnet(),
    Container::Pytorch,
    Naming::Plain,
    "state_dict",
    ""
)]
#[case::bottleneck(
    "bottleneck_f16.safetensors",
    bottleneck(),
    Container::Safetensors,
    Naming::Plain,
    "",
    ""
)]
#[case::legacy("vgg_bn_bf16_legacy.pt", vgg(), Container::PytorchLegacy, Naming::Plain, "", "")]
#[case::double(
    "mobilenet_f64.safetensors",
    mobilenet(),
    Container::Safetensors,
    Naming::Plain,
    "",
    ""
)]
#[case::dyrep("dyrep.pth", resnet(), Container::Pytorch, Naming::DyRep, "model", "")]
#[case::average("dyrep.pth", resnet(), Container::Pytorch, Naming::DyRep, "model_ema", "/average")]
#[case::dbb("dbb_f16.safetensors", resnet(), Container::Safetensors, Naming::Dbb, "", "")]
#[case::depthwise_dbb(
    "dbb_mobilenet_f16.pth",
    mobilenet(),
    Container::Pytorch,
    Naming::Dbb,
    "",
    ""
)]
#[case::repvgg("repvgg_f16.pth", repvgg(), Container::Pytorch, Naming::RepVgg, "state_dict", "")]
#[case::timm(
    "timm_repvgg_f16.safetensors",
    repvgg_a0(),
    Container::Safetensors,
    Naming::TimmUnits,
    "",
    ""
)]
#[case::timm_deployed(
    "timm_repvgg_deployed_f16.safetensors",
    repvgg_a0(),
    Container::Safetensors,
    Naming::TimmUnits,
    "",
    ""
)]
fn published_files_give_their_logits(
    #[case] file: &str,
    #[case] config: ModelConfig,
    #[case] container: Container,
    #[case] naming: Naming,
    #[case] inside: &str,
    #[case] which: &str,
) {
    let part = if which.is_empty() { Part::Trained } else { Part::Average };
    let weights = OpenOptions::new().part(part).open(golden(file)).unwrap();
    let format = weights.format();
    assert_eq!((format.container, format.naming), (container, naming));
    assert_eq!(format.inside, inside);

    let network = config.init(&under_test()).unwrap();
    let structure = weights.structure(&network).unwrap();
    let (network, report) = weights.load_into(network).unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!(Structure::of(&network), structure);

    let want = expected::<2>(&format!("{file}{which}"));
    let input = expected::<4>("input");
    assert_close(file, network.forward(input.clone()), want.clone());
    assert_close(&format!("{file} deployed"), deploy(&network).forward(input), want);
}

/// The deployed kernels are rounded to half precision themselves: a thousandth of the largest logit.
#[test]
fn published_repvgg_loads_deployed() {
    let weights = dyrep_weights::open(golden("repvgg_deployed_f16.safetensors")).unwrap();
    assert_eq!(weights.format().naming, Naming::RepVgg);
    let (network, _) = weights.load_into(repvgg().init(&under_test()).unwrap()).unwrap();
    let got = network.forward(expected("input"));
    let difference = relative_difference(got, expected("repvgg_f16.pth"));
    assert!(difference < 5e-3, "{difference:.1e}");
}

/// Of the published DBB code's networks a block and what is deployed have no norm behind them: ours pass values through.
#[test]
fn published_dbb_networks_load_deployed() {
    let weights = dyrep_weights::open(golden("dbb_resnet_deployed.safetensors")).unwrap();
    assert_eq!(weights.format().naming, Naming::Dbb);
    let (network, report) = weights.build(&under_test()).unwrap();
    assert!(report.is_complete(), "{report}");
    let want = expected("dbb_resnet_f16.safetensors");
    assert_close("deployed", network.forward(expected("input")), want);
}

#[test]
fn what_is_grown_where_is_read_from_the_names() {
    let weights = dyrep_weights::open(golden("dyrep.pth")).unwrap();
    let network = resnet().init(&under_test()).unwrap();
    let structure = weights.structure(&network).unwrap();
    let form = |path: &str| structure.layers()[path].form.to_string();
    assert_eq!(form("conv1"), "kxk + 1x1 + 1x1_kxk + 1x1_avg + 1xk + kx1");
    let nested = "kxk(kxk + 1x1 + kx1 + identity) + 1x1 + 1x1_kxk + 1x1_avg + 1xk + kx1 + identity";
    assert_eq!(form("layer1.0.conv1"), nested);
    let second = "kxk + 1x1 + 1x1_kxk(kxk + 1x1_kxk + 1x1_avg) + 1x1_avg + 1xk + kx1";
    assert_eq!(form("layer2.0.conv1"), second);
    assert_eq!(form("layer3.0.conv2"), "kxk + 1xk");
    assert_eq!(form("layer4.0.conv1"), "conv");
}
