//! Which learning rate a training may have: a short training whose rate rises at each step (arXiv 1506.01186, section 3.3).

use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::tensor::Device;
use burn_train::TrainStep;
use serde::Serialize;

use crate::error::TrainError;
use crate::pictures::Pictures;
use crate::plan::Plan;

/// Steps of a search, and the rates that it begins and ends with.
const STEPS: usize = 100;
const RATES: [f64; 2] = [1e-6, 10.0];
/// What the smoothed loss keeps of itself at a step.
const SMOOTHING: f64 = 0.9;
/// The search ends where the smoothed loss is so many times the lowest one.
const DIVERGED: f64 = 4.0;
/// Steps at both ends that say nothing: of a loss that is hardly smoothed, and of one that goes up already.
const ENDS: [usize; 2] = [5, 3];

/// A step of a search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RatePoint {
    /// The learning rate.
    pub rate: f64,
    /// The loss of its batch, before the step.
    #[serde(with = "dyrep_burn::number")]
    pub loss: f64,
    /// The mean of the losses so far, of which late ones count more.
    #[serde(with = "dyrep_burn::number")]
    pub smoothed: f64,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RateSearch {
    /// Its steps, until the loss rose far above its lowest.
    pub points: Vec<RatePoint>,
    /// The rate at which the smoothed loss falls most, by the logarithm of the rate; nothing where it never falls.
    pub steepest: Option<f64>,
    /// The rate at which the smoothed loss is lowest: about there a training diverges, and a tenth of it is a usual choice.
    pub lowest: Option<f64>,
}

impl RateSearch {
    fn of(points: Vec<RatePoint>) -> Self {
        let lowest = (0..points.len())
            .reduce(|best, at| if points[at].smoothed < points[best].smoothed { at } else { best });
        let until = points.len().saturating_sub(ENDS[1]);
        // Rates are equally far apart in their logarithm, and the loss of a step is of the weights before it.
        let slope = |at: usize| points[at + 1].smoothed - points[at - 1].smoothed;
        let steepest = (ENDS[0]..until.min(lowest.unwrap_or(0)))
            .map(|at| (slope(at), points[at].rate))
            .filter(|(slope, _)| *slope < 0.0)
            .reduce(|best, other| if other.0 < best.0 { other } else { best });
        let lowest = lowest.map(|at| points[at].rate);
        Self { points, steepest: steepest.map(|(_, rate)| rate), lowest }
    }
}

impl Plan {
    /// Trains the network for up to 100 steps, at rates from 1e-6 to 10 on a logarithmic scale, on the first device and one
    /// batch a step, without mixing. `progress` is told after each step how many are done. Nothing is written, and the plan
    /// is as it was.
    ///
    /// # Errors
    /// Data that cannot be read; groups that name layers that are not there.
    pub fn search_rate(
        &self,
        devices: &[Device],
        mut progress: impl FnMut(usize, usize),
    ) -> Result<RateSearch, TrainError> {
        let device = self.training.graph(&devices[0]);
        let (mut model, mut optimizer) = self.learner(self.network.clone(), &devices[0])?;
        let mut batches = (1..).flat_map(|epoch| self.train.epoch(epoch));
        let mut points: Vec<RatePoint> = vec![];
        let (mut sum, mut weight) = (0.0, 0.0);
        for step in 0..STEPS {
            let share = step as f64 / (STEPS - 1) as f64;
            let rate = RATES[0] * (RATES[1] / RATES[0]).powf(share);
            let batch = batches.next().unwrap_or_else(|| unreachable!("epochs have no end"))?;
            let pictures = Pictures::new(&batch, &self.training.input, &device);
            let teacher = self.training.distillation.as_ref();
            let pictures = pictures.taught(teacher, &batch.samples, None);
            let output = TrainStep::step(&model, pictures);
            let loss = output.item.loss.into_data().iter::<f64>().sum::<f64>();
            sum = SMOOTHING * sum + (1.0 - SMOOTHING) * loss;
            weight = SMOOTHING * weight + (1.0 - SMOOTHING);
            let smoothed = sum / weight;
            let lowest = points.iter().map(|point| point.smoothed).fold(f64::INFINITY, f64::min);
            if !loss.is_finite() || smoothed > DIVERGED * lowest {
                break;
            }
            points.push(RatePoint { rate, loss, smoothed });
            model = model.optimize(&mut optimizer, ModuleLearningRate::from(rate), output.grads);
            progress(step + 1, STEPS);
        }
        Ok(RateSearch::of(points))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(losses: impl Fn(usize) -> f64, steps: usize) -> RateSearch {
        let point = |at: usize| RatePoint {
            rate: 10_f64.powf(-6.0 + 0.1 * at as f64),
            loss: losses(at),
            smoothed: losses(at),
        };
        RateSearch::of((0..steps).map(point).collect())
    }

    #[test]
    fn the_steepest_fall_and_the_lowest_loss_are_found() {
        // Falls most at 30, is lowest at 50, rises then.
        let fall = |at: usize| 1.0 / (1.0 + (0.4 * (at as f64 - 30.0)).exp());
        let loss = |at: usize| 1.0 + fall(at) + if at > 50 { 0.1 * (at - 50) as f64 } else { 0.0 };
        let found = search(loss, 60);
        assert!((found.steepest.unwrap().log10() + 3.0).abs() < 0.05, "{:?}", found.steepest);
        assert!((found.lowest.unwrap().log10() + 1.0).abs() < 1e-9, "{:?}", found.lowest);
    }

    #[test]
    fn a_loss_that_never_falls_has_no_rate() {
        let found = search(|at| 1.0 + at as f64, 40);
        assert_eq!((found.steepest, found.lowest), (None, Some(1e-6)));
        assert_eq!(search(|_| 1.0, 0), RateSearch { points: vec![], steepest: None, lowest: None });
    }
}
