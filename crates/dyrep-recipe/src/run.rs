//! What happens around the steps.

use dyrep_config::Precision;
use serde::{Deserialize, Serialize};

use super::bounds::{Count, OrNone, seed, some_whole, whole};

/// `[evaluation]`: what happens after an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationRecipe {
    /// Training batches that all batch norms' moving averages go on over before the model is evaluated, so that
    /// they are those of the last weights; absent: they stay as training left them.
    #[serde(deserialize_with = "some_whole::<Count, _>", skip_serializing_if = "Option::is_none")]
    pub recalibrate_batches: Option<usize>,
    /// The run ends after so many epochs without a better accuracy; absent: it goes to its end.
    #[serde(deserialize_with = "some_whole::<Count, _>", skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<usize>,
    /// Which network is deployed at the end; the last one if absent.
    #[serde(skip_serializing_if = "is_default")]
    pub ship: Shipped,
}

/// Which network of a run is deployed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shipped {
    /// That of the last epoch.
    #[default]
    Last,
    /// That of the epoch with the best validation accuracy. Chosen by the pictures that it is judged on, its accuracy on
    /// them is a little better than on others.
    Best,
}

/// `[run]`: what is not about learning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunRecipe {
    /// The seed of everything random; 0 if absent. TOML's numbers end at 2⁶³ − 1.
    #[serde(deserialize_with = "seed")]
    pub seed: u64,
    /// Threads that prepare pictures, 0 for none beside the one that trains; absent: one for each core.
    #[serde(deserialize_with = "some_whole::<OrNone, _>", skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Pictures that may be left out because their files cannot be used, before the run stops with their list; 100 if
    /// absent, 0: the first one stops it.
    #[serde(deserialize_with = "whole::<OrNone, _>")]
    pub max_skipped: usize,
    /// The newest checkpoints that stay on disk; 0: none is written; 1 if absent.
    #[serde(deserialize_with = "whole::<OrNone, _>")]
    pub checkpoints_kept: usize,
    /// Whether files of events for TensorBoard are written to the run's folder; not if absent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tensorboard: bool,
    /// The numbers that training steps compute in; `f32` if absent.
    #[serde(skip_serializing_if = "is_default")]
    pub precision: Precision,
    /// Whether what little it costs to compute again is not kept for the backward pass, which takes less memory and more
    /// time; not if absent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gradient_checkpointing: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for RunRecipe {
    fn default() -> Self {
        Self {
            seed: 0,
            threads: None,
            max_skipped: 100,
            checkpoints_kept: 1,
            tensorboard: false,
            precision: Precision::F32,
            gradient_checkpointing: false,
        }
    }
}
