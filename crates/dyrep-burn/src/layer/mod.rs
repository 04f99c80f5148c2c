//! The layer and its parameters: plain or a block, with hand-written `Module` impls.

mod block;
mod branch;
mod build;
mod config;
mod multipliers;
mod rep_conv2d;
mod stack;

pub(crate) use block::AFTER;
pub use block::Block;
pub use branch::Branch;
pub(crate) use branch::{CONSTANT, SCALE};
pub(crate) use build::{Builder, Source, mix, set_state, with_value};
pub use config::RepConv2dConfig;
pub use multipliers::Multiplied;
pub use rep_conv2d::RepConv2d;
pub(crate) use rep_conv2d::in_state_of;
pub use stack::Stack;
