//! The learning rate as a function of the step.

use burn::optim::LearningRate;
use burn::optim::lr_scheduler::{LrScheduler, LrSchedulerRecord};
use serde::{Deserialize, Serialize};

/// How the rate falls once it is warm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// Along half a cosine (SGDR, arXiv 1608.03983, without restarts).
    Cosine,
    /// By `factor` at each of these steps, counted from 0.
    Steps {
        /// The first steps at a lower rate.
        milestones: Vec<usize>,
        /// What the rate is multiplied by.
        factor: f64,
    },
}

/// A learning rate that rises in a straight line while it warms up, then falls; stepped once for each step of the
/// optimiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The highest rate.
    pub rate: f64,
    /// Where a cosine ends, and what steps do not fall below.
    pub last_rate: f64,
    /// Steps of the whole training.
    pub steps: usize,
    /// Steps that it warms up: step `i` has `(i + 1) / (warm_up + 1)` of the rate.
    pub warm_up: usize,
    /// How it falls.
    pub decay: Decay,
    /// Steps done.
    #[serde(default)]
    done: usize,
}

impl Schedule {
    /// A cosine from `rate` to zero over `steps`.
    #[must_use]
    pub fn cosine(rate: f64, steps: usize) -> Self {
        Self { rate, last_rate: 0.0, steps, warm_up: 0, decay: Decay::Cosine, done: 0 }
    }

    /// Rises to the rate over `steps` of the training's.
    #[must_use]
    pub fn with_warm_up(self, steps: usize) -> Self {
        Self { warm_up: steps, ..self }
    }

    /// Ends at this rate, and does not fall below it once warm.
    #[must_use]
    pub fn with_last_rate(self, rate: f64) -> Self {
        Self { last_rate: rate, ..self }
    }

    /// Falls in another way than along a cosine.
    #[must_use]
    pub fn with_decay(self, decay: Decay) -> Self {
        Self { decay, ..self }
    }

    /// The rate of a step, counted from 0.
    #[must_use]
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warm_up {
            return self.rate * (step + 1) as f64 / (self.warm_up + 1) as f64;
        }
        match &self.decay {
            Decay::Cosine => {
                let span = self.steps.saturating_sub(self.warm_up).max(1) as f64;
                let done = ((step - self.warm_up) as f64 / span).min(1.0);
                let part = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
                self.last_rate + (self.rate - self.last_rate) * part
            }
            Decay::Steps { milestones, factor } => {
                let passed = milestones.iter().filter(|milestone| step >= **milestone).count();
                let rate = self.rate * factor.powi(i32::try_from(passed).unwrap_or(i32::MAX));
                rate.max(self.last_rate)
            }
        }
    }
}

impl LrScheduler for Schedule {
    fn step(&mut self) -> LearningRate {
        self.done += 1;
        self.at(self.done - 1)
    }

    fn to_record(&self) -> LrSchedulerRecord {
        LrSchedulerRecord::new().with_scalar("done", self.done as u64)
    }

    fn load_record(&mut self, record: LrSchedulerRecord) {
        if let Some(done) = record.scalar::<u64>("done") {
            self.done = done as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_warms_up_and_falls_along_a_cosine() {
        let schedule = Schedule { warm_up: 4, last_rate: 0.1, ..Schedule::cosine(1.0, 14) };
        let rates: Vec<f64> = (0..14).map(|step| schedule.at(step)).collect();
        assert_eq!(&rates[..5], [0.2, 0.4, 0.6, 0.8, 1.0]);
        assert!((rates[9] - 0.55).abs() < 1e-12, "the middle is the mean of both ends");
        assert!(rates[4..].windows(2).all(|pair| pair[1] < pair[0]));
        assert!((schedule.at(14) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn milestones_are_first_steps_of_lower_rates() {
        let decay = Decay::Steps { milestones: vec![3, 5], factor: 0.1 };
        let schedule = Schedule { decay, ..Schedule::cosine(1.0, 7) };
        let rates: Vec<f64> = (0..7).map(|step| schedule.at(step)).collect();
        let want = [1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01];
        assert!(rates.iter().zip(want).all(|(rate, want)| (rate - want).abs() < 1e-15));
    }

    #[test]
    fn it_goes_on_from_its_record() {
        let mut schedule = Schedule::cosine(1.0, 10);
        let rates: Vec<f64> = (0..10).map(|_| schedule.step()).collect();
        let mut first = Schedule::cosine(1.0, 10);
        for rate in &rates[..4] {
            assert_eq!(first.step(), *rate);
        }
        let mut second = Schedule::cosine(1.0, 10);
        second.load_record(first.to_record());
        let rest: Vec<f64> = (0..6).map(|_| second.step()).collect();
        assert_eq!(rest, rates[4..]);
    }
}
