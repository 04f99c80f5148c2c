//! Training batches for measuring batch norms: drawn again and again, always the same.

use std::sync::{Arc, Mutex, PoisonError};

use burn_train::TrainStep;
use dyrep_data::{Batch, DataError, Epoch, Loader};
use dyrep_models::Network;

use super::Training;
use crate::classifier::Classifier;
use crate::device::home;
use crate::dyrep::BoxedError;
use crate::input::InputSpec;
use crate::pictures::Pictures;

/// Epochs far from those that are trained on, so that the draws are others.
const FIRST_EPOCH: u64 = 1 << 40;

/// Batches by epoch and number.
#[derive(Debug)]
pub(super) struct Calibration {
    loader: Arc<Loader>,
    input: InputSpec,
    at: Mutex<Option<At>>,
}

/// Where drawing stands.
#[derive(Debug)]
struct At {
    epoch: usize,
    /// The number that comes next.
    next: usize,
    /// A small data set is gone through several times, in another order each.
    round: u64,
    batches: Epoch,
}

impl Calibration {
    pub(super) fn new(loader: Arc<Loader>, input: InputSpec) -> Self {
        Self { loader, input, at: Mutex::new(None) }
    }

    pub(super) fn run<N: Network>(
        &self,
        model: &Classifier<N>,
        epoch: usize,
        index: usize,
    ) -> Result<(), BoxedError> {
        let batch = self.batch(epoch, index)?;
        let _logits = model.network.forward(self.input.images(&batch, &home(model)));
        Ok(())
    }

    /// A training step of a copy, which leaves the model as it is.
    pub(super) fn trial<N: Network>(
        &self,
        training: &Training,
        model: &Classifier<N>,
        epoch: usize,
    ) -> Result<(), BoxedError> {
        let batch = self.batch(epoch, 0)?;
        let device = home(model);
        let network = training.learning(model.network.valid(), &device.clone().inner());
        let pictures = Pictures::new(&batch, &self.input, &training.graph(&device.inner()));
        let _gradients = TrainStep::step(&training.classifier(network), pictures).grads;
        Ok(())
    }

    fn batch(&self, epoch: usize, index: usize) -> Result<Batch, DataError> {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let drawing = match at.take() {
            Some(at) if at.epoch == epoch && at.next <= index => at,
            _ => self.start(epoch, 0, 0),
        };
        let drawing = at.insert(drawing);
        loop {
            let Some(batch) = drawing.batches.next() else {
                *drawing = self.start(epoch, drawing.round + 1, drawing.next);
                continue;
            };
            drawing.next += 1;
            if drawing.next > index {
                return batch;
            }
        }
    }

    fn start(&self, epoch: usize, round: u64, next: usize) -> At {
        let number = FIRST_EPOCH + ((epoch as u64) << 20) + round;
        At { epoch, next, round, batches: self.loader.epoch(number) }
    }
}
