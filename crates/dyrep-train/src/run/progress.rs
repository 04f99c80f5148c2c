//! What a training tells while it runs. Libraries do not print; whoever wants to see implements [`Progress`].

use burn_train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn_train::metric::MetricDefinition;
use burn_train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};
use dyrep_burn::{Event, number};
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
    #[serde(with = "number")]
    pub loss: f64,
    /// Mean loss on the validation set, in evaluation mode, after the epoch's changes of structure.
    #[serde(with = "number")]
    pub valid_loss: f64,
    /// Accuracy on the training pictures while they were trained on, 0 to 1.
    #[serde(with = "number")]
    pub train_accuracy: f64,
    /// Accuracy on the validation set, 0 to 1.
    #[serde(with = "number")]
    pub accuracy: f64,
    /// The share of those whose class is among the five with the largest logits; only of more classes than that.
    #[serde(default, with = "number::optional", skip_serializing_if = "Option::is_none")]
    pub top5_accuracy: Option<f64>,
    /// Where an average of the weights is evaluated: the accuracy of the weights themselves.
    #[serde(default, with = "number::optional", skip_serializing_if = "Option::is_none")]
    pub weights_accuracy: Option<f64>,
    /// Training pictures of the epoch.
    #[serde(default)]
    pub pictures: usize,
    /// The learning rate at its end.
    pub learning_rate: f64,
    /// Seconds for its training steps.
    pub train_seconds: f64,
    /// Of these, seconds spent waiting for pictures.
    #[serde(default)]
    pub wait_seconds: f64,
    /// Seconds for changing the structure.
    pub adjust_seconds: f64,
    /// Seconds for the validation set.
    pub valid_seconds: f64,
    /// Branches in all blocks, plain convolutions counted as one.
    pub branches: usize,
    /// Learnable parameters of the training form, the epoch's changes made.
    pub params: u64,
    /// Its multiply-adds for one picture.
    pub macs: u64,
}

impl EpochReport {
    /// Training pictures a second, changes of structure and validation left out; nothing where it is not known.
    #[must_use]
    pub fn pictures_per_second(&self) -> Option<f64> {
        let known = self.pictures > 0 && self.train_seconds > 0.0;
        known.then(|| self.pictures as f64 / self.train_seconds)
    }
}

/// Told what happens, from threads of the training. Every method does nothing by default.
pub trait Progress {
    /// Some steps were done.
    fn on_steps(&mut self, report: &StepReport) {
        let _ = report;
    }

    /// The structure changed.
    fn on_events(&mut self, events: &[Event]) {
        let _ = events;
    }

    /// Something that does not stop the training but should be known.
    fn on_warning(&mut self, warning: &str) {
        let _ = warning;
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

/// Burn's dashboard, off.
pub(super) struct NoRenderer;

impl MetricsRendererTraining for NoRenderer {
    fn update_train(&mut self, _state: MetricState) {}

    fn update_valid(&mut self, _state: MetricState) {}
}

impl MetricsRendererEvaluation for NoRenderer {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}
}

impl TrainingProgressLogger for NoRenderer {
    fn start(
        &mut self,
        _epochs: usize,
        _first: usize,
        _items: Option<usize>,
        _label: Option<&str>,
    ) {
    }

    fn update_epoch(&mut self, _epoch: usize) {}

    fn start_split(&mut self, _split: &str, _items: usize) {}

    fn update_split(&mut self, _items: usize) {}

    fn end_split(&mut self) {}

    fn end(&mut self) {}

    fn log_event_training(&mut self, _event: String) {}
}

impl EvaluationProgressLogger for NoRenderer {
    fn start_global_progress(&mut self, _tests: usize) {}

    fn start_test(&mut self, _name: &str, _items: usize) {}

    fn update_test_progress(&mut self, _items: usize) {}

    fn end_test(&mut self) {}

    fn end_global_progress(&mut self) {}

    fn log_event_evaluation(&mut self, _event: String) {}
}

impl MetricsRenderer for NoRenderer {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, _definition: MetricDefinition) {}
}
