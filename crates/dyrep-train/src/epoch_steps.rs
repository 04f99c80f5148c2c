//! How an epoch is cut into batches, and these into steps.

use dyrep_data::Loader;

/// The batches of an epoch, and which of them make a step.
///
/// Burn gives each device an equal part of the samples, and the last one the rest as well. In a round each device passes a
/// batch of its own, as long as it has one; so many rounds as are accumulated make a step, and the last ones, too few, make
/// one too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EpochSteps {
    /// Batches of each device.
    shares: Vec<usize>,
    accumulate: usize,
}

impl EpochSteps {
    /// # Panics
    /// If there is no device, or nothing is accumulated.
    pub(crate) fn of(loader: &Loader, accumulate: usize, devices: usize) -> Self {
        Self::cut(loader.samples(), loader.config().batch_size, accumulate, devices)
    }

    fn cut(samples: usize, batch: usize, accumulate: usize, devices: usize) -> Self {
        assert!(accumulate > 0 && devices > 0, "a step has at least one batch of one device");
        let equal = samples / devices;
        let last = samples - equal * (devices - 1);
        let mut shares = vec![equal.div_ceil(batch); devices - 1];
        shares.push(last.div_ceil(batch));
        Self { shares, accumulate }
    }

    /// Batches in all.
    pub(crate) fn batches(&self) -> usize {
        self.shares.iter().sum()
    }

    /// Steps of the optimiser.
    pub(crate) fn steps(&self) -> usize {
        self.shares.iter().max().map_or(0, |rounds| rounds.div_ceil(self.accumulate))
    }

    /// Whether a step has one batch.
    pub(crate) fn is_by_batch(&self) -> bool {
        self.shares.len() * self.accumulate == 1
    }

    /// Batches passed when so many steps are done.
    pub(crate) fn batches_after(&self, steps: usize) -> usize {
        let rounds = steps.saturating_mul(self.accumulate);
        self.shares.iter().map(|batches| rounds.min(*batches)).sum()
    }

    /// The step, counted from 1, that the last of so many batches belongs to; 0 of none.
    pub(crate) fn step_of(&self, batches: usize) -> usize {
        let (mut low, mut high) = (0, self.steps());
        while low < high {
            let middle = low.midpoint(high);
            match self.batches_after(middle) < batches {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted_as_burn_makes_them() {
        for samples in 1..60 {
            for (batch, accumulate, devices) in [
                (1, 1, 1),
                (4, 1, 1),
                (4, 3, 1),
                (4, 1, 2),
                (5, 2, 3),
                (3, 1, 4),
                (1, 1, 4),
                (2, 2, 5),
            ] {
                let cut = EpochSteps::cut(samples, batch, accumulate, devices);
                let equal = samples / devices;
                let mut left = vec![equal; devices];
                left[devices - 1] = samples - equal * (devices - 1);
                // As Burn's loop does: rounds while anybody has a batch, a step after so many or at the end.
                let (mut steps, mut batches, mut rounds) = (0, 0, 0);
                while left.iter().any(|left| *left > 0) {
                    for left in left.iter_mut().filter(|left| **left > 0) {
                        *left = left.saturating_sub(batch);
                        batches += 1;
                        assert_eq!(cut.step_of(batches), steps + 1);
                    }
                    rounds += 1;
                    if rounds == accumulate || left.iter().all(|left| *left == 0) {
                        (steps, rounds) = (steps + 1, 0);
                        assert_eq!(cut.batches_after(steps), batches);
                    }
                }
                assert_eq!((cut.steps(), cut.batches()), (steps, batches));
                assert_eq!((cut.step_of(0), cut.batches_after(0)), (0, 0));
            }
        }
    }
}
