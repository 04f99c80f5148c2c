//! MobileNetV2 (arXiv 1801.04381, table 2): torchvision's names and initialisation.
//!
//! | expansion | channels | blocks | stride |
//! |---|---|---|---|
//! | 1 | 16 | 1 | 1 |
//! | 6 | 24 | 2 | 2 |
//! | 6 | 32 | 3 | 2 |
//! | 6 | 64 | 4 | 2 |
//! | 6 | 96 | 3 | 1 |
//! | 6 | 160 | 3 | 2 |
//! | 6 | 320 | 1 | 1 |
//!
//! In front stands a 3×3 convolution of 32 channels and stride 2, for small images 1; at the end a 1×1 convolution to 1280
//! channels. All numbers of channels are scaled by the width multiplier and rounded to multiples of 8, the last one is not
//! scaled below 1. A block is a 1×1 convolution that multiplies channels, a 3×3 depthwise one, and a 1×1 convolution back,
//! each with a norm, the last without an activation; where the shape stays, its input is added. Activations are
//! [`Activation::Relu6`].

use burn::module::Module;
use burn::nn::pool::AdaptiveAvgPool2d;
use burn::nn::{BatchNorm, Dropout, DropoutConfig, Initializer, Linear};
use burn::tensor::{Device, Tensor};
use dyrep_burn::RepConv2d;
use serde::{Deserialize, Serialize};

use crate::conv_norms::{ConvNorm, ConvNorms};
use crate::error::ModelError;
use crate::interpret::{Interpreter, Then};
use crate::parts::{
    Activation, Stem, average, common_options, conv, fan_out, linear, multiple_of_8,
    network_methods, norm, stride_of,
};
use crate::selection::{Branching, apply};
use crate::transparent::transparent;

/// Expansion, channels, blocks, and stride of the first block.
const STAGES: [(usize, f64, usize, usize); 7] = [
    (1, 16.0, 1, 1),
    (6, 24.0, 2, 2),
    (6, 32.0, 3, 2),
    (6, 64.0, 4, 2),
    (6, 96.0, 3, 1),
    (6, 160.0, 3, 2),
    (6, 320.0, 1, 1),
];
const FIRST: f64 = 32.0;
const LAST: f64 = 1280.0;

/// Creates a [`MobileNetV2`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MobileNetV2Config {
    /// Channels of the picture.
    pub in_channels: usize,
    /// Classes.
    pub classes: usize,
    /// Channels of the first convolution, to which all others keep their ratio: 32 at a width multiplier of 1.
    pub width: usize,
    /// The published width multiplier, before rounding.
    pub multiplier: f64,
    /// The first layers.
    pub stem: Stem,
    /// Branches that convolutions start with.
    pub branches: Branching,
    /// What follows each norm but the last of a block.
    pub activation: Activation,
}

common_options!(MobileNetV2Config, Relu6 Relu);

impl MobileNetV2Config {
    /// How convolutions of so many groups start.
    pub(crate) const START: fn(usize) -> Initializer = fan_out;

    fn published(classes: usize, multiplier: f64) -> Self {
        Self {
            in_channels: 3,
            classes,
            width: multiple_of_8(FIRST * multiplier),
            multiplier,
            stem: Stem::Imagenet,
            branches: Branching::default(),
            activation: Activation::Relu6,
        }
    }

    /// Width multiplier 1, for pictures of 3 channels.
    #[must_use]
    pub fn mobilenet_v2(classes: usize) -> Self {
        Self::published(classes, 1.0)
    }

    /// Width multiplier 1.4, for pictures of 3 channels.
    #[must_use]
    pub fn mobilenet_v2_140(classes: usize) -> Self {
        Self::published(classes, 1.4)
    }

    /// Width multiplier 0.75, for pictures of 3 channels.
    #[must_use]
    pub fn mobilenet_v2_075(classes: usize) -> Self {
        Self::published(classes, 0.75)
    }

    /// Width multiplier 0.5, for pictures of 3 channels.
    #[must_use]
    pub fn mobilenet_v2_050(classes: usize) -> Self {
        Self::published(classes, 0.5)
    }

    /// Width multiplier 0.35, for pictures of 3 channels.
    #[must_use]
    pub fn mobilenet_v2_035(classes: usize) -> Self {
        Self::published(classes, 0.35)
    }

    pub(crate) fn smallest_side(&self) -> usize {
        1
    }

    /// Builds the network.
    ///
    /// # Errors
    /// A size of zero, or branches named that a convolution cannot have.
    pub fn init(&self, device: &Device) -> Result<MobileNetV2, ModelError> {
        self.check(&[])?;
        let published = multiple_of_8(FIRST * self.multiplier) as f64;
        let multiplier = self.multiplier * self.width as f64 / published;
        let stride = stride_of(self.stem);
        let first = conv_and_norm([self.in_channels, self.width], 3, stride, 1, device)?;
        let mut features = vec![MobileNetV2Layer::Conv(first)];
        let mut inputs = self.width;
        for (expansion, channels, blocks, stride) in STAGES {
            let outputs = multiple_of_8(channels * multiplier);
            for number in 0..blocks {
                let stride = if number == 0 { stride } else { 1 };
                let channels = [inputs, expansion * inputs, outputs];
                let block = InvertedResidual::new(channels, stride, self.activation, device)?;
                features.push(MobileNetV2Layer::Block(block));
                inputs = outputs;
            }
        }
        let last = multiple_of_8(LAST * multiplier.max(1.0));
        features.push(MobileNetV2Layer::Conv(conv_and_norm([inputs, last], 1, 1, 1, device)?));
        let start = Initializer::Normal { mean: 0.0, std: 0.01 };
        let network = MobileNetV2 {
            features,
            avgpool: average(1),
            classifier: (
                DropoutConfig::new(0.2).init(),
                linear([last, self.classes], start, device),
            ),
            activation: self.activation,
        };
        apply(&self.branches, network, Self::START, device)
    }
}

/// A convolution and its batch norm.
pub type ConvAndNorm = (RepConv2d, BatchNorm);

fn conv_and_norm(
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    groups: usize,
    device: &Device,
) -> Result<ConvAndNorm, ModelError> {
    let conv = conv(channels, kernel, stride).with_groups(groups).try_init(device)?;
    Ok((conv, norm(channels[1], device)))
}

transparent! {
    /// A layer of [`MobileNetV2::features`].
    pub enum MobileNetV2Layer {
        /// The first or the last convolution.
        Conv(ConvAndNorm),
        /// What lies between them.
        Block(InvertedResidual),
    }
}

transparent! {
    /// A block's convolutions: without the first one where channels are not multiplied.
    pub enum InvertedLayers {
        /// 1×1, depthwise, 1×1 and its norm.
        Expanded((ConvAndNorm, ConvAndNorm, RepConv2d, BatchNorm)),
        /// Depthwise, 1×1 and its norm.
        Narrow((ConvAndNorm, RepConv2d, BatchNorm)),
    }
}

/// Two or three convolutions, and their input added where the shape stays.
#[derive(Module, Debug)]
pub struct InvertedResidual {
    /// The convolutions.
    pub conv: InvertedLayers,
    /// Whether the input is added.
    #[module(skip)]
    shortcut: bool,
    /// What follows each norm but the last.
    #[module(skip)]
    activation: Activation,
}

impl InvertedResidual {
    fn new(
        [inputs, inside, outputs]: [usize; 3],
        stride: usize,
        activation: Activation,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let depthwise = conv_and_norm([inside, inside], 3, stride, inside, device)?;
        let back = conv([inside, outputs], 1, 1).try_init(device)?;
        let last = norm(outputs, device);
        let conv = match inside == inputs {
            true => InvertedLayers::Narrow((depthwise, back, last)),
            false => {
                let expand = conv_and_norm([inputs, inside], 1, 1, 1, device)?;
                InvertedLayers::Expanded((expand, depthwise, back, last))
            }
        };
        Ok(Self { conv, shortcut: stride == 1 && inputs == outputs, activation })
    }

    /// All convolutions with their norms and names, in order.
    fn layers(&self) -> Vec<(&RepConv2d, &BatchNorm, [&'static str; 2])> {
        match &self.conv {
            InvertedLayers::Expanded((first, second, conv, norm)) => vec![
                (&first.0, &first.1, ["conv.0.0", "conv.0.1"]),
                (&second.0, &second.1, ["conv.1.0", "conv.1.1"]),
                (conv, norm, ["conv.2", "conv.3"]),
            ],
            InvertedLayers::Narrow((first, conv, norm)) => vec![
                (&first.0, &first.1, ["conv.0.0", "conv.0.1"]),
                (conv, norm, ["conv.1", "conv.2"]),
            ],
        }
    }

    fn pass<I: Interpreter>(&self, by: &mut I, input: I::Maps) -> I::Maps {
        let mut shortcut = self.shortcut.then(|| input.clone());
        let layers = self.layers();
        let last = layers.len() - 1;
        layers.into_iter().enumerate().fold(input, |x, (number, (conv, norm, _))| {
            let then = match shortcut.take_if(|_| number == last) {
                Some(shortcut) => Then::add(shortcut),
                None if number == last => Then::end(),
                None => Then::activation(self.activation),
            };
            by.conv_norm(conv, norm, x, then)
        })
    }
}

/// A MobileNetV2. Created by [`MobileNetV2Config`].
///
/// [`features`](Self::features) are the outputs of the last block of each size, of stride 2, 4, 8, 16 and 32, with the small
/// stem half of that.
#[derive(Module, Debug)]
pub struct MobileNetV2 {
    /// A convolution, blocks, a convolution.
    pub features: Vec<MobileNetV2Layer>,
    /// Global average.
    pub avgpool: AdaptiveAvgPool2d,
    /// Dropout and classifier.
    pub classifier: (Dropout, Linear),
    /// What follows norms.
    #[module(skip)]
    activation: Activation,
}

network_methods!(MobileNetV2);

impl ConvNorms for MobileNetV2 {
    fn conv_norms(&self) -> Vec<ConvNorm<'_>> {
        let mut pairs = vec![];
        for (i, layer) in self.features.iter().enumerate() {
            let path = format!("features.{i}");
            match layer {
                MobileNetV2Layer::Conv((conv, norm)) => {
                    pairs.push(ConvNorm::new(&path, ("0", conv), ("1", norm)));
                }
                MobileNetV2Layer::Block(block) => {
                    for (conv, norm, [conv_name, norm_name]) in block.layers() {
                        pairs.push(ConvNorm::new(&path, (conv_name, conv), (norm_name, norm)));
                    }
                }
            }
        }
        pairs
    }
}

impl MobileNetV2 {
    fn layer<I: Interpreter>(&self, by: &mut I, layer: &MobileNetV2Layer, x: I::Maps) -> I::Maps {
        match layer {
            MobileNetV2Layer::Conv((conv, norm)) => {
                by.conv_norm(conv, norm, x, Then::activation(self.activation))
            }
            MobileNetV2Layer::Block(block) => block.pass(by, x),
        }
    }

    /// All but the last convolution.
    fn trunk<I: Interpreter>(
        &self,
        by: &mut I,
        images: I::Maps,
        seen: &mut dyn FnMut(&I::Maps),
    ) -> I::Maps {
        let Some((_last, layers)) = self.features.split_last() else { return images };
        let ends = ends_of_sizes();
        layers.iter().enumerate().fold(images, |x, (number, layer)| {
            let x = self.layer(by, layer, x);
            if ends.contains(&number) {
                seen(&x);
            }
            x
        })
    }

    fn head<I: Interpreter>(&self, by: &mut I, x: I::Maps) -> I::Rows {
        let x = self.features.last().into_iter().fold(x, |x, last| self.layer(by, last, x));
        let x = by.average("avgpool", &self.avgpool, x);
        let (dropout, linear) = &self.classifier;
        let x = by.dropout(dropout, x);
        by.linear(linear, x)
    }
}

/// Numbers of the blocks behind which maps become smaller, and of the last one.
fn ends_of_sizes() -> Vec<usize> {
    let (mut ends, mut number) = (vec![], 0);
    for (_, _, blocks, stride) in STAGES {
        if stride > 1 {
            ends.push(number);
        }
        number += blocks;
    }
    ends.push(number);
    ends
}
