//! How the loss is lowered: optimiser, schedule, loss.

mod optimizer;

use serde::{Deserialize, Serialize};

pub use optimizer::{MethodRecipe, MomentsRecipe, OPTIMIZERS, OptimizerRecipe};

pub(super) use optimizer::has_key;

use super::bounds::{BelowOne, Count, NotNegative, OrNone, Share, real, rising, whole};

/// `[schedule]`: how long, and at which rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleRecipe {
    /// Passes over the training set. Required.
    #[serde(deserialize_with = "whole::<Count, _>")]
    pub epochs: usize,
    /// How the learning rate falls; `cosine` if absent.
    #[serde(default)]
    pub kind: ScheduleKind,
    /// Epochs at the start in which the rate rises evenly, step by step, from 0 to `learning_rate`
    /// (arXiv 1706.02677, section 2.2); 0 if absent.
    #[serde(default, deserialize_with = "whole::<OrNone, _>")]
    pub warm_up_epochs: usize,
    /// The rate that a cosine ends at, and that no schedule falls below after the warm-up; 0 if absent.
    #[serde(default, deserialize_with = "real::<NotNegative, _>")]
    pub final_learning_rate: f64,
}

/// How the learning rate falls after the warm-up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleKind {
    /// Along half a cosine, step by step (arXiv 1608.03983, without restarts).
    #[default]
    Cosine,
    /// By a factor at some epochs.
    Step {
        /// Epochs, rising, after which the rate falls. Those beyond the run do nothing. Required.
        #[serde(deserialize_with = "rising::<Count, _>")]
        milestones: Vec<usize>,
        /// What the rate is multiplied by, above 0 and not above 1; 0.1 if absent.
        #[serde(default = "default::factor", deserialize_with = "real::<Share, _>")]
        factor: f64,
    },
}

/// `[loss]`: cross entropy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossRecipe {
    /// The share of the target spread evenly over all classes, 0 to below 1 (arXiv 1512.00567, section 7);
    /// 0 if absent.
    #[serde(deserialize_with = "real::<BelowOne, _>")]
    pub label_smoothing: f64,
}

mod default {
    pub(super) fn factor() -> f64 {
        0.1
    }
}
