//! What deployment changed: nothing but the cost.

use std::time::Instant;

use burn::tensor::{Device, Tensor};
use dyrep_burn::{Report, deploy, verify};
use dyrep_data::Loader;
use dyrep_models::Network;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::evaluate::{Accuracy, ClassAccuracy, evaluate_with};
use crate::input::InputSpec;

/// Batches of the validation set that outputs are compared on.
const VERIFY_BATCHES: usize = 4;
/// Timed passes of each form, in alternation.
const TIMED_PASSES: usize = 9;

/// The cost of one form of a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Learnable parameters.
    pub params: usize,
    /// Multiply-adds for one picture.
    pub flops: u64,
    /// Median seconds to infer one batch of the size given.
    pub seconds: f64,
}

/// A trained model, its deployed form, and both measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deployment {
    /// Accuracy in training form, evaluation mode.
    pub accuracy_before: Accuracy,
    /// Accuracy deployed.
    pub accuracy_after: Accuracy,
    /// How far outputs are apart.
    pub difference: Report,
    /// Cost in training form.
    pub before: Cost,
    /// Cost deployed.
    pub after: Cost,
    /// Pictures in the batches whose inference was timed.
    pub batch: usize,
    /// How well the deployed form tells each class, in the order of the logits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_class: Vec<ClassAccuracy>,
}

impl Deployment {
    /// Deploys `model` and measures both forms on the pictures of `validation`; returns the deployed model.
    ///
    /// # Errors
    /// Data that cannot be read.
    pub fn measure<N: Network>(
        model: &N,
        validation: &Loader,
        input: &InputSpec,
        device: &Device,
    ) -> Result<(N, Self), TrainError> {
        let device = device.clone().inner();
        let (trained, deployed) = (model.valid(), deploy(model));
        let mut inputs = vec![];
        for batch in validation.epoch(0).take(VERIFY_BATCHES) {
            inputs.push(input.images(&batch?, &device));
        }
        let difference = verify(&trained, &deployed, inputs.clone(), N::forward);
        let accuracy = |model: &N| evaluate_with(model, validation, input, &device, |_| {});
        let (accuracy_before, _) = accuracy(&trained)?;
        let (accuracy_after, confusion) = accuracy(&deployed)?;
        let [batch, channels, height, width] = inputs.first().map_or([0; 4], Tensor::dims);
        let [before_seconds, after_seconds] = match inputs.first() {
            Some(images) => time([&trained, &deployed], images),
            None => [0.0; 2],
        };
        let cost = |model: &N, seconds| Cost {
            params: model.params(),
            flops: model.flops([channels, height, width]),
            seconds,
        };
        let measured = Self {
            accuracy_before,
            accuracy_after,
            difference,
            before: cost(&trained, before_seconds),
            after: cost(&deployed, after_seconds),
            batch,
            by_class: confusion.by_class(),
        };
        Ok((deployed, measured))
    }
}

/// Median seconds of each model, run in turn so that both see the machine's moods.
fn time<N: Network>(models: [&N; 2], images: &Tensor<4>) -> [f64; 2] {
    let mut seconds = [vec![], vec![]];
    for pass in 0..=TIMED_PASSES {
        for (model, seconds) in models.iter().zip(&mut seconds) {
            let started = Instant::now();
            // Reading the result waits for the device.
            let _logits = model.forward(images.clone()).into_data();
            if pass > 0 {
                seconds.push(started.elapsed().as_secs_f64());
            }
        }
    }
    seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    })
}
