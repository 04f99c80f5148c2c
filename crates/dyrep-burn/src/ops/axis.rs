//! Sums and averages along axes, of which one may have length one.
//!
//! There is nothing to add up then, and nothing is computed: Burn 0.22 computes wrong values on GPUs where such an axis is
//! summed of a tensor whose axes do not lie in memory in their order, as those of a convolution's output.

// Here is the one place that may call them.
#![allow(clippy::disallowed_methods)]

use burn::tensor::Tensor;

use super::widely;

/// The sum along an axis, which has length one then.
#[must_use]
pub fn sum_axis<const D: usize>(x: Tensor<D>, axis: usize) -> Tensor<D> {
    if x.dims()[axis] == 1 { x } else { x.sum_dim(axis) }
}

/// The average along an axis, which has length one then.
#[must_use]
pub fn mean_axis<const D: usize>(x: Tensor<D>, axis: usize) -> Tensor<D> {
    if x.dims()[axis] == 1 { x } else { x.mean_dim(axis) }
}

/// The average of each map of `[batch, channels, height, width]`, as a map of one pixel; of maps in 16 bits it is computed
/// in 32.
#[must_use]
pub fn mean_of_maps(x: Tensor<4>) -> Tensor<4> {
    widely(x, |x| match x.dims() {
        [_, _, 1, 1] => x,
        [_, _, _, 1] => x.mean_dim(2),
        [_, _, 1, _] => x.mean_dim(3),
        _ => x.mean_dims(&[2, 3]),
    })
}
