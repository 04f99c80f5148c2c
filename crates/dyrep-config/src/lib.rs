//! What is asked for of layers, networks and a controller, as plain data: branches and presets, the controller's
//! configuration, which convolutions of a network are meant, what its first layers are, which networks there are.
//!
//! ```text
//! text, TOML, JSON ─▶ Branches, Selection, ControllerConfig, … ─▶ dyrep-burn, dyrep-models build and train
//! ```
//!
//! Nothing here has a tensor, so that what describes a training can be read, checked and written without a tensor library.
//! `dyrep-burn` and `dyrep-models` show these types under their own names; users take them from there.

mod branch;
mod controller;
mod cost;
mod cut;
mod error;
mod geometry;
mod network;
mod patterns;
mod precision;
mod rules;
mod search;
mod selection;
mod text;
mod zoo;

pub use branch::{
    BranchKind, BranchName, BranchNorm, BranchSpec, Branches, Composition, Core, End, First,
    PartNames, Preset, Taps, Window, stacked_layers,
};
pub use controller::{ControllerConfig, DEEPEST};
pub use cost::Cost;
pub use cut::{Budget, CutRule};
pub use error::{
    BranchError, BranchUnavailable, ControllerConfigError, PatternError, SearchConfigError,
    UnknownName,
};
pub use geometry::Geometry;
pub use network::{Activation, Stem};
pub use patterns::PathPatterns;
pub use precision::Precision;
pub use rules::{Fidelity, NormRule, Score};
pub use search::SearchConfig;
pub use selection::{Branching, Selection};
pub use zoo::MODELS;
