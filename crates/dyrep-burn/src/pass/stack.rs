//! A pass through a stack: one convolution, by the kernel that its layers compose to.

use burn::tensor::Tensor;

use super::{Pass, normalized, plan};
use crate::fuse::{Kernel, in_sequence};
use crate::layer::{RepConv2d, Stack};
use crate::ops::{conv2d, sums};

impl Stack {
    /// The stack's output for `input` `[batch, in, height, width]`; running statistics move as the pass says.
    ///
    /// # Panics
    /// If the input does not have the stack's channels, or is smaller than its kernel.
    pub(crate) fn forward_pass(&self, input: &Tensor<4>, pass: Pass) -> Tensor<4> {
        let [_, count_out] = plan::counts(&plan::shape_on("a stack", &self.geometry, input));
        let output = match sums() {
            true => {
                let kernel = self.composed();
                let options = self.geometry.options(input);
                conv2d(input.clone(), kernel.weight(), kernel.bias(), options)
            }
            false => self.forward_layers(input),
        };
        normalized(self.norm_after.as_ref(), output, count_out, pass)
    }

    /// The one kernel before the norm that follows it, of layers whose branches are summed by an executor where there is
    /// one. Gradients flow through it.
    pub(super) fn composed(&self) -> Kernel {
        in_sequence(&self.kernels(RepConv2d::summed), &self.geometry)
    }

    /// The layers one after the other, none of which pads, on the input padded once.
    fn forward_layers(&self, input: &Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = input.dims();
        let padded = input.clone().pad(self.geometry.pads([height, width]), 0.0);
        self.kernels(RepConv2d::fuse).iter().fold(padded, |map, kernel| {
            let options = kernel.geometry().clone().unpadded().options(&map);
            conv2d(map, kernel.weight(), kernel.bias(), options)
        })
    }
}
