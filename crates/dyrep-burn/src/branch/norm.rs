//! Batch norms inside a block.
//!
//! The parameters live in Burn's [`BatchNorm`]; the pass over the data is ours, for two reasons.
//!
//! - **The running variance is the unbiased estimate** (n/(n−1) times the batch's), as in PyTorch and
//!   in the published runs; Burn keeps the biased one. What normalises the batch is biased in both.
//! - A block that has just grown is **calibrated**: statistics of single batches are averaged with equal
//!   weights, outside autodiff, while the rest of the network stays in evaluation mode.

use burn::nn::BatchNorm;
use burn::tensor::Tensor;

use crate::fuse::NormAffine;
use crate::ops::{Tail, blend, normalize_batch, normalize_by};

/// How the batch norms of a block see a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// As Burn does: batch statistics where the input is on an autodiff device and training is on,
    /// running statistics elsewhere.
    Ordinary,
    /// Batch statistics, averaged into the running ones with weight `1 / (seen + 1)`.
    Calibrate {
        /// Batches averaged so far.
        seen: usize,
        /// Which estimate of the variance.
        variance: Variance,
    },
}

/// An estimate of the variance of `n` values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variance {
    /// Squares over `n`: what a batch is normalised by while training.
    Biased,
    /// Squares over `n − 1`: what running statistics keep.
    Unbiased,
}

impl Pass {
    /// The weight of this batch in the running statistics; `None` if they are to be used, not updated.
    fn momentum(self, norm: &BatchNorm, input: &Tensor<4>) -> Option<f64> {
        match self {
            Self::Calibrate { seen, .. } => Some(1.0 / (seen as f64 + 1.0)),
            Self::Ordinary => {
                let trains = input.device().is_autodiff() && norm.training.is_enabled();
                trains.then_some(norm.momentum)
            }
        }
    }

    /// What running statistics take a batch's biased variance of `count` values times.
    pub(crate) fn unbias(self, count: usize) -> f64 {
        match self {
            Self::Calibrate { variance: Variance::Biased, .. } => 1.0,
            // A single value has no spread to estimate; its variance of zero is kept as it is.
            _ => count as f64 / count.saturating_sub(1).max(1) as f64,
        }
    }
}

/// Normalises `input` `[batch, channels, height, width]`.
pub(crate) fn normalize(norm: &BatchNorm, input: Tensor<4>, pass: Pass) -> Tensor<4> {
    let affine = [norm.gamma.val(), norm.beta.val()];
    let Some(momentum) = pass.momentum(norm, &input) else {
        // Statistics stay where the last update left them, which another device may have been.
        let device = input.device();
        let running = [&norm.running_mean, &norm.running_var];
        let running = running.map(|state| state.value_sync().to_device(&device));
        return normalize_by(input, affine, running, norm.epsilon, Tail::default());
    };
    let [count, _, height, width] = input.dims();
    let unbias = pass.unbias(count * height * width);
    let batch = normalize_batch(input, affine, norm.epsilon, Tail::default());
    blend(norm, batch.moments, momentum, unbias);
    batch.output
}

/// Pads `input` with the norm's image of zero, so that what follows sees at the border what it would see
/// had the input of the *first* convolution been padded with zeros.
///
/// The image is taken from the running statistics, also while training, and carries no gradient: as in
/// the published code. `pads` is `[(top, bottom), (left, right)]`.
pub(crate) fn pad_with_image_of_zero(
    norm: &BatchNorm,
    input: Tensor<4>,
    pads: [(usize, usize); 2],
) -> Tensor<4> {
    if pads == [(0, 0), (0, 0)] {
        return input;
    }
    let [_, channels, height, width] = input.dims();
    let inside = Tensor::<4>::ones([1, 1, height, width], &input.device());
    let border = 1.0 - inside.pad(pads, 0.0);
    let image = NormAffine::of(norm).shift.detach().reshape([1, channels, 1, 1]);
    input.pad(pads, 0.0) + image * border
}
