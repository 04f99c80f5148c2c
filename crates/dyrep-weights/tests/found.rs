//! Weights as people keep them: other objects beside them, other libraries' names, and what no tensor tells.
//!
//! The files come from `golden/found.py`.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use burn::tensor::Tensor;
use common::assert_close;
use dyrep_models::{
    Activation, MobileNetV1Config, Model, ModelConfig, ResNetConfig, Stem, VggConfig,
};
use dyrep_tests::close::relative_difference;
use dyrep_tests::under_test;
use dyrep_weights::{Container, Export, Naming, OpenOptions, Weights, WeightsError, open};
use rstest::rstest;
use safetensors::SafeTensors;

fn found(file: &str) -> std::path::PathBuf {
    common::golden("found").join(file)
}

fn wanted<const D: usize>(name: &str) -> Tensor<D> {
    common::tensor_of("found/expected.safetensors", name)
}

fn resnet() -> ModelConfig {
    ModelConfig::ResNet(ResNetConfig::resnet18(10).with_width(2))
}

fn cifar() -> ModelConfig {
    resnet().with_stem(Stem::Small)
}

fn vgg() -> ModelConfig {
    ModelConfig::Vgg(VggConfig::vgg11_bn(10).with_width(1))
}

/// The network of a file, by its tensors alone, and the logits that PyTorch's has.
#[rstest]
#[case::objects("objects.pth", resnet(), Naming::Plain, "model", "resnet")]
#[case::legacy("legacy_protocol_4.pth", resnet(), Naming::Plain, "net", "resnet")]
#[case::whole("whole.pth", resnet(), Naming::Plain, "network", "resnet")]
#[case::views("views.pth", resnet(), Naming::Plain, "", "resnet")]
#[case::cifar("cifar.pth", cifar(), Naming::Cifar, "net", "cifar")]
#[case::timm_vgg("timm_vgg.safetensors", vgg(), Naming::TimmVgg, "", "timm_vgg")]
fn files_as_they_are_found_give_their_logits(
    #[case] file: &str,
    #[case] config: ModelConfig,
    #[case] naming: Naming,
    #[case] inside: &str,
    #[case] logits: &str,
) {
    let weights = open(found(file)).unwrap();
    let (network, report) = weights.build(&under_test()).unwrap();
    assert_eq!((report.format.naming, report.format.inside.as_str()), (naming, inside));
    assert!(report.is_complete(), "{report}");
    let named = weights.label(&under_test()).unwrap().network.unwrap();
    assert_eq!(named.1, config, "{file} is taken for {}", named.0);
    assert_close(file, network.forward(wanted("input")), wanted(logits));
}

type Rename<'a> = &'a dyn Fn(&str) -> String;

/// The same weights under names that follow from torchvision's: OpenMMLab's, and parts in a sequence.
#[test]
fn other_names_for_the_same_layers_are_known() {
    let (network, _) = open(found("objects.pth")).unwrap().build(&under_test()).unwrap();
    let want = network.forward(wanted("input"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("renamed.safetensors");
    Export::of(&network).safetensors(&file).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mmlab = |name: &str| match name.starts_with("fc.") {
        true => format!("head.{name}"),
        false => format!("backbone.{name}"),
    };
    let numbers = [
        ("conv1", "0"),
        ("bn1", "1"),
        ("layer1", "4"),
        ("layer2", "5"),
        ("layer3", "6"),
        ("layer4", "7"),
        ("fc", "10.1"),
    ];
    let numbered = |name: &str| {
        let (first, rest) = name.split_once('.').unwrap();
        let (_, number) = numbers.iter().find(|(part, _)| *part == first).unwrap();
        format!("{number}.{rest}")
    };
    let renames: [(Rename<'_>, Naming); 2] =
        [(&mmlab, Naming::Plain), (&numbered, Naming::Numbered)];
    for (rename, naming) in renames {
        let views = tensors.tensors().into_iter().map(|(name, view)| (rename(&name), view));
        std::fs::write(&file, safetensors::serialize(views, None).unwrap()).unwrap();
        let (network, report) = open(&file).unwrap().build(&under_test()).unwrap();
        assert_eq!(report.format.naming, naming);
        assert_close("renamed", network.forward(wanted("input")), want.clone());
    }
}

/// What lies beside the weights is told, and costs nothing.
#[test]
fn other_objects_are_told() {
    let network = || resnet().init(&under_test()).unwrap();
    let (_, report) = open(found("whole.pth")).unwrap().load_into(network()).unwrap();
    assert!(report.passed_over.iter().all(|name| name.starts_with("optimizer.")), "{report}");
    assert!(!report.passed_over.is_empty());
    let (_, report) = open(found("objects.pth")).unwrap().load_into(network()).unwrap();
    let mut beside: Vec<&str> =
        report.passed_over.iter().map(|name| name.split('.').next().unwrap()).collect();
    beside.dedup();
    assert_eq!(beside, ["rng", "same"]);
    assert_eq!(open(found("objects.pth")).unwrap().format().container, Container::Pytorch);
}

fn flavours(options: &OpenOptions, activation: Activation) -> Model {
    let config = MobileNetV1Config::mobilenet_v1(10).with_width(2).with_activation(activation);
    let network = ModelConfig::MobileNetV1(config).init(&under_test()).unwrap();
    options.open(found("flavours.safetensors")).unwrap().load_into(network).unwrap().0
}

/// Activation and ε are in no tensor: the file alone is refused, and with them the logits are PyTorch's.
#[test]
fn what_no_tensor_tells_is_asked_for() {
    let weights = open(found("flavours.safetensors")).unwrap();
    let error = weights.build(&under_test()).unwrap_err();
    assert!(matches!(&error, WeightsError::Ambiguous { candidates, .. } if candidates.len() == 4));
    for part in ["mobilenet_v1", "`relu`", "`relu6`", "`small`", "`imagenet`"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let plain = OpenOptions::new();
    let shifted = OpenOptions::new().norm_epsilon(1e-3).unwrap();
    let input = || wanted::<4>("input");
    for (options, activation, logits) in [
        (&plain, Activation::Relu, "relu"),
        (&plain, Activation::Relu6, "relu6"),
        (&shifted, Activation::Relu6, "relu6_eps"),
    ] {
        let network = flavours(options, activation);
        assert_close(logits, network.forward(input()), wanted(logits));
        // Each of them is another function.
        for other in ["relu", "relu6", "relu6_eps"].into_iter().filter(|other| *other != logits) {
            let difference = relative_difference(network.forward(input()), wanted(other));
            assert!(difference > 1e-2, "{logits} against {other}: {difference:.1e}");
        }
    }
    for epsilon in [0.0, -1e-3, f64::NAN, 2.0] {
        assert!(OpenOptions::new().norm_epsilon(epsilon).is_err());
    }
}

/// What was asked for once is in the note, and in the numbers, of what is written.
#[test]
fn what_was_asked_for_is_kept() {
    let network = flavours(&OpenOptions::new().norm_epsilon(1e-3).unwrap(), Activation::Relu6);
    let config = MobileNetV1Config::mobilenet_v1(10).with_width(2);
    let config = ModelConfig::MobileNetV1(config.with_activation(Activation::Relu6));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kept.safetensors");
    let name = "mobilenet_v1".parse().unwrap();
    Export::of(&network).named(name, &config).unwrap().safetensors(&file).unwrap();
    let weights: Weights = open(&file).unwrap();
    assert_eq!(weights.label(&under_test()).unwrap().network.unwrap().1, config);
    let (read, _) = weights.build(&under_test()).unwrap();
    assert_close("kept", read.forward(wanted("input")), wanted("relu6_eps"));
}
