//! Accuracy on a data set.

use burn::tensor::Device;
use dyrep_data::{DataError, Loader};
use serde::{Deserialize, Serialize};

use crate::classifier::Network;
use crate::input::InputSpec;

/// How many of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Pictures whose class has the largest logit.
    pub correct: usize,
    /// Pictures.
    pub total: usize,
}

impl Accuracy {
    /// Between 0 and 1; 0 for no picture.
    #[must_use]
    pub fn fraction(self) -> f64 {
        self.correct as f64 / self.total.max(1) as f64
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
    let model = model.valid();
    let device = device.clone().inner();
    let mut accuracy = Accuracy::default();
    for batch in loader.epoch(0) {
        let batch = batch?;
        let logits = model.forward(input.images(&batch, &device));
        let classes = logits.argmax(1).flatten::<1>(0, 1);
        let hits = classes.equal(input.targets(&batch, &device)).int().sum().into_data();
        accuracy.correct += hits.iter::<i64>().sum::<i64>().max(0) as usize;
        accuracy.total += batch.labels.len();
    }
    Ok(accuracy)
}
