//! What a training tells while it runs. Libraries do not print; whoever wants to see implements [`Progress`].

use dyrep_burn::Event;
use serde::{Deserialize, Serialize};

/// After some steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Steps done in it.
    pub step: usize,
    /// Steps in an epoch.
    pub steps: usize,
    /// Mean loss since the last report.
    pub loss: f64,
    /// The learning rate.
    pub learning_rate: f64,
}

/// After an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Mean training loss.
    pub loss: f64,
    /// Accuracy on the validation set, 0 to 1, in evaluation mode, after the epoch's changes of structure.
    pub accuracy: f64,
    /// The learning rate at its end.
    pub learning_rate: f64,
    /// Seconds for its training steps.
    pub train_seconds: f64,
    /// Seconds for changing the structure.
    pub adjust_seconds: f64,
    /// Branches in all blocks, plain convolutions counted as one.
    pub branches: usize,
}

/// Told what happens. Every method does nothing by default.
pub trait Progress {
    /// Some steps were done.
    fn on_steps(&mut self, report: &StepReport) {
        let _ = report;
    }

    /// The structure changed.
    fn on_events(&mut self, events: &[Event]) {
        let _ = events;
    }

    /// An epoch ended.
    fn on_epoch(&mut self, report: &EpochReport) {
        let _ = report;
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}
