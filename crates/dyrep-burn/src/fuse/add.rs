//! Additivity: parallel convolutions of one geometry are one convolution.
//!
//! `(W₁ ∗ x + b₁) + (W₂ ∗ x + b₂) = (W₁ + W₂) ∗ x + (b₁ + b₂)` (DBB, equation 7).

use burn::tensor::Tensor;

use super::kernel::Kernel;

/// The one kernel that does what `left` and `right` do side by side.
///
/// # Panics
/// If the geometries differ: [`embed`](super::embed) brings a smaller kernel to the larger one's.
#[must_use]
pub fn add(left: &Kernel, right: &Kernel) -> Kernel {
    combine(left, right, |left, right| left + right, |left, right| left + right)
}

/// The kernel that leaves `left` after `right` has been added to it: the compensation of growth.
///
/// # Panics
/// If the geometries differ.
#[must_use]
pub fn subtract(left: &Kernel, right: &Kernel) -> Kernel {
    combine(left, right, |left, right| left - right, |left, right| left - right)
}

fn combine(
    left: &Kernel,
    right: &Kernel,
    weights: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<4>,
    biases: impl Fn(Tensor<1>, Tensor<1>) -> Tensor<1>,
) -> Kernel {
    assert_eq!(left.geometry(), right.geometry(), "only kernels of one geometry can be added");
    let bias = match (left.bias(), right.bias()) {
        (None, None) => None,
        _ => Some(biases(left.bias_or_zero(), right.bias_or_zero())),
    };
    Kernel::new(weights(left.weight(), right.weight()), bias, left.geometry().clone())
}
