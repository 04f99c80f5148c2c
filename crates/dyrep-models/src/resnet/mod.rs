//! ResNet (arXiv 1512.03385, table 1), ResNeXt (arXiv 1611.05431, table 1), Wide ResNet (arXiv 1605.07146, as torchvision
//! has it) and ResNet-D (arXiv 1812.01187, figure 2): torchvision's names and initialisation, timm's names for ResNet-D.
//!
//! | | blocks of a stage | block |
//! |---|---|---|
//! | ResNet-18 | 2, 2, 2, 2 | two 3×3 |
//! | ResNet-34 | 3, 4, 6, 3 | two 3×3 |
//! | ResNet-50 | 3, 4, 6, 3 | 1×1, 3×3, 1×1 |
//! | ResNet-101 | 3, 4, 23, 3 | 1×1, 3×3, 1×1 |
//! | ResNet-152 | 3, 8, 36, 3 | 1×1, 3×3, 1×1 |
//! | ResNeXt-50 32×4d | 3, 4, 6, 3 | 1×1, 3×3 in 32 groups, 1×1 |
//! | Wide ResNet-50-2 and -101-2 | 3, 4 and 6 or 23, 3 | 1×1, 3×3 of twice the channels, 1×1 |
//!
//! Convolutions start from N(0, √(2 / fan-out)), without bias, each followed by a batch norm. A bottleneck has its
//! stride on the 3×3, as torchvision has it. ResNet-D has three 3×3 in the place of the 7×7, and a shortcut averages 2×2 pixels
//! where the other forms skip three of four. For small images the 7×7 stem of stride 2 and the max pooling give way to a
//! 3×3 of stride 1, as is usual on CIFAR.

use burn::module::Module;
use burn::nn::activation::Relu;
use burn::nn::pool::{AdaptiveAvgPool2d, AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::conv_norms::{ConvNorm, ConvNorms};
use crate::error::ModelError;
use crate::interpret::Interpreter;
use crate::parts::{Stem, average, common_options, conv, fan_out_of_all, network_methods, norm};
use crate::selection::{Branching, apply};

mod layers;

pub use layers::{Downsample, ResNetStem, ResidualBlock};

/// What stands beside a shortcut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Residual {
    /// Two 3×3 convolutions.
    Basic,
    /// 1×1, 3×3, 1×1 with four times as many outputs.
    Bottleneck {
        /// Groups of the 3×3.
        groups: usize,
        /// Channels of each group in the first stage of a network of width 64.
        group_width: usize,
    },
}

impl Residual {
    /// ResNet's, with one group.
    pub const BOTTLENECK: Self = Self::Bottleneck { groups: 1, group_width: 64 };
    /// Wide ResNet's.
    pub const WIDE: Self = Self::Bottleneck { groups: 1, group_width: 128 };

    /// Output channels as a multiple of the stage's.
    #[must_use]
    pub fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck { .. } => 4,
        }
    }
}

/// How a network begins and how its shortcuts become smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResNetForm {
    /// A 7×7 convolution; strided shortcuts.
    #[default]
    Standard,
    /// Three 3×3 convolutions, the first two of half the width; shortcuts behind an average (arXiv 1812.01187).
    D,
}

/// Creates a [`ResNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNetConfig {
    /// Channels of the picture.
    pub in_channels: usize,
    /// Classes.
    pub classes: usize,
    /// Channels of the first stage; each later stage has twice as many. The published networks have 64.
    pub width: usize,
    /// Blocks in each of the four stages.
    pub depths: [usize; 4],
    /// What a block is made of.
    pub block: Residual,
    /// How it begins and becomes smaller.
    #[serde(default)]
    pub form: ResNetForm,
    /// The first layers.
    pub stem: Stem,
    /// Branches that convolutions start with.
    pub branches: Branching,
}

common_options!(ResNetConfig);

impl ResNetConfig {
    /// How convolutions of so many groups start.
    pub(crate) const START: fn(usize) -> Initializer = fan_out_of_all;

    fn published(classes: usize, block: Residual, depths: [usize; 4]) -> Self {
        Self {
            in_channels: 3,
            classes,
            width: 64,
            depths,
            block,
            form: ResNetForm::Standard,
            stem: Stem::Imagenet,
            branches: Branching::default(),
        }
    }

    fn of_form_d(self) -> Self {
        Self { form: ResNetForm::D, ..self }
    }

    /// ResNet-18 for pictures of 3 channels.
    #[must_use]
    pub fn resnet18(classes: usize) -> Self {
        Self::published(classes, Residual::Basic, [2, 2, 2, 2])
    }

    /// ResNet-34 for pictures of 3 channels.
    #[must_use]
    pub fn resnet34(classes: usize) -> Self {
        Self::published(classes, Residual::Basic, [3, 4, 6, 3])
    }

    /// ResNet-50 for pictures of 3 channels.
    #[must_use]
    pub fn resnet50(classes: usize) -> Self {
        Self::published(classes, Residual::BOTTLENECK, [3, 4, 6, 3])
    }

    /// ResNet-101 for pictures of 3 channels.
    #[must_use]
    pub fn resnet101(classes: usize) -> Self {
        Self::published(classes, Residual::BOTTLENECK, [3, 4, 23, 3])
    }

    /// ResNet-152 for pictures of 3 channels.
    #[must_use]
    pub fn resnet152(classes: usize) -> Self {
        Self::published(classes, Residual::BOTTLENECK, [3, 8, 36, 3])
    }

    /// ResNeXt-50 of 32 groups of 4 channels, for pictures of 3 channels. Its width is a multiple of 16.
    #[must_use]
    pub fn resnext50_32x4d(classes: usize) -> Self {
        let block = Residual::Bottleneck { groups: 32, group_width: 4 };
        Self::published(classes, block, [3, 4, 6, 3])
    }

    /// Wide ResNet-50-2 for pictures of 3 channels.
    #[must_use]
    pub fn wide_resnet50_2(classes: usize) -> Self {
        Self::published(classes, Residual::WIDE, [3, 4, 6, 3])
    }

    /// Wide ResNet-101-2 for pictures of 3 channels.
    #[must_use]
    pub fn wide_resnet101_2(classes: usize) -> Self {
        Self::published(classes, Residual::WIDE, [3, 4, 23, 3])
    }

    /// ResNet-18-D for pictures of 3 channels.
    #[must_use]
    pub fn resnet18d(classes: usize) -> Self {
        Self::resnet18(classes).of_form_d()
    }

    /// ResNet-34-D for pictures of 3 channels.
    #[must_use]
    pub fn resnet34d(classes: usize) -> Self {
        Self::resnet34(classes).of_form_d()
    }

    /// ResNet-50-D for pictures of 3 channels.
    #[must_use]
    pub fn resnet50d(classes: usize) -> Self {
        Self::resnet50(classes).of_form_d()
    }

    /// ResNet-101-D for pictures of 3 channels.
    #[must_use]
    pub fn resnet101d(classes: usize) -> Self {
        Self::resnet101(classes).of_form_d()
    }

    /// ResNet-152-D for pictures of 3 channels.
    #[must_use]
    pub fn resnet152d(classes: usize) -> Self {
        Self::resnet152(classes).of_form_d()
    }

    pub(crate) fn smallest_side(&self) -> usize {
        1
    }

    /// Builds the network.
    ///
    /// # Errors
    /// A size of zero, groups that do not divide channels, or branches named that a convolution cannot have.
    pub fn init(&self, device: &Device) -> Result<ResNet, ModelError> {
        self.check(&self.depths)?;
        let stage = |index: usize| self.stage(index, device);
        let network = ResNet {
            conv1: self.first(device)?,
            bn1: norm(self.width, device),
            maxpool: (self.stem == Stem::Imagenet).then(stem_pool),
            layer1: stage(0)?,
            layer2: stage(1)?,
            layer3: stage(2)?,
            layer4: stage(3)?,
            avgpool: average(1),
            fc: LinearConfig::new(self.outputs(3), self.classes).init(device),
        };
        apply(&self.branches, network, Self::START, device)
    }

    fn first(&self, device: &Device) -> Result<ResNetStem, ModelError> {
        let (inputs, width) = (self.in_channels, self.width);
        let plain = |channels: [usize; 2], kernel: usize, stride: usize| {
            conv(channels, kernel, stride).try_init(device)
        };
        Ok(match (self.stem, self.form) {
            (Stem::Small, _) => ResNetStem::One(plain([inputs, width], 3, 1)?),
            (Stem::Imagenet, ResNetForm::Standard) => {
                ResNetStem::One(plain([inputs, width], 7, 2)?)
            }
            (Stem::Imagenet, ResNetForm::D) => {
                let half = width.div_ceil(2);
                ResNetStem::Three((
                    plain([inputs, half], 3, 2)?,
                    norm(half, device),
                    Relu,
                    plain([half, half], 3, 1)?,
                    norm(half, device),
                    Relu,
                    plain([half, width], 3, 1)?,
                ))
            }
        })
    }

    fn outputs(&self, stage: usize) -> usize {
        (self.width << stage) * self.block.expansion()
    }

    fn stage(&self, index: usize, device: &Device) -> Result<Vec<ResidualBlock>, ModelError> {
        let outputs = self.outputs(index);
        let block = |number: usize| match (index, number) {
            (0, 0) => self.block(self.width, index, 1, device),
            (_, 0) => self.block(self.outputs(index - 1), index, 2, device),
            _ => self.block(outputs, index, 1, device),
        };
        (0..self.depths[index]).map(block).collect()
    }

    fn block(
        &self,
        inputs: usize,
        stage: usize,
        stride: usize,
        device: &Device,
    ) -> Result<ResidualBlock, ModelError> {
        let (width, outputs) = (self.width << stage, self.outputs(stage));
        let plain = |channels: [usize; 2], kernel: usize, stride: usize| {
            conv(channels, kernel, stride).try_init(device)
        };
        let downsample = match (inputs == outputs && stride == 1, self.form) {
            (true, _) => None,
            (false, ResNetForm::Standard) => Some(Downsample::Strided((
                plain([inputs, outputs], 1, stride)?,
                norm(outputs, device),
            ))),
            (false, ResNetForm::D) => Some(Downsample::Averaged((
                (stride > 1).then(halving),
                plain([inputs, outputs], 1, 1)?,
                norm(outputs, device),
            ))),
        };
        Ok(match self.block {
            Residual::Basic => ResidualBlock {
                conv1: plain([inputs, width], 3, stride)?,
                bn1: norm(width, device),
                conv2: plain([width, width], 3, 1)?,
                bn2: norm(width, device),
                conv3: None,
                bn3: None,
                downsample,
            },
            Residual::Bottleneck { groups, group_width } => {
                let inside = width * group_width * groups / 64;
                let grouped = conv([inside, inside], 3, stride)
                    .with_groups(groups)
                    .with_initializer(fan_out_of_all(groups));
                ResidualBlock {
                    conv1: plain([inputs, inside], 1, 1)?,
                    bn1: norm(inside, device),
                    conv2: grouped.try_init(device)?,
                    bn2: norm(inside, device),
                    conv3: Some(plain([inside, outputs], 1, 1)?),
                    bn3: Some(norm(outputs, device)),
                    downsample,
                }
            }
        })
    }
}

fn halving() -> AvgPool2d {
    AvgPool2dConfig::new([2, 2]).with_ceil_mode(true).with_count_include_pad(false).init()
}

fn stem_pool() -> MaxPool2d {
    MaxPool2dConfig::new([3, 3])
        .with_strides([2, 2])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .init()
}

/// A ResNet of any form. Created by [`ResNetConfig`].
///
/// [`features`](Self::features) are the outputs of `layer1` to `layer4`, of stride 4, 8, 16 and 32, with the small stem 1,
/// 2, 4 and 8.
#[derive(Module, Debug)]
pub struct ResNet {
    /// The stem's convolutions.
    pub conv1: ResNetStem,
    /// The last one's batch norm.
    pub bn1: BatchNorm,
    /// The stem's pooling, for large pictures.
    pub maxpool: Option<MaxPool2d>,
    /// First stage.
    pub layer1: Vec<ResidualBlock>,
    /// Second stage, stride 2.
    pub layer2: Vec<ResidualBlock>,
    /// Third stage, stride 2.
    pub layer3: Vec<ResidualBlock>,
    /// Fourth stage, stride 2.
    pub layer4: Vec<ResidualBlock>,
    /// Global average.
    pub avgpool: AdaptiveAvgPool2d,
    /// Classifier.
    pub fc: Linear,
}

network_methods!(ResNet);

impl ConvNorms for ResNet {
    fn conv_norms(&self) -> Vec<ConvNorm<'_>> {
        let mut pairs = self.conv1.conv_norms(&self.bn1);
        let stages = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        for (stage, number) in stages.into_iter().zip(1..) {
            for (i, block) in stage.iter().enumerate() {
                pairs.extend(block.conv_norms(&format!("layer{number}.{i}")));
            }
        }
        pairs
    }
}

impl ResNet {
    fn trunk<I: Interpreter>(
        &self,
        by: &mut I,
        images: I::Maps,
        seen: &mut dyn FnMut(&I::Maps),
    ) -> I::Maps {
        let mut x = self.conv1.pass(by, &self.bn1, images);
        if let Some(pool) = &self.maxpool {
            x = by.max_pool("maxpool", pool, x);
        }
        for stage in [&self.layer1, &self.layer2, &self.layer3, &self.layer4] {
            x = stage.iter().fold(x, |x, block| block.pass(by, x));
            seen(&x);
        }
        x
    }

    fn head<I: Interpreter>(&self, by: &mut I, x: I::Maps) -> I::Rows {
        let x = by.average("avgpool", &self.avgpool, x);
        by.linear(&self.fc, x)
    }
}
