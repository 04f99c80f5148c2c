//! Files with the names of the published OREPA code load, trainable as its modules are, and give the logits of PyTorch.
//!
//! The files come from `golden/orepa/networks.py`.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;
mod packed;
mod states;

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::tensor::Tensor;
use common::assert_close;
use dyrep_burn::{Composition, Form, Preset, RepConv2d, RepConv2dConfig, Structure, deploy};
use dyrep_models::{ModelConfig, RepVggConfig, ResNetConfig};
use dyrep_tests::under_test;
use dyrep_weights::{Load, Naming, WeightsError, open};
use packed::{expected_of, packed};
use rstest::rstest;
use safetensors::Dtype;
use states::{State, state, written};

const CLASSES: usize = 5;

fn wanted<const D: usize>(name: &str) -> Tensor<D> {
    expected_of("orepa", name)
}

fn resnet18() -> ModelConfig {
    ModelConfig::ResNet(ResNetConfig::resnet18(CLASSES).with_width(2))
}

/// A RepVGG whose units are plain, of one a stage.
fn alone() -> ModelConfig {
    let config = RepVggConfig {
        width: 2,
        depths: [1; 4],
        multipliers: [0.75, 0.46875],
        ..RepVggConfig::repvgg_a0(CLASSES).with_branches(Preset::Plain)
    };
    ModelConfig::RepVgg(config)
}

/// The network of a file, by its tensors alone.
#[rstest]
#[case("orepa_resnet18.pth.tar", "resnet18", 2, Naming::Orepa, "state_dict", "orepa_resnet18")]
#[case("orepa_resnet50.safetensors", "resnet50", 1, Naming::Orepa, "", "orepa_resnet50")]
#[case("orepa_resnet50_deployed.safetensors", "resnet50", 1, Naming::Orepa, "", "orepa_resnet50")]
#[case("orepa_repvgg_a2.safetensors", "repvgg_a2", 1, Naming::Orepa, "", "orepa_repvgg_a2")]
#[case(
    "orepa_repvgg_a2_deployed.safetensors",
    "repvgg_a2",
    1,
    Naming::RepVgg,
    "",
    "orepa_repvgg_a2"
)]
fn networks_are_known_by_their_tensors(
    #[case] file: &str,
    #[case] model: &str,
    #[case] width: usize,
    #[case] naming: Naming,
    #[case] inside: &str,
    #[case] logits: &str,
) {
    let device = under_test();
    let (_folder, path) = packed(file);
    let weights = open(path).unwrap();
    assert_eq!((weights.format().naming, weights.format().inside.as_str()), (naming, inside));
    let candidates = weights.candidates(&device);
    let [(name, config)] = &candidates[..] else { panic!("{candidates:?}") };
    assert_eq!((name.name(), config.width(), config.classes()), (model, width, CLASSES));
    let (network, report) = weights.build(&device).unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.format.naming, naming);
    assert_close(file, network.forward(wanted("input")), wanted(logits));
    assert_close("deployed", deploy(&network).forward(wanted("input")), wanted(logits));
}

#[rstest]
fn repvgg_of_modules_alone_is_read(#[values("", "_deployed")] form: &str) {
    let (_folder, path) = packed(&format!("orepa_alone{form}.safetensors"));
    let weights = open(path).unwrap();
    // Deployed, its units have no norms: those are they that end in the sum of their branches.
    let config = if form.is_empty() { alone() } else { alone().with_branches(Preset::RepVgg) };
    let (network, report) = weights.load_into(config.init(&under_test()).unwrap()).unwrap();
    assert_eq!(report.format.naming, Naming::Orepa);
    assert_close(form, network.forward(wanted("input")), wanted("orepa_alone"));
    assert_close("deployed", deploy(&network).forward(wanted("input")), wanted("orepa_alone"));
}

/// The branches are those of the presets, so that training goes on as it does from this library's own start.
#[test]
fn modules_become_the_branches_of_the_presets() {
    let device = under_test();
    let forms = |file: &str| {
        let (_folder, path) = packed(file);
        let (network, report) = open(path).unwrap().build(&device).unwrap();
        (Structure::of(&network), report)
    };
    let own = |config: ModelConfig, preset| {
        Structure::of(&config.with_branches(preset).init(&device).unwrap())
    };
    let (found, report) = forms("orepa_resnet18.pth.tar");
    let started = own(resnet18(), Preset::OrepaStem);
    for (path, layer) in found.layers() {
        let mut wanted = started.layers()[path].form.clone();
        if let Form::Stack(stack) = &mut wanted {
            stack.composition = Composition::Published;
        }
        // Shortcuts of basic blocks are plain.
        match path.contains("downsample") {
            true => assert_eq!(layer.form.to_string(), "conv"),
            false => assert_eq!(layer.form, wanted, "{path}"),
        }
    }
    assert!(report.notes.is_empty(), "{:?}", report.notes);

    let (found, report) = forms("orepa_repvgg_a2.safetensors");
    let a2 = ModelConfig::RepVgg(RepVggConfig::repvgg_a2(CLASSES).with_width(1));
    assert_eq!(found, own(a2, Preset::OrepaRepVgg));
    assert!(report.notes.is_empty(), "{:?}", report.notes);

    let (found, _) = forms("orepa_resnet50.safetensors");
    let form = |path: &str| found.layers()[path].form.to_string();
    assert_eq!(form("layer1.0.conv1"), "kxk:scale + 1x1_kxk:linear");
    assert_eq!(form("layer4.0.downsample.0"), "kxk:scale + 1x1_kxk:linear");
}

/// Somebody's own network: a norm of its own stands behind no convolution.
#[derive(Module, Debug)]
struct Own {
    groups: RepConv2d,
    doubled: RepConv2d,
    depthwise: RepConv2d,
    multiplied: RepConv2d,
    odd: RepConv2d,
}

impl Own {
    fn new() -> Self {
        let conv = |channels: [usize; 2], stride: usize, groups: usize| {
            RepConv2dConfig::new(channels, [3, 3])
                .with_stride([stride; 2])
                .with_groups(groups)
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .with_bias(false)
                .init(&under_test())
        };
        Self {
            groups: conv([8, 8], 1, 4),
            doubled: conv([10, 10], 2, 5),
            depthwise: conv([6, 6], 1, 6),
            multiplied: conv([5, 10], 2, 5),
            odd: conv([5, 5], 1, 1),
        }
    }

    fn layers(&self) -> [(&str, &RepConv2d); 5] {
        [
            ("groups", &self.groups),
            ("doubled", &self.doubled),
            ("depthwise", &self.depthwise),
            ("multiplied", &self.multiplied),
            ("odd", &self.odd),
        ]
    }
}

/// In groups the rows of a published 1×1 are ordered otherwise, and the sequence has twice the channels.
#[test]
fn modules_in_any_network_with_groups_and_odd_channels() {
    let (_folder, path) = packed("orepa_blocks.safetensors");
    let (own, report) = open(path).unwrap().load_into(Own::new()).unwrap();
    assert!(report.is_complete(), "{report}");
    let own = own.valid();
    for network in [&own, &deploy(&own)] {
        for (name, layer) in network.layers() {
            let got = layer.forward(wanted(&format!("{name}.x")));
            let want = wanted::<4>(&format!("{name}.y"));
            dyrep_tests::close::assert_close(name, got, want, common::LOGITS);
        }
    }
    let note = &report.notes[0];
    assert!(note.contains("`depthwise`") && report.notes.len() == 1, "{note}");
    assert!(report.to_string().contains(note) && report.listing().contains(note));
}

/// The state of a file after `change`, loaded into the network of somebody's own.
fn changed(change: impl FnOnce(&mut State)) -> Result<(), WeightsError> {
    let (_folder, path) = packed("orepa_blocks.safetensors");
    let mut all = state(&path);
    change(&mut all);
    let (_folder, path) = written(&all);
    open(path)?.load_into(Own::new()).map(drop)
}

fn shape(state: &mut State, name: &str, shape: &[usize]) {
    let count: usize = shape.iter().product();
    let one = (Dtype::F32, shape.to_vec(), vec![0; 4 * count]);
    state.insert(name.to_owned(), one).unwrap_or_else(|| panic!("no {name}"));
}

#[rstest]
#[case::row("odd.vector", &[5, 5], "expected [6, 5]: a row for each branch")]
#[case::row_too_many("odd.vector", &[7, 5], "expected [6, 5]: a row for each branch")]
#[case::turned("odd.vector", &[5, 6], "expected [6, 5]")]
#[case::branch("groups.weight_orepa_1x1", &[8, 8, 1, 1], "expected [8, 2, 1, 1]")]
#[case::sequence("doubled.weight_orepa_1x1_kxk_conv2", &[10, 2, 3, 3], "expected [10, 4, 3, 3]")]
#[case::middle("doubled.weight_orepa_1x1_kxk_idconv1", &[15, 2, 1, 1], "expected [10 or 20, 2, 1, 1]")]
#[case::depthwise("groups.weight_orepa_gconv_dw", &[60, 1, 3, 3], "whose groups have 2 inputs each")]
#[case::none("groups.weight_orepa_gconv_dw", &[0, 1, 3, 3], "whose groups have 2 inputs each")]
#[case::pointwise("groups.weight_orepa_gconv_pw", &[8, 64, 1, 1], "expected [8, 16, 1, 1]")]
#[case::kernel("odd.weight_orepa_origin", &[5, 5, 3, 1], "expected [out, in / groups, k, k]")]
#[case::flat("odd.weight_orepa_origin", &[5, 5], "expected [out, in / groups, k, k]")]
#[case::empty("odd.weight_orepa_origin", &[0, 0, 3, 3], "expected [out, in / groups, k, k]")]
#[case::prior("odd.weight_orepa_prior", &[5, 3], "expected [5, 3, 3]")]
#[case::zeros("odd.weight_orepa_prior", &[5, 3, 3], "is another than this library has: value 0 is 0")]
#[case::average("odd.weight_orepa_avg_avg", &[3, 3], "value 0 is 0, expected 0.1111")]
fn tensors_of_other_shapes_are_refused(
    #[case] name: &str,
    #[case] other: &[usize],
    #[case] reason: &str,
) {
    let error = changed(|state| shape(state, name, other)).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, WeightsError::Tensor { .. }), "{text}");
    assert!(text.contains(name) && text.contains(reason), "{text}");
}

#[rstest]
fn a_module_that_is_not_whole_is_refused(
    #[values(
        "vector",
        "weight_orepa_origin",
        "weight_orepa_1x1",
        "weight_orepa_gconv_dw",
        "weight_orepa_1x1_kxk_idconv1"
    )]
    part: &str,
) {
    let name = format!("odd.{part}");
    let error = changed(|state| drop(state.remove(&name).unwrap())).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("`{name}`: it is missing beside `odd.")), "{text}");
    // The control: buffers need not be there.
    changed(|state| drop(state.remove("odd.weight_orepa_prior").unwrap())).unwrap();
}

/// The published filters of other kernels than 3×3 are unset memory in part.
#[test]
fn a_5x5_module_is_read_only_if_its_filters_are_ours() {
    let half = |count: usize| vec![0u8; 2 * count];
    let make = |prior: Option<&dyn Fn(usize, usize, usize) -> f64>| {
        let mut all = State::new();
        let mut put = |name: &str, shape: &[usize]| {
            let count = shape.iter().product();
            all.insert(format!("conv.{name}"), (Dtype::F16, shape.to_vec(), half(count)));
        };
        for (name, shape) in [
            ("weight_orepa_origin", [4, 3, 5, 5]),
            ("weight_orepa_avg_conv", [4, 3, 1, 1]),
            ("weight_orepa_pfir_conv", [4, 3, 1, 1]),
            ("weight_orepa_1x1", [4, 3, 1, 1]),
            ("weight_orepa_1x1_kxk_idconv1", [3, 3, 1, 1]),
            ("weight_orepa_1x1_kxk_conv2", [4, 3, 5, 5]),
            ("weight_orepa_gconv_dw", [24, 1, 5, 5]),
            ("weight_orepa_gconv_pw", [4, 24, 1, 1]),
        ] {
            put(name, &shape);
        }
        put("vector", &[6, 4]);
        for name in ["weight", "bias", "running_mean", "running_var"] {
            put(&format!("bn.{name}"), &[4]);
        }
        if let Some(prior) = prior {
            let places = (0..100).map(|at| (at / 25, at / 5 % 5, at % 5));
            let values = places.flat_map(|(o, y, x)| (prior(o, y, x) as f32).to_le_bytes());
            let one = (Dtype::F32, vec![4, 5, 5], values.collect());
            all.insert("conv.weight_orepa_prior".to_owned(), one);
        }
        all
    };
    #[derive(Module, Debug)]
    struct Net {
        conv: RepConv2d,
    }
    let load = |state: State| {
        let (_folder, path) = written(&state);
        let conv = RepConv2dConfig::new([3, 4], [5, 5])
            .with_padding(PaddingConfig2d::Same)
            .with_bias(false)
            .init(&under_test());
        open(path)?.load_into(Net { conv }).map(drop)
    };
    let cosine = |taps: f64| {
        move |o: usize, y: usize, x: usize| {
            let (place, frequency) = if o < 2 { (y, o + 1) } else { (x, o - 1) };
            (std::f64::consts::PI * (place as f64 + 0.5) * frequency as f64 / taps).cos()
        }
    };
    load(make(Some(&cosine(5.0)))).unwrap();
    let published = |o, y, x| if y < 3 && x < 3 { cosine(3.0)(o, y, x) } else { f64::NAN };
    for refused in [make(Some(&published)), make(None)] {
        let text = load(refused).unwrap_err().to_string();
        let expected = text.contains("expected 0.9511") || text.contains("expected [4, 5, 5]");
        assert!(text.contains("conv.weight_orepa_p") && expected, "{text}");
    }
}

/// The published RepVGG form has a row for the identity, which nothing writes.
#[test]
fn a_row_that_is_unset_memory_does_not_count() {
    let (_folder, path) = packed("orepa_repvgg_a2.safetensors");
    let set = |row: usize| {
        let mut all = state(&path);
        let (dtype, shape, bytes) = all.get_mut("stage1.1.rbr_dense.vector").unwrap();
        assert_eq!((*dtype, shape.as_slice()), (Dtype::F16, &[6, 2][..]));
        bytes[4 * row..][..2].copy_from_slice(&0x7e00u16.to_le_bytes());
        let (_folder, path) = written(&all);
        open(path).unwrap().build(&under_test())
    };
    let (network, _) = set(5).unwrap();
    assert_close("NaN", network.forward(wanted("input")), wanted("orepa_repvgg_a2"));
    let error = set(4).unwrap_err();
    assert!(matches!(&error, WeightsError::NotFinite { .. }), "{error}");
    assert!(error.to_string().contains("stage1.1.rbr_dense.vector[4]"), "{error}");
}

#[test]
fn stems_that_are_not_whole_are_refused() {
    let (_folder, path) = packed("orepa_resnet50.safetensors");
    let whole = state(&path);
    let open_changed = |change: &dyn Fn(&mut State)| {
        let mut all = whole.clone();
        change(&mut all);
        let (_folder, path) = written(&all);
        open(path).map(drop).map_err(|error| error.to_string())
    };
    open_changed(&|_| ()).unwrap();
    let error = open_changed(&|all| all.retain(|name, _| !name.contains("weight1."))).unwrap_err();
    assert!(error.contains("stage0.conv1.weight2.weight_orepa_origin"), "{error}");
    assert!(error.contains("layer 1 is missing"), "{error}");
}

/// A norm that is missing behind a module that trains is not one that a deployed file has folded away.
#[test]
fn a_missing_norm_is_told() {
    let (_folder, path) = packed("orepa_resnet50.safetensors");
    let mut all = state(&path);
    all.retain(|name, _| !name.starts_with("stage1.0.conv1.bn."));
    let (_folder, path) = written(&all);
    let config = ModelConfig::ResNet(ResNetConfig::resnet50(CLASSES).with_width(1));
    let network = config.init(&under_test()).unwrap();
    let error = Load::strict().into(network, &open(path).unwrap()).unwrap_err();
    assert!(error.to_string().contains("layer1.0.bn1"), "{error}");
}
