//! What the targets share: a small network, and files that live in memory where the system has a place for that.

mod files;

use burn::tensor::Device;
use dyrep_models::{Model, ModelConfig, ResNetConfig};

pub use files::{file, folder};

/// The network that the reference files of `dyrep-weights` are of: a ResNet of four blocks and width 4.
pub fn network(device: &Device) -> Model {
    let config = ResNetConfig { depths: [1; 4], ..ResNetConfig::resnet18(10).with_width(4) };
    ModelConfig::ResNet(config).init(device).expect("a ResNet of width 4 exists")
}
