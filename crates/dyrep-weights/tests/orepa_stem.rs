//! The stem of the published OREPA code loads as the layers that it trains as, and gives the logits of PyTorch.
//!
//! The files come from `golden/orepa/networks.py`, which runs the layers one after the other.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;
mod packed;
mod states;

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::tensor::{Tensor, f16};
use common::assert_close;
use dyrep_burn::{
    Composition, Form, LayerStructure, Preset, RepConv2d, RepConv2dConfig, Structure, deploy,
};
use dyrep_models::{Model, ModelConfig, ResNetConfig};
use dyrep_tests::close::relative_difference;
use dyrep_tests::device::allowed;
use dyrep_tests::{params, under_test};
use dyrep_weights::{Export, Label, OpenOptions, WeightsError, open, write_burnpack};
use packed::{expected_of, packed};
use rstest::rstest;
use safetensors::Dtype;
use states::{State, state, written};

/// Of the largest logit, and of a kernel; seen: 5e-7.
const LOGITS: f64 = 1e-5;
/// What another stem differs by at least; seen: 0.06.
const OTHER: f64 = 1e-2;

const CHECKPOINT: &str = "orepa_resnet18.pth.tar";
const RESNET50: &str = "orepa_resnet50.safetensors";

fn wanted<const D: usize>(name: &str) -> Tensor<D> {
    expected_of("orepa", name)
}

fn built(file: &str) -> Model {
    let (_folder, path) = packed(file);
    let (network, report) = open(path).unwrap().build(&under_test()).unwrap();
    assert!(report.is_complete(), "{report}");
    network
}

fn off(network: &Model, logits: &str) -> f64 {
    relative_difference(network.forward(wanted("input")), wanted(logits))
}

/// The network with the same parameters, whose stem is composed in the other way.
fn composed(network: Model, composition: Composition) -> Model {
    let values = params::read(&network);
    let layers = Structure::of(&network).layers().clone().into_iter().map(|(path, layer)| {
        let LayerStructure { geometry, mut form } = layer;
        if let Form::Stack(stack) = &mut form {
            stack.composition = composition;
        }
        (path, LayerStructure { geometry, form })
    });
    let network = Structure::new(layers.collect()).unwrap().apply(network).unwrap();
    params::fill(network, |path, _| values[path].clone())
}

#[rstest]
fn logits_are_those_of_the_published_composition(#[values(CHECKPOINT, RESNET50)] file: &str) {
    let logits = file.split('.').next().unwrap();
    let network = built(file);
    let Form::Stack(stack) = Structure::of(&network).layers()["conv1"].form.clone() else {
        panic!("no stack")
    };
    assert_eq!(stack.composition, Composition::Published);
    for network in [&network, &deploy(&network)] {
        let off = off(network, logits);
        assert!(off < allowed(LOGITS), "{file}: {off:.1e}");
    }
    // The control: layers that are not turned are another network.
    let off = off(&composed(network, Composition::Sequence), logits);
    assert!(off > OTHER, "{file}: {off:.1e}");
}

/// The control of the same: layers that have changed places are another network.
#[test]
fn layers_are_in_their_places() {
    let (_folder, path) = packed(CHECKPOINT);
    let swapped =
        [(r"\.weight1\.", ".other."), (r"\.weight2\.", ".weight1."), (r"\.other\.", ".weight2.")]
            .into_iter()
            .fold(OpenOptions::new(), |options, (one, other)| options.rename(one, other).unwrap());
    let (network, report) = swapped.open(path).unwrap().build(&under_test()).unwrap();
    assert!(report.is_complete(), "{report}");
    let off = off(&network, "orepa_resnet18");
    assert!(off > OTHER, "{off:.1e}");
}

/// What trains on is what trained: every parameter of the layers has the file's values, and a gradient.
#[test]
fn the_layers_train_on() {
    let (_folder, path) = packed(RESNET50);
    let file = state(&path);
    let network = built(RESNET50);
    let values = params::read(&network);
    for (ours, published) in [
        ("0.kxk.conv", "weight0.weight_orepa_origin"),
        ("0.1x1_avg.conv", "weight0.weight_orepa_avg_conv"),
        ("1.id1x1_kxk.conv1", "weight1.weight_orepa_1x1_kxk_idconv1"),
        ("2.dw_1x1.conv2", "weight2.weight_orepa_gconv_pw"),
    ] {
        let (dtype, shape, bytes) = &file[&format!("stage0.conv1.{published}")];
        assert_eq!(*dtype, Dtype::F16);
        let halves = bytes.as_chunks::<2>().0.iter().map(|two| f16::from_le_bytes(*two).to_f32());
        let found = &values[&format!("conv1.{ours}.weight")];
        assert_eq!(found.shape().to_vec(), *shape, "{ours}");
        assert_eq!(found.iter::<f32>().collect::<Vec<_>>(), halves.collect::<Vec<_>>(), "{ours}");
    }

    let device = under_test().autodiff();
    let (_folder, path) = packed(CHECKPOINT);
    let (network, _) = open(path).unwrap().build(&device).unwrap();
    let network = network.train();
    let input: Tensor<4> = wanted("input");
    let loss = network.forward(input.autodiff()).powi_scalar(2).sum();
    let found = params::gradients(&network, &loss.backward());
    let of_stem: Vec<_> = found.iter().filter(|(path, _)| path.starts_with("conv1.")).collect();
    // Six branches of three layers, eight kernels and six scales each.
    assert_eq!(of_stem.len(), 3 * 14);
    for (path, gradient) in of_stem {
        assert!(gradient.iter::<f32>().any(|value| value != 0.0), "{path}");
    }
}

/// A network that starts as the preset has it composes as the file's code does once it has the file's weights.
#[test]
fn the_preset_takes_the_files_composition() {
    let config = ResNetConfig::resnet18(5).with_width(2).with_branches(Preset::OrepaStem);
    let started = ModelConfig::ResNet(config).init(&under_test()).unwrap();
    let form = |network: &Model| Structure::of(network).layers()["conv1"].form.to_string();
    assert!(!form(&started).contains("published"));
    let (_folder, path) = packed(CHECKPOINT);
    let (network, report) = open(path).unwrap().load_into(started).unwrap();
    assert!(report.is_complete(), "{report}");
    assert!(form(&network).contains(", published"), "{}", form(&network));
    assert_close("the preset", network.forward(wanted("input")), wanted("orepa_resnet18"));
}

/// Law 5, and that the composition is in the note of what is written.
#[test]
fn what_is_written_is_read_back_as_it_was() {
    let (_folder, path) = packed(CHECKPOINT);
    let weights = open(path).unwrap();
    let label: Label = weights.label(&under_test()).unwrap();
    let (network, _) = weights.build(&under_test()).unwrap();
    let structure = Structure::of(&network);
    assert_eq!(Structure::from_json(&structure.to_json()).unwrap(), structure);
    let folder = tempfile::tempdir().unwrap();
    let (torch, burn) = (folder.path().join("w.safetensors"), folder.path().join("w.bpk"));
    Export::of(&network).labelled(&label).unwrap().safetensors(&torch).unwrap();
    write_burnpack(&network, &label, &burn).unwrap();
    let want = network.forward(wanted("input")).into_data();
    for file in [&torch, &burn] {
        let weights = open(file).unwrap();
        assert_eq!(weights.description().unwrap().structure(), &structure);
        let (same, report) = weights.build(&under_test()).unwrap();
        assert!(report.is_complete() && report.unused.is_empty(), "{report}");
        assert_eq!(Structure::of(&same), structure);
        same.forward(wanted("input")).into_data().assert_eq(&want, true);
    }
    // The control: without the note nobody tells the composition.
    let (_folder, path) = written(&state(&torch));
    let error = open(path).unwrap().load_into(network_of(&label)).unwrap_err();
    assert!(
        matches!(&error, WeightsError::Composition { layer, .. } if layer == "conv1"),
        "{error}"
    );
}

fn network_of(label: &Label) -> Model {
    label.network.as_ref().unwrap().1.init(&under_test()).unwrap()
}

/// In a network without a norm of its own there, the norm is the stack's. The deployed kernel is PyTorch's.
#[test]
fn a_stem_in_any_network_has_its_norm() {
    #[derive(Module, Debug)]
    struct Own {
        stem: RepConv2d,
    }
    let stem = RepConv2dConfig::new([3, 1], [7, 7])
        .with_stride([2, 2])
        .with_padding(PaddingConfig2d::Explicit(3, 3, 3, 3))
        .with_bias(false)
        .init(&under_test());
    let within = |name: &str| name.strip_prefix("stage0.conv1.").map(|rest| format!("stem.{rest}"));
    let part = |file: &str| -> State {
        let (_folder, path) = packed(file);
        let all = state(&path).into_iter();
        all.filter_map(|(name, one)| Some((within(&name)?, one))).collect()
    };
    let (_folder, path) = written(&part(RESNET50));
    let (own, report) = open(path).unwrap().load_into(Own { stem: stem.clone() }).unwrap();
    assert!(report.is_complete(), "{report}");
    assert!(own.stem.form().to_string().ends_with(", published, norm"), "{}", own.stem.form());
    let (_folder, path) = written(&part("orepa_resnet50_deployed.safetensors"));
    let (deployed, _) = open(path).unwrap().load_into(Own { stem }).unwrap();
    assert!(deployed.stem.is_plain());
    let [got, want] = [own.stem.fuse(), deployed.stem.fuse()];
    let off = relative_difference(got.weight(), want.weight());
    assert!(off < allowed(LOGITS), "{off:.1e}");
    let off = relative_difference(got.bias().unwrap(), want.bias().unwrap());
    assert!(off < allowed(LOGITS), "{off:.1e}");
}

/// A filter of the file that is none of this library's would be another stem.
#[test]
fn a_stem_with_other_filters_is_refused() {
    let (_folder, path) = packed(RESNET50);
    let mut all = state(&path);
    let name = "stage0.conv1.weight1.weight_orepa_prior";
    all.insert(name.to_owned(), (Dtype::F32, vec![1, 3, 3], vec![0; 36])).unwrap();
    let (_folder, path) = written(&all);
    let error = open(path).unwrap().build(&under_test()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(name) && text.contains("is another than this library has"), "{text}");
}
