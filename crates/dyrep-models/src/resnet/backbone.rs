//! A ResNet without its classifier, for networks that look at places.

use burn::module::Module;
use burn::nn::BatchNorm;
use burn::nn::pool::MaxPool2d;
use burn::tensor::Tensor;

use super::{Layers, ResNet, ResNetStem, ResidualBlock};
use crate::conv_norms::ConvNorm;
use crate::interpret::{Interpreter, Tensors};

/// The stages of a [`ResNet`], with its names.
#[derive(Module, Debug)]
pub struct ResNetBackbone {
    /// The stem's convolutions.
    pub conv1: ResNetStem,
    /// The last one's batch norm.
    pub bn1: BatchNorm,
    /// The stem's pooling, for large pictures.
    pub maxpool: Option<MaxPool2d>,
    /// First stage.
    pub layer1: Vec<ResidualBlock>,
    /// Second stage.
    pub layer2: Vec<ResidualBlock>,
    /// Third stage.
    pub layer3: Vec<ResidualBlock>,
    /// Fourth stage.
    pub layer4: Vec<ResidualBlock>,
}

impl From<ResNet> for ResNetBackbone {
    fn from(network: ResNet) -> Self {
        let ResNet { conv1, bn1, maxpool, layer1, layer2, layer3, layer4, .. } = network;
        Self { conv1, bn1, maxpool, layer1, layer2, layer3, layer4 }
    }
}

impl ResNetBackbone {
    /// The output of each stage of pictures `[batch, channels, height, width]`, the largest maps first.
    #[must_use]
    pub fn features(&self, images: Tensor<4>) -> [Tensor<4>; 4] {
        self.stages(&mut Tensors, images)
    }

    pub(crate) fn stages<I: Interpreter>(&self, by: &mut I, images: I::Maps) -> [I::Maps; 4] {
        let mut stages = vec![];
        let _last = self.layers().pass(by, images, &mut |stage| stages.push(stage.clone()));
        stages.try_into().unwrap_or_else(|_| unreachable!("there are four stages"))
    }

    pub(crate) fn conv_norms(&self, path: &str) -> Vec<ConvNorm<'_>> {
        self.layers().conv_norms(path)
    }

    fn layers(&self) -> Layers<'_> {
        let Self { conv1, bn1, maxpool, layer1, layer2, layer3, layer4 } = self;
        Layers { conv1, bn1, maxpool, stages: [layer1, layer2, layer3, layer4] }
    }
}
