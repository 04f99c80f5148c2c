//! A rate that falls where the validation accuracy no longer rises, as a function of the accuracies so far.
//!
//! It is PyTorch's `ReduceLROnPlateau` with `mode="max"`, told the accuracy after each epoch. Nothing is remembered between
//! epochs but the accuracies themselves, which the run's record has: a resumed run counts from them again.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// When the rate falls, and by how much.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// What the rate is multiplied by, above 0 and below 1.
    pub factor: f64,
    /// Epochs without a better accuracy that are borne; the rate falls after one more.
    pub patience: usize,
    /// An accuracy is better if it is above the best one times (1 + threshold).
    pub threshold: f64,
    /// Epochs after a fall in which none is counted.
    pub cooldown: usize,
}

/// Falls by less than this are left out, as in PyTorch.
const SMALLEST_FALL: f64 = 1e-8;

impl Plateau {
    /// The rate after epochs of these accuracies, which began at `rate` and never falls below `least`. An accuracy
    /// that is no number is not better.
    #[must_use]
    pub fn rate(&self, rate: f64, least: f64, accuracies: &[f64]) -> f64 {
        let (mut rate, mut best) = (rate, f64::NEG_INFINITY);
        let (mut bad, mut cooling) = (0, 0);
        for &accuracy in accuracies {
            if accuracy > best * (1.0 + self.threshold) {
                (best, bad) = (accuracy, 0);
            } else {
                bad += 1;
            }
            if cooling > 0 {
                (cooling, bad) = (cooling - 1, 0);
            }
            if bad > self.patience {
                let lower = (rate * self.factor).max(least);
                if rate - lower > SMALLEST_FALL {
                    rate = lower;
                }
                (cooling, bad) = (self.cooldown, 0);
            }
        }
        rate
    }
}

/// The validation accuracies of a run's epochs so far. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accuracies(Arc<Mutex<Vec<f64>>>);

impl Accuracies {
    /// Puts others in their place.
    pub(crate) fn set(&self, accuracies: impl Iterator<Item = f64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = accuracies.collect();
    }

    /// Those of the epochs in `from..until`, as far as they are known.
    pub(super) fn of(&self, from: usize, until: usize) -> Vec<f64> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = until.min(known.len());
        known[from.min(until)..until].to_vec()
    }
}

/// Of the same epochs the same accuracies.
impl PartialEq for Accuracies {
    fn eq(&self, other: &Self) -> bool {
        self.of(0, usize::MAX) == other.of(0, usize::MAX)
    }
}
