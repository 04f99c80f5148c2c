//! What a controller does when.

use dyrep_schema::{Count, Depth, OrNone, whole};
use serde::{Deserialize, Serialize};

use crate::branch::{Branches, Preset};
use crate::cut::{Budget, CutRule};
use crate::error::ControllerConfigError;
use crate::patterns::PathPatterns;
use crate::rules::{Fidelity, NormRule, Score};

/// How deep blocks may lie in each other: what is written can then be read, since parsers of JSON bound the depth, and
/// walking down needs no more of the stack than there is.
pub const DEEPEST: usize = 16;

/// When and how a controller changes the structure.
///
/// The schedule is that of the paper's ImageNet recipe; `docs/results.md` has the evidence for the other
/// defaults, and [`published`](Self::published) gives the published code's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControllerConfig {
    /// What ranks the candidates.
    pub score: Score,
    /// Whether a score is divided by the number of the convolution's weights: small layers then stand a
    /// chance beside large ones.
    pub per_weight: bool,
    /// The branches that a convolution grows.
    #[serde(deserialize_with = "Branches::read_some")]
    pub branches: Branches,
    /// Adjust after every so many epochs.
    #[serde(deserialize_with = "whole::<Count, _>")]
    pub interval: usize,
    /// The first epoch, counted from 1, after which the structure may be adjusted.
    #[serde(deserialize_with = "whole::<Count, _>")]
    pub first_epoch: usize,
    /// The last one. Not written where it is the default's: a recipe leaves it to the run, as it does the seed.
    #[serde(
        skip_serializing_if = "is_default_last_epoch",
        deserialize_with = "whole::<OrNone, _>"
    )]
    pub last_epoch: usize,
    /// Convolutions that grow in one adjustment, at most.
    #[serde(deserialize_with = "whole::<Count, _>")]
    pub growths: usize,
    /// How deep blocks may nest, 16 at most: 1 forbids blocks inside blocks.
    #[serde(deserialize_with = "whole::<Depth, _>")]
    pub max_depth: usize,
    /// Only convolutions whose path matches may grow; empty: all.
    pub grow_in: PathPatterns,
    /// Convolutions whose path matches never grow.
    pub never_grow_in: PathPatterns,
    /// What the training form may cost after a growth. A candidate that would cost more is passed over.
    #[serde(skip_serializing_if = "Budget::is_unlimited")]
    pub budget: Budget,
    /// Training batches that new batch norms are measured on.
    #[serde(deserialize_with = "whole::<Count, _>")]
    pub calibration_batches: usize,
    /// How the batch norm of `kxk` is set after a change.
    pub norm_rule: NormRule,
    /// Which branches are cut.
    pub cut_rule: CutRule,
    /// Whether faults of the published code are mended.
    pub fidelity: Fidelity,
    /// The seed of new parameters. Not written where it is 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub seed: u64,
}

/// As published for ImageNet, of 120 epochs.
const LAST_EPOCH: usize = 100;

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_default_last_epoch(epoch: &usize) -> bool {
    *epoch == LAST_EPOCH
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(seed: &u64) -> bool {
    *seed == 0
}

impl Default for ControllerConfig {
    fn default() -> Self {
        Self {
            score: Score::default(),
            per_weight: false,
            branches: Preset::DyRep.into(),
            interval: 5,
            first_epoch: 1,
            last_epoch: LAST_EPOCH,
            growths: 1,
            max_depth: 2,
            grow_in: PathPatterns::default(),
            never_grow_in: PathPatterns::default(),
            budget: Budget::default(),
            calibration_batches: 20,
            norm_rule: NormRule::default(),
            cut_rule: CutRule::default(),
            fidelity: Fidelity::default(),
            seed: 0,
        }
    }
}

impl ControllerConfig {
    /// The published code's choices, its faults included: `synflow`, the published norm rule, and
    /// [`Fidelity::Published`]. `docs/differences.md` lists what is different by default, and why.
    #[must_use]
    pub fn published() -> Self {
        Self {
            score: Score::SynFlow,
            norm_rule: NormRule::Published,
            cut_rule: CutRule::published(),
            fidelity: Fidelity::Published,
            ..Self::default()
        }
    }

    /// Checks every option.
    ///
    /// # Errors
    /// The first one that makes no sense, with what would.
    pub fn check(&self) -> Result<(), ControllerConfigError> {
        let refuse = |option, expected, found: String| {
            Err(ControllerConfigError { option, expected, found })
        };
        let counts = [
            ("interval", self.interval),
            ("growths", self.growths),
            ("max_depth", self.max_depth),
            ("calibration_batches", self.calibration_batches),
        ];
        if let Some((option, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return refuse(option, "at least 1", "0".to_owned());
        }
        if self.max_depth > DEEPEST {
            return refuse("max_depth", "at most 16", self.max_depth.to_string());
        }
        if self.branches == Preset::Plain.into() {
            return refuse(
                "branches",
                "a preset with branches, or their names",
                "plain".to_owned(),
            );
        }
        let cut_budget = match self.cut_rule {
            CutRule::Budget(budget) => budget,
            CutRule::Threshold { min_deviation, max_ratio, .. } => {
                for (option, value) in [("min_deviation", min_deviation), ("max_ratio", max_ratio)]
                {
                    if value.is_nan() || value < 0.0 {
                        return refuse(option, "a number not below 0", value.to_string());
                    }
                }
                Budget::default()
            }
            CutRule::Never | CutRule::TopK { .. } => Budget::default(),
        };
        for budget in [self.budget, cut_budget] {
            for (option, limit) in
                [("budget on params", budget.params), ("budget on flops", budget.flops)]
            {
                if let Some(limit) = limit.filter(|limit| limit.is_nan() || *limit < 1.0) {
                    let expected = "at least 1, a multiple of the deployed network's";
                    return refuse(option, expected, limit.to_string());
                }
            }
        }
        Ok(())
    }
}
