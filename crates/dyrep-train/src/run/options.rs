//! How to train.

use dyrep_burn::ControllerConfig;
use dyrep_data::Mixer;

use crate::classifier::Loss;
use crate::input::InputSpec;
use crate::optimizer::{GroupsConfig, OptimizerConfig};
use crate::schedule::Schedule;

/// How to train a classifier.
#[derive(Clone, Debug)]
pub struct Training {
    /// What is trained, for the record.
    pub title: String,
    /// On what, and where.
    pub description: String,
    /// The recipe's text.
    pub recipe: String,
    /// Epochs.
    pub epochs: usize,
    /// The learning rate, by step of the optimiser.
    pub schedule: Schedule,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// Layers that are trained in another way than the rest, or not at all.
    pub groups: GroupsConfig,
    /// The norm that all gradients together are clipped to.
    pub clip_norm: Option<f64>,
    /// Batches whose gradients make one step, on each device.
    pub accumulate: usize,
    /// The loss.
    pub loss: Loss,
    /// When and how the structure changes; `None` leaves it as it is.
    pub controller: Option<ControllerConfig>,
    /// The decay of the weights' moving average, which is then what is evaluated and returned.
    pub average_decay: Option<f64>,
    /// Training batches that batch norms are measured on before each evaluation; 0 for none.
    pub recalibration: usize,
    /// Epochs without a better validation accuracy after which the training ends.
    pub patience: Option<usize>,
    /// Whether `tensorboard/` gets files of events.
    pub tensorboard: bool,
    /// The newest checkpoints that stay; 0 to write none.
    pub keep: usize,
    /// How bytes become input.
    pub input: InputSpec,
    /// How batches are mixed; `None` leaves them as they are.
    pub mixer: Option<Mixer>,
    /// The seed of what the model draws while it trains.
    pub seed: u64,
}
