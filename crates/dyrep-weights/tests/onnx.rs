//! Networks of the zoo are written as ONNX, and are what they were afterwards.
//!
//! That ONNX Runtime gives their logits is checked by `golden/check_exports.py`, which reads what
//! `DYREP_EXPORTS=folder cargo test --test onnx` leaves.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use burn::tensor::{Device, Tensor};
use common::{expected, narrow, randomised};
use dyrep_burn::Preset;
use dyrep_models::Model;
use dyrep_weights::{WeightsError, write_onnx};
use rstest::rstest;

#[rstest]
fn networks_are_written(
    #[values("resnet18", "resnet50", "cifar_vgg16", "mobilenet_v1", "repvgg_a0")] name: &str,
) {
    let kept = std::env::var_os("DYREP_EXPORTS").map(std::path::PathBuf::from);
    let folder = tempfile::tempdir().unwrap();
    let folder = kept.as_deref().unwrap_or(folder.path());
    let (_, config) = narrow(name, 10);
    let network = config.with_branches(Preset::Dbb).init(&Device::flex()).unwrap();
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

#[test]
fn what_cannot_be_written_is_named() {
    let (_, config) = narrow("vgg11", 10);
    let network = config.init(&Device::flex()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vgg11.onnx");
    let error = write_onnx(&network, [3, 32, 32], Model::forward, &file).unwrap_err();
    assert!(matches!(error, WeightsError::Malformed { .. }), "{error}");
    assert!(error.to_string().contains("AdaptiveAvgPool"), "{error}");
    assert!(!file.exists());
}
