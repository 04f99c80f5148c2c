//! How the loss is lowered: optimiser, schedule, loss.

use serde::{Deserialize, Serialize};

use super::bounds::{
    BelowOne, Between, Count, NotNegative, OrNone, Positive, Share, real, rising, some_real, whole,
};

/// `[optimizer]`: SGD with PyTorch's semantics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerRecipe {
    /// The highest learning rate of the run. Required.
    #[serde(deserialize_with = "real::<Positive, _>")]
    pub learning_rate: f64,
    /// Pictures in one pass through the network. Required.
    #[serde(deserialize_with = "whole::<Count, _>")]
    pub batch_size: usize,
    /// Passes whose gradients are averaged into one step; 1 if absent. A step sees `batch_size` times as many
    /// pictures; batch norms see `batch_size`.
    #[serde(default = "default::accumulate", deserialize_with = "whole::<Count, _>")]
    pub accumulate: usize,
    /// Momentum, 0 to below 1, without dampening; 0.9 if absent.
    #[serde(default = "default::momentum", deserialize_with = "real::<BelowOne, _>")]
    pub momentum: f64,
    /// Nesterov's variant; false if absent, as in PyTorch.
    #[serde(default)]
    pub nesterov: bool,
    /// Weight decay, added to the gradient as weight times it; 1e-4 if absent.
    #[serde(default = "default::weight_decay", deserialize_with = "real::<NotNegative, _>")]
    pub weight_decay: f64,
    /// Whether batch norms' parameters and biases decay too; true if absent, as in PyTorch.
    #[serde(default = "default::decay_norms_and_biases")]
    pub decay_norms_and_biases: bool,
    /// Gradients are scaled down to this norm over all parameters; absent: never.
    #[serde(
        default,
        deserialize_with = "some_real::<Positive, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub clip_norm: Option<f64>,
    /// What a moving average of the weights keeps at each step, between 0 and 1; absent: no average.
    #[serde(
        default,
        deserialize_with = "some_real::<Between, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub ema_decay: Option<f64>,
}

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
    pub(super) fn accumulate() -> usize {
        1
    }

    pub(super) fn momentum() -> f64 {
        0.9
    }

    pub(super) fn weight_decay() -> f64 {
        1e-4
    }

    pub(super) fn decay_norms_and_biases() -> bool {
        true
    }

    pub(super) fn factor() -> f64 {
        0.1
    }
}
