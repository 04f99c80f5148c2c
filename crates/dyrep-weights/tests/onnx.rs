//! Networks of the zoo are written as ONNX, are what they were afterwards, and give their logits in a runtime that knows
//! nothing of Burn.
//!
//! That runtime is tract. ONNX Runtime is asked by `golden/check_exports.py`, which reads what
//! `DYREP_EXPORTS=folder cargo test --test onnx` leaves.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use common::{CLASSES, expected, narrow, randomised};
use dyrep_burn::Preset;
use dyrep_models::{Model, ModelConfig, Stem};
use dyrep_onnx_tests::Runtime;
use dyrep_tests::close::relative_difference;
use dyrep_tests::params::scatter;
use dyrep_tests::under_test;
use dyrep_weights::{WeightsError, write_onnx};
use rstest::rstest;

/// Of the largest logit; the largest difference seen is 2e-5.
const ELSEWHERE: f64 = 1e-4;
/// What another network, or other pictures, must differ by.
const CONTROL: f64 = 1e-2;
/// Side of small pictures.
const SIDE: usize = 32;

#[rstest]
fn networks_are_written(
    #[values("resnet18", "resnet50", "cifar_vgg16", "mobilenet_v1", "repvgg_a0")] name: &str,
) {
    let kept = std::env::var_os("DYREP_EXPORTS").map(std::path::PathBuf::from);
    let folder = tempfile::tempdir().unwrap();
    let folder = kept.as_deref().unwrap_or(folder.path());
    let (_, config) = narrow(name, 10);
    let network = config.with_branches(Preset::Dbb).init(&under_test()).unwrap();
    let network: Model = randomised(network);
    let pictures: Tensor<4> = expected("input");
    let before = network.forward(pictures.clone()).into_data();
    let file = folder.join(format!("{name}.onnx"));
    write_onnx(&network, [3, 32, 32], Model::forward, &file).unwrap();
    network.forward(pictures).into_data().assert_eq(&before, true);
    let bytes = std::fs::read(&file).unwrap();
    assert!(bytes.windows(5).any(|window| window == b"batch"), "no symbolic batch");
    let logits: Vec<u8> = before.iter::<f32>().flat_map(f32::to_le_bytes).collect();
    std::fs::write(folder.join(format!("{name}.logits")), logits).unwrap();
}

/// Pictures that are all different.
fn pictures(count: usize, side: usize, device: &Device) -> Tensor<4> {
    let value = |i: usize| (0.37 * i as f32).sin() + (1e-5 * (i * i) as f32).cos();
    let values = (0..count * 3 * side * side).map(value).collect();
    Tensor::from_data(TensorData::new::<f32, _>(values, [count, 3, side, side]), device)
}

/// The network as training leaves it: norms that are not the identity, with the statistics of pictures, so that what it
/// sees reaches its logits.
fn trained(config: &ModelConfig, side: usize) -> Model {
    let device = under_test().autodiff();
    let network = scatter(config.init(&device).unwrap(), |name| match name {
        "gamma" => Some((1.0, 0.4)),
        "beta" | "bias" => Some((0.0, 0.5)),
        _ => None,
    });
    for _ in 0..20 {
        let _logits = network.forward(pictures(4, side, &device));
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

#[rstest]
#[case::resnet("resnet18", Stem::Imagenet, SIDE)]
#[case::bottlenecks("resnet50", Stem::Small, SIDE)]
#[case::depthwise("mobilenet_v1", Stem::Imagenet, SIDE)]
#[case::vgg("vgg11_bn", Stem::Imagenet, 224)]
#[case::small_vgg("vgg11_bn", Stem::Small, SIDE)]
#[case::repvgg("repvgg_b1g2", Stem::Imagenet, SIDE)]
fn another_runtime_gives_the_same_logits(
    #[case] name: &str,
    #[case] stem: Stem,
    #[case] side: usize,
) {
    let (_, config) = narrow(name, CLASSES);
    let config: ModelConfig = config.with_stem(stem).with_branches(Preset::Dbb);
    let network = trained(&config, side);
    let fresh = config.init(&under_test()).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    write_onnx(&network, [3, side, side], Model::forward, file.path()).unwrap();
    let runtime = Runtime::open(file.path()).unwrap();
    for batch in [1, 2, 5] {
        let pictures = pictures(batch, side, &under_test());
        let got = elsewhere(&runtime, &pictures);
        let wanted = network.forward(pictures.clone());
        let difference = relative_difference(got.clone(), wanted);
        assert!(difference < ELSEWHERE, "{name}, {batch} pictures: {difference:.1e}");
        let untrained = fresh.forward(pictures.clone());
        let dimmed = network.forward(pictures.mul_scalar(0.5));
        for other in [untrained, dimmed] {
            let difference = relative_difference(got.clone(), other);
            assert!(difference > CONTROL, "{name}, {batch} pictures: {difference:.1e}");
        }
    }
    let wrong = runtime.run(&[1, 4, side, side], &vec![0.0; 4 * side * side]);
    assert!(wrong.is_err(), "four channels were taken");
}

#[test]
fn what_cannot_be_written_is_named() {
    let (_, config) = narrow("vgg11", 10);
    let network = config.init(&under_test()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vgg11.onnx");
    let error = write_onnx(&network, [3, 32, 32], Model::forward, &file).unwrap_err();
    assert!(matches!(error, WeightsError::Malformed { .. }), "{error}");
    assert!(error.to_string().contains("AdaptiveAvgPool"), "{error}");
    assert!(!file.exists());
}
