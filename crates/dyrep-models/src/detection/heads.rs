//! The heads of RetinaNet (arXiv 1708.02002, section 4) and FCOS (arXiv 1904.01355, section 3), as torchvision has them.

use burn::module::{Module, Param};
use burn::nn::activation::Relu;
use burn::nn::{GroupNorm, GroupNormConfig, Initializer};
use burn::tensor::{Device, Tensor};
use dyrep_burn::{RepConv2d, RepConv2dConfig};

use crate::error::ModelError;
use crate::interpret::Dense;
use crate::parts::conv;
use crate::transparent::transparent;

/// Convolutions in front of each prediction.
const DEPTH: usize = 4;
/// What every class is given at the start (RetinaNet, section 4.1, π).
const PRIOR: f64 = 0.01;
/// Groups of FCOS's norms.
const GROUPS: usize = 32;

/// A plain convolution with a bias of this value.
pub(super) fn biased(
    config: RepConv2dConfig,
    bias: f64,
    device: &Device,
) -> Result<RepConv2d, ModelError> {
    let mut layer = config.with_bias(true).try_init(device)?;
    if let RepConv2d::Plain(conv) = &mut layer {
        let channels = conv.weight.lazy_shape()[0];
        conv.bias = Some(Param::from_tensor(Tensor::full([channels], bias, device)));
    }
    Ok(layer)
}

/// A 3×3 that starts from N(0, 0.01).
fn layer(channels: [usize; 2], bias: f64, device: &Device) -> Result<RepConv2d, ModelError> {
    let start = Initializer::Normal { mean: 0.0, std: 0.01 };
    biased(conv(channels, 3, 1).with_initializer(start), bias, device)
}

/// The bias of class logits by which each class begins with its prior.
fn prior() -> f64 {
    -((1.0 - PRIOR) / PRIOR).ln()
}

/// Convolutions, each with a ReLU.
pub type Tower = Vec<(RepConv2d, Relu)>;

/// RetinaNet's classes.
#[derive(Module, Debug)]
pub struct RetinaTower {
    /// The convolutions in front.
    pub conv: Tower,
    /// To `anchors · classes` channels.
    pub cls_logits: RepConv2d,
}

/// RetinaNet's boxes.
#[derive(Module, Debug)]
pub struct RetinaRegression {
    /// The convolutions in front.
    pub conv: Tower,
    /// To `anchors · 4` channels.
    pub bbox_reg: RepConv2d,
}

/// RetinaNet's head.
#[derive(Module, Debug)]
pub struct RetinaHead {
    /// Classes.
    pub classification_head: RetinaTower,
    /// Boxes.
    pub regression_head: RetinaRegression,
}

impl RetinaHead {
    pub(super) fn init(
        channels: usize,
        anchors: usize,
        classes: usize,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let tower = || -> Result<Tower, ModelError> {
            (0..DEPTH).map(|_| Ok((layer([channels; 2], 0.0, device)?, Relu))).collect()
        };
        let to = |outputs: usize, bias: f64| layer([channels, outputs], bias, device);
        Ok(Self {
            classification_head: RetinaTower {
                conv: tower()?,
                cls_logits: to(anchors * classes, prior())?,
            },
            regression_head: RetinaRegression { conv: tower()?, bbox_reg: to(anchors * 4, 0.0)? },
        })
    }

    /// Logits and boxes.
    pub(super) fn pass<I: Dense>(&self, by: &mut I, x: I::Maps) -> [I::Maps; 2] {
        let Self { classification_head: classes, regression_head: boxes } = self;
        let mut through = |tower: &Tower, last: &RepConv2d, x: I::Maps| {
            let x = tower.iter().fold(x, |x, (conv, Relu)| {
                let x = by.conv(conv, x);
                by.relu(x)
            });
            by.conv(last, x)
        };
        let logits = through(&classes.conv, &classes.cls_logits, x.clone());
        [logits, through(&boxes.conv, &boxes.bbox_reg, x)]
    }
}

transparent! {
    /// One of the layers in front of FCOS's predictions.
    pub enum FcosLayer {
        /// A 3×3.
        Conv(RepConv2d),
        /// Its norm.
        Norm(GroupNorm),
        /// What follows it.
        Relu(Relu),
    }
}

/// FCOS's classes.
#[derive(Module, Debug)]
pub struct FcosScores {
    /// The layers in front.
    pub conv: Vec<FcosLayer>,
    /// To `classes` channels.
    pub cls_logits: RepConv2d,
}

/// FCOS's boxes.
#[derive(Module, Debug)]
pub struct FcosRegression {
    /// The layers in front.
    pub conv: Vec<FcosLayer>,
    /// To 4 channels.
    pub bbox_reg: RepConv2d,
    /// How central a place is, to 1 channel.
    pub bbox_ctrness: RepConv2d,
}

/// FCOS's head.
#[derive(Module, Debug)]
pub struct FcosHead {
    /// Classes.
    pub classification_head: FcosScores,
    /// Boxes.
    pub regression_head: FcosRegression,
}

impl FcosHead {
    pub(super) fn init(
        channels: usize,
        classes: usize,
        device: &Device,
    ) -> Result<Self, ModelError> {
        if !channels.is_multiple_of(GROUPS) {
            return Err(ModelError::NoMultiple { name: "channels", of: GROUPS, value: channels });
        }
        let tower = || -> Result<Vec<FcosLayer>, ModelError> {
            let mut layers = vec![];
            for _ in 0..DEPTH {
                layers.push(FcosLayer::Conv(layer([channels; 2], 0.0, device)?));
                layers.push(FcosLayer::Norm(GroupNormConfig::new(GROUPS, channels).init(device)));
                layers.push(FcosLayer::Relu(Relu));
            }
            Ok(layers)
        };
        let to = |outputs: usize, bias: f64| layer([channels, outputs], bias, device);
        Ok(Self {
            classification_head: FcosScores { conv: tower()?, cls_logits: to(classes, prior())? },
            regression_head: FcosRegression {
                conv: tower()?,
                bbox_reg: to(4, 0.0)?,
                bbox_ctrness: to(1, 0.0)?,
            },
        })
    }

    /// Logits, boxes, and how central places are.
    pub(super) fn pass<I: Dense>(&self, by: &mut I, x: I::Maps) -> [I::Maps; 3] {
        let Self { classification_head: classes, regression_head: boxes } = self;
        let mut through = |layers: &[FcosLayer], x: I::Maps| {
            layers.iter().fold(x, |x, layer| match layer {
                FcosLayer::Conv(conv) => by.conv(conv, x),
                FcosLayer::Norm(norm) => by.group_norm(norm, x),
                FcosLayer::Relu(Relu) => by.relu(x),
            })
        };
        let of_classes = through(&classes.conv, x.clone());
        let of_boxes = through(&boxes.conv, x);
        let distances = by.conv(&boxes.bbox_reg, of_boxes.clone());
        [
            by.conv(&classes.cls_logits, of_classes),
            by.relu(distances),
            by.conv(&boxes.bbox_ctrness, of_boxes),
        ]
    }
}
