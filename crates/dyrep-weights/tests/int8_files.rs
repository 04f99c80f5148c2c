//! Folded and quantised networks are written and read back to the bit; broken and hostile quantised files are refused.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::tensor::Tensor;
use common::{assert_close, expected, narrow, randomised};
use dyrep_burn::{PathPatterns, Preset, Structure};
use dyrep_models::{Model, ModelConfig, ModelName, fold_norms};
use dyrep_quant::{Granularity, Options, QuantError, Quantized, quantize};
use dyrep_tests::params::read;
use dyrep_tests::under_test;
use dyrep_weights::{Export, WeightsError, open};
use rstest::rstest;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tempfile::TempDir;

fn pictures() -> Tensor<4> {
    expected("input")
}

fn built(config: &ModelConfig) -> Model {
    randomised(config.init(&under_test()).unwrap())
}

fn quantised(network: &Model, options: &Options) -> Quantized<Model> {
    quantize(network, [pictures()], Model::forward, options).unwrap()
}

fn logits(network: &Quantized<Model>) -> Tensor<2> {
    network.run(|network| network.forward(pictures()))
}

#[rstest]
fn folded_networks_are_built_again(
    #[values("resnet18", "resnet50", "resnext50_32x4d", "vgg11_bn", "mobilenet_v1", "repvgg_a0")]
    name: &str,
    #[values(Preset::Plain, Preset::Dbb)] preset: Preset,
) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("folded.safetensors");
    let (name, config) = narrow(name, 10);
    let config = config.with_branches(preset);
    let network = built(&config);
    Export::folded(&network).named(name, &config).unwrap().safetensors(&file).unwrap();
    let weights = open(&file).unwrap();
    let (same, report) = weights.build(&under_test()).unwrap();
    assert!(report.is_complete(), "{report}");
    assert!(weights.description().unwrap().is_folded());
    assert_eq!(Structure::of(&same), Structure::of(&fold_norms(&network)));
    let want = fold_norms(&network).forward(pictures());
    same.forward(pictures()).into_data().assert_eq(&want.into_data(), true);
    assert_close(name.name(), same.forward(pictures()), network.forward(pictures()));
    // Without its norms it is no network of torchvision's.
    if preset == Preset::Plain {
        let error = weights.load_into(built(&config)).unwrap_err();
        assert!(matches!(error, WeightsError::Mismatch { .. }), "{error}");
    }
}

#[rstest]
fn quantised_networks_are_read_back_to_the_bit(
    #[values("resnet18", "vgg11_bn", "mobilenet_v1", "repvgg_a0")] name: &str,
    #[values(Granularity::PerChannel, Granularity::PerTensor)] granularity: Granularity,
) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("int8.safetensors");
    let (name, config) = narrow(name, 10);
    let keep = if name.name() == "resnet18" { &[r"^layer2\.0\.", "^conv1$"][..] } else { &[] };
    let options =
        Options::default().with_granularity(granularity).keeping(PathPatterns::new(keep).unwrap());
    let network = quantised(&built(&config), &options);
    Export::quantized(&network).named(name, &config).unwrap().safetensors(&file).unwrap();
    let weights = open(&file).unwrap();
    let (same, report) = weights.build_quantized(&under_test()).unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!(same.scales(), network.scales());
    assert_eq!(same.weights(), network.weights());
    assert_eq!(read(same.network()), read(network.network()));
    logits(&same).into_data().assert_eq(&logits(&network).into_data(), true);
    // Into a module of one's own, and back into the same bytes.
    let (again, _) = weights.load_quantized(&built(&config)).unwrap();
    let second = folder.path().join("again.safetensors");
    Export::quantized(&again).named(name, &config).unwrap().safetensors(&second).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(&second).unwrap());
}

#[test]
fn int8_is_a_quarter_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let name: ModelName = "resnet18".parse().unwrap();
    let network = name.config(1000).with_width(32).init(&under_test()).unwrap();
    let network = quantised(&network, &Options::default());
    let size = |export: Export| {
        let file = folder.path().join("w.safetensors");
        export.safetensors(&file).unwrap();
        std::fs::metadata(file).unwrap().len() as f64
    };
    let share = size(Export::quantized(&network)) / size(Export::folded(network.network()));
    assert!((0.25..0.27).contains(&share), "{share}");
}

/// The tensors of a file: type, shape, bytes.
type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// A quantised network's file whose tensors and note are changed.
fn changed(
    tensors: impl FnOnce(&mut Tensors),
    note: impl FnOnce(String) -> String,
) -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("int8.safetensors");
    let (name, config) = narrow("repvgg_a0", 10);
    let network = quantised(&built(&config), &Options::default());
    Export::quantized(&network).named(name, &config).unwrap().safetensors(&file).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let text = metadata.metadata().as_ref().unwrap()["dyrep"].clone();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let owned = |(name, view): (String, TensorView<'_>)| {
        (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
    };
    let mut all: Tensors = read.tensors().into_iter().map(owned).collect();
    tensors(&mut all);
    write(&file, &all, note(text));
    (folder, file)
}

fn write(file: &Path, tensors: &Tensors, note: String) {
    let view = |(name, (dtype, shape, bytes)): (&String, &'_ (Dtype, Vec<usize>, Vec<u8>))| {
        (name.clone(), *dtype, shape.clone(), bytes.clone())
    };
    let all: Vec<_> = tensors.iter().map(view).collect();
    let views = all.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    let note = HashMap::from([("dyrep".to_owned(), note)]);
    std::fs::write(file, safetensors::serialize(views, Some(note)).unwrap()).unwrap();
}

fn refused(tensors: impl FnOnce(&mut Tensors)) -> WeightsError {
    let (_folder, file) = changed(tensors, |note| note);
    let error = open(&file).unwrap().build_quantized(&under_test()).unwrap_err();
    assert!(error.to_string().contains("int8.safetensors"), "{error}");
    error
}

const CONV: &str = "stages.0.0.conv";

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn a_file_that_was_not_changed_is_read() {
    let (_folder, file) = changed(|_| {}, |note| note);
    open(&file).unwrap().build_quantized(&under_test()).unwrap();
}

#[test]
fn scales_that_are_missing_or_too_many_are_named() {
    for name in ["weight_scale", "input_scale", "input_zero_point"] {
        let error = refused(|tensors| drop(tensors.remove(&format!("{CONV}.{name}"))));
        let text = error.to_string();
        assert!(text.contains(&format!("{CONV}.weight")) && text.contains(name), "{text}");
    }
    let scale = (Dtype::F32, vec![1], floats(&[1.0]));
    let error =
        refused(|tensors| drop(tensors.insert("nothing.input_scale".into(), scale.clone())));
    assert!(error.to_string().contains("`nothing.input_scale`"), "{error}");
    let error = refused(|tensors| drop(tensors.insert("head.fc.input_scale".into(), scale)));
    assert!(error.to_string().contains("head.fc"), "{error}");
}

#[test]
fn scales_that_are_no_scales_are_refused() {
    for value in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        for name in ["weight_scale", "input_scale"] {
            let error = refused(|tensors| {
                let scale = tensors.get_mut(&format!("{CONV}.{name}")).unwrap();
                scale.2[..4].copy_from_slice(&value.to_le_bytes());
            });
            let WeightsError::Scales { source, .. } = &error else { panic!("{error}") };
            assert!(
                matches!(&**source, QuantError::Scale { layer, .. } if layer == CONV),
                "{error}"
            );
        }
    }
    let by = |name: &str, tensor: (Dtype, Vec<usize>, Vec<u8>)| {
        refused(|tensors| drop(tensors.insert(format!("{CONV}.{name}"), tensor))).to_string()
    };
    let one = floats(&[1.0]);
    assert!(by("weight_scale", (Dtype::F32, vec![3], floats(&[1.0; 3]))).contains("3 scales"));
    assert!(by("weight_scale", (Dtype::F32, vec![0], vec![])).contains("0 scales"));
    assert!(by("weight_scale", (Dtype::F32, vec![1, 1], one.clone())).contains("one dimension"));
    assert!(by("weight_scale", (Dtype::I32, vec![1], one.clone())).contains("i32"));
    assert!(by("input_scale", (Dtype::F32, vec![2], floats(&[1.0; 2]))).contains("expected 1"));
    assert!(by("input_zero_point", (Dtype::F32, vec![1], one)).contains("expected i8"));
    assert!(by("input_zero_point", (Dtype::I8, vec![2], vec![0; 2])).contains("expected 1"));
    assert!(by("input_zero_point", (Dtype::I8, vec![1], vec![7])).contains("zero point"));
}

#[test]
fn integers_that_are_no_weights_are_refused() {
    let value = i8::MIN.cast_unsigned();
    let error = refused(|tensors| tensors.get_mut(&format!("{CONV}.weight")).unwrap().2[0] = value);
    let WeightsError::Scales { source, .. } = &error else { panic!("{error}") };
    assert!(matches!(&**source, QuantError::OffGrid { channel: 0, .. }), "{error}");
    let bias = |tensors: &mut Tensors| {
        let bias = tensors.get_mut(&format!("{CONV}.bias")).unwrap();
        *bias = (Dtype::I8, bias.1.clone(), vec![1; bias.1[0]]);
    };
    assert!(matches!(refused(bias), WeightsError::Type { .. }));
    let fewer = |tensors: &mut Tensors| {
        let weight = tensors.get_mut(&format!("{CONV}.weight")).unwrap();
        weight.1[0] -= 1;
        weight.2.truncate(weight.1.iter().product());
    };
    assert!(refused(fewer).to_string().contains(CONV));
}

/// What a file is, its note says: neither kind is taken for the other.
#[test]
fn a_file_of_the_other_kind_is_refused_with_what_to_do() {
    let device = under_test();
    let (_folder, file) = changed(|_| {}, |note| note);
    let weights = open(&file).unwrap();
    let (_, config) = narrow("repvgg_a0", 10);
    for error in [
        weights.build(&device).unwrap_err(),
        weights.load_into(built(&config)).unwrap_err(),
        weights.load_folded(&built(&config)).unwrap_err(),
    ] {
        assert!(matches!(error, WeightsError::IsQuantized { .. }), "{error}");
        assert!(error.to_string().contains("build_quantized"), "{error}");
    }
    // Without the word in the note, its integers are no weights.
    for words in [r#","quantized":true"#, r#","folded":true,"quantized":true"#] {
        let (_folder, file) = changed(|_| {}, |note| note.replace(words, ""));
        let weights = open(&file).unwrap();
        let error = weights.build_quantized(&device).unwrap_err();
        assert!(matches!(error, WeightsError::NotQuantized { .. }), "{error}");
        let error = weights.build(&device).unwrap_err();
        let named = matches!(error, WeightsError::Type { .. } | WeightsError::Mismatch { .. });
        assert!(named, "{error}");
    }
    let (_folder, file) = changed(|_| {}, |note| note.replace("true", "1"));
    assert!(matches!(open(&file).unwrap_err(), WeightsError::NotDescribed { .. }));
}
