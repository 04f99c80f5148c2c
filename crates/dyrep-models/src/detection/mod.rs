//! Networks that find objects: RetinaNet (arXiv 1708.02002) and FCOS (arXiv 1904.01355) on a ResNet with a feature pyramid
//! (arXiv 1612.03144), as torchvision has them and with its paths.
//!
//! ```text
//! pictures ─▶ body ─▶ layer2, layer3, layer4 ─▶ fpn ─▶ P3 … P7 ─▶ head, the same at every level ─▶ one LevelOutput each
//! ```
//!
//! What the outputs mean is no matter of the networks: anchors, coding of boxes, losses and which boxes stay are computed
//! from plain numbers.
//!
//! RetinaNet's heads have no norms. A branch that ends in one sees five levels one after the other there, each normalised
//! by itself while it trains, all by the same running statistics afterwards; online branches and those that end in scales
//! do not have that gap.

mod fpn;
mod heads;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

pub use fpn::{Fpn, PyramidBackbone, TopBlocks};
pub use heads::{
    FcosHead, FcosLayer, FcosRegression, FcosScores, RetinaHead, RetinaRegression, RetinaTower,
    Tower,
};

use crate::conv_norms::{ConvNorm, ConvNorms};
use crate::error::ModelError;
use crate::interpret::Tensors;
use crate::resnet::ResNetConfig;
use crate::selection::{Branching, apply_but};
use crate::transparent::transparent;

/// Levels of the pyramid: P3 to P7.
pub const LEVELS: usize = 5;

/// The last layers of the heads, which start plain whatever is chosen: their biases say what each class begins with.
const PREDICTORS: [&str; 3] = ["cls_logits", "bbox_reg", "bbox_ctrness"];

/// How objects are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DetectionHead {
    /// By anchors: for each the logits of all classes and what moves it onto an object. No norms.
    #[default]
    RetinaNet,
    /// By places: logits of all classes, distances to an object's sides, how central the place is. Group norms.
    Fcos,
}

/// Creates a [`Detector`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorConfig {
    /// The backbone; its classes and branches do not count.
    pub backbone: ResNetConfig,
    /// How objects are found.
    pub head: DetectionHead,
    /// Classes, without the background.
    pub classes: usize,
    /// Channels of the pyramid and of the heads: 256 as published, a multiple of 32 for FCOS.
    pub channels: usize,
    /// Anchors of a place, of RetinaNet: 9 as published.
    pub anchors: usize,
    /// Branches that convolutions start with, in the backbone, the pyramid and the heads.
    #[serde(default)]
    pub branches: Branching,
}

impl DetectorConfig {
    /// The published detector on a backbone.
    #[must_use]
    pub fn new(head: DetectionHead, backbone: ResNetConfig, classes: usize) -> Self {
        let branches = Branching::default();
        Self { backbone, head, classes, channels: 256, anchors: 9, branches }
    }

    /// Sets the channels of the pyramid and of the heads.
    #[must_use]
    pub fn with_channels(mut self, channels: usize) -> Self {
        self.channels = channels;
        self
    }

    /// Sets the anchors of a place.
    #[must_use]
    pub fn with_anchors(mut self, anchors: usize) -> Self {
        self.anchors = anchors;
        self
    }

    /// Sets the branches that convolutions start with, in the backbone, the pyramid and the heads: a preset or kinds for all
    /// that are larger than 1×1, or a [`Branching`] for some, by path or pattern. The heads' last layers start plain.
    #[must_use]
    pub fn with_branches(mut self, branches: impl Into<Branching>) -> Self {
        self.branches = branches.into();
        self
    }

    /// Builds the network.
    ///
    /// # Errors
    /// A size of zero, groups that do not divide channels, or branches named that a convolution cannot have.
    pub fn init(&self, device: &Device) -> Result<Detector, ModelError> {
        let Self { classes, channels, anchors, .. } = *self;
        let sizes = [("classes", classes), ("channels", channels), ("anchors", anchors)];
        if let Some((name, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(ModelError::Zero { name });
        }
        let plain = ResNetConfig { branches: Branching::default(), ..self.backbone.clone() };
        let body = plain.init(device)?.into();
        let [_, stages @ ..] = plain.stage_channels();
        let head = match self.head {
            DetectionHead::RetinaNet => {
                Heads::RetinaNet(RetinaHead::init(channels, anchors, classes, device)?)
            }
            DetectionHead::Fcos => Heads::Fcos(FcosHead::init(channels, classes, device)?),
        };
        let backbone = PyramidBackbone { body, fpn: Fpn::init(stages, channels, device)? };
        let network = Detector { backbone, head };
        apply_but(&PREDICTORS, &self.branches, network, ResNetConfig::START, device)
    }
}

transparent! {
    /// What reads every level of the pyramid.
    pub enum Heads {
        /// RetinaNet's.
        RetinaNet(RetinaHead),
        /// FCOS's.
        Fcos(FcosHead),
    }
}

/// A network that finds objects. Created by [`DetectorConfig`].
#[derive(Module, Debug)]
pub struct Detector {
    /// The pyramid and what it stands on.
    pub backbone: PyramidBackbone,
    /// What reads every level of it.
    pub head: Heads,
}

/// What a head says of one level, of `height` × `width` places; a place has one anchor where there are none.
#[derive(Clone, Debug)]
pub struct LevelOutput {
    /// Logits, `[batch, anchors · classes, height, width]`.
    pub logits: Tensor<4>,
    /// What moves an anchor onto a box, or how far the sides of the box are, `[batch, anchors · 4, height, width]`.
    pub boxes: Tensor<4>,
    /// FCOS's logits of how central a place is, `[batch, 1, height, width]`.
    pub centreness: Option<Tensor<4>>,
}

impl LevelOutput {
    /// Logits `[batch, height · width · anchors, classes]`: the order of anchors.
    #[must_use]
    pub fn rows_of_logits(&self, classes: usize) -> Tensor<3> {
        rows(self.logits.clone(), classes)
    }

    /// Boxes `[batch, height · width · anchors, 4]`.
    #[must_use]
    pub fn rows_of_boxes(&self) -> Tensor<3> {
        rows(self.boxes.clone(), 4)
    }

    /// How central each place is, `[batch, height · width, 1]`.
    #[must_use]
    pub fn rows_of_centreness(&self) -> Option<Tensor<3>> {
        Some(rows(self.centreness.clone()?, 1))
    }
}

/// From `[batch, anchors · each, height, width]` to `[batch, height · width · anchors, each]`.
fn rows(maps: Tensor<4>, each: usize) -> Tensor<3> {
    let [batch, channels, height, width] = maps.dims();
    let anchors = channels / each;
    let split = maps.reshape([batch, anchors, each, height, width]);
    split.permute([0, 3, 4, 1, 2]).reshape([batch, height * width * anchors, each])
}

impl Detector {
    /// What the head says of each level of pictures `[batch, channels, height, width]`, P3 first.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> [LevelOutput; LEVELS] {
        let by = &mut Tensors;
        let levels = self.backbone.pass(by, images);
        levels.map(|level| match &self.head {
            Heads::RetinaNet(head) => {
                let [logits, boxes] = head.pass(by, level);
                LevelOutput { logits, boxes, centreness: None }
            }
            Heads::Fcos(head) => {
                let [logits, boxes, centreness] = head.pass(by, level);
                LevelOutput { logits, boxes, centreness: Some(centreness) }
            }
        })
    }

    /// Learnable parameters, without running statistics.
    #[must_use]
    pub fn params(&self) -> usize {
        crate::count::learnable(self)
    }
}

impl ConvNorms for Detector {
    fn conv_norms(&self) -> Vec<ConvNorm<'_>> {
        self.backbone.body.conv_norms("backbone.body")
    }
}
