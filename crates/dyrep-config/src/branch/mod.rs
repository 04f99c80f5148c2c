//! What a branch is, without tensors: its chain of steps, how it ends, which blocks of the field have it.
//!
//! ```text
//! BranchKind (a chain) ─▶ BranchSpec (with its end, so many times) ─▶ Branches (a preset, or by name)
//! ```
//!
//! From a [`BranchKind`] follow the geometries where it exists, its window of taps, the names of its parts and whether it
//! nests; its kernel is in `dyrep-burn`'s `fuse/`, its cost in `structure/cost.rs` there, and no list of kinds is anywhere
//! else.

mod kind;
mod norm;
mod preset;
mod set;
mod spec;
mod stack;

pub use kind::{BranchKind, Core, First, PartNames, Taps, Window};
pub use norm::BranchNorm;
pub use preset::Preset;
pub use set::Branches;
pub use spec::{BranchName, BranchSpec, End};
pub use stack::{Composition, stacked_layers};
