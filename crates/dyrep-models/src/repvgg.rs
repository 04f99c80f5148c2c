//! RepVGG (arXiv 2101.03697, tables 2 and 3): 3×3 convolutions in a row, trained with branches beside each.
//!
//! | | blocks of a stage | widths |
//! |---|---|---|
//! | A | 2, 4, 14, 1 | 64 a, 128 a, 256 a, 512 b |
//! | B | 4, 6, 16, 1 | 64 a, 128 a, 256 a, 512 b |
//!
//! In front of the stages stands one more block, of min(64, 64 a) channels. Each stage begins with stride 2, the first
//! block as well; for small images that one has stride 1. In the forms `g2` and `g4` every second convolution has 2 or 4
//! groups. Names and initialisation of all but the blocks' insides are timm's: `stem`, `stages.0.0`, `head.fc`.
//!
//! The networks start with the preset `repvgg` unless told otherwise, or with `qarepvgg` (arXiv 2212.01593: the same
//! networks, made to stay accurate in INT8). A block of branches ends in their sum: its norms are
//! inside. A convolution that starts plain has a batch norm behind it, which stays when it grows.

use burn::module::Module;
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};
use dyrep_burn::Preset;
use serde::{Deserialize, Serialize};

use crate::conv_norms::{ConvNorm, ConvNorms};
use crate::error::ModelError;
use crate::interpret::Interpreter;
use crate::parts::{Stem, common_options, fan_out, network_methods, stride_of};
use crate::selection::{Branching, apply_alone};
use crate::unit::{self, Head, Unit};

/// Blocks of the stages of the networks called A and B.
const A: [usize; 4] = [2, 4, 14, 1];
const B: [usize; 4] = [4, 6, 16, 1];
/// Channels of a stage whose multiplier is 1.
const WIDTHS: [f64; 4] = [64.0, 128.0, 256.0, 512.0];

/// Creates a [`RepVgg`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepVggConfig {
    /// Channels of the picture.
    pub in_channels: usize,
    /// Classes.
    pub classes: usize,
    /// Channels of the first convolution, to which all others keep their ratio: min(64, 64 a) as published.
    pub width: usize,
    /// Blocks in each of the four stages.
    pub depths: [usize; 4],
    /// The paper's a, of the first three stages, and b, of the last.
    pub multipliers: [f64; 2],
    /// Groups of every second convolution.
    pub groups: usize,
    /// The first layers.
    pub stem: Stem,
    /// Branches that convolutions start with.
    pub branches: Branching,
}

common_options!(RepVggConfig);

/// Writes a constructor for each row.
macro_rules! rows {
    ($($title:literal $name:ident $qa:ident $depths:ident $multipliers:expr, $groups:literal;)*) => {
        impl RepVggConfig {$(
            #[doc = concat!("RepVGG-", $title, " for pictures of 3 channels.")]
            #[must_use]
            pub fn $name(classes: usize) -> Self {
                Self::published(classes, $depths, $multipliers, $groups)
            }

            #[doc = concat!("QARepVGG-", $title, " for pictures of 3 channels.")]
            #[must_use]
            pub fn $qa(classes: usize) -> Self {
                Self::$name(classes).with_branches(Preset::QaRepVgg)
            }
        )*}
    };
}

rows! {
    "A0" repvgg_a0 qarepvgg_a0 A [0.75, 2.5], 1;
    "A1" repvgg_a1 qarepvgg_a1 A [1.0, 2.5], 1;
    "A2" repvgg_a2 qarepvgg_a2 A [1.5, 2.75], 1;
    "B0" repvgg_b0 qarepvgg_b0 B [1.0, 2.5], 1;
    "B1" repvgg_b1 qarepvgg_b1 B [2.0, 4.0], 1;
    "B1g2" repvgg_b1g2 qarepvgg_b1g2 B [2.0, 4.0], 2;
    "B1g4" repvgg_b1g4 qarepvgg_b1g4 B [2.0, 4.0], 4;
    "B2" repvgg_b2 qarepvgg_b2 B [2.5, 5.0], 1;
    "B2g2" repvgg_b2g2 qarepvgg_b2g2 B [2.5, 5.0], 2;
    "B2g4" repvgg_b2g4 qarepvgg_b2g4 B [2.5, 5.0], 4;
    "B3" repvgg_b3 qarepvgg_b3 B [3.0, 5.0], 1;
    "B3g2" repvgg_b3g2 qarepvgg_b3g2 B [3.0, 5.0], 2;
    "B3g4" repvgg_b3g4 qarepvgg_b3g4 B [3.0, 5.0], 4;
}

impl RepVggConfig {
    /// How convolutions of so many groups start.
    pub(crate) const START: fn(usize) -> Initializer = fan_out;

    fn published(classes: usize, depths: [usize; 4], multipliers: [f64; 2], groups: usize) -> Self {
        Self {
            in_channels: 3,
            classes,
            width: first_width(multipliers) as usize,
            depths,
            multipliers,
            groups,
            stem: Stem::Imagenet,
            branches: Preset::RepVgg.into(),
        }
    }

    pub(crate) fn smallest_side(&self) -> usize {
        1
    }

    /// Channels of each stage, rounded.
    fn widths(&self) -> [usize; 4] {
        let [a, b] = self.multipliers;
        let scale = self.width as f64 / first_width(self.multipliers);
        let multipliers = [a, a, a, b];
        [0, 1, 2, 3].map(|stage| (WIDTHS[stage] * multipliers[stage] * scale).round() as usize)
    }

    /// Builds the network.
    ///
    /// # Errors
    /// A size of zero, groups that do not divide channels, or branches named that a convolution cannot have.
    pub fn init(&self, device: &Device) -> Result<RepVgg, ModelError> {
        self.check(&self.depths)?;
        let stride = stride_of(self.stem);
        let stem = Unit::new([self.in_channels, self.width], 3, stride, 1, device)?;
        // Blocks are counted through all stages, the one in front being number 0.
        let (mut inputs, mut number) = (self.width, 0);
        let mut stages = vec![];
        for (outputs, depth) in self.widths().into_iter().zip(self.depths) {
            let mut stage = vec![];
            for stride in std::iter::once(2).chain(std::iter::repeat(1)).take(depth) {
                number += 1;
                let groups = if number % 2 == 0 { self.groups } else { 1 };
                stage.push(Unit::new([inputs, outputs], 3, stride, groups, device)?);
                inputs = outputs;
            }
            stages.push(stage);
        }
        let head = Head::new([inputs, self.classes], device);
        let network = RepVgg { stem, stages, head };
        let mut network = apply_alone(&self.branches, network, Self::START, device)?;
        unit::drop_norms_of_blocks(&mut network.stem, &mut network.stages);
        Ok(network)
    }
}

fn first_width([a, _]: [f64; 2]) -> f64 {
    (64.0 * a).min(64.0)
}

/// A RepVGG. Created by [`RepVggConfig`].
///
/// [`features`](Self::features) are the outputs of the four stages, of stride 4, 8, 16 and 32, with the small stem half of
/// that.
#[derive(Module, Debug)]
pub struct RepVgg {
    /// The block in front.
    pub stem: Unit,
    /// Blocks, stage by stage.
    pub stages: Vec<Vec<Unit>>,
    /// Pooling and classifier.
    pub head: Head,
}

network_methods!(RepVgg);

impl ConvNorms for RepVgg {
    fn conv_norms(&self) -> Vec<ConvNorm<'_>> {
        unit::conv_norms(&self.stem, &self.stages)
    }
}

impl RepVgg {
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
