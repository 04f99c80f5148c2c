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
    /// Of losses.
    #[serde(with = "number")]
    pub loss: f64,
    /// Of those named right, in percent each.
    #[serde(with = "number")]
    pub percent: f64,
    /// Pictures of the first, and of the second.
    pub pictures: [usize; 2],
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
            LOSS => (self.loss, self.pictures[0]) = (self.loss + sum, self.pictures[0] + count),
            ACCURACY => {
                (self.percent, self.pictures[1]) = (self.percent + sum, self.pictures[1] + count);
            }
            _ => {}
        }
    }

    /// Of losses and of percents; NaN of no picture.
    pub(super) fn means(self) -> [f64; 2] {
        let [losses, percents] = self.pictures.map(|pictures| pictures as f64);
        [self.loss / losses, self.percent / percents]
    }
}
