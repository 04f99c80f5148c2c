//! A rate that falls where the validation accuracy no longer rises, as a function of the accuracies so far.
//!
//! It is PyTorch's `ReduceLROnPlateau` with `mode="max"`, told the accuracy after each epoch. Nothing is remembered between
//! epochs but the accuracies themselves, which the run's record has: a resumed run counts from them again.

use std::sync::{Arc, Mutex, PoisonError};

use dyrep_recipe::Plateau;

/// Falls by less than this are left out, as in PyTorch.
const SMALLEST_FALL: f64 = 1e-8;

/// The rate after epochs of these accuracies, which began at `rate` and never falls below `least`. An accuracy
/// that is no number is not better.
pub(super) fn rate_after(plateau: &Plateau, rate: f64, least: f64, accuracies: &[f64]) -> f64 {
    let (mut rate, mut best) = (rate, f64::NEG_INFINITY);
    let (mut bad, mut cooling) = (0, 0);
    for &accuracy in accuracies {
        if accuracy > best * (1.0 + plateau.threshold) {
            (best, bad) = (accuracy, 0);
        } else {
            bad += 1;
        }
        if cooling > 0 {
            (cooling, bad) = (cooling - 1, 0);
        }
        if bad > plateau.patience {
            let lower = (rate * plateau.factor).max(least);
            if rate - lower > SMALLEST_FALL {
                rate = lower;
            }
            (cooling, bad) = (plateau.cooldown, 0);
        }
    }
    rate
}

/// The validation accuracies of a run's epochs so far. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Accuracies(Arc<Mutex<Vec<f64>>>);

impl Accuracies {
    /// Puts others in their place.
    pub(super) fn set(&self, accuracies: impl Iterator<Item = f64>) {
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
