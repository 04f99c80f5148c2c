//! What Burn's metrics say of an epoch's training pictures, added up by ourselves: a resume goes on with it.

use burn_train::metric::NumericEntry;
use dyrep_burn::number;
use serde::{Deserialize, Serialize};

/// The metrics' names, as Burn has them.
pub(super) const LOSS: &str = "Loss";
pub(super) const ACCURACY: &str = "Accuracy";
/// Of Burn's metric for the first five.
pub(super) const TOP5: &str = "Top-K Accuracy @ TopK(5)";
/// Sums over training pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sums {
    /// Of batches' losses.
    #[serde(with = "number")]
    pub loss: f64,
    /// Of those named right, in percent each.
    #[serde(with = "number")]
    pub percent: f64,
    /// Batches of which the first is a sum, and pictures of which the second is.
    pub counts: [usize; 2],
}

impl Sums {
    /// A batch's mean.
    pub(super) fn add(&mut self, name: &str, mean: &NumericEntry) {
        let count = match mean {
            NumericEntry::Aggregated { count, .. } => *count,
            NumericEntry::Value(_) | NumericEntry::Final(_) => 1,
        };
        let sum = mean.current() * count as f64;
        match name {
            LOSS => (self.loss, self.counts[0]) = (self.loss + sum, self.counts[0] + count),
            ACCURACY => {
                (self.percent, self.counts[1]) = (self.percent + sum, self.counts[1] + count);
            }
            _ => {}
        }
    }

    /// Of losses and of percents; NaN of none.
    pub(super) fn means(self) -> [f64; 2] {
        let [losses, percents] = self.counts.map(|count| count as f64);
        [self.loss / losses, self.percent / percents]
    }
}
