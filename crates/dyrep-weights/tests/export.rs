//! What is written is read back, and a deployed network gives the same logits in torchvision's form.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use burn::tensor::Tensor;
use common::{assert_close, expected, golden, narrow, randomised, repvgg, repvgg_a0, resnet};
use dyrep_burn::{Preset, Structure};
use dyrep_models::{ConvNorms, Model, ModelConfig, ModelName, ResNetConfig};
use dyrep_tests::close::relative_difference;
use dyrep_tests::device::allowed;
use dyrep_tests::under_test;
use dyrep_weights::{Container, Export, Label, Load, Naming, WeightsError, open, write_burnpack};
use rstest::rstest;

/// Of the largest logit: a fresh norm divides by √(1 + ε), which the folded kernels do not know. Seen: 2e-4.
const FOLDED: f64 = 1e-3;

fn pictures() -> Tensor<4> {
    expected("input")
}

fn built(config: &ModelConfig) -> Model {
    randomised(config.init(&under_test()).unwrap())
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
    let label = Label { network: Some((name, config)), ..Label::default() };
    Export::of(&network).labelled(&label).unwrap().safetensors(&torch).unwrap();
    write_burnpack(&network, &label, &burn).unwrap();
    let again = folder.path().join("again");
    for file in [torch, burn] {
        // Into the plain network: the file says what is grown.
        let weights = open(&file).unwrap();
        let (same, report) = weights.build(&under_test()).unwrap();
        assert!(report.is_complete(), "{report}");
        assert_eq!(Structure::of(&same), Structure::of(&network));
        assert_eq!(weights.description().unwrap().structure(), &Structure::of(&network));
        same.forward(pictures()).into_data().assert_eq(&want.clone().into_data(), true);
        // Other parameters with the same values are the same bytes.
        match weights.format().container {
            Container::Burnpack => write_burnpack(&same, &label, &again),
            _ => Export::of(&same).labelled(&label).unwrap().safetensors(&again),
        }
        .unwrap();
        assert!(std::fs::read(&again).unwrap() == std::fs::read(&file).unwrap(), "{file:?}");
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
    let plain = config.init(&under_test()).unwrap();
    let (plain, report) = open(&file).unwrap().load_into(plain).unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!(Structure::of(&plain), Structure::of(&config.init(&under_test()).unwrap()));
    let what = format!("{name} {}", preset.name());
    assert_close(&what, plain.forward(pictures()), network.forward(pictures()));
}

/// Every convolution with a norm is in the list, and with the right one: what is folded into it is missed by none.
#[rstest]
fn folded_networks_have_no_norms(
    #[values("resnet18", "resnet50", "resnext50_32x4d", "vgg11_bn", "mobilenet_v1", "repvgg_a0")]
    name: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    let (_, config) = narrow(name, 10);
    let config = config.with_branches(Preset::Plain);
    let network = built(&config);
    let convs = Structure::of(&network).layers().len();
    assert_eq!(network.conv_norms().len(), convs);
    let file = folder.path().join("folded.safetensors");
    let export = Export::folded(&network);
    export.safetensors(&file).unwrap();
    assert!(export.shapes().all(|(name, _)| !name.contains("running_") && !name.contains("bn")));
    // Into a network whose norms do nothing.
    let load =
        |file| Load::partial().into(config.init(&under_test()).unwrap(), &open(file).unwrap());
    let (bare, report) = load(&file).unwrap();
    assert!(report.unused.is_empty() && report.shapes.is_empty(), "{report}");
    assert_eq!(report.missing.len(), 4 * convs);
    let want = network.forward(pictures());
    let far = relative_difference(bare.forward(pictures()), want.clone());
    assert!(far < allowed(FOLDED), "{name}: {far:.1e}");
    // The control: other norms' values make another network.
    let changed = randomised(bare);
    let control = relative_difference(changed.forward(pictures()), want);
    assert!(control > 10.0 * far, "{name}: {control:.1e}, {far:.1e}");
}

#[test]
fn repvgg_deploys_without_norms() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deployed.safetensors");
    let network = built(&repvgg());
    Export::deployed(&network).safetensors(&file).unwrap();
    let (same, _) = open(&file).unwrap().load_into(repvgg().init(&under_test()).unwrap()).unwrap();
    assert_close("repvgg", same.forward(pictures()), network.forward(pictures()));
}

/// The tensors of timm's own re-parameterised network, which `golden/make.py` wrote.
fn timms() -> Vec<(String, Vec<usize>)> {
    let bytes = std::fs::read(golden("timm_repvgg_deployed_f16.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut shapes: Vec<_> =
        tensors.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
    shapes.sort();
    shapes
}

/// Whatever a RepVGG started with, deployed it has timm's names, each with timm's shape, and is read back as it was.
#[rstest]
fn repvgg_deploys_in_timms_names(
    #[values(Preset::RepVgg, Preset::Plain, Preset::DyRep, Preset::Csla)] preset: Preset,
) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("timm.safetensors");
    let config = repvgg_a0().with_branches(preset);
    let network = built(&config);
    let Model::RepVgg(repvgg) = &network else { unreachable!() };
    let export = Export::timm_repvgg(repvgg).named("repvgg_a0".parse().unwrap(), &config).unwrap();
    let shapes = export.shapes().map(|(name, shape)| (name.to_owned(), shape.to_vec()));
    assert_eq!(shapes.collect::<Vec<_>>(), timms());
    export.safetensors(&file).unwrap();
    let weights = open(&file).unwrap();
    assert_eq!(weights.format().naming, Naming::TimmUnits);
    let (same, report) = weights.build(&under_test()).unwrap();
    assert!(report.is_complete(), "{report}");
    assert_close(preset.name(), same.forward(pictures()), network.forward(pictures()));
    let other = built(&repvgg_a0()).forward(pictures()).mul_scalar(0.5);
    assert!(relative_difference(same.forward(pictures()), other) > 0.01);
}

#[test]
fn a_file_of_others_survives_the_way_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("again.safetensors");
    let (network, _) = open(golden("dyrep.pth"))
        .unwrap()
        .load_into(resnet().init(&under_test()).unwrap())
        .unwrap();
    Export::of(&network).safetensors(&file).unwrap();
    let weights = open(&file).unwrap();
    assert_eq!(weights.format().naming, Naming::Own);
    let (same, _) = weights.load_into(resnet().init(&under_test()).unwrap()).unwrap();
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
    let ModelConfig::ResNet(config) = resnet() else { unreachable!() };
    let config = ModelConfig::ResNet(ResNetConfig { depths: [1; 4], ..config });
    let error = Export::of(&built(&config)).named(name, &config).unwrap_err();
    assert!(matches!(error, WeightsError::NotByName { .. }), "{error}");
}

/// Writes what `golden/check_exports.py` holds against torchvision's and timm's own networks, if `DYREP_EXPORTS` names a
/// folder.
#[test]
fn full_networks_for_pytorch() {
    let Some(folder) = std::env::var_os("DYREP_EXPORTS").map(std::path::PathBuf::from) else {
        return;
    };
    for name in ["resnet18", "resnet50", "resnext50_32x4d", "vgg11_bn", "mobilenet_v1", "repvgg_a0"]
    {
        let name: ModelName = name.parse().unwrap();
        let config = name.config(1000);
        let grown = if name.name() == "repvgg_a0" { Preset::RepVgg } else { Preset::Dbb };
        let network = built(&config.with_branches(grown));
        let file = folder.join(format!("{name}.safetensors"));
        let export = match &network {
            Model::RepVgg(repvgg) => Export::timm_repvgg(repvgg),
            network => Export::deployed(network),
        };
        export.safetensors(file).unwrap();
        let logits = network.forward(pictures()).into_data();
        let logits: Vec<u8> = logits.iter::<f32>().flat_map(f32::to_le_bytes).collect();
        std::fs::write(folder.join(format!("{name}.torch.logits")), logits).unwrap();
    }
}
