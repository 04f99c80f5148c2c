//! A small kernel is a larger one with zeros around it (DBB, equation 10, for any kernel sizes).
//!
//! The small kernel's first tap lies at tap `offset` of the larger kernel. What the two read then agrees
//! as long as the small convolution is applied where the larger one's taps lie; the branches see to it.

use burn::tensor::Tensor;

use crate::geometry::ConvGeometry;
use crate::kernel::Kernel;

/// `kernel` as a kernel of `geometry`, its first tap at tap `offset` `[row, column]`.
///
/// # Panics
/// If the kernel does not lie inside `geometry`'s, or channels or groups differ.
#[must_use]
pub fn embed(kernel: &Kernel, geometry: &ConvGeometry, offset: [usize; 2]) -> Kernel {
    let small = kernel.geometry().kernel_size();
    let large = geometry.kernel_size();
    assert!(
        (0..2).all(|axis| offset[axis] + small[axis] <= large[axis]),
        "a {small:?} kernel at {offset:?} must lie inside a {large:?} kernel"
    );
    if small == large {
        return Kernel::new(kernel.weight(), kernel.bias(), geometry.clone());
    }
    let [outputs, inputs, _, _] = kernel.weight().dims();
    let zeros = Tensor::zeros([outputs, inputs, large[0], large[1]], &kernel.weight().device());
    let weight = zeros.slice_assign(
        [0..outputs, 0..inputs, offset[0]..offset[0] + small[0], offset[1]..offset[1] + small[1]],
        kernel.weight(),
    );
    Kernel::new(weight, kernel.bias(), geometry.clone())
}
