//! Batch norm at its running statistics is an affine map, and folds into the convolution before it.
//!
//! `γ (W ∗ x + b − μ) / √(σ² + ε) + β`: the weight is scaled by `γ / √(σ² + ε)`, the bias becomes
//! `β + (b − μ) γ / √(σ² + ε)` (DBB, equation 6).

use burn::nn::BatchNorm;
use burn::tensor::Tensor;

use crate::kernel::Kernel;

/// What a batch norm does at inference to each channel: `x · scale + shift`, both `[channels]`.
#[derive(Clone, Debug)]
pub struct NormAffine {
    /// `γ / √(σ² + ε)`.
    pub scale: Tensor<1>,
    /// `β − μ γ / √(σ² + ε)`: the image of zero.
    pub shift: Tensor<1>,
}

impl NormAffine {
    /// Reads a batch norm's running statistics and parameters; gradients flow to γ and β.
    #[must_use]
    pub fn of(norm: &BatchNorm) -> Self {
        let mean = norm.running_mean.value_sync();
        let variance = norm.running_var.value_sync();
        let scale = norm.gamma.val() / (variance + norm.epsilon).sqrt();
        let shift = norm.beta.val() - mean * scale.clone();
        Self { scale, shift }
    }
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
