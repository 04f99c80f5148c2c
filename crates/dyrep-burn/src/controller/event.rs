//! The log of structural changes: what, when and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::plan::{CutPlan, GrowthPlan};
use crate::branch::BranchKind;
use crate::saliency::Score;

/// One change of structure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Number within the run, from 0: with the seed and the path it decides the new parameters.
    pub number: u64,
    /// Epochs finished before it.
    pub epoch: usize,
    /// What was done.
    pub change: Change,
}

/// What was done, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A convolution became a block.
    Grew {
        /// Which score chose it.
        score: Score,
        /// The best candidate and the next.
        plan: GrowthPlan,
        /// The block's branches, `kxk` included.
        branches: Vec<BranchKind>,
    },
    /// A block lost branches; with none left it became a plain convolution.
    Cut(CutPlan),
}

impl Change {
    /// The path of the convolution that changed.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Grew { plan, .. } => &plan.best.path,
            Self::Cut(plan) => &plan.path,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.change {
            Change::Grew { score, plan, branches } => {
                write!(f, "grew {} into {}", plan.best.path, names(branches))?;
                write!(f, ": its {score} of {:.3e} is the highest", plan.best.score)?;
                write!(f, " of {} candidates", plan.candidates)?;
                match &plan.runner_up {
                    Some(next) => write!(f, ", before {} with {:.3e}", next.path, next.score),
                    None => Ok(()),
                }
            }
            Change::Cut(plan) => {
                let weak: Vec<String> = plan
                    .ratios
                    .iter()
                    .filter(|(kind, _)| plan.branches.contains(kind))
                    .map(|(kind, ratio)| format!("{kind} ({ratio:.3})"))
                    .collect();
                write!(f, "cut {} from {}", weak.join(", "), plan.path)?;
                write!(f, ": weak beside the block's mean gain of {:.3}", plan.mean)
            }
        }
    }
}

fn names(kinds: &[BranchKind]) -> String {
    kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" + ")
}
