//! What a student learns from a teacher.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::bounds::{Share, Temperature, real};

/// `[distillation]`: a teacher's logits as targets beside the labels (arXiv 1503.02531).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistillationRecipe {
    /// The teacher's logits for the training pictures, as `dyrep eval --on train --logits` writes them. Required.
    pub file: PathBuf,
    /// The share of the loss that is the teacher's, above 0 and not above 1; 0.9 if absent, as in arXiv 1910.10699.
    #[serde(default = "default::weight", deserialize_with = "real::<Share, _>")]
    pub weight: f64,
    /// What both networks' logits are divided by, 0.01 to 100; 4 if absent, as in arXiv 1910.10699.
    #[serde(default = "default::temperature", deserialize_with = "real::<Temperature, _>")]
    pub temperature: f64,
}

mod default {
    pub(super) fn weight() -> f64 {
        0.9
    }

    pub(super) fn temperature() -> f64 {
        4.0
    }
}
