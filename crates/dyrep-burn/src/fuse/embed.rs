//! A small kernel is a larger one with zeros around it (DBB, equation 10, for any kernel sizes).
//!
//! The small kernel's taps lie at those of the larger one's that a window names; zeros lie between them where it is
//! dilated. What the two read then agrees as long as the small convolution is applied where the larger one's taps lie; the
//! branches see to it.

use burn::tensor::Tensor;
use dyrep_config::Window;

use super::kernel::{Kernel, options_of};
use crate::geometry::ConvGeometry;

/// `kernel` as a kernel of `geometry`, its taps at those that the window names.
///
/// # Panics
/// If the kernel is not of the window's size, does not lie inside `geometry`'s, or channels or groups differ.
#[must_use]
pub fn embed(kernel: &Kernel, geometry: &ConvGeometry, window: &Window) -> Kernel {
    let (small, large) = (kernel.geometry().kernel_size(), geometry.kernel_size());
    assert_eq!(small, window.size, "the kernel must be of the window's size");
    let span = [0, 1].map(|axis| window.step[axis] * (small[axis] - 1) + 1);
    let [top, left] = window.start;
    assert!(
        top + span[0] <= large[0] && left + span[1] <= large[1],
        "a kernel of span {span:?} at {:?} must lie inside a {large:?} kernel",
        window.start
    );
    if small == large {
        return Kernel::new(kernel.weight(), kernel.bias(), geometry.clone());
    }
    let weight = spread(kernel.weight(), window.step);
    let [outputs, inputs, height, width] = weight.dims();
    let zeros = Tensor::zeros([outputs, inputs, large[0], large[1]], options_of(&weight));
    let weight =
        zeros.slice_assign([0..outputs, 0..inputs, top..top + height, left..left + width], weight);
    Kernel::new(weight, kernel.bias(), geometry.clone())
}

/// The taps `step` apart, with zeros between them.
fn spread(weight: Tensor<4>, [down, right]: [usize; 2]) -> Tensor<4> {
    let zeros =
        |shape: [usize; 5], weight: &Tensor<4>| Tensor::<5>::zeros(shape, options_of(weight));
    let mut weight = weight;
    if right > 1 {
        let [outputs, inputs, height, width] = weight.dims();
        let between = zeros([outputs, inputs, height, width, right - 1], &weight);
        let rows = Tensor::cat(vec![weight.unsqueeze_dim(4), between], 4);
        let rows: Tensor<4> = rows.reshape([outputs, inputs, height, width * right]);
        weight = rows.narrow(3, 0, right * (width - 1) + 1);
    }
    if down > 1 {
        let [outputs, inputs, height, width] = weight.dims();
        let between = zeros([outputs, inputs, height, down - 1, width], &weight);
        let columns = Tensor::cat(vec![weight.unsqueeze_dim(3), between], 3);
        let columns: Tensor<4> = columns.reshape([outputs, inputs, height * down, width]);
        weight = columns.narrow(2, 0, down * (height - 1) + 1);
    }
    weight
}
