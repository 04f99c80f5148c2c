//! Vision networks built from [`RepConv2d`](dyrep_burn::RepConv2d), named as torchvision names them, or timm where
//! torchvision has none.
//!
//! Every convolution can grow branches or start with them; a network configured without branches is the
//! plain published one, with the same parameter paths. [`ModelName`] finds a network by its name; [`Branching`] says which
//! of its convolutions start with which branches. [`Model::graph`] gives a deployed network as plain data.

mod conv_norms;
mod count;
mod error;
mod graph;
mod interpret;
mod mobilenet_v1;
mod parts;
mod record;
mod registry;
mod repvgg;
mod resnet;
mod selection;
mod transparent;
mod vgg;

pub use conv_norms::{ConvNorm, ConvNorms, fold_norms, silence_norms};
pub use error::ModelError;
pub use graph::{Graph, Node, Op, Value};
pub use mobilenet_v1::{MobileNetV1, MobileNetV1Config, SeparableBlock};
pub use parts::{Activation, Stem};
pub use registry::{MODELS, Model, ModelConfig, ModelName};
pub use repvgg::{Head, RepVgg, RepVggConfig, Unit};
pub use resnet::{ResNet, ResNetConfig, Residual, ResidualBlock};
pub use selection::{Branching, Selection};
pub use vgg::{HeadLayer, Vgg, VggClassifier, VggConfig, VggLayer};
