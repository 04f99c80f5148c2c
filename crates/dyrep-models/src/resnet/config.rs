//! What a ResNet is built from.

use burn::nn::activation::Relu;
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{Initializer, LinearConfig, PaddingConfig2d};
use burn::tensor::Device;
use dyrep_burn::RepConv2dConfig;
use serde::{Deserialize, Serialize};

use super::{Downsample, ResNet, ResNetStem, ResidualBlock};
use crate::error::ModelError;
use crate::parts::{Stem, average, common_options, conv, fan_out_of_all, norm};
use crate::selection::{Branching, apply};

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
    /// Which of the second to the fourth stage keep the size of their maps and dilate their 3×3 instead: at every
    /// second pixel they compute what they would have computed (torchvision's `replace_stride_with_dilation`, which it has
    /// for bottlenecks alone; those of the form D average in their shortcuts, and are other networks).
    #[serde(default, skip_serializing_if = "is_undilated")]
    pub dilated: [bool; 3],
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
            dilated: [false; 3],
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

    /// Lets the last two stages dilate instead of becoming smaller: maps of stride 8, as segmentation reads them.
    #[must_use]
    pub fn with_stride_8(mut self) -> Self {
        self.dilated = [false, true, true];
        self
    }

    /// Channels of each stage's output.
    pub(crate) fn stage_channels(&self) -> [usize; 4] {
        [0, 1, 2, 3].map(|stage| self.outputs(stage))
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
        let dilates = index > 0 && self.dilated[index - 1];
        let [before, dilation] = [index, index + 1].map(|stages| self.dilation(stages));
        let block = |number: usize| match (index, number) {
            (0, 0) => self.block(self.width, index, 1, [before, dilation], device),
            (_, 0) => {
                let stride = if dilates { 1 } else { 2 };
                self.block(self.outputs(index - 1), index, stride, [before, dilation], device)
            }
            _ => self.block(outputs, index, 1, [dilation, dilation], device),
        };
        (0..self.depths[index]).map(block).collect()
    }

    /// By how much the first of so many stages dilate.
    fn dilation(&self, stages: usize) -> usize {
        let dilated = self.dilated.iter().take(stages.saturating_sub(1));
        1 << dilated.filter(|dilated| **dilated).count()
    }

    fn block(
        &self,
        inputs: usize,
        stage: usize,
        stride: usize,
        // Of what would have the stride, and of what follows it.
        [dilation, dilation_behind]: [usize; 2],
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
        let wide = |channels: [usize; 2]| dilate(conv(channels, 3, stride), dilation);
        let behind = |channels: [usize; 2]| dilate(conv(channels, 3, 1), dilation_behind);
        Ok(match self.block {
            Residual::Basic => ResidualBlock {
                conv1: wide([inputs, width]).try_init(device)?,
                bn1: norm(width, device),
                conv2: behind([width, width]).try_init(device)?,
                bn2: norm(width, device),
                conv3: None,
                bn3: None,
                downsample,
            },
            Residual::Bottleneck { groups, group_width } => {
                let inside = width * group_width * groups / 64;
                let grouped = wide([inside, inside])
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

fn is_undilated(dilated: &[bool; 3]) -> bool {
    *dilated == [false; 3]
}

/// A 3×3 whose taps lie so far apart.
fn dilate(config: RepConv2dConfig, dilation: usize) -> RepConv2dConfig {
    let p = dilation;
    let config = config.with_dilation([dilation, dilation]);
    config.with_padding(PaddingConfig2d::Explicit(p, p, p, p))
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
