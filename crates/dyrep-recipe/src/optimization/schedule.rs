//! `[schedule]`: how long, and at which rate.

use serde::{Deserialize, Serialize};

use super::super::bounds::{
    AtLeastOne, Between, Count, NotNegative, OrNone, Positive, Share, real, rising, whole,
};

/// `[schedule]`: how long, and at which rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Passes over the training set. Required.
    #[serde(deserialize_with = "whole::<Count, _>")]
    pub epochs: usize,
    /// How the learning rate falls; `cosine` if absent.
    #[serde(default)]
    pub kind: ScheduleKind,
    /// Epochs at the start in which the rate rises evenly, step by step, to `learning_rate`
    /// (arXiv 1706.02677, section 2.2); 0 if absent.
    #[serde(default, deserialize_with = "whole::<OrNone, _>")]
    pub warm_up_epochs: usize,
    /// The rate that it rises from; 0 if absent.
    #[serde(default, deserialize_with = "real::<NotNegative, _>")]
    pub warm_up_learning_rate: f64,
    /// The rate that a cosine and a power end at, and that no schedule falls below after the warm-up; 0 if absent.
    #[serde(default, deserialize_with = "real::<NotNegative, _>")]
    pub final_learning_rate: f64,
}

impl ScheduleConfig {
    /// So many epochs along a cosine from the learning rate to zero.
    #[must_use]
    pub const fn cosine(epochs: usize) -> Self {
        Self {
            epochs,
            kind: ScheduleKind::Cosine,
            warm_up_epochs: 0,
            warm_up_learning_rate: 0.0,
            final_learning_rate: 0.0,
        }
    }
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
    /// As a power of the steps that are left (arXiv 1606.00915, section 4.1).
    Poly {
        /// The power, above 0; 0.9 if absent, as in mmsegmentation.
        #[serde(default = "default::power", deserialize_with = "real::<Positive, _>")]
        power: f64,
    },
    /// Up along half a cosine and down along another (arXiv 1708.07120), with the keys and defaults of PyTorch's
    /// `OneCycleLR`. It has its own warm-up and its own end.
    OneCycle {
        /// The share of the steps in which the rate rises, above 0 and below 1; 0.3 if absent.
        #[serde(default = "default::pct_start", deserialize_with = "real::<Between, _>")]
        pct_start: f64,
        /// What the highest rate is divided by at the start, not below 1; 25 if absent.
        #[serde(default = "default::div_factor", deserialize_with = "real::<AtLeastOne, _>")]
        div_factor: f64,
        /// What the rate at the start is divided by at the end, not below 1; 10000 if absent.
        #[serde(default = "default::final_div_factor", deserialize_with = "real::<AtLeastOne, _>")]
        final_div_factor: f64,
    },
    /// By a factor where the validation accuracy no longer rises, with the keys and defaults of PyTorch's
    /// `ReduceLROnPlateau`.
    Plateau(Plateau),
}

/// When a rate falls on a plateau of the accuracy, and by how much.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plateau {
    /// What the rate is multiplied by, above 0 and below 1; 0.1 if absent.
    #[serde(default = "default::factor", deserialize_with = "real::<Between, _>")]
    pub factor: f64,
    /// Epochs without a better accuracy that are borne: the rate falls after one more; 10 if absent.
    #[serde(default = "default::patience", deserialize_with = "whole::<OrNone, _>")]
    pub patience: usize,
    /// An accuracy is better if it is above the best one times (1 + threshold); 1e-4 if absent.
    #[serde(default = "default::threshold", deserialize_with = "real::<NotNegative, _>")]
    pub threshold: f64,
    /// Epochs after a fall in which none is counted; 0 if absent.
    #[serde(default, deserialize_with = "whole::<OrNone, _>")]
    pub cooldown: usize,
}

mod default {
    pub(super) fn factor() -> f64 {
        0.1
    }

    pub(super) fn power() -> f64 {
        0.9
    }

    pub(super) fn pct_start() -> f64 {
        0.3
    }

    pub(super) fn div_factor() -> f64 {
        25.0
    }

    pub(super) fn final_div_factor() -> f64 {
        1e4
    }

    pub(super) fn patience() -> usize {
        10
    }

    pub(super) fn threshold() -> f64 {
        1e-4
    }
}
