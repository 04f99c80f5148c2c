//! What the tests share: reference files, narrow networks, comparing outputs.

// Each test file uses some of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use dyrep_models::{
    MobileNetV1Config, ModelConfig, ModelName, RepVggConfig, ResNetConfig, VggConfig,
};
use safetensors::SafeTensors;

/// Of the largest logit; the largest difference seen is 2e-6.
pub(crate) const LOGITS: f32 = 2e-5;
pub(crate) const CLASSES: usize = 10;

pub(crate) fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

/// A tensor of `expected.safetensors`.
pub(crate) fn expected<const D: usize>(name: &str) -> Tensor<D> {
    let bytes = std::fs::read(golden("expected.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let view = tensors.tensor(name).unwrap();
    let values = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let data = TensorData::new(values, view.shape().to_vec());
    Tensor::from_data(data, &Device::flex())
}

/// The largest difference, of the largest value.
pub(crate) fn difference(got: Tensor<2>, want: Tensor<2>) -> f32 {
    assert_eq!(got.dims(), want.dims());
    let largest = want.clone().abs().max().into_scalar::<f32>();
    (got - want).abs().max().into_scalar::<f32>() / largest
}

pub(crate) fn assert_close(what: &str, got: Tensor<2>, want: Tensor<2>) {
    let difference = difference(got, want);
    assert!(difference <= LOGITS, "{what}: logits differ by {difference:.1e} of the largest");
}

pub(crate) fn resnet() -> ModelConfig {
    let config = ResNetConfig { depths: [1; 4], ..ResNetConfig::resnet18(CLASSES).with_width(4) };
    ModelConfig::ResNet(config)
}

pub(crate) fn bottleneck() -> ModelConfig {
    let config = ResNetConfig { depths: [1; 4], ..ResNetConfig::resnet50(CLASSES).with_width(2) };
    ModelConfig::ResNet(config)
}

pub(crate) fn vgg() -> ModelConfig {
    ModelConfig::Vgg(VggConfig::vgg11_bn(CLASSES).with_width(2))
}

pub(crate) fn mobilenet() -> ModelConfig {
    ModelConfig::MobileNetV1(MobileNetV1Config::mobilenet_v1(CLASSES).with_width(2))
}

pub(crate) fn repvgg(groups: usize) -> ModelConfig {
    let config = RepVggConfig::repvgg_b1(CLASSES).with_width(4);
    ModelConfig::RepVgg(RepVggConfig {
        depths: [1, 2, 1, 1],
        multipliers: [2.0, 1.0],
        groups,
        ..config
    })
}

/// A narrow network by its name.
pub(crate) fn narrow(name: &str, classes: usize) -> (ModelName, ModelConfig) {
    let name: ModelName = name.parse().unwrap();
    let width = if name.name().starts_with("resnext") { 16 } else { 8 };
    (name, name.config(classes).with_width(width))
}

/// The module with norms as training leaves them, and biases that are not zero: a fresh one hides faults.
pub(crate) fn randomised<M: Module>(module: M) -> M {
    struct Random(String, f32);
    impl ModuleMapper for Random {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            name.clone_into(&mut self.0);
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (middle, spread) = match self.0.as_str() {
                "gamma" => (1.0, 0.4),
                "running_var" => (6.0, 3.0),
                "beta" | "running_mean" | "bias" => (0.0, 0.5),
                _ => return param,
            };
            self.1 += 1.0;
            let salt = self.1;
            param.map(|old| {
                let value = |i: usize| middle + spread * (12.9 * i as f32 + 7.3 * salt).sin();
                let values = (0..old.shape().num_elements()).map(value).collect();
                let data = TensorData::new(values, old.shape());
                Tensor::from_data(data, &old.device()).set_require_grad(old.is_require_grad())
            })
        }
    }
    module.map(&mut Random(String::new(), 0.0))
}
