//! Knowledge distillation: a student learns what a teacher says of the training pictures, beside their labels.
//!
//! With weight w, temperature T, the student's logits z, the teacher's t, and CE the loss by the labels
//! (arXiv 1503.02531, section 2):
//!
//! ```text
//! (1 − w) · CE  +  w · T² · mean over the batch of KL(softmax(t / T) ‖ softmax(z / T))
//! ```
//!
//! T² keeps the gradients of both parts in proportion whatever the temperature. The teacher is a file of logits, one row
//! a picture: fixed targets, of the picture as the teacher saw it for evaluation, whatever crop of it the student sees. Of
//! mixed pictures the teacher's probabilities are mixed by the pictures' shares.

mod file;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use dyrep_data::{Dataset, Mix};

pub use file::TeacherLogits;

use crate::error::TrainError;

/// A teacher, and how much it counts.
#[derive(Clone, Debug)]
pub struct Distillation {
    /// What it says of the training pictures.
    pub teacher: Arc<TeacherLogits>,
    /// Its share w of the loss, above 0 and not above 1.
    pub weight: f64,
    /// What both networks' logits are divided by, T, 0.01 to 100.
    pub temperature: f64,
}

impl Distillation {
    /// Whether the teacher is one of these pictures, and the numbers are within their bounds.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, set: &dyn Dataset) -> Result<(), TrainError> {
        let Self { weight, temperature, .. } = *self;
        let bounds = [
            ("distillation weight", weight, weight > 0.0 && weight <= 1.0, WEIGHT),
            ("distillation temperature", temperature, in_range(temperature), TEMPERATURE),
        ];
        if let Some((option, found, _, expected)) = bounds.into_iter().find(|it| !it.2) {
            return Err(TrainError::Config { option, expected, found: found.to_string() });
        }
        self.teacher.check(set)
    }

    /// What the teacher says of a batch of these samples, mixed as its pictures are.
    ///
    /// # Panics
    /// If a sample is not one of the data set, or the mix is one of another number of pictures.
    #[must_use]
    pub fn targets(&self, samples: &[usize], mix: Option<&Mix>, device: &Device) -> SoftTargets {
        let classes = self.teacher.classes();
        let own: Vec<f64> = samples.iter().flat_map(|sample| self.probabilities(*sample)).collect();
        let all = match mix {
            None => own,
            Some(Mix { lambda, partner, .. }) => {
                assert_eq!(partner.len(), samples.len(), "a mix for another number of pictures");
                let other = |at: usize| own[partner[at / classes] * classes + at % classes];
                let mixed = own.iter().enumerate();
                mixed.map(|(at, own)| lambda * own + (1.0 - lambda) * other(at)).collect()
            }
        };
        // What is impossible adds nothing: x ln x goes to 0 with x.
        let term = |p: &f64| if *p > 0.0 { p * p.ln() } else { 0.0 };
        let certainty = all.iter().map(term).sum::<f64>() / samples.len().max(1) as f64;
        let narrow = all.into_iter().map(|p| p as f32).collect::<Vec<f32>>();
        let data = TensorData::new(narrow, [samples.len(), classes]);
        SoftTargets {
            probabilities: Tensor::from_data(data, device),
            certainty,
            weight: self.weight,
            temperature: self.temperature,
        }
    }

    /// softmax(t / T) of a sample.
    fn probabilities(&self, sample: usize) -> Vec<f64> {
        let logits: Vec<f64> = self.teacher.row(sample).map(f64::from).collect();
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let terms = logits.iter().map(|logit| ((logit - largest) / self.temperature).exp());
        let terms: Vec<f64> = terms.collect();
        let sum: f64 = terms.iter().sum();
        terms.into_iter().map(|term| term / sum).collect()
    }
}

const WEIGHT: &str = "a number above 0 and not above 1";
const TEMPERATURE: &str = "a number from 0.01 to 100";

fn in_range(temperature: f64) -> bool {
    (0.01..=100.0).contains(&temperature)
}

/// What a teacher says of a batch.
#[derive(Clone, Debug)]
pub struct SoftTargets {
    /// softmax(t / T), of mixed pictures mixed, `[batch, classes]`.
    pub probabilities: Tensor<2>,
    /// The mean over the batch of Σ p ln p: with it the loss is a divergence, which is 0 where both agree.
    certainty: f64,
    weight: f64,
    temperature: f64,
}

impl SoftTargets {
    /// The loss of a batch with logits `[batch, classes]`, of which `of_labels` makes the part of the labels: `[1]`.
    pub(crate) fn loss(
        &self,
        logits: &Tensor<2>,
        of_labels: impl FnOnce() -> Tensor<1>,
    ) -> Tensor<1> {
        let Self { probabilities, certainty, weight, temperature } = self;
        let [batch, _] = logits.dims();
        let logs = log_softmax(logits.clone() / *temperature, 1);
        let agreement = (probabilities.clone() * logs).sum() / batch as f64;
        let divergence = agreement.neg() + *certainty;
        let soft = divergence * (weight * temperature * temperature);
        // Alone, it is not to become no number with what it is not made of.
        if *weight >= 1.0 { soft } else { of_labels() * (1.0 - weight) + soft }
    }
}
