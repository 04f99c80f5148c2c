//! How a run is asked for an end before its time, and what it does then.
//!
//! Burn's own interrupter leaves the loop where it stands, and with it whatever was trained since the last epoch. So whoever
//! asks is heard here first: after a step a checkpoint is written and then Burn is stopped; a validation is left, and what
//! it would have measured is measured by the resume.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use burn::optim::ModuleOptimizer;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn_train::Interrupter;
use dyrep_models::Network;

use super::model::not_finite;
use crate::checkpoint::{Checkpoints, Moment};
use crate::classifier::Classifier;
use crate::dyrep::DyRep;
use crate::error::TrainError;
use crate::failure::Failure;

/// What is said where nobody gave a reason.
const UNNAMED: &str = "request";

/// Clones are the same.
#[derive(Clone)]
pub(super) struct Ending {
    /// What others ask.
    asked: Interrupter,
    /// What Burn hears.
    heard: Interrupter,
    /// Why an end was asked for, once it was.
    reason: Arc<OnceLock<String>>,
    /// Whether a validation was left.
    left: Arc<AtomicBool>,
}

impl Ending {
    pub(super) fn new(asked: Interrupter) -> Self {
        Self { asked, heard: Interrupter::new(), reason: Arc::default(), left: Arc::default() }
    }

    /// For whoever may ask.
    pub(super) fn asked(&self) -> &Interrupter {
        &self.asked
    }

    /// For Burn's loop, and whatever stops it at once.
    pub(super) fn burn(&self) -> &Interrupter {
        &self.heard
    }

    /// Why an end was asked for, if it was.
    pub(super) fn reason(&self) -> Option<String> {
        if self.asked.should_stop() {
            let reason = || self.asked.interruption().and_then(|it| it.reason);
            // Burn's dashboard takes its request back once it is closed.
            self.reason.get_or_init(|| reason().unwrap_or_else(|| UNNAMED.to_owned()));
        }
        self.reason.get().cloned()
    }

    /// Asked before each batch of a validation.
    pub(super) fn leaves_validation(&self) -> bool {
        let leaves = self.reason().is_some();
        if leaves {
            self.left.store(true, Ordering::Relaxed);
        }
        leaves
    }

    /// Whether the validation that ended last was left, and its figures are of a part of the pictures.
    pub(super) fn left_validation(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }
}

/// Writes a checkpoint after the step at which an end is asked for.
pub(super) struct StopAfterStep {
    pub(super) ending: Ending,
    pub(super) checkpoints: Checkpoints,
    /// Whether checkpoints are written at all.
    pub(super) save: bool,
    pub(super) steps_per_epoch: usize,
    /// As it starts.
    pub(super) scheduler: ModuleLrScheduler,
    /// What has gone wrong, told by the model and by the recorder.
    pub(super) failures: [Failure; 2],
}

impl StopAfterStep {
    /// The moment of a step that has just been done.
    pub(super) fn moment(steps: usize, steps_per_epoch: usize) -> Moment {
        // At an epoch's end its validation is still to come.
        let epochs = (steps - 1) / steps_per_epoch;
        Moment { epochs, steps: steps - epochs * steps_per_epoch }
    }

    pub(super) fn after<N: Network>(
        &self,
        model: &DyRep<Classifier<N>>,
        optimizer: &ModuleOptimizer,
    ) {
        let Some(reason) = self.ending.reason() else { return };
        let failed = self.failures.iter().any(Failure::is_some);
        if failed || self.ending.heard.error().is_some() {
            return;
        }
        // A loss that is no number is told a moment after its step.
        if self.save && not_finite(&model.model().network).is_none() {
            let steps = model.steps();
            let mut scheduler = self.scheduler.clone();
            (0..steps).for_each(|_| {
                let _rate = scheduler.step();
            });
            let saved = self.checkpoints.save(
                Self::moment(steps, self.steps_per_epoch),
                model.record(),
                optimizer.to_record(),
                scheduler.to_record(),
            );
            if let Err(error) = saved {
                let path = self.checkpoints.folder().to_owned();
                let error = TrainError::Loop { reason: error.to_string(), path };
                return self.failures[0].stop(&self.ending.heard, error);
            }
        }
        self.ending.heard.stop(Some(&reason));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_taken_back_was_made() {
        let asked = Interrupter::new();
        let ending = Ending::new(asked.clone());
        assert!(ending.reason().is_none() && !ending.leaves_validation());
        asked.stop(Some("q"));
        assert!(ending.leaves_validation() && ending.left_validation());
        asked.reset();
        assert_eq!(ending.clone().reason().as_deref(), Some("q"));
    }

    #[test]
    fn an_epochs_last_step_is_followed_by_its_validation() {
        let moments = [1, 3, 4, 5, 8].map(|steps| StopAfterStep::moment(steps, 4));
        let want = [(0, 1), (0, 3), (0, 4), (1, 1), (1, 4)];
        assert_eq!(moments, want.map(|(epochs, steps)| Moment { epochs, steps }));
    }
}
