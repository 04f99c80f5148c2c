//! Numbers of two widths in one network: an operation computes in the numbers of what it is given.
//!
//! So a network whose parameters are `f32` computes in 16 bits where its input has 16, and its parameters' gradients are
//! `f32` again (mixed precision, arXiv 1710.03740). Norms and averages over many values are computed in 32 bits, since
//! sums in 16 lose what is small.

use burn::nn::Linear;
use burn::tensor::{DType, Tensor, module};

use crate::fuse::wide;

/// What [`Linear::forward`] does, in the input's numbers.
///
/// # Shapes
/// Input `[batch, in]`, output `[batch, out]`.
#[must_use]
pub fn linear(linear: &Linear, input: Tensor<2>) -> Tensor<2> {
    let weight = in_numbers_of(&input, linear.weight.val());
    let bias = linear.bias.as_ref().map(|bias| in_numbers_of(&input, bias.val()));
    module::linear(input, weight, bias)
}

/// `f` of what has 16 bits in 32, and its output in 16 again; of other numbers `f` itself.
#[must_use]
pub fn widely<const D: usize>(
    input: Tensor<D>,
    f: impl FnOnce(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    let dtype = input.dtype();
    match is_half(&input) {
        true => f(wide(input)).cast(dtype),
        false => f(input),
    }
}

/// Whether a tensor's numbers have 16 bits.
pub(crate) fn is_half<const D: usize>(tensor: &Tensor<D>) -> bool {
    matches!(tensor.dtype(), DType::F16 | DType::BF16)
}

/// A tensor in the numbers of another.
pub(crate) fn in_numbers_of<const D: usize, const E: usize>(
    other: &Tensor<D>,
    tensor: Tensor<E>,
) -> Tensor<E> {
    match tensor.dtype() == other.dtype() {
        true => tensor,
        false => tensor.cast(other.dtype()),
    }
}
