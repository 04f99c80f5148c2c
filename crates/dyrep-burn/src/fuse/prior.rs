//! A 1×1 convolution followed by a fixed filter of each output channel is a convolution (OREPA, arXiv 2204.00826,
//! section 3.2, "frequency prior").
//!
//! `W[o, i, y, x] = W₁[o, i] · P[o, y, x]`.

use std::f64::consts::PI;

use burn::tensor::{Tensor, TensorCreationOptions, TensorData};

use super::kernel::{Kernel, options_of};
use crate::geometry::ConvGeometry;

/// The cosines over the taps of so many output channels, `[out, height, width]`, row by row: with `n = out / 2`, not rounded,
/// channels `o < n` have `cos(π (y + ½)(o + 1) / height)`, the others `cos(π (x + ½)(o + 1 − n) / width)`.
///
/// DIFFERENCE: the published code divides by 3 whatever the kernel, and leaves taps beyond 3×3 unset.
#[must_use]
pub fn cosines(outputs: usize, [height, width]: [usize; 2]) -> Vec<f64> {
    let half = outputs as f64 / 2.0;
    let wave = |place: usize, frequency: f64, size: usize| {
        (PI * (place as f64 + 0.5) * frequency / size as f64).cos()
    };
    let mut values = Vec::with_capacity(outputs * height * width);
    for output in 0..outputs {
        for y in 0..height {
            values.extend((0..width).map(|x| match output as f64 - half {
                behind if behind < 0.0 => wave(y, output as f64 + 1.0, height),
                behind => wave(x, behind + 1.0, width),
            }));
        }
    }
    values
}

/// [`cosines`] as a kernel of each output channel of `geometry`, `[out, 1, height, width]`.
#[must_use]
pub fn prior(geometry: &ConvGeometry, options: impl Into<TensorCreationOptions>) -> Tensor<4> {
    let (kernel, outputs) = (geometry.kernel_size(), geometry.out_channels());
    let values = cosines(outputs, kernel).into_iter().map(|value| value as f32);
    let data = TensorData::new(values.collect::<Vec<_>>(), [outputs, 1, kernel[0], kernel[1]]);
    Tensor::from_data(data, options)
}

/// The kernel of `pointwise` followed by the cosine of each output channel, of this geometry.
///
/// # Panics
/// If `pointwise` is not a 1×1 convolution of stride 1 with the channels and groups of `geometry`.
#[must_use]
pub fn then_prior(pointwise: &Kernel, geometry: &ConvGeometry) -> Kernel {
    let first = pointwise.geometry();
    assert_eq!(first.kernel_size(), [1, 1], "the first kernel must be 1×1: {first}");
    assert_eq!(first.stride(), [1, 1], "the first kernel must have stride 1: {first}");
    assert!(pointwise.bias().is_none(), "the border would show the image of zero");
    let weight = pointwise.weight();
    let filter = prior(geometry, options_of(&weight));
    Kernel::new(weight * filter, None, geometry.clone())
}
