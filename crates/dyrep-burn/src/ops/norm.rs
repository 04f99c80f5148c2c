//! Batch norms, with what often follows them, in one pass: `relu?(γ (x − μ) / √(σ² + ε) + β + residual?)`.
//!
//! [`batch_norm`], [`batch_norm_relu`] and [`batch_norm_add_relu`] are for models, and do what Burn's
//! [`BatchNorm`] does before an addition and a ReLU.

use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

/// `bn(x)`: what [`BatchNorm::forward`] does, running statistics included.
///
/// # Shapes
/// Input and output `[batch, channels, height, width]`.
///
/// # Panics
/// If the input does not have the norm's channels.
#[must_use]
pub fn batch_norm(norm: &BatchNorm, input: Tensor<4>) -> Tensor<4> {
    with_tail(norm, input, Tail::default())
}

/// `relu(bn(x))`; otherwise as [`batch_norm`].
///
/// # Panics
/// As [`batch_norm`].
#[must_use]
pub fn batch_norm_relu(norm: &BatchNorm, input: Tensor<4>) -> Tensor<4> {
    with_tail(norm, input, Tail { residual: None, relu: true })
}

/// `relu(bn(x) + residual)`; otherwise as [`batch_norm`].
///
/// # Panics
/// As [`batch_norm`], or if the residual does not have the input's shape and cannot be spread to it.
#[must_use]
pub fn batch_norm_add_relu(norm: &BatchNorm, input: Tensor<4>, residual: Tensor<4>) -> Tensor<4> {
    with_tail(norm, input, Tail { residual: Some(residual), relu: true })
}

fn with_tail(norm: &BatchNorm, input: Tensor<4>, tail: Tail) -> Tensor<4> {
    let ([channels], [_, found, _, _]) = (norm.gamma.dims(), input.dims());
    assert_eq!(found, channels, "the input's channels must be those of the batch norm");
    let device = input.device();
    let (gamma, beta, epsilon) = (norm.gamma.val(), norm.beta.val(), norm.epsilon);
    if !(device.is_autodiff() && norm.training.is_enabled()) {
        let mean = norm.running_mean.value().to_device(&device);
        let variance = norm.running_var.value().to_device(&device);
        return normalize_by(input, [gamma, beta], [mean, variance], epsilon, tail);
    }
    let batch = normalize_batch(input, [gamma, beta], epsilon, tail);
    blend(norm, batch.moments, norm.momentum, 1.0);
    batch.output
}

/// What follows a norm.
#[derive(Default)]
pub(crate) struct Tail {
    /// Added, in the input's shape.
    pub(crate) residual: Option<Tensor<4>>,
    /// Whether a ReLU ends it.
    pub(crate) relu: bool,
}

impl Tail {
    fn after(self, output: Tensor<4>) -> Tensor<4> {
        let output = match self.residual {
            Some(residual) => output + residual,
            None => output,
        };
        if self.relu { relu(output) } else { output }
    }
}

/// A batch normalised by its own moments.
pub(crate) struct Batch {
    /// `[batch, channels, height, width]`.
    pub(crate) output: Tensor<4>,
    /// Mean and biased variance, `[channels]`, off the graph.
    pub(crate) moments: [Tensor<1>; 2],
}

/// Moves running statistics towards a batch's mean and biased variance by `momentum`; the variance counts
/// `unbias` times.
pub(crate) fn blend(norm: &BatchNorm, moments: [Tensor<1>; 2], momentum: f64, unbias: f64) {
    let [mean, variance] = moments;
    let blended = |running: Tensor<1>, batch: Tensor<1>, weight: f64| {
        // Statistics stay where the last update left them, which another device may have been.
        let running = running.to_device(&batch.device());
        (running * (1.0 - momentum) + batch * weight).detach()
    };
    norm.running_mean.update(blended(norm.running_mean.value_sync(), mean, momentum));
    norm.running_var.update(blended(norm.running_var.value_sync(), variance, momentum * unbias));
}

/// Normalises by the batch's own moments; `affine` is γ and β.
pub(crate) fn normalize_batch(
    input: Tensor<4>,
    affine: [Tensor<1>; 2],
    epsilon: f64,
    tail: Tail,
) -> Batch {
    let [gamma, beta] = affine;
    let result = burn::tensor::module::batch_norm_train(input, gamma, beta, epsilon);
    let moments = [result.mean.detach(), result.variance.detach()];
    Batch { output: tail.after(result.output), moments }
}

/// Normalises by given moments, mean and variance, through which no gradient flows; `affine` is γ and β.
pub(crate) fn normalize_by(
    input: Tensor<4>,
    affine: [Tensor<1>; 2],
    moments: [Tensor<1>; 2],
    epsilon: f64,
    tail: Tail,
) -> Tensor<4> {
    let ([gamma, beta], [mean, variance]) = (affine, moments.map(Tensor::detach));
    tail.after(burn::tensor::module::batch_norm(input, gamma, beta, mean, variance, epsilon))
}
