//! Vision networks built from [`RepConv2d`](dyrep_burn::RepConv2d), named as torchvision names them.
//!
//! Every convolution can grow branches or start with them; a network configured without branches is the
//! plain published one, with the same parameter paths.

mod resnet;

pub use resnet::{BasicBlock, ModelError, ResNet, ResNetConfig, Stem};
