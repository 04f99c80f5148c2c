//! A ResNet's first convolutions, shortcuts and blocks.

use burn::module::Module;
use burn::nn::BatchNorm;
use burn::nn::activation::Relu;
use burn::nn::pool::AvgPool2d;
use dyrep_burn::RepConv2d;

use crate::conv_norms::ConvNorm;
use crate::interpret::{Interpreter, Then};
use crate::transparent::transparent;

transparent! {
    /// The first convolutions, in front of the first norm.
    pub enum ResNetStem {
        /// One.
        One(RepConv2d),
        /// Three.
        Three((RepConv2d, BatchNorm, Relu, RepConv2d, BatchNorm, Relu, RepConv2d)),
    }
}

transparent! {
    /// A shortcut that changes shape.
    pub enum Downsample {
        /// A 1×1 convolution with the block's stride, and its norm.
        Strided((RepConv2d, BatchNorm)),
        /// An average where the block has a stride, a 1×1 convolution and its norm.
        Averaged((Option<AvgPool2d>, RepConv2d, BatchNorm)),
    }
}

impl ResNetStem {
    pub(super) fn conv_norms<'a>(&'a self, path: &str, norm: &'a BatchNorm) -> Vec<ConvNorm<'a>> {
        match self {
            Self::One(conv) => vec![ConvNorm::new(path, ("conv1", conv), ("bn1", norm))],
            Self::Three((first, norm1, _, second, norm2, _, third)) => vec![
                ConvNorm::new(path, ("conv1.0", first), ("conv1.1", norm1)),
                ConvNorm::new(path, ("conv1.3", second), ("conv1.4", norm2)),
                ConvNorm::new(path, ("conv1.6", third), ("bn1", norm)),
            ],
        }
    }

    pub(super) fn pass<I: Interpreter>(&self, by: &mut I, norm: &BatchNorm, x: I::Maps) -> I::Maps {
        match self {
            Self::One(conv) => by.conv_norm(conv, norm, x, Then::relu()),
            Self::Three((first, norm1, Relu, second, norm2, Relu, third)) => {
                let x = by.conv_norm(first, norm1, x, Then::relu());
                let x = by.conv_norm(second, norm2, x, Then::relu());
                by.conv_norm(third, norm, x, Then::relu())
            }
        }
    }
}

impl Downsample {
    fn conv_norm(&self, path: &str) -> ConvNorm<'_> {
        let ((conv_name, conv), (norm_name, norm)) = match self {
            Self::Strided((conv, norm)) => (("downsample.0", conv), ("downsample.1", norm)),
            Self::Averaged((_, conv, norm)) => (("downsample.1", conv), ("downsample.2", norm)),
        };
        ConvNorm::new(path, (conv_name, conv), (norm_name, norm))
    }

    pub(super) fn pass<I: Interpreter>(&self, by: &mut I, x: I::Maps) -> I::Maps {
        let (pool, conv, norm) = match self {
            Self::Strided((conv, norm)) => (None, conv, norm),
            Self::Averaged((pool, conv, norm)) => (pool.as_ref(), conv, norm),
        };
        let x = match pool {
            Some(pool) => by.average_pool(pool, x),
            None => x,
        };
        by.conv_norm(conv, norm, x, Then::end())
    }
}

/// Two or three convolutions and a shortcut.
#[derive(Module, Debug)]
pub struct ResidualBlock {
    /// First convolution; without a third one it has the block's stride.
    pub conv1: RepConv2d,
    /// Its batch norm.
    pub bn1: BatchNorm,
    /// Second convolution; with a third one it has the block's stride.
    pub conv2: RepConv2d,
    /// Its batch norm.
    pub bn2: BatchNorm,
    /// A bottleneck's third convolution.
    pub conv3: Option<RepConv2d>,
    /// Its batch norm.
    pub bn3: Option<BatchNorm>,
    /// The shortcut, where it changes shape.
    pub downsample: Option<Downsample>,
}

impl ResidualBlock {
    pub(super) fn conv_norms<'a>(
        &'a self,
        path: &str,
    ) -> impl Iterator<Item = ConvNorm<'a>> + use<'a> {
        let third = self.conv3.as_ref().zip(self.bn3.as_ref());
        let shortcut = self.downsample.as_ref();
        [
            Some(ConvNorm::new(path, ("conv1", &self.conv1), ("bn1", &self.bn1))),
            Some(ConvNorm::new(path, ("conv2", &self.conv2), ("bn2", &self.bn2))),
            third.map(|(conv, norm)| ConvNorm::new(path, ("conv3", conv), ("bn3", norm))),
            shortcut.map(|shortcut| shortcut.conv_norm(path)),
        ]
        .into_iter()
        .flatten()
    }

    pub(super) fn pass<I: Interpreter>(&self, by: &mut I, input: I::Maps) -> I::Maps {
        let inside = by.conv_norm(&self.conv1, &self.bn1, input.clone(), Then::relu());
        let shortcut = match &self.downsample {
            Some(downsample) => downsample.pass(by, input),
            None => input,
        };
        let sum = Then::add_relu(shortcut);
        match (&self.conv3, &self.bn3) {
            (Some(conv3), Some(bn3)) => {
                let inside = by.conv_norm(&self.conv2, &self.bn2, inside, Then::relu());
                by.conv_norm(conv3, bn3, inside, sum)
            }
            _ => by.conv_norm(&self.conv2, &self.bn2, inside, sum),
        }
    }
}
