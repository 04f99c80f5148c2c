//! Networks of the zoo are written as ONNX, and give their logits in a runtime that knows nothing of Burn.
//!
//! That runtime is tract. ONNX's checker and ONNX Runtime are asked by `golden/check_exports.py`, which reads what
//! `DYREP_EXPORTS=folder cargo test --test onnx` leaves.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use burn::module::Module;
use burn::nn::BatchNormConfig;
use burn::tensor::{Device, Tensor, TensorData};
use common::{CLASSES, expected, narrow, randomised};
use dyrep_burn::{Preset, deploy};
use dyrep_models::{Activation, Model, ModelConfig, ModelName, Stem, VggLayer};
use dyrep_onnx_tests::{Contents, Runtime};
use dyrep_tests::close::relative_difference;
use dyrep_tests::device::allowed;
use dyrep_tests::params::scatter;
use dyrep_tests::under_test;
use dyrep_weights::{Export, Input, Label, OnnxOptions, Opset, WeightsError, write_onnx};
use rstest::rstest;

/// Of the largest logit; the largest difference seen is 1e-5.
const ELSEWHERE: f64 = 1e-4;
/// What a network may make of pictures that are larger by a millionth. One that makes more of it makes as much of rounding,
/// of which there is another on each processor, and is no network for this test.
const SHAKEN: f64 = 1e-4;
/// What another network, or other pictures, must differ by.
const CONTROL: f64 = 1e-2;

/// Pictures that are all different.
fn pictures(shape: [usize; 4], device: &Device) -> Tensor<4> {
    let value = |i: usize| (0.37 * i as f32).sin() + (1e-5 * (i * i) as f32).cos();
    let values = (0..shape.iter().product()).map(value).collect();
    Tensor::from_data(TensorData::new::<f32, _>(values, shape), device)
}

/// The network as training leaves it: norms that are not the identity, with the statistics of pictures, so that what it
/// sees reaches its logits.
fn trained(config: &ModelConfig) -> Model {
    match config {
        // A row of 43 layers without shortcuts gives nothing on unless each is normalised by what it sees, and makes much
        // of rounding unless most values pass its ReLUs and its last maps have enough of them for statistics.
        ModelConfig::MobileOne(_) => trained_around(config, 1.0, 30, 128),
        ModelConfig::RepVit(_) => {
            let mut network = trained_around(config, 0.0, 14, 64);
            // A norm of averages has seen as many values as there were pictures: too few for statistics.
            if let Model::RepVit(network) = &mut network {
                let [channels, _] = network.head.head.l.weight.dims();
                network.head.head.bn = BatchNormConfig::new(channels).init(&under_test());
            }
            network
        }
        _ => trained_around(config, 0.0, 10, 64),
    }
}

/// The same, with what comes out of norms around `middle`, after so many passes of pictures of so many pixels a side.
fn trained_around(config: &ModelConfig, middle: f32, passes: usize, side: usize) -> Model {
    let device = under_test().autodiff();
    let network = scatter(config.init(&device).unwrap(), |name| match name {
        "gamma" => Some((1.0, 0.4)),
        "beta" => Some((middle, 0.5)),
        "bias" => Some((0.0, 0.5)),
        _ => None,
    });
    let side = config.smallest_side().max(side);
    for _ in 0..passes {
        let _logits = network.forward(pictures([2, config.in_channels(), side, side], &device));
    }
    network.valid()
}

/// Logits as tract computes them.
fn elsewhere(runtime: &Runtime, pictures: &Tensor<4>) -> Tensor<2> {
    let values: Vec<f32> = pictures.to_data().iter::<f32>().collect();
    let (shape, logits) = runtime.run(&pictures.dims(), &values).unwrap();
    let [batch, classes] = shape[..] else { panic!("{shape:?}") };
    Tensor::from_data(TensorData::new(logits, [batch, classes]), &under_test())
}

/// The file's logits are the network's on pictures of these shapes.
fn check(what: &str, network: &Model, file: &Path, shapes: &[[usize; 4]]) {
    let runtime = Runtime::open(file).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    for shape in shapes {
        let what = format!("{what}, {shape:?}");
        let pictures = pictures(*shape, &under_test());
        let got = elsewhere(&runtime, &pictures);
        let wanted = network.forward(pictures.clone());
        let difference = relative_difference(got.clone(), wanted);
        let shaken = network.forward(pictures.clone().mul_scalar(1.0 + 1e-6_f32));
        let shaken = relative_difference(network.forward(pictures.clone()), shaken);
        assert!(shaken < allowed(SHAKEN), "{what}, shaken: {shaken:.1e}");
        assert!(difference < allowed(ELSEWHERE), "{what}: {difference:.1e}");
        let other = network.forward(pictures.mul_scalar(0.5).add_scalar(3.0));
        let far = relative_difference(got, other);
        // What RepViT averages differs little between some pictures, as little as 3e-4, and rounding by less than 3e-6.
        let control = if what.starts_with("repvit") { 30.0 * difference } else { CONTROL };
        assert!(far > control, "{what}, other pictures: {far:.1e}");
    }
    let [_, channels, height, width] = shapes[0];
    let values = vec![0.0; (channels + 1) * height * width];
    assert!(runtime.run(&[1, channels + 1, height, width], &values).is_err(), "{what}");
}

/// Every network of the zoo, with the stem of its number: free in height and width where the network is.
fn check_family(family: &str, branches: Preset) {
    let folder = tempfile::tempdir().unwrap();
    let names = ModelName::all().filter(|name| name.name().contains(family));
    let mut seen = 0;
    for (number, name) in names.enumerate() {
        let stem = [Stem::Imagenet, Stem::Small][number % 2];
        let (name, config) = narrow(name.name(), CLASSES);
        let network = trained(&config.with_stem(stem).with_branches(branches));
        let file = folder.path().join(format!("{name}.onnx"));
        let fixed = deploy(&network).graph().unwrap().fixed_output().is_some();
        assert_eq!(fixed, family == "vgg1" && stem == Stem::Imagenet, "{name}");
        let (options, shapes) = match fixed {
            true => (OnnxOptions::new().with_size([64, 48]), [[1, 3, 64, 48], [3, 3, 64, 48]]),
            false => (
                OnnxOptions::new(),
                [[1, 3, 64, 64], if family == "repvit" { [3, 3, 64, 96] } else { [3, 3, 32, 48] }],
            ),
        };
        write_onnx(&network, &Label::default(), &options, &file).unwrap();
        check(&format!("{name}, {stem:?}"), &network, &file, &shapes);
        seen += 1;
    }
    assert!(seen > 0);
}

#[rstest]
fn another_runtime_gives_every_networks_logits(
    #[values(
        "resnet",
        "resnext",
        "vgg1",
        "mobilenet",
        "mobileone",
        "repvit",
        "repvgg_a",
        "repvgg_b"
    )]
    family: &str,
) {
    check_family(family, Preset::Dbb);
}

/// Where values reach 6, a network with ReLU6 is another than the same with ReLU.
#[rstest]
fn what_is_clipped_is_clipped_elsewhere(#[values("mobilenet_v1_025", "mobilenet_v2")] name: &str) {
    let (name, config) = narrow(name, CLASSES);
    let config = config.with_activation(Activation::Relu6).unwrap();
    let network = trained_around(&config, 5.0, 60, 64);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clipped.onnx");
    write_onnx(&network, &Label::default(), &OnnxOptions::new(), &file).unwrap();
    let runtime = Runtime::open(&file).unwrap();
    let pictures = pictures([2, 3, 64, 64], &under_test());
    let got = elsewhere(&runtime, &pictures);
    let difference = relative_difference(got.clone(), network.forward(pictures.clone()));
    assert!(difference < allowed(ELSEWHERE), "{name}: {difference:.1e}");
    // The control: the same parameters without a bound.
    let weights = folder.path().join("clipped.safetensors");
    Export::of(&network).safetensors(&weights).unwrap();
    let other = config.with_activation(Activation::Relu).unwrap().init(&under_test()).unwrap();
    let (other, _) = dyrep_weights::open(&weights).unwrap().load_into(other).unwrap();
    let difference = relative_difference(got, other.forward(pictures));
    assert!(difference > CONTROL, "{name}: {difference:.1e}");
}

/// A 7×7 average of maps of any size: of 7×7, of a multiple, of anything else above and below.
#[rstest]
#[case::the_size_itself([224, 224])]
#[case::windows([448, 224])]
#[case::shares([320, 160])]
#[case::repeats([32, 96])]
fn averages_to_a_size(#[case] size: [usize; 2]) {
    let (_, config) = narrow("vgg11_bn", CLASSES);
    let network = trained(&config);
    let file = tempfile::NamedTempFile::new().unwrap();
    let options = OnnxOptions::new().with_size(size);
    write_onnx(&network, &Label::default(), &options, file.path()).unwrap();
    let [height, width] = size;
    check("vgg11_bn", &network, file.path(), &[[1, 3, height, width], [2, 3, height, width]]);
}

#[test]
fn a_norm_that_nothing_takes_is_written() {
    let (_, config) = narrow("vgg11_bn", CLASSES);
    let Model::Vgg(mut vgg) = trained(&config.with_stem(Stem::Small)) else { unreachable!() };
    let lone = burn::nn::BatchNormConfig::new(3).init(&under_test());
    vgg.features.insert(0, VggLayer::Norm(randomised(lone)));
    let network = Model::Vgg(vgg);
    let file = tempfile::NamedTempFile::new().unwrap();
    write_onnx(&network, &Label::default(), &OnnxOptions::new(), file.path()).unwrap();
    let found = Contents::of(file.path()).unwrap();
    let norms = found.nodes.iter().filter(|(_, op, _)| op == "BatchNormalization");
    assert_eq!(norms.map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["features.0"]);
    assert_eq!(found.initializers["features.0.running_var"], [3]);
    check("a lone norm", &network, file.path(), &[[2, 3, 32, 32]]);
}

fn label(name: ModelName, config: &ModelConfig) -> Label {
    Label {
        network: Some((name, config.clone())),
        input: Some(Input {
            resize: Some(72),
            side: 64,
            scale: 255.0,
            mean: vec![0.485, 0.456, 0.406],
            std: vec![0.229, 0.224, 0.225],
        }),
        class_names: (0..CLASSES).map(|class| format!("\"{class}\" ü")).collect(),
    }
}

#[test]
fn a_file_says_what_it_is() {
    let (name, config) = narrow("resnet18", CLASSES);
    let network = trained(&config.clone().with_branches(Preset::Dbb));
    let label = label(name, &config);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("resnet18.onnx");
    write_onnx(&network, &label, &OnnxOptions::new(), &file).unwrap();
    let found = Contents::of(&file).unwrap();

    assert_eq!(found.versions, [7, 13]);
    assert_eq!(found.producer, ["dyrep", env!("CARGO_PKG_VERSION")]);
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let classes = CLASSES.to_string();
    let input = ("input".to_owned(), names(&["batch", "3", "height", "width"]));
    assert_eq!(found.ends, [input, ("logits".to_owned(), names(&["batch", &classes]))]);
    assert_eq!(found.docs[0], "resnet18 of width 8, 10 classes");
    assert!(found.docs[1].contains("RGB") && found.docs[1].contains("(byte / 255 − mean) / std"));

    // Parameters are called and shaped as in PyTorch, and there are no others.
    let export = Export::folded(&network).labelled(&label).unwrap();
    let shapes = export
        .shapes()
        .map(|(name, shape)| (name.to_owned(), shape.iter().map(|size| *size as i64).collect()));
    assert_eq!(found.initializers, shapes.collect());
    assert!(found.initializers.contains_key("layer1.0.conv1.weight"));
    let convs: Vec<_> = found.nodes.iter().filter(|(_, op, _)| op == "Conv").collect();
    assert_eq!(convs.len(), 20);
    assert!(convs.iter().all(|(name, _, inputs)| inputs[1] == format!("{name}.weight")));
    let known = ["Conv", "Relu", "Add", "MaxPool", "GlobalAveragePool", "Flatten", "Gemm"];
    assert!(found.nodes.iter().all(|(_, op, _)| known.contains(&op.as_str())), "{found:?}");

    // What the note of other files says, and the same for those who cannot read it.
    let beside = folder.path().join("resnet18.safetensors");
    export.safetensors(&beside).unwrap();
    let header = std::fs::read(&beside).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&header).unwrap();
    assert_eq!(found.metadata["dyrep"], metadata.metadata().as_ref().unwrap()["dyrep"]);
    for (key, value) in [
        ("color_order", "RGB"),
        ("input_crop", "64"),
        ("input_mean", "[0.485, 0.456, 0.406]"),
        ("input_resize", "72"),
        ("input_scale", "255"),
        ("input_std", "[0.229, 0.224, 0.225]"),
        ("layout", "NCHW"),
    ] {
        assert_eq!(found.metadata[key], value, "{key}");
    }
    let classes: Vec<String> = serde_json::from_str(&found.metadata["class_names"]).unwrap();
    assert_eq!(classes, label.class_names);
    assert_eq!(found.metadata.len(), 9);
}

/// What is not known is not made up.
#[test]
fn a_network_without_a_label_has_few_words() {
    let (_, config) = narrow("mobilenet_v1_025", CLASSES);
    let network = config.with_in_channels(2).init(&under_test()).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let options = OnnxOptions::new().with_size([32, 48]);
    write_onnx(&network, &Label::default(), &options, file.path()).unwrap();
    let found = Contents::of(file.path()).unwrap();
    assert_eq!(found.metadata.keys().collect::<Vec<_>>(), ["dyrep", "layout"]);
    assert_eq!(found.ends[0].1, ["batch", "2", "32", "48"]);
}

#[test]
fn the_same_network_is_the_same_bytes_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (name, config) = narrow("resnet50", CLASSES);
    let network =
        randomised(config.clone().with_branches(Preset::DyRep).init(&under_test()).unwrap());
    let before = network.forward(expected("input")).into_data();
    let write = |network: &Model, file: &str| {
        let file = folder.path().join(file);
        write_onnx(network, &label(name, &config), &OnnxOptions::new(), &file).unwrap();
        std::fs::read(file).unwrap()
    };
    let first = write(&network, "a.onnx");
    network.forward(expected("input")).into_data().assert_eq(&before, true);
    assert!(first == write(&network, "b.onnx"));
    // Other parameters of the same values, with identities of their own.
    let file = folder.path().join("w.safetensors");
    Export::of(&network).named(name, &config).unwrap().safetensors(&file).unwrap();
    let (again, _) = dyrep_weights::open(&file).unwrap().build(&under_test()).unwrap();
    assert!(first == write(&again, "c.onnx"));
    let other = config.init(&under_test()).unwrap();
    assert!(first != write(&other, "d.onnx"));
}

/// A file of every version runs, and says the version.
#[test]
fn versions_of_operators() {
    let (_, config) = narrow("resnet18", CLASSES);
    let network = trained(&config);
    let file = tempfile::NamedTempFile::new().unwrap();
    let formats = [7, 7, 8, 8, 8, 8, 9, 9, 10];
    for (number, format) in (13..=21).zip(formats) {
        let options = OnnxOptions::new().with_opset(Opset::new(number).unwrap());
        write_onnx(&network, &Label::default(), &options, file.path()).unwrap();
        assert_eq!(Contents::of(file.path()).unwrap().versions, [format, number as i64]);
        if [13, 18, 21].contains(&number) {
            check(&format!("opset {number}"), &network, file.path(), &[[2, 3, 32, 32]]);
        }
    }
}

#[rstest]
#[case::any_size("vgg11", None, "`avgpool` averages maps to 7×7")]
#[case::too_small("vgg11", Some([32, 24]), "32×24 are too small: nothing is left behind `features.20`")]
#[case::too_small_for_any_vgg("cifar_vgg16", Some([16, 64]), "too small")]
fn what_cannot_be_written_is_named(
    #[case] name: &str,
    #[case] size: Option<[usize; 2]>,
    #[case] told: &str,
) {
    let (_, config) = narrow(name, 10);
    let network = config.init(&under_test()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.onnx");
    let options = size.map_or(OnnxOptions::new(), |size| OnnxOptions::new().with_size(size));
    let error = write_onnx(&network, &Label::default(), &options, &file).unwrap_err();
    assert!(matches!(error, WeightsError::NotOnnx { .. }), "{error}");
    assert!(error.to_string().contains(told), "{error}");
    assert!(!file.exists());
}

/// Leaves files for `golden/check_exports.py`, if `DYREP_EXPORTS` names a folder.
#[test]
fn networks_for_other_programs() {
    let Some(folder) = std::env::var_os("DYREP_EXPORTS").map(std::path::PathBuf::from) else {
        return;
    };
    for name in
        ["resnet18", "resnext50_32x4d", "vgg11_bn", "cifar_vgg16", "mobilenet_v1", "repvgg_a0"]
    {
        let (name, config) = narrow(name, CLASSES);
        let network = trained(&config.clone().with_branches(Preset::Dbb));
        let fixed = deploy(&network).graph().unwrap().fixed_output().is_some();
        let sizes: &[[usize; 2]] = if fixed { &[[96, 160]] } else { &[[96, 160], [64, 64]] };
        for opset in [13, 15, 18, 21] {
            let mut options = OnnxOptions::new().with_opset(Opset::new(opset).unwrap());
            if fixed {
                options = options.with_size(sizes[0]);
            }
            let file = folder.join(format!("{name}.{opset}.onnx"));
            write_onnx(&network, &label(name, &config), &options, file).unwrap();
        }
        for &[height, width] in sizes {
            let pictures = pictures([3, 3, height, width], &under_test());
            let logits = network.forward(pictures.clone()).into_data();
            for (what, values) in [("input", pictures.into_data()), ("logits", logits)] {
                let bytes: Vec<u8> = values.iter::<f32>().flat_map(f32::to_le_bytes).collect();
                std::fs::write(folder.join(format!("{name}.{height}x{width}.{what}")), bytes)
                    .unwrap();
            }
        }
    }
}
