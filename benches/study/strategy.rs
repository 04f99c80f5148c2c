//! What is compared.

use std::fmt;

use dyrep_burn::{Branches, NormRule, Preset, Score};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Strategy {
    /// Branches from the start, or none.
    Fixed(Preset),
    /// Starts plain and grows.
    Growing(Score, NormRule),
}

impl Strategy {
    /// Plain, DBB, and each score with each growth rule.
    pub(crate) fn all() -> Vec<Self> {
        let fixed = [Preset::Plain, Preset::Dbb].map(Self::Fixed);
        let growing = Score::ALL
            .iter()
            .flat_map(|&score| NormRule::ALL.map(|rule| Self::Growing(score, rule)));
        fixed.into_iter().chain(growing).collect()
    }

    pub(crate) fn branches(self) -> Branches {
        match self {
            Self::Fixed(preset) => preset.into(),
            Self::Growing(..) => Preset::Plain.into(),
        }
    }

    pub(crate) fn growing(self) -> Option<(Score, NormRule)> {
        match self {
            Self::Fixed(_) => None,
            Self::Growing(score, rule) => Some((score, rule)),
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(preset) => write!(f, "{preset}"),
            Self::Growing(score, rule) => write!(f, "dyrep, {score}, {}", rule.name()),
        }
    }
}
