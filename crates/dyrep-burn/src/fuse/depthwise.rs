//! A depthwise convolution followed by a 1×1 is a convolution (OREPA, arXiv 2204.00826, section 3.2, "depthwise separable").
//!
//! With `D [m · in, 1, kh, kw]`, where the channels `m·i … m·i + m − 1` read input `i`, and `W₂ [out, m · in/g, 1, 1]`:
//! `W[o, i, y, x] = Σ_j W₂[o, m·i + j] D[m·i + j, y, x]`, `i` counted within the group in `W₂`.

use super::kernel::Kernel;
use crate::ops::sum_axis;

/// The kernel of `depthwise` followed by `pointwise`; it has `depthwise`'s geometry with `pointwise`'s outputs and groups.
///
/// # Panics
/// If `depthwise` does not read one channel each, `pointwise` is no 1×1 of stride 1, their channels do not fit, or one has
/// a bias.
#[must_use]
pub fn then_pointwise(depthwise: &Kernel, pointwise: &Kernel) -> Kernel {
    let (first, second) = (depthwise.geometry(), pointwise.geometry());
    assert_eq!(first.groups(), first.in_channels(), "the first kernel must be depthwise: {first}");
    assert_eq!(second.kernel_size(), [1, 1], "the second kernel must be 1×1: {second}");
    assert_eq!(second.stride(), [1, 1], "the second kernel must have stride 1: {second}");
    assert_eq!(
        first.out_channels(),
        second.in_channels(),
        "channels between the two kernels must agree: {first}; then {second}"
    );
    let biases = [depthwise.bias(), pointwise.bias()];
    assert!(biases.iter().all(Option::is_none), "neither kernel has a bias");
    let (inputs, outputs, groups) = (first.in_channels(), second.out_channels(), second.groups());
    let (times, [height, width]) = (first.out_channels() / inputs, first.kernel_size());
    let (each, taps) = (inputs / groups, height * width);
    // [g, 1, in, m, taps] · [g, out, in, m, 1], summed over m.
    let first_weight = depthwise.weight().reshape([groups, 1, each * times, taps]);
    let second_weight = pointwise.weight().reshape([groups, outputs / groups, each * times, 1]);
    let products = first_weight * second_weight;
    let weight = sum_axis(products.reshape([outputs, each, times, taps]), 2)
        .reshape([outputs, each, height, width]);
    let geometry = first.clone().with_outputs(outputs, groups);
    Kernel::new(weight, None, geometry)
}
