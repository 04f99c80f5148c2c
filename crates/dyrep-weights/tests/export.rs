//! What is written is read back, and a deployed network gives the same logits in torchvision's form.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use common::{assert_close, expected, golden, narrow, randomised, repvgg, resnet};
use dyrep_burn::fuse::{NormAffine, absorb_bias, fold_norm};
use dyrep_burn::{Preset, Structure, deploy};
use dyrep_models::{ConvNorms, Model, ModelConfig};
use dyrep_weights::{Export, Naming, WeightsError, open, write_burnpack};
use rstest::rstest;

fn pictures() -> Tensor<4> {
    expected("input")
}

fn built(config: &ModelConfig) -> Model {
    randomised(config.init(&Device::flex()).unwrap())
}

/// One of each family, with branches.
fn families() -> [&'static str; 6] {
    ["resnet18", "resnet50", "vgg11_bn", "vgg11", "mobilenet_v1", "repvgg_a0"]
}

#[rstest]
fn written_weights_are_read_back(
    #[values("resnet18", "resnet50", "vgg11_bn", "vgg11", "mobilenet_v1", "repvgg_a0")] name: &str,
    #[values(Preset::Plain, Preset::DyRep)] preset: Preset,
) {
    let folder = tempfile::tempdir().unwrap();
    let (name, config) = narrow(name, 10);
    let config = config.with_branches(preset);
    let network = built(&config);
    let want = network.forward(pictures());
    let (torch, burn) = (folder.path().join("w.safetensors"), folder.path().join("w.bpk"));
    Export::of(&network).named(name, &config).unwrap().safetensors(&torch).unwrap();
    write_burnpack(&network, Some((name, &config)), &burn).unwrap();
    for file in [torch, burn] {
        // Into the plain network: the file says what is grown.
        let weights = open(&file).unwrap();
        let (same, report) = weights.build(&Device::flex()).unwrap();
        assert!(report.is_complete(), "{report}");
        assert_eq!(Structure::of(&same), Structure::of(&network));
        assert_eq!(weights.description().unwrap().structure(), &Structure::of(&network));
        same.forward(pictures()).into_data().assert_eq(&want.clone().into_data(), true);
    }
}

#[rstest]
fn deployed_networks_have_torchvisions_form(
    #[values("resnet18", "resnet50", "vgg11_bn", "vgg11", "mobilenet_v1", "resnext50_32x4d")]
    name: &str,
    #[values(Preset::Plain, Preset::Dbb)] preset: Preset,
) {
    let folder = tempfile::tempdir().unwrap();
    let (name, config) = narrow(name, 10);
    let network = built(&config.clone().with_branches(preset));
    let file = folder.path().join("deployed.safetensors");
    Export::deployed(&network).safetensors(&file).unwrap();
    // The plain network has exactly these parameters.
    let plain = config.init(&Device::flex()).unwrap();
    let (plain, report) = open(&file).unwrap().load_into(plain).unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!(Structure::of(&plain), Structure::of(&config.init(&Device::flex()).unwrap()));
    let what = format!("{name} {}", preset.name());
    assert_close(&what, plain.forward(pictures()), network.forward(pictures()));
}

/// Each pair is what the network computes: a norm whose mean was moved, or that was folded away, must give the same.
#[test]
fn norms_stand_behind_their_convolutions() {
    for name in families() {
        let (_, config) = narrow(name, 10);
        let network = deploy(&built(&config.clone().with_branches(Preset::Plain)));
        let expected_pairs = Structure::of(&network).layers().len();
        let pairs = network.conv_norms();
        assert_eq!(pairs.len(), if name == "vgg11" { 0 } else { expected_pairs }, "{name}");
        for pair in pairs {
            let geometry = pair.conv.geometry();
            let [channels] = pair.norm.gamma.val().dims();
            assert_eq!(channels, geometry.out_channels(), "{}", pair.conv_path);
            let kernel = pair.conv.fuse();
            let folded = fold_norm(&kernel, &NormAffine::of(pair.norm));
            let (bare, mean) = absorb_bias(&kernel, pair.norm.running_mean.value_sync());
            let mut moved = pair.norm.valid();
            moved.running_mean.update(mean);
            let again = fold_norm(&bare, &NormAffine::of(&moved.valid()));
            let far = (again.bias_or_zero() - folded.bias_or_zero()).abs().max();
            assert!(far.into_scalar::<f32>() < 1e-5, "{name} {}", pair.conv_path);
        }
    }
}

#[test]
fn folded_networks_have_no_norms() {
    let folder = tempfile::tempdir().unwrap();
    let (_, config) = narrow("resnet18", 10);
    let network = built(&config.clone().with_branches(Preset::Dbb));
    let file = folder.path().join("folded.safetensors");
    let export = Export::folded(&network);
    export.safetensors(&file).unwrap();
    assert!(export.shapes().all(|(name, _)| !name.contains("running_") && !name.contains("bn")));
    // Two for each of the 20 convolutions, two for the classifier.
    assert_eq!(export.shapes().count(), 42);
    // Into a network whose norms are the identity.
    let plain = config.init(&Device::flex()).unwrap();
    let (plain, report) = dyrep_weights::Load::partial().into(plain, &open(&file).unwrap()).unwrap();
    assert!(report.unused.is_empty() && report.shapes.is_empty(), "{report}");
    assert_eq!(report.missing.len(), 4 * 20);
    assert_close("folded", plain.forward(pictures()), network.forward(pictures()));
}

#[test]
fn repvgg_deploys_without_norms() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deployed.safetensors");
    let network = built(&repvgg(2));
    Export::deployed(&network).safetensors(&file).unwrap();
    let (same, _) = open(&file).unwrap().load_into(repvgg(2).init(&Device::flex()).unwrap()).unwrap();
    assert_close("repvgg", same.forward(pictures()), network.forward(pictures()));
}

#[test]
fn a_file_of_others_survives_the_way_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("again.safetensors");
    let (network, _) =
        open(golden("dyrep.pth")).unwrap().load_into(resnet().init(&Device::flex()).unwrap()).unwrap();
    Export::of(&network).safetensors(&file).unwrap();
    let weights = open(&file).unwrap();
    assert_eq!(weights.format().naming, Naming::Own);
    let (same, _) = weights.load_into(resnet().init(&Device::flex()).unwrap()).unwrap();
    let (got, want) = (same.forward(pictures()), network.forward(pictures()));
    got.into_data().assert_eq(&want.into_data(), true);
}

#[test]
fn the_same_weights_are_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (name, config) = narrow("resnet18", 10);
    let network = built(&config);
    let write = |file: &str| {
        let file = folder.path().join(file);
        Export::of(&network).named(name, &config).unwrap().safetensors(&file).unwrap();
        std::fs::read(file).unwrap()
    };
    assert_eq!(write("a"), write("b"));
}

#[test]
fn only_a_network_of_that_name_is_named_so() {
    let (name, _) = narrow("resnet18", 10);
    // One block a stage.
    let config = resnet();
    let error = Export::of(&built(&config)).named(name, &config).unwrap_err();
    assert!(matches!(error, WeightsError::NotByName { .. }), "{error}");
}
