//! The learning rate as a function of the step, and, for a plateau, of the accuracies so far.

mod plateau;

use burn::optim::LearningRate;
use burn::optim::lr_scheduler::{LrScheduler, LrSchedulerRecord};
use dyrep_recipe::{ScheduleConfig, ScheduleKind};

use plateau::{Accuracies, rate_after};

/// A recipe's schedule in steps: a learning rate that rises in a straight line while it warms up, then falls; stepped once
/// for each step of the optimiser.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    config: ScheduleConfig,
    /// The highest rate.
    rate: f64,
    steps_per_epoch: usize,
    /// Steps done.
    done: usize,
    /// The run's record has them, and its recorder tells them.
    accuracies: Accuracies,
}

impl Schedule {
    /// The schedule of a run that has this rate at its highest, and so many steps an epoch.
    #[must_use]
    pub fn new(config: ScheduleConfig, rate: f64, steps_per_epoch: usize) -> Self {
        let accuracies = Accuracies::default();
        Self { config, rate, steps_per_epoch, done: 0, accuracies }
    }

    /// The validation accuracy of each epoch so far, from 0 to 1, for a schedule that asks for it. All clones learn of it.
    pub fn tell(&self, accuracies: impl Iterator<Item = f64>) {
        self.accuracies.set(accuracies);
    }

    /// The rate of a step, counted from 0. On a plateau it depends on the accuracies of the epochs before the step's.
    #[must_use]
    pub fn at(&self, step: usize) -> f64 {
        let rate = self.rate;
        let ScheduleConfig {
            epochs,
            kind,
            warm_up_epochs,
            warm_up_learning_rate: first_rate,
            final_learning_rate: last_rate,
        } = &self.config;
        let steps_of = |epochs: usize| epochs * self.steps_per_epoch;
        let (steps, warm_up) = (steps_of(*epochs), steps_of(*warm_up_epochs));
        if step < warm_up {
            // Step `i` has `(i + 1) / (warm_up + 1)` of the way.
            return first_rate + (rate - first_rate) * (step + 1) as f64 / (warm_up + 1) as f64;
        }
        let part_done = || {
            let span = steps.saturating_sub(warm_up).max(1) as f64;
            ((step - warm_up) as f64 / span).min(1.0)
        };
        match kind {
            ScheduleKind::Cosine => {
                let part = 0.5 * (1.0 + (std::f64::consts::PI * part_done()).cos());
                last_rate + (rate - last_rate) * part
            }
            ScheduleKind::Poly { power } => {
                last_rate + (rate - last_rate) * (1.0 - part_done()).powf(*power)
            }
            ScheduleKind::Step { milestones, factor } => {
                let passed = milestones.iter().filter(|epoch| step >= steps_of(**epoch)).count();
                let rate = rate * factor.powi(i32::try_from(passed).unwrap_or(i32::MAX));
                rate.max(*last_rate)
            }
            ScheduleKind::OneCycle { pct_start, div_factor, final_div_factor } => {
                let first = rate / div_factor;
                let top = (pct_start * steps as f64 - 1.0).max(0.0);
                let end = steps as f64 - 1.0;
                let step = (step as f64).min(end);
                match step <= top {
                    true => between(first, rate, step / top),
                    false => between(rate, first / final_div_factor, (step - top) / (end - top)),
                }
            }
            // Accuracies of epochs in which it warms up do not count.
            ScheduleKind::Plateau(plateau) => {
                let epoch = step / self.steps_per_epoch.max(1);
                let accuracies = self.accuracies.of(*warm_up_epochs, epoch);
                rate_after(plateau, rate, *last_rate, &accuracies)
            }
        }
    }
}

/// From one rate to another along half a cosine, `part` of the way; a way of no length is at its end.
fn between(from: f64, to: f64, part: f64) -> f64 {
    let part = if part.is_nan() { 1.0 } else { part };
    to + (from - to) / 2.0 * (1.0 + (std::f64::consts::PI * part).cos())
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
    use dyrep_recipe::Plateau;

    use super::*;

    /// Of epochs of one step.
    fn of_steps(rate: f64, config: ScheduleConfig) -> Schedule {
        Schedule::new(config, rate, 1)
    }

    fn of_kind(rate: f64, epochs: usize, kind: ScheduleKind) -> Schedule {
        of_steps(rate, ScheduleConfig { kind, ..ScheduleConfig::cosine(epochs) })
    }

    #[test]
    fn it_warms_up_and_falls_along_a_cosine() {
        let cosine = ScheduleConfig::cosine(14);
        let config = ScheduleConfig { warm_up_epochs: 4, final_learning_rate: 0.1, ..cosine };
        let schedule = of_steps(1.0, config);
        let rates: Vec<f64> = (0..14).map(|step| schedule.at(step)).collect();
        assert_eq!(&rates[..5], [0.2, 0.4, 0.6, 0.8, 1.0]);
        assert!((rates[9] - 0.55).abs() < 1e-12, "the middle is the mean of both ends");
        assert!(rates[4..].windows(2).all(|pair| pair[1] < pair[0]));
        assert!((schedule.at(14) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn milestones_are_first_steps_of_lower_rates() {
        let kind = ScheduleKind::Step { milestones: vec![2, 3, 9], factor: 0.1 };
        let config = ScheduleConfig { kind, ..ScheduleConfig::cosine(4) };
        let schedule = Schedule::new(config, 1.0, 2);
        let rates: Vec<f64> = (0..8).map(|step| schedule.at(step)).collect();
        let want = [1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01];
        assert!(rates.iter().zip(want).all(|(rate, want)| (rate - want).abs() < 1e-15));
    }

    /// The rates of all steps against PyTorch's, which `tests/torch_schedules.py` prints.
    #[track_caller]
    fn check(schedule: &Schedule, want: &[f64]) {
        for (step, want) in want.iter().enumerate() {
            let rate = schedule.at(step);
            assert!((rate - want).abs() < 1e-15, "step {step}: {rate} instead of {want}");
        }
    }

    #[test]
    fn a_power_is_pytorch_s() {
        let poly = of_kind(0.4, 8, ScheduleKind::Poly { power: 0.9 });
        let want = [
            0.4,
            0.3547049417028829,
            0.30875580268942815,
            0.26203059736723944,
            0.21435469250725864,
            0.1654581378633105,
            0.1148698354997035,
            0.06155722066724582,
            0.0,
            0.0,
        ];
        check(&poly, &want);
        // With another end, and a warm-up before it, as mmsegmentation's `PolyLR` has them.
        let config = ScheduleConfig {
            epochs: 10,
            final_learning_rate: 0.1,
            warm_up_epochs: 2,
            ..poly.config
        };
        let other = of_steps(0.4, config);
        for step in 0..8 {
            let part: f64 = 1.0 - step as f64 / 8.0;
            let want = (0.4 - 0.1) * part.powf(0.9) + 0.1;
            assert!((other.at(step + 2) - want).abs() < 1e-15);
        }
    }

    #[test]
    fn one_cycle_is_pytorch_s() {
        let kind =
            ScheduleKind::OneCycle { pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4 };
        let usual = of_kind(0.4, 10, kind);
        let want = [
            0.016000000000000014,
            0.20800000000000002,
            0.4,
            0.38019385280538953,
            0.3246982615799052,
            0.24450480877451572,
            0.1554967912254843,
            0.0753033384200948,
            0.019807747194610516,
            1.6e-06,
        ];
        check(&usual, &want);
        assert_eq!(usual.at(99), usual.at(9), "beyond the end it stays");
        // The top lies between two steps.
        let kind =
            ScheduleKind::OneCycle { pct_start: 0.25, div_factor: 10.0, final_div_factor: 100.0 };
        let want = [
            0.03999999999999998,
            0.36562305898749053,
            0.38795058563302454,
            0.33731107924617304,
            0.25750328589567584,
            0.16550509410214734,
            0.08088771337778336,
            0.02165219846338225,
            0.0004,
        ];
        check(&of_kind(0.4, 9, kind), &want);
    }

    /// PyTorch divides by zero there.
    #[test]
    fn a_cycle_of_few_steps_has_a_rate() {
        for steps in 1..5 {
            for pct_start in [1e-9, 0.25, 0.5, 0.999_999] {
                let (div_factor, final_div_factor) = (25.0, 1e4);
                let kind = ScheduleKind::OneCycle { pct_start, div_factor, final_div_factor };
                let schedule = of_kind(0.4, steps, kind);
                let rates: Vec<f64> = (0..steps + 2).map(|step| schedule.at(step)).collect();
                let good = |rate: &f64| *rate > 0.0 && *rate <= 0.4 + 1e-15;
                assert!(rates.iter().all(good), "{steps} {pct_start}: {rates:?}");
            }
        }
    }

    const ACCURACIES: [f64; 16] =
        [0.5, 0.6, 0.6, 0.60005, 0.59, 0.7, 0.69, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.8, 0.1, 0.1];

    #[test]
    fn a_plateau_is_pytorch_s() {
        let usual = Plateau { factor: 0.5, patience: 1, threshold: 1e-4, cooldown: 0 };
        let rates = |plateau: Plateau, final_learning_rate| -> Vec<f64> {
            let kind = ScheduleKind::Plateau(plateau);
            let cosine = ScheduleConfig::cosine(17);
            let config = ScheduleConfig { kind, final_learning_rate, ..cosine };
            let schedule = Schedule::new(config, 0.4, 3);
            schedule.tell(ACCURACIES.into_iter());
            let of_epoch = |epoch: usize| {
                let rates = [0, 1, 2].map(|step: usize| schedule.at(3 * epoch + step));
                assert!(rates.iter().all(|rate| *rate == rates[0]), "one rate an epoch");
                rates[0]
            };
            (0..17).map(of_epoch).collect()
        };
        let want = [
            0.4, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.2, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.025,
            0.025, 0.0125,
        ];
        assert_eq!(rates(usual, 0.0), want);
        let want = [
            0.4, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05,
            0.025,
        ];
        assert_eq!(rates(Plateau { cooldown: 2, ..usual }, 0.0), want);
        let mut want = [0.15; 17];
        (want[..3]).copy_from_slice(&[0.4; 3]);
        want[3] = 0.2;
        assert_eq!(rates(Plateau { patience: 0, ..usual }, 0.15), want);
    }

    /// What later epochs are like does not change an earlier one's rate, and warming up is no plateau.
    #[test]
    fn a_plateau_looks_back_only() {
        let plateau = Plateau { factor: 0.5, patience: 0, threshold: 1e-4, cooldown: 0 };
        let kind = ScheduleKind::Plateau(plateau);
        let config = ScheduleConfig { kind, warm_up_epochs: 2, ..ScheduleConfig::cosine(10) };
        let schedule = Schedule::new(config, 0.4, 2);
        let clone = schedule.clone();
        clone.tell([0.9, 0.9, 0.5, 0.5, f64::NAN, 0.9].into_iter());
        let rates: Vec<f64> = (2..7).map(|epoch| schedule.at(2 * epoch)).collect();
        assert_eq!(rates, [0.4, 0.4, 0.2, 0.1, 0.1]);
        schedule.tell([0.9, 0.9, 0.5].into_iter());
        assert_eq!(clone.at(6), 0.4);
    }

    #[test]
    fn a_warm_up_may_begin_above_zero() {
        let cosine = ScheduleConfig::cosine(14);
        let config = ScheduleConfig { warm_up_epochs: 4, warm_up_learning_rate: 0.5, ..cosine };
        let schedule = of_steps(1.0, config);
        let rates: Vec<f64> = (0..5).map(|step| schedule.at(step)).collect();
        assert_eq!(rates, [0.6, 0.7, 0.8, 0.9, 1.0]);
    }

    #[test]
    fn it_goes_on_from_its_record() {
        let mut schedule = of_steps(1.0, ScheduleConfig::cosine(10));
        let rates: Vec<f64> = (0..10).map(|_| schedule.step()).collect();
        let mut first = of_steps(1.0, ScheduleConfig::cosine(10));
        for rate in &rates[..4] {
            assert_eq!(first.step(), *rate);
        }
        let mut second = of_steps(1.0, ScheduleConfig::cosine(10));
        second.load_record(first.to_record());
        let rest: Vec<f64> = (0..6).map(|_| second.step()).collect();
        assert_eq!(rest, rates[4..]);
    }
}
