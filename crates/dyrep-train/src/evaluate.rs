//! Accuracy on a data set.

use std::cmp::Ordering;

use burn::tensor::{Device, Tensor};
use dyrep_data::{DataError, Loader};
use dyrep_models::Network;
use serde::{Deserialize, Serialize};

use crate::input::InputSpec;

/// How many of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Pictures whose class has the largest logit.
    pub correct: usize,
    /// Pictures whose class is among those with the five largest logits.
    #[serde(default)]
    pub among_five: usize,
    /// Pictures.
    pub total: usize,
}

impl Accuracy {
    /// Between 0 and 1; 0 for no picture.
    #[must_use]
    pub fn fraction(self) -> f64 {
        self.correct as f64 / self.total.max(1) as f64
    }

    /// The same for [`among_five`](Self::among_five).
    #[must_use]
    pub fn top_five(self) -> f64 {
        self.among_five as f64 / self.total.max(1) as f64
    }

    /// Counts pictures with logits `[batch, classes]` and these classes.
    pub(crate) fn count_batch(&mut self, logits: Tensor<2>, labels: &[i64]) {
        let [_, classes] = logits.dims();
        let logits: Vec<f32> = logits.into_data().iter().collect();
        for (logits, class) in logits.chunks_exact(classes).zip(labels) {
            self.count(logits, usize::try_from(*class).unwrap_or(usize::MAX));
        }
    }

    /// Counts a picture of class `class`. What is no number is larger than every other logit, so that it is never right.
    fn count(&mut self, logits: &[f32], class: usize) {
        let own = logits.get(class).copied().unwrap_or(f32::NAN);
        // The first of equal logits counts as the larger one.
        let before = |(index, logit): (usize, &f32)| match logit.partial_cmp(&own) {
            Some(Ordering::Less) => false,
            Some(Ordering::Equal) => index < class,
            Some(Ordering::Greater) | None => true,
        };
        let place = logits.iter().enumerate().filter(|(i, _)| *i != class).map(before);
        let place = place.filter(|before| *before).count();
        self.correct += usize::from(place == 0 && !own.is_nan());
        self.among_five += usize::from(place < 5 && !own.is_nan());
        self.total += 1;
    }
}

/// Counts correct classes over `loader`'s data set, the model in evaluation mode on `device`.
///
/// # Errors
/// Data that cannot be read.
pub fn evaluate<N: Network>(
    model: &N,
    loader: &Loader,
    input: &InputSpec,
    device: &Device,
) -> Result<Accuracy, DataError> {
    evaluate_with(model, loader, input, device, |_| {})
}

/// As [`evaluate`]; `progress` is told after each batch how many pictures are done.
///
/// # Errors
/// Data that cannot be read.
pub fn evaluate_with<N: Network>(
    model: &N,
    loader: &Loader,
    input: &InputSpec,
    device: &Device,
    mut progress: impl FnMut(usize),
) -> Result<Accuracy, DataError> {
    let model = model.valid();
    let device = device.clone().inner();
    let mut accuracy = Accuracy::default();
    for batch in loader.epoch(0) {
        let batch = batch?;
        accuracy.count_batch(model.forward(input.images(&batch, &device)), &batch.labels);
        progress(accuracy.total);
    }
    Ok(accuracy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_counted() {
        let mut accuracy = Accuracy::default();
        let logits = [0.1, 0.9, 0.3, 0.5, 0.7, 0.2, 0.4];
        for class in 0..7 {
            accuracy.count(&logits, class);
        }
        assert_eq!(accuracy, Accuracy { correct: 1, among_five: 5, total: 7 });
        // Of equal logits the first is the largest, as for the largest of a row.
        let mut equal = Accuracy::default();
        (0..7).for_each(|class| equal.count(&[0.0; 7], class));
        assert_eq!(equal, Accuracy { correct: 1, among_five: 5, total: 7 });
        let mut broken = Accuracy::default();
        (0..2).for_each(|class| broken.count(&[f32::NAN, 1.0], class));
        assert_eq!(broken, Accuracy { correct: 0, among_five: 1, total: 2 });
        assert!((accuracy.top_five() - 5.0 / 7.0).abs() < 1e-12);
    }
}
