//! Batch norm at its running statistics is an affine map, and folds into the convolution before it.
//!
//! `γ (W ∗ x + b − μ) / √(σ² + ε) + β`: the weight is scaled by `γ / √(σ² + ε)`, the bias becomes
//! `β + (b − μ) γ / √(σ² + ε)` (DBB, equation 6).

use burn::nn::BatchNorm;
use burn::tensor::Tensor;

use super::kernel::{Kernel, wide};

/// What a batch norm does at inference to each channel: `x · scale + shift`, both `[channels]`.
#[derive(Clone, Debug)]
pub struct NormAffine {
    /// `γ / √(σ² + ε)`.
    pub scale: Tensor<1>,
    /// `β − μ γ / √(σ² + ε)`: the image of zero.
    pub shift: Tensor<1>,
}

impl NormAffine {
    /// Reads a batch norm's running statistics and parameters, in `f32` at least; gradients flow to γ and β.
    #[must_use]
    pub fn of(norm: &BatchNorm) -> Self {
        let affine = [&norm.gamma, &norm.beta].map(|parameter| wide(parameter.val()));
        let device = affine[0].device();
        // Statistics stay where the last update left them, which another device may have been.
        let [mean, variance] = [&norm.running_mean, &norm.running_var]
            .map(|state| state.value_sync().to_device(&device).cast(affine[0].dtype()));
        Self::at(affine, [mean, variance], norm.epsilon)
    }

    /// The map of γ and β at a mean and a variance.
    pub(crate) fn at(
        [gamma, beta]: [Tensor<1>; 2],
        [mean, variance]: [Tensor<1>; 2],
        epsilon: f64,
    ) -> Self {
        let scale = gamma / (variance + epsilon).sqrt();
        let shift = beta - mean * scale.clone();
        Self { scale, shift }
    }
}

/// γ and β of a norm followed by the map `then`: `(γ x̂ + β) · scale + shift`, whatever the norm normalises by.
pub(crate) fn then_affine(norm: &BatchNorm, then: &NormAffine) -> [Tensor<1>; 2] {
    let [gamma, beta] = [&norm.gamma, &norm.beta].map(|parameter| wide(parameter.val()));
    [gamma * then.scale.clone(), beta * then.scale.clone() + then.shift.clone()]
}

/// The kernel of a convolution whose outputs are multiplied by `by`, `[out]`.
#[must_use]
pub fn scale(kernel: &Kernel, by: Tensor<1>) -> Kernel {
    let by = wide(by);
    let bias = kernel.bias().map(|bias| bias * by.clone());
    let weight = kernel.weight() * per_output_channel(by);
    Kernel::new(weight, bias, kernel.geometry().clone())
}

/// The kernel of a convolution followed by the batch norm whose map is `norm`.
#[must_use]
pub fn fold_norm(kernel: &Kernel, norm: &NormAffine) -> Kernel {
    let scaled = kernel.weight() * per_output_channel(norm.scale.clone());
    let bias = match kernel.bias() {
        Some(bias) => bias * norm.scale.clone() + norm.shift.clone(),
        None => norm.shift.clone(),
    };
    Kernel::new(scaled, Some(bias), kernel.geometry().clone())
}

/// A bias in front of a batch norm only moves its mean: the kernel without its bias and the mean `[channels]` that the
/// norm must then have, `μ − b`. The same function while training, too, where the batch's mean takes the bias away.
#[must_use]
pub fn absorb_bias(kernel: &Kernel, mean: Tensor<1>) -> (Kernel, Tensor<1>) {
    let mean = match kernel.bias() {
        Some(bias) => mean - bias,
        None => mean,
    };
    (Kernel::new(kernel.weight(), None, kernel.geometry().clone()), mean)
}

fn per_output_channel(values: Tensor<1>) -> Tensor<4> {
    let [channels] = values.dims();
    values.reshape([channels, 1, 1, 1])
}
