//! MobileOne (arXiv 2206.04040, tables 2 and 3): pairs of a 3×3 depthwise and a 1×1 convolution in a row, trained with
//! repeated branches.
//!
//! | | branches k×k | channels of the four stages, as multiples of 64, 128, 256, 512 |
//! |---|---|---|
//! | S0 | 4 | 0.75, 1, 1, 2 |
//! | S1 | 1 | 1.5, 1.5, 2, 2.5 |
//! | S2 | 1 | 1.5, 2, 2.5, 4 |
//! | S3 | 1 | 2, 2.5, 3, 4 |
//! | S4 | 1 | 3, 3.5, 3.5, 4; squeeze-and-excitation in the last five pairs of stage 3 and in stage 4 |
//!
//! In front stands a 3×3 convolution of min(64, 64 times the first multiple) channels and stride 2, for small images 1.
//! Stages have 2, 8, 10 and 1 pairs, each begins with stride 2. Both convolutions of a pair are units of their own,
//! `stages.1.4` and `stages.1.5`. The first convolution is repeated in none of them. Names and initialisation of all but the blocks' insides are timm's.
//!
//! The networks start with the presets `mobileone` and `mobileone_s1` in all of these convolutions unless told otherwise. A
//! convolution that starts plain has a batch norm behind it, which stays when it grows.

use burn::module::Module;
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};
use dyrep_burn::{PathPatterns, Preset};
use serde::{Deserialize, Serialize};

use crate::conv_norms::{ConvNorm, ConvNorms};
use crate::error::ModelError;
use crate::interpret::Interpreter;
use crate::parts::{Stem, common_options, fan_out, multiple_of_8, network_methods, stride_of};
use crate::selection::{Branching, Selection, apply_alone};
use crate::unit::{self, Head, SqueezeExcite, Unit};

/// Pairs of each stage.
const DEPTHS: [usize; 4] = [2, 8, 10, 1];
/// Channels of a stage whose multiple is 1.
const WIDTHS: [f64; 4] = [64.0, 128.0, 256.0, 512.0];
/// Channels for each of those between a squeeze-and-excitation's convolutions.
const REDUCTION: f64 = 16.0;

/// Creates a [`MobileOne`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MobileOneConfig {
    /// Channels of the picture.
    pub in_channels: usize,
    /// Classes.
    pub classes: usize,
    /// Channels of the first convolution, to which all others keep their ratio: min(64, 64 times the first multiple) as
    /// published.
    pub width: usize,
    /// Channels of each stage, as multiples of 64, 128, 256 and 512.
    pub multipliers: [f64; 4],
    /// The last pairs of each stage that have squeeze-and-excitations.
    pub squeezed: [usize; 4],
    /// The first layers.
    pub stem: Stem,
    /// Branches that convolutions start with.
    pub branches: Branching,
}

common_options!(MobileOneConfig);

impl MobileOneConfig {
    /// How convolutions of so many groups start.
    pub(crate) const START: fn(usize) -> Initializer = fan_out;

    fn published(classes: usize, preset: Preset, multipliers: [f64; 4]) -> Self {
        // Those of the squeeze-and-excitations are no blocks.
        let except = PathPatterns::new([r"\.attn\."]).expect("the pattern is one");
        let kernels = vec![[3, 3], [1, 1]];
        let only = Selection { kernels, except, ..Selection::default() };
        Self {
            in_channels: 3,
            classes,
            width: first_width(multipliers) as usize,
            multipliers,
            squeezed: [0; 4],
            stem: Stem::Imagenet,
            branches: Branching::from(preset).only(only),
        }
    }

    /// MobileOne-S0 for pictures of 3 channels.
    #[must_use]
    pub fn mobileone_s0(classes: usize) -> Self {
        Self::published(classes, Preset::MobileOne, [0.75, 1.0, 1.0, 2.0])
    }

    /// MobileOne-S1 for pictures of 3 channels.
    #[must_use]
    pub fn mobileone_s1(classes: usize) -> Self {
        Self::published(classes, Preset::MobileOneS1, [1.5, 1.5, 2.0, 2.5])
    }

    /// MobileOne-S2 for pictures of 3 channels.
    #[must_use]
    pub fn mobileone_s2(classes: usize) -> Self {
        Self::published(classes, Preset::MobileOneS1, [1.5, 2.0, 2.5, 4.0])
    }

    /// MobileOne-S3 for pictures of 3 channels.
    #[must_use]
    pub fn mobileone_s3(classes: usize) -> Self {
        Self::published(classes, Preset::MobileOneS1, [2.0, 2.5, 3.0, 4.0])
    }

    /// MobileOne-S4 for pictures of 3 channels.
    #[must_use]
    pub fn mobileone_s4(classes: usize) -> Self {
        let plain = Self::published(classes, Preset::MobileOneS1, [3.0, 3.5, 3.5, 4.0]);
        Self { squeezed: [0, 0, 5, 1], ..plain }
    }

    pub(crate) fn smallest_side(&self) -> usize {
        1
    }

    /// Channels of each stage, rounded.
    fn widths(&self) -> [usize; 4] {
        let scale = self.width as f64 / first_width(self.multipliers);
        [0, 1, 2, 3].map(|i| (WIDTHS[i] * self.multipliers[i] * scale).round() as usize)
    }

    /// Builds the network.
    ///
    /// # Errors
    /// A size of zero, or branches named that a convolution cannot have.
    pub fn init(&self, device: &Device) -> Result<MobileOne, ModelError> {
        self.check(&[])?;
        let stride = stride_of(self.stem);
        let stem = Unit::new([self.in_channels, self.width], 3, stride, 1, device)?;
        let mut inputs = self.width;
        let mut stages = vec![];
        for (i, outputs) in self.widths().into_iter().enumerate() {
            let mut stage = vec![];
            for pair in 0..DEPTHS[i] {
                let stride = if pair == 0 { 2 } else { 1 };
                let mut units = [
                    Unit::new([inputs, inputs], 3, stride, inputs, device)?,
                    Unit::new([inputs, outputs], 1, 1, 1, device)?,
                ];
                if pair + self.squeezed[i] >= DEPTHS[i] {
                    for (unit, channels) in units.iter_mut().zip([inputs, outputs]) {
                        let inside = multiple_of_8(channels as f64 / REDUCTION);
                        unit.attn = Some(SqueezeExcite::new(channels, inside, device)?);
                    }
                }
                stage.extend(units);
                inputs = outputs;
            }
            stages.push(stage);
        }
        let head = Head::new([inputs, self.classes], device);
        let network = MobileOne { stem, stages, head };
        let mut network = apply_alone(&self.branches, network, Self::START, device)?;
        if !network.stem.conv.is_plain() && self.branches.branches == Preset::MobileOne.into() {
            let first = Unit::new([self.in_channels, self.width], 3, stride, 1, device)?;
            network.stem =
                apply_alone(&Branching::from(Preset::MobileOneS1), first, Self::START, device)?;
        }
        unit::drop_norms_of_blocks(&mut network.stem, &mut network.stages);
        Ok(network)
    }
}

fn first_width([first, ..]: [f64; 4]) -> f64 {
    (64.0 * first).min(64.0)
}

/// A MobileOne. Created by [`MobileOneConfig`].
///
/// [`features`](Self::features) are the outputs of the four stages, of stride 4, 8, 16 and 32, with the small stem half of
/// that.
#[derive(Module, Debug)]
pub struct MobileOne {
    /// The convolution in front.
    pub stem: Unit,
    /// Depthwise and 1×1 convolutions in turns, stage by stage.
    pub stages: Vec<Vec<Unit>>,
    /// Pooling and classifier.
    pub head: Head,
}

network_methods!(MobileOne);

impl ConvNorms for MobileOne {
    fn conv_norms(&self) -> Vec<ConvNorm<'_>> {
        unit::conv_norms(&self.stem, &self.stages)
    }
}

impl MobileOne {
    fn trunk<I: Interpreter>(
        &self,
        by: &mut I,
        images: I::Maps,
        seen: &mut dyn FnMut(&I::Maps),
    ) -> I::Maps {
        unit::trunk(&self.stem, &self.stages, by, images, seen)
    }

    fn head<I: Interpreter>(&self, by: &mut I, x: I::Maps) -> I::Rows {
        self.head.pass(by, x)
    }
}
