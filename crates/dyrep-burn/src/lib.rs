//! Convolutions that grow branches while they train and fuse into one: DyRep (arXiv 2203.12868) and its relatives for
//! Burn.
//!
//! Swap `Conv2d` for [`RepConv2d`], build blocks with [`Branches`], let a [`Controller`] grow and cut them in any loop,
//! and ship what [`deploy`] gives. The README shows each.

mod adjust;
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
mod search;
mod structure;

pub use adjust::{AdjustOptions, Calibration, cut, expand, grow, grow_with, prune_optimizer};
pub use controller::{
    Adjustment, BlockRatios, Change, Controller, ControllerState, Costed, CutPlan, Event, EventLog,
    GrowthPlan, GrowthRule, block_ratios, plan_cuts, plan_growth,
};
pub use deploy::deploy;
pub use dyrep_config::{
    BranchKind, BranchName, BranchNorm, BranchSpec, Branches, Budget, Composition,
    ControllerConfig, Cost, CutRule, End, Fidelity, First, NormRule, PathPatterns, Preset, Score,
    SearchConfig, SearchConfigError,
};
pub use error::{
    AdjustError, BranchError, BranchUnavailable, ConfigError, ControllerConfigError, GeometryError,
    MidChannels, MultiplierError, PatternError, SearchError, StackError, StateError,
    StructureError, UnknownName,
};
pub use file::write_atomically;
pub use fuse::Kernel;
pub use geometry::{AxisPadding, ConvGeometry};
pub use layer::{Block, Branch, Multiplied, RepConv2d, RepConv2dConfig, Stack};
pub use look::{Difference, Report, Scored, Warning, layers, map_layers, verify, with_inputs};
pub use search::{
    Search, SearchPhase, SearchReport, SearchState, SearchedLayer, reset_statistics,
    without_resting,
};
pub use structure::cost::{InputSizes, LayerCost, profile};
pub use structure::{BlockForm, BranchForm, Form, LayerStructure, StackForm, Structure};
