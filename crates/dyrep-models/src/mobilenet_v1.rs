//! MobileNetV1 (arXiv 1704.04861, table 1), in four widths (table 6).
//!
//! A 3×3 convolution of stride 2, then 13 pairs of a 3×3 depthwise and a 1×1 convolution, each convolution followed by a
//! batch norm and a ReLU. torchvision has no such network: names and initialisation are those of timm's
//! `mobilenetv1_100`, whose activation is [`Activation::Relu6`]. For small images the first convolution has stride 1.

use burn::module::Module;
use burn::nn::pool::AdaptiveAvgPool2d;
use burn::nn::{BatchNorm, Initializer, Linear};
use burn::tensor::{Device, Tensor};
use dyrep_burn::RepConv2d;
use serde::{Deserialize, Serialize};

use crate::conv_norms::{ConvNorm, ConvNorms};
use crate::error::ModelError;
use crate::interpret::{Interpreter, Then};
use crate::parts::{
    Activation, Stem, average, common_options, conv, fan_out, linear, network_methods, norm,
    stride_of,
};
use crate::selection::{Branching, apply};

/// Output channels, as multiples of the first convolution's, pairs, and stride of the first pair.
const STAGES: [(usize, usize, usize); 5] =
    [(2, 1, 1), (4, 2, 2), (8, 2, 2), (16, 6, 2), (32, 2, 2)];

/// Creates a [`MobileNetV1`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MobileNetV1Config {
    /// Channels of the picture.
    pub in_channels: usize,
    /// Classes.
    pub classes: usize,
    /// Channels of the first convolution, to which all others keep their ratio: 32 at a width multiplier of 1.
    pub width: usize,
    /// The first layers.
    pub stem: Stem,
    /// Branches that convolutions start with.
    pub branches: Branching,
    /// What follows each norm.
    #[serde(default)]
    pub activation: Activation,
}

common_options!(MobileNetV1Config, Relu Relu6);

impl MobileNetV1Config {
    /// How convolutions of so many groups start.
    pub(crate) const START: fn(usize) -> Initializer = fan_out;

    fn of_width(classes: usize, width: usize) -> Self {
        let (stem, branches) = (Stem::Imagenet, Branching::default());
        let activation = Activation::Relu;
        Self { in_channels: 3, classes, width, stem, branches, activation }
    }

    /// Width multiplier 1, for pictures of 3 channels.
    #[must_use]
    pub fn mobilenet_v1(classes: usize) -> Self {
        Self::of_width(classes, 32)
    }

    /// Width multiplier 0.75, for pictures of 3 channels.
    #[must_use]
    pub fn mobilenet_v1_075(classes: usize) -> Self {
        Self::of_width(classes, 24)
    }

    /// Width multiplier 0.5, for pictures of 3 channels.
    #[must_use]
    pub fn mobilenet_v1_050(classes: usize) -> Self {
        Self::of_width(classes, 16)
    }

    /// Width multiplier 0.25, for pictures of 3 channels.
    #[must_use]
    pub fn mobilenet_v1_025(classes: usize) -> Self {
        Self::of_width(classes, 8)
    }

    pub(crate) fn smallest_side(&self) -> usize {
        1
    }

    /// Builds the network.
    ///
    /// # Errors
    /// A size of zero, or branches named that a convolution cannot have.
    pub fn init(&self, device: &Device) -> Result<MobileNetV1, ModelError> {
        self.check(&[])?;
        let stride = stride_of(self.stem);
        let mut inputs = self.width;
        let mut stage = |(multiple, pairs, stride): (usize, usize, usize)| {
            let mut stage = vec![];
            for number in 0..pairs {
                let stride = if number == 0 { stride } else { 1 };
                let outputs = multiple * self.width;
                stage.push(SeparableBlock::new(
                    [inputs, outputs],
                    stride,
                    self.activation,
                    device,
                )?);
                inputs = outputs;
            }
            Ok(stage)
        };
        let blocks = STAGES.into_iter().map(&mut stage).collect::<Result<Vec<_>, ModelError>>()?;
        let bound = (self.classes as f64).sqrt().recip();
        let network = MobileNetV1 {
            conv_stem: conv([self.in_channels, self.width], 3, stride).try_init(device)?,
            bn1: norm(self.width, device),
            blocks,
            global_pool: average(1),
            classifier: linear(
                [inputs, self.classes],
                Initializer::Uniform { min: -bound, max: bound },
                device,
            ),
            activation: self.activation,
        };
        apply(&self.branches, network, Self::START, device)
    }
}

/// A 3×3 depthwise convolution and a 1×1 convolution.
#[derive(Module, Debug)]
pub struct SeparableBlock {
    /// The depthwise convolution, with the block's stride.
    pub conv_dw: RepConv2d,
    /// Its batch norm.
    pub bn1: BatchNorm,
    /// The 1×1 convolution.
    pub conv_pw: RepConv2d,
    /// Its batch norm.
    pub bn2: BatchNorm,
    /// What follows each norm.
    #[module(skip)]
    activation: Activation,
}

impl SeparableBlock {
    fn new(
        channels: [usize; 2],
        stride: usize,
        activation: Activation,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let [inputs, outputs] = channels;
        Ok(Self {
            conv_dw: conv([inputs, inputs], 3, stride).with_groups(inputs).try_init(device)?,
            bn1: norm(inputs, device),
            conv_pw: conv(channels, 1, 1).try_init(device)?,
            bn2: norm(outputs, device),
            activation,
        })
    }

    fn pass<I: Interpreter>(&self, by: &mut I, x: I::Maps) -> I::Maps {
        let x = by.conv_norm(&self.conv_dw, &self.bn1, x, Then::activation(self.activation));
        by.conv_norm(&self.conv_pw, &self.bn2, x, Then::activation(self.activation))
    }
}

/// A MobileNetV1. Created by [`MobileNetV1Config`].
///
/// [`features`](Self::features) are the outputs of the five stages, of stride 2, 4, 8, 16 and 32, with the small stem half
/// of that.
#[derive(Module, Debug)]
pub struct MobileNetV1 {
    /// The first convolution.
    pub conv_stem: RepConv2d,
    /// Its batch norm.
    pub bn1: BatchNorm,
    /// Pairs of convolutions, stage by stage.
    pub blocks: Vec<Vec<SeparableBlock>>,
    /// Global average.
    pub global_pool: AdaptiveAvgPool2d,
    /// Classifier.
    pub classifier: Linear,
    /// What follows each norm.
    #[module(skip)]
    activation: Activation,
}

network_methods!(MobileNetV1);

impl ConvNorms for MobileNetV1 {
    fn conv_norms(&self) -> Vec<ConvNorm<'_>> {
        let mut pairs = vec![ConvNorm::new("", ("conv_stem", &self.conv_stem), ("bn1", &self.bn1))];
        for (i, stage) in self.blocks.iter().enumerate() {
            for (j, block) in stage.iter().enumerate() {
                let path = format!("blocks.{i}.{j}");
                pairs.extend([
                    ConvNorm::new(&path, ("conv_dw", &block.conv_dw), ("bn1", &block.bn1)),
                    ConvNorm::new(&path, ("conv_pw", &block.conv_pw), ("bn2", &block.bn2)),
                ]);
            }
        }
        pairs
    }
}

impl MobileNetV1 {
    fn trunk<I: Interpreter>(
        &self,
        by: &mut I,
        images: I::Maps,
        seen: &mut dyn FnMut(&I::Maps),
    ) -> I::Maps {
        let mut x =
            by.conv_norm(&self.conv_stem, &self.bn1, images, Then::activation(self.activation));
        for stage in &self.blocks {
            x = stage.iter().fold(x, |x, block| block.pass(by, x));
            seen(&x);
        }
        x
    }

    fn head<I: Interpreter>(&self, by: &mut I, x: I::Maps) -> I::Rows {
        let x = by.average("global_pool", &self.global_pool, x);
        by.linear(&self.classifier, x)
    }
}
