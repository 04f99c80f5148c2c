//! Vision networks built from [`RepConv2d`](dyrep_burn::RepConv2d), named as torchvision names them, or timm where
//! torchvision has none.
//!
//! Every convolution can grow branches or start with them; a network configured without branches is the
//! plain published one, with the same parameter paths. [`ModelName`] finds a network by its name; [`Branching`] says which
//! of its convolutions start with which branches. [`Model::graph`] gives a deployed network as plain data.

mod conv_norms;
mod count;
mod detection;
mod error;
mod graph;
mod interpret;
mod mobilenet_v1;
mod mobilenet_v2;
mod mobileone;
mod network;
mod parts;
mod record;
mod registry;
mod repvgg;
mod repvit;
mod resnet;
mod segmentation;
mod selection;
mod transparent;
mod unit;
mod vgg;

pub use conv_norms::{ConvNorm, ConvNorms, NormLinear, fold_norms, silence_norms};
pub use detection::{
    DetectionHead, Detector, DetectorConfig, FcosHead, FcosLayer, FcosRegression, FcosScores, Fpn,
    Heads, LEVELS, LevelOutput, PyramidBackbone, RetinaHead, RetinaRegression, RetinaTower,
    TopBlocks, Tower,
};
pub use error::ModelError;
pub use graph::{Graph, Node, Op, Value};
pub use mobilenet_v1::{MobileNetV1, MobileNetV1Config, SeparableBlock};
pub use mobilenet_v2::{
    ConvAndNorm, InvertedLayers, InvertedResidual, MobileNetV2, MobileNetV2Config, MobileNetV2Layer,
};
pub use mobileone::{MobileOne, MobileOneConfig};
pub use network::Network;
pub use parts::{Activation, Stem};
pub use registry::{MODELS, Model, ModelConfig, ModelName};
pub use repvgg::{RepVgg, RepVggConfig};
pub use repvit::{
    ConvBn, NormAndLinear, RepVit, RepVitBlock, RepVitConfig, RepVitDownsample, RepVitHead,
    RepVitMlp, RepVitStage, RepVitStem,
};
pub use resnet::{
    Downsample, ResNet, ResNetBackbone, ResNetConfig, ResNetForm, ResNetStem, Residual,
    ResidualBlock,
};
pub use segmentation::{
    Classifier, FcnHead, PspHead, PyramidLevel, SegmentationHead, Segmented, Segmenter,
    SegmenterConfig,
};
pub use selection::{Branching, SelectLayers, Selection};
pub use unit::{Head, SqueezeExcite, Unit};
pub use vgg::{HeadLayer, Vgg, VggClassifier, VggConfig, VggLayer};
