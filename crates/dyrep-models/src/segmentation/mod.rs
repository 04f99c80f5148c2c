//! Networks that give every pixel a class: FCN (arXiv 1411.4038) as torchvision has it, PSPNet (arXiv 1612.01105) as its
//! authors' `semseg` has it, on a dilated ResNet (arXiv 1706.05587).
//!
//! ```text
//! pictures ─▶ backbone ─▶ layer4 ─▶ classifier ─▶ resized to the picture ─▶ logits of every pixel
//!                     └─▶ layer3 ─▶ aux_classifier ─▶ the same, while it trains
//! ```
//!
//! Parameters of FCN have torchvision's paths.

mod fcn;
mod psp;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

pub use fcn::FcnHead;
pub use psp::{PspHead, PyramidLevel};

use crate::conv_norms::{ConvNorm, ConvNorms};
use crate::error::ModelError;
use crate::interpret::{Dense, Interpreter, Tensors};
use crate::resnet::{ResNetBackbone, ResNetConfig};
use crate::selection::{Branching, apply};
use crate::transparent::transparent;

/// What reads the last stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentationHead {
    /// A 3×3 convolution and a 1×1.
    #[default]
    Fcn,
    /// The same, behind averages over 1×1, 2×2, 3×3 and 6×6 parts of the picture.
    Psp,
}

/// Creates a [`Segmenter`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmenterConfig {
    /// The backbone; its classes and branches do not count.
    pub backbone: ResNetConfig,
    /// What reads its last stage.
    pub head: SegmentationHead,
    /// Classes of a pixel.
    pub classes: usize,
    /// Whether a second head reads the third stage while the network trains.
    pub auxiliary: bool,
    /// Branches that convolutions start with, in the backbone and in the heads.
    #[serde(default)]
    pub branches: Branching,
}

impl SegmenterConfig {
    /// A head on a ResNet whose last two stages dilate, and a second head on the third one.
    #[must_use]
    pub fn new(head: SegmentationHead, backbone: ResNetConfig, classes: usize) -> Self {
        let backbone = backbone.with_stride_8();
        Self { backbone, head, classes, auxiliary: true, branches: Branching::default() }
    }

    /// Sets whether there is a second head.
    #[must_use]
    pub fn with_auxiliary(mut self, auxiliary: bool) -> Self {
        self.auxiliary = auxiliary;
        self
    }

    /// Sets the branches that convolutions start with, in the backbone and in the heads: a preset or kinds for all that are
    /// larger than 1×1, or a [`Branching`] for some, by path or pattern.
    #[must_use]
    pub fn with_branches(mut self, branches: impl Into<Branching>) -> Self {
        self.branches = branches.into();
        self
    }

    /// Builds the network.
    ///
    /// # Errors
    /// A size of zero, groups that do not divide channels, or branches named that a convolution cannot have.
    pub fn init(&self, device: &Device) -> Result<Segmenter, ModelError> {
        if self.classes == 0 {
            return Err(ModelError::Zero { name: "classes" });
        }
        let plain = ResNetConfig { branches: Branching::default(), ..self.backbone.clone() };
        let backbone = plain.init(device)?.into();
        let [.., third, fourth] = plain.stage_channels();
        let classifier = match self.head {
            SegmentationHead::Fcn => {
                Classifier::Fcn(fcn::init([fourth, fourth.div_ceil(4), self.classes], device)?)
            }
            SegmentationHead::Psp => Classifier::Psp(PspHead::init(fourth, self.classes, device)?),
        };
        let auxiliary = || fcn::init([third, third.div_ceil(4), self.classes], device);
        let network = Segmenter {
            backbone,
            classifier,
            aux_classifier: self.auxiliary.then(auxiliary).transpose()?,
        };
        apply(&self.branches, network, ResNetConfig::START, device)
    }
}

transparent! {
    /// What reads the last stage.
    pub enum Classifier {
        /// FCN's.
        Fcn(FcnHead),
        /// PSPNet's.
        Psp(PspHead),
    }
}

/// A network that gives every pixel a class. Created by [`SegmenterConfig`].
#[derive(Module, Debug)]
pub struct Segmenter {
    /// The stages of a ResNet.
    pub backbone: ResNetBackbone,
    /// What reads the fourth stage.
    pub classifier: Classifier,
    /// What reads the third one while the network trains.
    pub aux_classifier: Option<FcnHead>,
}

/// Logits of every pixel, `[batch, classes, height, width]`.
#[derive(Clone, Debug)]
pub struct Segmented {
    /// By the head.
    pub logits: Tensor<4>,
    /// By the second head, if there is one.
    pub auxiliary: Option<Tensor<4>>,
}

impl Segmenter {
    /// Logits `[batch, classes, height, width]` of pictures `[batch, channels, height, width]`, of both heads: what a loss
    /// reads.
    #[must_use]
    pub fn forward_all(&self, images: Tensor<4>) -> Segmented {
        let [_, _, height, width] = images.dims();
        let by = &mut Tensors;
        let [.., third, fourth] = self.backbone.stages(by, images);
        let logits = self.classifier.pass(by, fourth);
        let auxiliary = self.aux_classifier.as_ref().map(|head| fcn::pass(head, by, third));
        let mut to_size = |maps| by.resize(maps, [height, width]);
        Segmented { logits: to_size(logits), auxiliary: auxiliary.map(to_size) }
    }

    /// Logits `[batch, classes, height, width]` of pictures `[batch, channels, height, width]`. The second head does not run.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = images.dims();
        let by = &mut Tensors;
        let [.., fourth] = self.backbone.stages(by, images);
        let logits = self.classifier.pass(by, fourth);
        by.resize(logits, [height, width])
    }

    /// What is shipped: without the second head.
    #[must_use]
    pub fn without_auxiliary(mut self) -> Self {
        self.aux_classifier = None;
        self
    }

    /// Learnable parameters, without running statistics.
    #[must_use]
    pub fn params(&self) -> usize {
        crate::count::learnable(self)
    }

    /// Multiply-adds for a picture of `[channels, height, width]`, of the convolutions and pooling branches. The second head
    /// does not run.
    #[must_use]
    pub fn flops(&self, picture: [usize; 3]) -> u64 {
        crate::count::flops(self, picture, Self::forward)
    }
}

impl ConvNorms for Segmenter {
    fn conv_norms(&self) -> Vec<ConvNorm<'_>> {
        let mut pairs = self.backbone.conv_norms("backbone");
        match &self.classifier {
            Classifier::Fcn(head) => pairs.push(fcn::conv_norm(head, "classifier")),
            Classifier::Psp(head) => pairs.extend(head.conv_norms("classifier")),
        }
        pairs.extend(
            self.aux_classifier.as_ref().map(|head| fcn::conv_norm(head, "aux_classifier")),
        );
        pairs
    }
}

impl Classifier {
    fn pass<I: Interpreter + Dense>(&self, by: &mut I, x: I::Maps) -> I::Maps {
        match self {
            Self::Fcn(head) => fcn::pass(head, by, x),
            Self::Psp(head) => head.pass(by, x),
        }
    }
}
