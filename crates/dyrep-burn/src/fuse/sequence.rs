//! Convolutions in sequence, none of which pads, are one convolution (OREPA, arXiv 2204.00826, section 3.3).
//!
//! With `W₁ [mid, in/g, a, a']`, `b₁` of stride 1 and `W₂ [out, mid/g, c, c']`, `b₂`, both of dilation d:
//! `W[o, i, y, x] = Σ_m Σ_{u,v} W₂[o, m, u, v] W₁[m, i, y − u, x − v]` within each group, of size (a + c − 1) × (a' + c' − 1),
//! and `b[o] = b₂[o] + Σ_{m,u,v} W₂[o, m, u, v] b₁[m]`. It has dilation d, too, and the second's stride. The sum over `u`
//! and `v` is a full convolution, while what layers compute is a cross-correlation: hence the turn below.
//!
//! Padding the input once pads the one convolution. Were the second to pad, it would see 0 at the border in place of what
//! the first gives there, and the two would be no convolution.

use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;

use super::compose::through;
use super::kernel::Kernel;
use crate::geometry::ConvGeometry;
use crate::ops::conv2d;

/// The kernel of `kernels` one after the other, on an input that is padded once as `geometry` says; `geometry` is that of
/// the one convolution. The padding of the kernels' own geometries does not count. Gradients flow through it.
///
/// DIFFERENCE: the published code leaves the turn out, which is this law with every kernel but the first [`turned`].
///
/// # Panics
/// If there is no kernel, one but the last has a stride, or channels, groups, dilations or sizes do not fit.
#[must_use]
pub fn in_sequence(kernels: &[Kernel], geometry: &ConvGeometry) -> Kernel {
    let (first, rest) = kernels.split_first().expect("a sequence has a first kernel");
    let (mut weight, mut bias) = (first.weight(), first.bias());
    let mut before = first.geometry();
    check(before, geometry);
    for kernel in rest {
        let own = kernel.geometry();
        check(own, geometry);
        assert_eq!(before.stride(), [1, 1], "only the last kernel may have a stride: {before}");
        assert_eq!(
            before.out_channels(),
            own.in_channels(),
            "channels between two kernels must agree: {before}; then {own}"
        );
        bias = through(bias, kernel);
        weight = full_convolution(weight, kernel);
        before = own;
    }
    assert_eq!(before.stride(), geometry.stride(), "the last kernel has the stride of {geometry}");
    // Its shape is checked there.
    Kernel::new(weight, bias, geometry.clone())
}

fn check(own: &ConvGeometry, whole: &ConvGeometry) {
    let of = |geometry: &ConvGeometry| (geometry.groups(), geometry.dilation());
    assert_eq!(of(own), of(whole), "groups and dilation must be those of {whole}: {own}");
}

/// The kernel turned by 180°: both axes of its taps the other way round.
#[must_use]
pub fn turned(kernel: &Kernel) -> Kernel {
    let weight = kernel.weight().flip([2, 3]);
    Kernel::new(weight, kernel.bias(), kernel.geometry().clone())
}

/// The sum over the channels between: input channels are the batch, and the first kernel's taps the map.
fn full_convolution(first: Tensor<4>, second: &Kernel) -> Tensor<4> {
    let geometry = second.geometry();
    let pads = geometry.kernel_size().map(|size| (size - 1, size - 1));
    let options = ConvOptions::new_with_padding([1, 1], pads, [1, 1], geometry.groups());
    let maps = conv2d(first.swap_dims(0, 1), turned(second).weight(), None, options);
    maps.swap_dims(0, 1)
}
