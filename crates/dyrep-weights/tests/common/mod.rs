//! What the tests share: reference files, narrow networks, comparing outputs.

// Each test file uses some of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use dyrep_models::{
    MobileNetV1Config, ModelConfig, ModelName, RepVggConfig, ResNetConfig, VggConfig,
};
use dyrep_tests::params::scatter;
use dyrep_tests::under_test;
use safetensors::SafeTensors;

/// Of the largest logit; the largest difference seen is 2e-6.
pub(crate) const LOGITS: f64 = 2e-5;
pub(crate) const CLASSES: usize = 10;

pub(crate) fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

/// A tensor of `expected.safetensors`.
pub(crate) fn expected<const D: usize>(name: &str) -> Tensor<D> {
    tensor_of("expected.safetensors", name)
}

/// A tensor of a reference file.
pub(crate) fn tensor_of<const D: usize>(file: &str, name: &str) -> Tensor<D> {
    let bytes = std::fs::read(golden(file)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let view = tensors.tensor(name).unwrap();
    let values = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let data = TensorData::new(values, view.shape().to_vec());
    Tensor::from_data(data, &under_test())
}

pub(crate) fn assert_close(what: &str, got: Tensor<2>, want: Tensor<2>) {
    dyrep_tests::close::assert_close(what, got, want, LOGITS);
}

pub(crate) fn resnet() -> ModelConfig {
    ModelConfig::ResNet(ResNetConfig::resnet18(CLASSES).with_width(4))
}

pub(crate) fn bottleneck() -> ModelConfig {
    ModelConfig::ResNet(ResNetConfig::resnet50(CLASSES).with_width(2))
}

pub(crate) fn vgg() -> ModelConfig {
    ModelConfig::Vgg(VggConfig::vgg11_bn(CLASSES).with_width(2))
}

pub(crate) fn mobilenet() -> ModelConfig {
    ModelConfig::MobileNetV1(MobileNetV1Config::mobilenet_v1(CLASSES).with_width(2))
}

pub(crate) fn repvgg() -> ModelConfig {
    ModelConfig::RepVgg(RepVggConfig::repvgg_b1g2(CLASSES).with_width(2))
}

/// timm's.
pub(crate) fn repvgg_a0() -> ModelConfig {
    ModelConfig::RepVgg(RepVggConfig::repvgg_a0(CLASSES).with_width(3))
}

/// A narrow network by its name.
pub(crate) fn narrow(name: &str, classes: usize) -> (ModelName, ModelConfig) {
    let name: ModelName = name.parse().unwrap();
    let width = if name.name().starts_with("resnext") { 16 } else { 8 };
    (name, name.config(classes).with_width(width))
}

/// The module with norms as training leaves them, and biases that are not zero: a fresh one hides faults.
pub(crate) fn randomised<M: Module>(module: M) -> M {
    scatter(module, |name| match name {
        "gamma" => Some((1.0, 0.4)),
        "running_var" => Some((6.0, 3.0)),
        "beta" | "running_mean" | "bias" => Some((0.0, 0.5)),
        _ => None,
    })
}
