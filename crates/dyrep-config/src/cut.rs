//! What a network may cost while it trains, and which branches are cut.

use std::fmt;

use dyrep_schema::{AtLeastOne, NotNegative, OrNone, real, some_real, whole};
use serde::{Deserialize, Serialize};

use crate::cost::Cost;

/// What the re-parameterisable layers may cost in training form, as multiples of what they cost deployed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Parameters; none: no limit.
    #[serde(deserialize_with = "some_real::<AtLeastOne, _>")]
    pub params: Option<f64>,
    /// Multiply-adds; none: no limit.
    #[serde(deserialize_with = "some_real::<AtLeastOne, _>")]
    pub flops: Option<f64>,
}

impl Budget {
    /// Whether there is no limit.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `cost` is within the budget of a network that costs `deployed` when deployed.
    #[must_use]
    pub fn allows(&self, cost: Cost, deployed: Cost) -> bool {
        let allows = |limit: Option<f64>, cost: u64, deployed: u64| {
            limit.is_none_or(|limit| cost as f64 <= limit * deployed as f64)
        };
        allows(self.params, cost.params, deployed.params)
            && allows(self.flops, cost.macs, deployed.macs)
    }
}

/// Which branches are cut.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CutRule {
    /// None.
    Never,
    /// The weak ones of each block (DyRep, section 3.3).
    Threshold {
        /// Blocks whose ratios have no larger sample standard deviation keep all branches.
        #[serde(default = "default::min_deviation", deserialize_with = "real::<NotNegative, _>")]
        min_deviation: f64,
        /// Only branches with a ratio below this, and below the block's mean, are cut.
        #[serde(default = "default::max_ratio", deserialize_with = "real::<NotNegative, _>")]
        max_ratio: f64,
        /// Whether a branch left alone in its block, which has no deviation, is cut when its ratio is not
        /// above `min_deviation`. The published code never cuts it.
        #[serde(default = "default::lone")]
        lone: bool,
    },
    /// All but the strongest of the whole network.
    TopK {
        /// How many optional branches stay, those of blocks grown in the same adjustment not counted.
        #[serde(deserialize_with = "whole::<OrNone, _>")]
        keep: usize,
    },
    /// The weakest of the whole network, until the training form is within a budget. Blocks grown in the
    /// same adjustment cost, but are not cut.
    Budget(Budget),
}

impl CutRule {
    /// The published rule.
    #[must_use]
    pub const fn published() -> Self {
        Self::Threshold { min_deviation: 0.02, max_ratio: 0.1, lone: false }
    }
}

impl Default for CutRule {
    /// The published thresholds, which here also judge a branch left alone.
    fn default() -> Self {
        Self::Threshold {
            min_deviation: default::min_deviation(),
            max_ratio: default::max_ratio(),
            lone: default::lone(),
        }
    }
}

impl fmt::Display for CutRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => write!(f, "never"),
            Self::Threshold { max_ratio, .. } => {
                write!(f, "below {max_ratio} and below the block's mean")
            }
            Self::TopK { keep } => write!(f, "not among the {keep} strongest branches"),
            Self::Budget(_) => write!(f, "the weakest of a network beyond its budget"),
        }
    }
}

mod default {
    pub(super) const fn min_deviation() -> f64 {
        0.02
    }

    pub(super) const fn max_ratio() -> f64 {
        0.1
    }

    pub(super) const fn lone() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logs of runs have these forms.
    #[test]
    fn rules_are_written_and_read_as_in_logs() {
        let budget = Budget { params: None, flops: Some(2.0) };
        let threshold = r#"{"threshold":{"min_deviation":0.02,"max_ratio":0.1,"lone":true}}"#;
        for (rule, text) in [
            (CutRule::Never, r#""never""#),
            (CutRule::default(), threshold),
            (CutRule::TopK { keep: 7 }, r#"{"top_k":{"keep":7}}"#),
            (CutRule::Budget(budget), r#"{"budget":{"params":null,"flops":2.0}}"#),
        ] {
            assert_eq!(serde_json::to_string(&rule).unwrap(), text);
            assert_eq!(serde_json::from_str::<CutRule>(text).unwrap(), rule);
        }
        let below = serde_json::from_str::<Budget>(r#"{"params":0.5}"#).unwrap_err();
        assert!(below.to_string().contains("a number not below 1"), "{below}");
    }
}
