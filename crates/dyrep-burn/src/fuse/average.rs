//! Average pooling is a convolution with the constant kernel `1 / (kh · kw)` (DBB, equation 9).
//!
//! It counts padded positions: the divisor is the kernel's area everywhere.

use burn::tensor::{Device, Tensor};

use crate::geometry::ConvGeometry;
use crate::kernel::Kernel;

/// Average pooling as a depthwise kernel of `geometry`.
///
/// # Panics
/// If `geometry` is not depthwise.
#[must_use]
pub fn average(geometry: &ConvGeometry, device: &Device) -> Kernel {
    assert!(geometry.is_depthwise(), "average pooling acts on each channel alone: {geometry}");
    let weight = Tensor::full(geometry.weight_shape(), 1.0 / area(geometry), device);
    Kernel::new(weight, None, geometry.clone())
}

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
        &pointwise.weight().device(),
    );
    // The taps sum to one, so a constant passes pooling unchanged: the bias stays.
    Kernel::new(pointwise.weight() * taps, pointwise.bias(), geometry.clone())
}

fn area(geometry: &ConvGeometry) -> f64 {
    let [height, width] = geometry.kernel_size();
    (height * width) as f64
}
