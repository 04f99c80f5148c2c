//! Average pooling is a convolution with the constant kernel `1 / (kh · kw)` (DBB, equation 9).
//!
//! It counts padded positions: the divisor is the kernel's area everywhere.

use burn::tensor::Tensor;

use super::kernel::{Kernel, options_of};
use crate::geometry::ConvGeometry;

/// The kernel of `pointwise` followed by average pooling with the kernel size, stride, dilation and
/// padding of `geometry`, whose border shows the image of zero.
///
/// # Panics
/// If `pointwise` is not a 1×1 convolution of stride 1 with the channels and groups of `geometry`.
#[must_use]
pub fn then_average(pointwise: &Kernel, geometry: &ConvGeometry) -> Kernel {
    let first = pointwise.geometry();
    assert_eq!(first.kernel_size(), [1, 1], "the first kernel must be 1×1: {first}");
    assert_eq!(first.stride(), [1, 1], "the first kernel must have stride 1: {first}");
    let taps = Tensor::full(
        [1, 1, geometry.kernel_size()[0], geometry.kernel_size()[1]],
        1.0 / area(geometry),
        options_of(&pointwise.weight()),
    );
    // The taps sum to one, so a constant passes pooling unchanged: the bias stays.
    Kernel::new(pointwise.weight() * taps, pointwise.bias(), geometry.clone())
}

fn area(geometry: &ConvGeometry) -> f64 {
    let [height, width] = geometry.kernel_size();
    (height * width) as f64
}
