//! Convolutions that grow branches while they train and fuse into one: DyRep (arXiv 2203.12868) and its relatives for
//! Burn.
//!
//! Swap `Conv2d` for [`RepConv2d`], build blocks with [`Branches`], let a [`Controller`] grow and cut them in any loop,
//! and ship what [`deploy`] gives. The README shows each.

mod adjust;
mod block;
mod branch;
mod build;
mod config;
mod controller;
mod cost;
mod deploy;
mod error;
mod file;
mod form;
pub mod fuse;
mod geometry;
mod kernel;
mod nest;
pub mod ops;
mod patterns;
mod rep_conv2d;
mod saliency;
mod structure;
mod tap;
mod verify;
mod walk;

pub use adjust::{
    AdjustOptions, Calibration, Fidelity, NormRule, cut, grow, grow_with, prune_optimizer,
};
pub use block::{Block, Kxk};
pub use branch::{
    Branch, BranchKind, Branches, Identity, PointwiseAvg, PointwiseKxk, Preset, SmallConv,
};
pub use config::RepConv2dConfig;
pub use controller::{
    Adjustment, BlockRatios, Budget, Change, Controller, ControllerConfig, ControllerState, Costed,
    CutPlan, CutRule, Event, EventLog, GrowthPlan, GrowthRule, block_ratios, plan_cuts,
    plan_growth,
};
pub use cost::{Cost, InputSizes, LayerCost, profile};
pub use deploy::deploy;
pub use error::*;
pub use file::write_atomically;
pub use form::{BlockForm, BranchForm, Form};
pub use geometry::{AxisPadding, ConvGeometry};
pub use kernel::Kernel;
pub use patterns::PathPatterns;
pub use rep_conv2d::RepConv2d;
pub use saliency::{Score, Scored};
pub use structure::{LayerStructure, Structure};
pub use tap::with_inputs;
pub use verify::{Difference, Report, Warning, verify};
pub use walk::{layers, map_layers};
