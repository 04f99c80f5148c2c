//! Convolutions that grow branches while they train and fuse into one: DyRep (arXiv 2203.12868) and its relatives for
//! Burn.
//!
//! Swap `Conv2d` for [`RepConv2d`], build blocks with [`Branches`], let a [`Controller`] grow and cut them in any loop,
//! and ship what [`deploy`] gives. The README shows each.

mod adjust;
mod branch;
mod controller;
mod deploy;
mod error;
mod file;
pub mod fuse;
mod geometry;
mod layer;
mod look;
pub mod number;
mod on_drop;
pub mod ops;
mod pass;
mod patterns;
mod structure;
mod text;

pub use adjust::{
    AdjustOptions, Calibration, Fidelity, NormRule, cut, expand, grow, grow_with, prune_optimizer,
};
pub use branch::{BranchKind, BranchName, BranchSpec, Branches, End, Preset};
pub use controller::{
    Adjustment, BlockRatios, Budget, Change, Controller, ControllerConfig, ControllerState, Costed,
    CutPlan, CutRule, Event, EventLog, GrowthPlan, GrowthRule, block_ratios, plan_cuts,
    plan_growth,
};
pub use deploy::deploy;
pub use error::{
    AdjustError, BranchError, BranchUnavailable, ConfigError, ControllerConfigError, GeometryError,
    PatternError, StateError, StructureError, UnknownName,
};
pub use file::write_atomically;
pub use fuse::Kernel;
pub use geometry::{AxisPadding, ConvGeometry};
pub use layer::{Block, Branch, RepConv2d, RepConv2dConfig};
pub use look::{
    Difference, Report, Score, Scored, Warning, layers, map_layers, verify, with_inputs,
};
pub use patterns::PathPatterns;
pub use structure::cost::{Cost, InputSizes, LayerCost, profile};
pub use structure::{BlockForm, BranchForm, Form, LayerStructure, Structure};
