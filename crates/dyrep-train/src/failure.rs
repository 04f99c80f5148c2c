//! What stops a training where Burn's loop takes no errors.

use std::sync::{Arc, Mutex, PoisonError};

use burn_train::Interrupter;

use crate::error::TrainError;

/// What stopped a training from within, where that is known. Clones are the same slot.
#[derive(Clone, Debug, Default)]
pub struct Failure(Arc<Mutex<Option<TrainError>>>);

impl Failure {
    /// What it was, if anything; it is told once.
    #[must_use]
    pub fn take(&self) -> Option<TrainError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether there is one.
    pub(crate) fn is_some(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Stops the training; the first error is the one that is kept.
    pub(crate) fn stop(&self, interrupter: &Interrupter, error: TrainError) {
        interrupter.stop(Some(&error.to_string()));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}
