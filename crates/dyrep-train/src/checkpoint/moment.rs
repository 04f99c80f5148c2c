//! When a checkpoint was made.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A moment of a run: so many whole epochs, validation included, and so many steps of the epoch after them. One whose steps
/// are all of an epoch's has trained for the whole of it, made its changes of structure, and not validated yet.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// Epochs that are done.
    pub epochs: usize,
    /// Steps of the optimiser in the next epoch.
    pub steps: usize,
}

impl Moment {
    /// After an epoch.
    #[must_use]
    pub const fn after(epochs: usize) -> Self {
        Self { epochs, steps: 0 }
    }

    /// Its part of a file's name: `7`, or `7+120`.
    pub(super) fn stem(self) -> String {
        match self.steps {
            0 => self.epochs.to_string(),
            steps => format!("{}+{steps}", self.epochs),
        }
    }
}

impl FromStr for Moment {
    type Err = std::num::ParseIntError;

    /// Reads `7`, or `7+120`.
    fn from_str(stem: &str) -> Result<Self, Self::Err> {
        let (epochs, steps) = stem.split_once('+').unwrap_or((stem, "0"));
        Ok(Self { epochs: epochs.parse()?, steps: steps.parse()? })
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.steps {
            0 => write!(f, "epoch {}", self.epochs),
            steps => write!(f, "step {steps} of epoch {}", self.epochs + 1),
        }
    }
}
