//! RepViT (arXiv 2307.09283, figure 4 and its published code): blocks that mix places by a 3×3 depthwise convolution with
//! branches, and channels by two 1×1 convolutions.
//!
//! | | channels of the stages | blocks behind the downsampling |
//! |---|---|---|
//! | M0.9 | 48, 96, 192, 384 | 2, 2, 14, 2 |
//! | M1.0 | 56, 112, 224, 448 | 2, 2, 14, 2 |
//! | M1.1 | 64, 128, 256, 512 | 2, 2, 12, 2 |
//! | M1.5 | 64, 128, 256, 512 | 4, 4, 24, 4 |
//! | M2.3 | 80, 160, 320, 640 | 6, 6, 34, 2 |
//!
//! In front stand two 3×3 convolutions of stride 2, for small images 1, the first one of half the first stage's channels.
//! Every second block, the first of a stage included, weighs channels between its two mixings. A stage but the first begins
//! with a block, a depthwise convolution of stride 2, a 1×1 convolution and two more. Names and initialisation of all but
//! the blocks' insides are timm's.
//!
//! The mixers of places start with the preset `repvit` unless told otherwise: their norms are inside. One that starts plain
//! has the norm `token_norm` behind it, which stays when it grows.
//!
//! The published networks have two classifiers, one of them to learn from a teacher, whose logits are averaged. Both read
//! the same normalised averages, so one does the same: here it is one. Files with two are read as what both compute.

use burn::module::Module;
use burn::nn::{BatchNorm, Initializer, Linear};
use burn::tensor::{Device, Tensor};
use dyrep_burn::{PathPatterns, Preset, RepConv2d};
use serde::{Deserialize, Serialize};

use crate::conv_norms::{ConvNorm, ConvNorms, NormLinear};
use crate::error::ModelError;
use crate::interpret::{Interpreter, Then};
use crate::parts::{
    Activation, Stem, common_options, conv, fan_in, linear, multiple_of_8, network_methods, norm,
    stride_of,
};
use crate::selection::{Branching, Selection, apply_alone};
use crate::unit::SqueezeExcite;

/// Channels of the first stage for each of the first convolution; each stage has twice those of the one before.
const FIRST: usize = 2;
/// Channels between the two convolutions that mix channels, for each in front of them.
const EXPANSION: usize = 2;
/// Channels for each of those between a squeeze-and-excitation's convolutions.
const REDUCTION: f64 = 4.0;

/// Creates a [`RepVit`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepVitConfig {
    /// Channels of the picture.
    pub in_channels: usize,
    /// Classes.
    pub classes: usize,
    /// Channels of the first convolution, half those of the first stage, to which all others keep their ratio.
    pub width: usize,
    /// Blocks behind the downsampling in each of the four stages.
    pub depths: [usize; 4],
    /// The first layers.
    pub stem: Stem,
    /// Branches that convolutions start with.
    pub branches: Branching,
    /// What follows the first of two convolutions.
    pub activation: Activation,
}

common_options!(RepVitConfig, Gelu Relu);

/// Writes a constructor for each row.
macro_rules! rows {
    ($($title:literal $name:ident $width:literal $depths:expr;)*) => {
        impl RepVitConfig {$(
            #[doc = concat!("RepViT-", $title, " for pictures of 3 channels.")]
            #[must_use]
            pub fn $name(classes: usize) -> Self {
                Self::published(classes, $width, $depths)
            }
        )*}
    };
}

rows! {
    "M0.9" repvit_m0_9 24 [2, 2, 14, 2];
    "M1.0" repvit_m1_0 28 [2, 2, 14, 2];
    "M1.1" repvit_m1_1 32 [2, 2, 12, 2];
    "M1.5" repvit_m1_5 32 [4, 4, 24, 4];
    "M2.3" repvit_m2_3 40 [6, 6, 34, 2];
}

impl RepVitConfig {
    /// How convolutions of so many groups start.
    pub(crate) const START: fn(usize) -> Initializer = fan_in;

    fn published(classes: usize, width: usize, depths: [usize; 4]) -> Self {
        let matching = PathPatterns::new([r"token_mixer$"]).expect("the pattern is one");
        let mixers = Selection { matching, ..Selection::default() };
        Self {
            in_channels: 3,
            classes,
            width,
            depths,
            stem: Stem::Imagenet,
            branches: Branching::from(Preset::RepVit).only(mixers),
            activation: Activation::Gelu,
        }
    }

    pub(crate) fn smallest_side(&self) -> usize {
        1
    }

    /// Builds the network.
    ///
    /// # Errors
    /// A size of zero, or branches named that a convolution cannot have.
    pub fn init(&self, device: &Device) -> Result<RepVit, ModelError> {
        self.check(&self.depths)?;
        let stride = stride_of(self.stem);
        let mut inputs = FIRST * self.width;
        let stem = RepVitStem {
            conv1: ConvBn::new([self.in_channels, self.width], 3, stride, 1, device)?,
            conv2: ConvBn::new([self.width, inputs], 3, stride, 1, device)?,
        };
        let mut stages = vec![];
        for (number, depth) in self.depths.into_iter().enumerate() {
            let outputs = (FIRST * self.width) << number;
            let downsample = match number {
                0 => None,
                _ => Some(RepVitDownsample::new([inputs, outputs], device)?),
            };
            let block = |number: usize| RepVitBlock::new(outputs, number.is_multiple_of(2), device);
            let blocks = (0..depth).map(block).collect::<Result<_, _>>()?;
            stages.push(RepVitStage { downsample, blocks });
            inputs = outputs;
        }
        let head = NormAndLinear {
            bn: norm(inputs, device),
            l: linear([inputs, self.classes], Initializer::Normal { mean: 0.0, std: 0.02 }, device),
        };
        let head = RepVitHead { head };
        let network = RepVit { stem, stages, head, activation: self.activation };
        let mut network = apply_alone(&self.branches, network, Self::START, device)?;
        for block in network.stages.iter_mut().flat_map(RepVitStage::blocks_mut) {
            block.token_norm = block.token_norm.take().filter(|_| block.token_mixer.is_plain());
        }
        Ok(network)
    }
}

/// A convolution and its batch norm.
#[derive(Module, Debug)]
pub struct ConvBn {
    /// The convolution.
    pub c: RepConv2d,
    /// Its norm.
    pub bn: BatchNorm,
}

impl ConvBn {
    fn new(
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        groups: usize,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let config = conv(channels, kernel, stride).with_initializer(fan_in(groups));
        let c = config.with_groups(groups).try_init(device)?;
        Ok(Self { c, bn: norm(channels[1], device) })
    }

    fn pass<I: Interpreter>(&self, by: &mut I, x: I::Maps, then: Then<I::Maps>) -> I::Maps {
        by.conv_norm(&self.c, &self.bn, x, then)
    }

    fn pair(&self, path: &str) -> ConvNorm<'_> {
        ConvNorm::new(path, ("c", &self.c), ("bn", &self.bn))
    }
}

/// The convolutions in front.
#[derive(Module, Debug)]
pub struct RepVitStem {
    /// To half the channels.
    pub conv1: ConvBn,
    /// To all of them.
    pub conv2: ConvBn,
}

/// A stage.
#[derive(Module, Debug)]
pub struct RepVitStage {
    /// What makes maps smaller, but in the first stage.
    pub downsample: Option<RepVitDownsample>,
    /// Blocks of one shape.
    pub blocks: Vec<RepVitBlock>,
}

impl RepVitStage {
    fn blocks_mut(&mut self) -> impl Iterator<Item = &mut RepVitBlock> {
        let first = self.downsample.iter_mut().map(|downsample| &mut downsample.pre_block);
        first.chain(&mut self.blocks)
    }
}

/// Half the height and width, twice the channels.
#[derive(Module, Debug)]
pub struct RepVitDownsample {
    /// A block in front.
    pub pre_block: RepVitBlock,
    /// 3×3, depthwise, stride 2.
    pub spatial_downsample: ConvBn,
    /// 1×1.
    pub channel_downsample: ConvBn,
    /// Two 1×1 convolutions beside a shortcut.
    pub ffn: RepVitMlp,
}

impl RepVitDownsample {
    fn new([inputs, outputs]: [usize; 2], device: &Device) -> Result<Self, ModelError> {
        Ok(Self {
            pre_block: RepVitBlock::new(inputs, false, device)?,
            spatial_downsample: ConvBn::new([inputs, inputs], 3, 2, inputs, device)?,
            channel_downsample: ConvBn::new([inputs, outputs], 1, 1, 1, device)?,
            ffn: RepVitMlp::new(outputs, device)?,
        })
    }

    fn pass<I: Interpreter>(&self, by: &mut I, x: I::Maps, activation: Activation) -> I::Maps {
        let x = self.pre_block.pass(by, x, activation);
        let x = self.spatial_downsample.pass(by, x, Then::end());
        let x = self.channel_downsample.pass(by, x, Then::end());
        self.ffn.pass(by, x, activation)
    }
}

/// Mixes places, perhaps weighs channels, and mixes channels.
#[derive(Module, Debug)]
pub struct RepVitBlock {
    /// 3×3, depthwise.
    pub token_mixer: RepConv2d,
    /// Its batch norm, if it started plain.
    pub token_norm: Option<BatchNorm>,
    /// What weighs channels by their averages.
    pub se: Option<SqueezeExcite>,
    /// Two 1×1 convolutions beside a shortcut.
    pub channel_mixer: RepVitMlp,
}

impl RepVitBlock {
    fn new(channels: usize, squeezed: bool, device: &Device) -> Result<Self, ModelError> {
        let mixer = conv([channels, channels], 3, 1).with_initializer(fan_in(channels));
        let inside = multiple_of_8(channels as f64 / REDUCTION);
        let se = || SqueezeExcite::new(channels, inside, device);
        Ok(Self {
            token_mixer: mixer.with_groups(channels).try_init(device)?,
            token_norm: Some(norm(channels, device)),
            se: squeezed.then(se).transpose()?,
            channel_mixer: RepVitMlp::new(channels, device)?,
        })
    }

    fn pass<I: Interpreter>(&self, by: &mut I, x: I::Maps, activation: Activation) -> I::Maps {
        let x = match &self.token_norm {
            Some(norm) => by.conv_norm(&self.token_mixer, norm, x, Then::end()),
            None => by.conv(&self.token_mixer, x),
        };
        let x = match &self.se {
            Some(se) => se.pass(by, x),
            None => x,
        };
        self.channel_mixer.pass(by, x, activation)
    }

    fn pairs(&self, path: &str) -> Vec<ConvNorm<'_>> {
        let mixer = self.token_norm.as_ref().map(|norm| {
            ConvNorm::new(path, ("token_mixer", &self.token_mixer), ("token_norm", norm))
        });
        mixer
            .into_iter()
            .chain(self.channel_mixer.pairs(&format!("{path}.channel_mixer")))
            .collect()
    }
}

/// Two 1×1 convolutions with an activation between them, and their input added.
#[derive(Module, Debug)]
pub struct RepVitMlp {
    /// To twice the channels.
    pub conv1: ConvBn,
    /// Back; its norm starts with a scale of 0.
    pub conv2: ConvBn,
}

impl RepVitMlp {
    fn new(channels: usize, device: &Device) -> Result<Self, ModelError> {
        let inside = EXPANSION * channels;
        let mut conv2 = ConvBn::new([inside, channels], 1, 1, 1, device)?;
        conv2.bn.gamma = Initializer::Zeros.init([channels], device);
        Ok(Self { conv1: ConvBn::new([channels, inside], 1, 1, 1, device)?, conv2 })
    }

    fn pass<I: Interpreter>(&self, by: &mut I, x: I::Maps, activation: Activation) -> I::Maps {
        let inside = self.conv1.pass(by, x.clone(), Then::activation(activation));
        self.conv2.pass(by, inside, Then::add(x))
    }

    fn pairs(&self, path: &str) -> [ConvNorm<'_>; 2] {
        [self.conv1.pair(&format!("{path}.conv1")), self.conv2.pair(&format!("{path}.conv2"))]
    }
}

/// What makes logits of the averages.
#[derive(Module, Debug)]
pub struct RepVitHead {
    /// Norm and classifier.
    pub head: NormAndLinear,
}

/// A norm and a linear layer.
#[derive(Module, Debug)]
pub struct NormAndLinear {
    /// The norm.
    pub bn: BatchNorm,
    /// The linear layer.
    pub l: Linear,
}

/// A RepViT. Created by [`RepVitConfig`].
///
/// [`features`](Self::features) are the outputs of the four stages, of stride 4, 8, 16 and 32, with the small stem a
/// quarter of that.
#[derive(Module, Debug)]
pub struct RepVit {
    /// Two convolutions.
    pub stem: RepVitStem,
    /// The stages.
    pub stages: Vec<RepVitStage>,
    /// Norm and classifier.
    pub head: RepVitHead,
    /// What follows the first of two convolutions.
    #[module(skip)]
    activation: Activation,
}

network_methods!(RepVit);

impl ConvNorms for RepVit {
    fn conv_norms(&self) -> Vec<ConvNorm<'_>> {
        let mut pairs =
            vec![self.stem.conv1.pair("stem.conv1"), self.stem.conv2.pair("stem.conv2")];
        for (i, stage) in self.stages.iter().enumerate() {
            if let Some(downsample) = &stage.downsample {
                let path = format!("stages.{i}.downsample");
                let below = |name: &str| format!("{path}.{name}");
                pairs.extend(downsample.pre_block.pairs(&below("pre_block")));
                pairs.push(downsample.spatial_downsample.pair(&below("spatial_downsample")));
                pairs.push(downsample.channel_downsample.pair(&below("channel_downsample")));
                pairs.extend(downsample.ffn.pairs(&below("ffn")));
            }
            for (j, block) in stage.blocks.iter().enumerate() {
                pairs.extend(block.pairs(&format!("stages.{i}.blocks.{j}")));
            }
        }
        pairs
    }

    fn norm_linears(&self) -> Vec<NormLinear<'_>> {
        let NormAndLinear { bn: norm, l: linear } = &self.head.head;
        let [norm_path, linear_path] = ["head.head.bn", "head.head.l"].map(str::to_owned);
        vec![NormLinear { norm_path, norm, linear_path, linear }]
    }
}

impl RepVit {
    fn trunk<I: Interpreter>(
        &self,
        by: &mut I,
        images: I::Maps,
        seen: &mut dyn FnMut(&I::Maps),
    ) -> I::Maps {
        let activation = self.activation;
        let x = self.stem.conv1.pass(by, images, Then::activation(activation));
        let x = self.stem.conv2.pass(by, x, Then::end());
        self.stages.iter().fold(x, |x, stage| {
            let downsample = stage.downsample.iter();
            let x = downsample.fold(x, |x, downsample| downsample.pass(by, x, activation));
            let x = stage.blocks.iter().fold(x, |x, block| block.pass(by, x, activation));
            seen(&x);
            x
        })
    }

    fn head<I: Interpreter>(&self, by: &mut I, x: I::Maps) -> I::Rows {
        let NormAndLinear { bn, l } = &self.head.head;
        let x = by.mean(x);
        let x = by.norm(bn, x);
        let x = by.rows(x);
        by.linear(l, x)
    }
}
