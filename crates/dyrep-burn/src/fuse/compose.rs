//! A 1×1 convolution followed by a k×k one is a k×k convolution (DBB, equation 8).
//!
//! With `W₁ [mid, in/g, 1, 1]`, `b₁` and `W₂ [out, mid/g, kh, kw]`, `b₂`:
//! `W[o, i, y, x] = Σ_m W₂[o, m, y, x] W₁[m, i]` within each group, and
//! `b[o] = b₂[o] + Σ_{m,y,x} W₂[o, m, y, x] b₁[m]`.
//!
//! The bias holds at the border too only if the k×k convolution sees `b₁` there, the image of zero,
//! and not zero: the branches pad with it.

use burn::tensor::Tensor;

use super::kernel::Kernel;
use crate::ops::sum_axis;

/// The kernel of `pointwise` followed by `kxk`; it has `kxk`'s geometry with `pointwise`'s input channels.
///
/// # Panics
/// If `pointwise` is not a 1×1 convolution of stride 1, or the channels or groups do not fit.
#[must_use]
pub fn then_kxk(pointwise: &Kernel, kxk: &Kernel) -> Kernel {
    let (first, second) = (pointwise.geometry(), kxk.geometry());
    assert_eq!(first.kernel_size(), [1, 1], "the first kernel must be 1×1: {first}");
    assert_eq!(first.stride(), [1, 1], "the first kernel must have stride 1: {first}");
    assert_eq!(
        (first.out_channels(), first.groups()),
        (second.in_channels(), second.groups()),
        "channels and groups between the two kernels must agree: {first}; then {second}"
    );
    let groups = first.groups();
    let [middle, inputs, _, _] = pointwise.weight().dims();
    let [outputs, _, height, width] = kxk.weight().dims();
    let (middle, outputs) = (middle / groups, outputs / groups);
    let taps = height * width;

    // [g, in, mid] × [g, mid, out·taps]: one small product for each group.
    let first_weight = pointwise.weight().reshape([groups, middle, inputs]).swap_dims(1, 2);
    let second_weight = kxk
        .weight()
        .reshape([groups, outputs, middle, taps])
        .swap_dims(1, 2)
        .reshape([groups, middle, outputs * taps]);
    let weight = first_weight
        .matmul(second_weight)
        .reshape([groups, inputs, outputs, taps])
        .swap_dims(1, 2)
        .reshape([groups * outputs, inputs, height, width]);

    let geometry = second.clone().with_in_channels(first.in_channels());
    Kernel::new(weight, through(pointwise.bias(), kxk), geometry)
}

/// The bias of what a kernel makes of a map that is this one everywhere, `[in]`: its own, and what it makes of the other.
pub(super) fn through(bias: Option<Tensor<1>>, kernel: &Kernel) -> Option<Tensor<1>> {
    let Some(bias) = bias else { return kernel.bias() };
    let groups = kernel.geometry().groups();
    let [outputs, middle, height, width] = kernel.weight().dims();
    let outputs = outputs / groups;
    let tap_sums = sum_axis(kernel.weight().reshape([groups, outputs, middle, height * width]), 3);
    let through = tap_sums
        .reshape([groups, outputs, middle])
        .matmul(bias.reshape([groups, middle, 1]))
        .reshape([groups * outputs]);
    Some(kernel.bias_or_zero() + through)
}
