//! The log of a run's structural changes: what, when, why, and at what cost. It can be replayed.

use std::fmt;

use dyrep_config::{BranchSpec, Cost, CutRule, Score};
use serde::{Deserialize, Serialize};

use super::plan::{CutPlan, GrowthPlan};
use crate::error::StructureError;
use crate::look::saliency::Scored;
use crate::structure::{NEEDS, Structure, parse_versioned, versioned_file};

/// The version written; all up to it are read.
const VERSION: u64 = 2;

/// Every change of a run's structure, from its start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventLog {
    version: u64,
    /// The oldest program that reads this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    needs: Option<String>,
    start: Structure,
    adjustments: Vec<Adjustment>,
}

/// What happened after one epoch: the scores, and the changes that followed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adjustment {
    /// Epochs finished before it.
    pub epoch: usize,
    /// Steps that the scores are the mean of.
    pub steps: usize,
    /// What the candidates were scored by.
    pub score: Score,
    /// Every candidate's score, in the model's field order.
    pub scores: Vec<Scored>,
    /// What was changed, in order.
    pub events: Vec<Event>,
}

/// One change of structure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Number within the run, from 0: with the seed and the path it decides the new parameters.
    pub number: u64,
    /// Epochs finished before it.
    pub epoch: usize,
    /// What was done.
    pub change: Change,
    /// What all layers cost in training form before it.
    pub before: Cost,
    /// What they cost after it.
    pub after: Cost,
}

/// What was done, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// A convolution became a block.
    Grew {
        /// Which score chose it.
        score: Score,
        /// The convolution, and those that it was chosen from.
        plan: GrowthPlan,
        /// The block's branches, `kxk` included.
        branches: Vec<BranchSpec>,
    },
    /// A block lost branches; with none left it became a plain convolution.
    Cut {
        /// Which rule chose them.
        rule: CutRule,
        /// The branches, and those that they were chosen from.
        plan: CutPlan,
    },
}

impl Change {
    /// The path of the convolution that changed.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Grew { plan, .. } => &plan.chosen.path,
            Self::Cut { plan, .. } => &plan.path,
        }
    }

    /// Makes the same change to a structure.
    ///
    /// # Errors
    /// If it cannot be made there; the structure is then unchanged.
    pub fn apply(&self, structure: &mut Structure) -> Result<(), StructureError> {
        match self {
            Self::Grew { plan, branches, .. } => {
                structure.grow(&plan.chosen.path, &branches.as_slice().into())
            }
            Self::Cut { plan, .. } => structure.cut(&plan.path, &plan.branches),
        }
    }
}

impl EventLog {
    /// The log of a run that starts with this structure.
    #[must_use]
    pub fn new(start: Structure) -> Self {
        Self { version: VERSION, needs: Some(NEEDS.to_owned()), start, adjustments: vec![] }
    }

    /// The structure at the start of the run.
    #[must_use]
    pub fn start(&self) -> &Structure {
        &self.start
    }

    /// Every adjustment, also those that changed nothing.
    #[must_use]
    pub fn adjustments(&self) -> &[Adjustment] {
        &self.adjustments
    }

    /// Every change, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.adjustments.iter().flat_map(|adjustment| &adjustment.events)
    }

    pub(super) fn push(&mut self, adjustment: Adjustment) {
        self.adjustments.push(adjustment);
    }

    /// The structure after all changes.
    ///
    /// # Errors
    /// A change that cannot be made where it is recorded: the log is not of one run.
    pub fn replay(&self) -> Result<Structure, StructureError> {
        self.structure_after(usize::MAX)
    }

    /// The structure after the adjustments of the first `epochs` epochs.
    ///
    /// # Errors
    /// As [`replay`](Self::replay).
    pub fn structure_after(&self, epochs: usize) -> Result<Structure, StructureError> {
        let mut structure = self.start.clone();
        for event in self.events().take_while(|event| event.epoch <= epochs) {
            event.change.apply(&mut structure)?;
        }
        Ok(structure)
    }

    fn parse(text: &str, origin: &str) -> Result<Self, StructureError> {
        let log: Self = parse_versioned(text, VERSION, origin)?;
        log.replay()?;
        Ok(log)
    }
}

versioned_file!(EventLog, "event log", "whose changes do not follow from each other");

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.change {
            Change::Grew { score, plan, branches } => {
                let branches: Vec<_> = branches.iter().map(BranchSpec::to_string).collect();
                write!(f, "grew {} into {}", plan.chosen.path, branches.join(" + "))?;
                write!(f, ": its {score} of {:.3e} is ", plan.chosen.score)?;
                match plan.rank {
                    1 => write!(f, "the highest")?,
                    rank => write!(f, "number {rank}")?,
                }
                write!(f, " of {} candidates", plan.candidates)?;
                if let Some(next) = &plan.runner_up {
                    write!(f, ", before {} with {:.3e}", next.path, next.score)?;
                }
            }
            Change::Cut { rule, plan } => {
                let weak = plan.ratios.iter().filter(|(name, _)| plan.branches.contains(name));
                let weak: Vec<_> =
                    weak.map(|(name, ratio)| format!("{name} ({ratio:.3})")).collect();
                write!(f, "cut {} from {}: {rule}", weak.join(", "), plan.path)?;
            }
        }
        let change = |before: u64, after: u64| {
            let sign = if after < before { '-' } else { '+' };
            (sign, after.abs_diff(before) as f64)
        };
        let (sign, params) = change(self.before.params, self.after.params);
        write!(f, " ({sign}{:.1} k parameters", params / 1e3)?;
        let (sign, macs) = change(self.before.macs, self.after.macs);
        write!(f, ", {sign}{:.2} M multiply-adds)", macs / 1e6)
    }
}
