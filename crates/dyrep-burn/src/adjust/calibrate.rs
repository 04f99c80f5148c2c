//! Measuring a convolution's inputs with the rest of the network in evaluation mode.

use burn::module::Module;
use burn::nn::BatchNorm;
use burn::tensor::Tensor;

use super::Target;
use crate::error::AdjustError;
use crate::fuse::wide;
use crate::layer::{set_state, with_value};
use crate::look::tap;
use crate::ops::mean_axis;

/// Training batches to measure new batch norms on.
///
/// `run(model, i)` passes the `i`-th batch through the model it is given and drops the result; asked twice
/// for the same `i` it must draw the same batch. DyRep takes 20 batches.
pub struct Calibration<'a, M> {
    batches: usize,
    run: &'a mut dyn FnMut(&M, usize),
}

impl<'a, M: Module> Calibration<'a, M> {
    /// Calibrates on batches `0..batches`.
    pub fn new(batches: usize, run: &'a mut dyn FnMut(&M, usize)) -> Self {
        Self { batches, run }
    }

    /// Gives `measure` each input that the target convolutions of `model` get, with the target's place in
    /// `targets` and the number of inputs that it got before.
    ///
    /// `model` must be in evaluation mode.
    pub(super) fn each_input(
        &mut self,
        model: &M,
        targets: &[&Target],
        mut measure: impl FnMut(usize, Tensor<4>, usize),
    ) -> Result<(), AdjustError> {
        let path = |target: &Target| target.path.clone();
        if let (0, Some(target)) = (self.batches, targets.first()) {
            return Err(AdjustError::NoCalibration { path: path(target) });
        }
        let only = match targets {
            [target] => Some(target.layer.id()),
            _ => None,
        };
        let layers: Vec<_> = targets.iter().map(|target| target.layer.valid()).collect();
        let mut seen = vec![0; targets.len()];
        for batch in 0..self.batches {
            let ((), flows) = tap::listen(only, || (self.run)(model, batch));
            for flow in flows {
                for (i, target) in targets.iter().enumerate() {
                    if target.layer.id() == flow.layer {
                        let input = layers[i].input_at(&target.address, flow.input.clone());
                        measure(i, input, seen[i]);
                        seen[i] += 1;
                    }
                }
            }
        }
        match seen.iter().position(|seen| *seen == 0) {
            Some(i) => Err(AdjustError::NotReached { path: path(targets[i]) }),
            None => Ok(()),
        }
    }

    /// Passes the first batch through the model.
    pub(crate) fn run_once(&mut self, model: &M) {
        (self.run)(model, 0);
    }
}

/// Mean and variance of each channel, averaged over batches with equal weights.
///
/// The variance is the biased one, by which a batch is normalised in training mode: only so does a norm
/// with the γ that undoes it keep its function there.
#[derive(Default)]
pub(super) struct Statistics {
    sums: Option<(Tensor<1>, Tensor<1>)>,
    batches: usize,
}

impl Statistics {
    /// Adds a batch `[batch, channels, height, width]`.
    pub(super) fn add(&mut self, values: Tensor<4>) {
        let values = wide(values);
        let [batch, channels, height, width] = values.dims();
        let count = batch * height * width;
        let rows = values.swap_dims(0, 1).reshape([channels, count]);
        let mean = mean_axis(rows.clone(), 1);
        let variance = mean_axis((rows - mean.clone()).powi_scalar(2), 1);
        let (mean, variance) = (mean.reshape([channels]), variance.reshape([channels]));
        self.batches += 1;
        self.sums = Some(match self.sums.take() {
            None => (mean, variance),
            Some((means, variances)) => (means + mean, variances + variance),
        });
    }

    /// `(mean, variance)`, each `[channels]`.
    pub(super) fn average(&self) -> (Tensor<1>, Tensor<1>) {
        let (means, variances) = self.sums.clone().expect("at least one batch was measured");
        (means / self.batches as f64, variances / self.batches as f64)
    }
}

/// Sets a norm to pass values through unchanged at inference: γ = 1, β = 0, mean 0, variance 1.
///
/// The variance is `1 − ε`, so that the scale is 1 and not `1 / √(1 + ε)`.
pub(super) fn set_identity(norm: &mut BatchNorm) {
    let ones = wide(norm.gamma.val()).ones_like();
    let zeros = ones.zeros_like();
    let variance = ones.clone() - norm.epsilon;
    set(norm, ones, zeros.clone(), zeros, variance);
}

/// Sets a norm to these statistics, with the γ and β that undo them: it passes values through unchanged at
/// inference, and nearly so in training mode.
pub(super) fn set_neutral(norm: &mut BatchNorm, (mean, variance): (Tensor<1>, Tensor<1>)) {
    let gamma = (variance.clone() + norm.epsilon).sqrt();
    set(norm, gamma, mean.clone(), mean, variance);
}

fn set(
    norm: &mut BatchNorm,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    mean: Tensor<1>,
    variance: Tensor<1>,
) {
    norm.gamma = with_value(norm.gamma.clone(), gamma);
    norm.beta = with_value(norm.beta.clone(), beta);
    set_state(&norm.running_mean, mean);
    set_state(&norm.running_var, variance);
}
