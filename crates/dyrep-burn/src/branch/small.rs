//! `1x1`, `1xk` and `kx1`: a smaller convolution, then a batch norm.
//!
//! The small kernel's taps are some of the block's taps (see [`checked_offset`]), so the padding and
//! the stride are the block's, less what the missing taps would have read. Behind the middle that may be
//! negative, for an even kernel: then the input is cropped.

use burn::module::Module;
use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;

use super::kind::checked_offset;
use super::norm::{Pass, normalize};
use crate::build::Builder;
use crate::fuse::{NormAffine, embed, fold_norm};
use crate::geometry::ConvGeometry;
use crate::kernel::Kernel;
use crate::ops::conv2d;

/// A convolution smaller than the block's along one axis or both, followed by a batch norm.
///
/// `conv` holds the weight; where it is applied follows from the block's geometry.
#[derive(Module, Debug)]
pub struct SmallConv {
    /// Weight of shape `[out, in / groups, 1 or k, 1 or k]`, no bias.
    pub conv: Conv2d,
    /// The batch norm.
    pub bn: BatchNorm,
    #[module(skip)]
    geometry: ConvGeometry,
    #[module(skip)]
    offset: [usize; 2],
}

impl SmallConv {
    pub(crate) fn build(
        geometry: &ConvGeometry,
        shrink: [bool; 2],
        builder: &mut Builder<'_>,
    ) -> Self {
        let offset = checked_offset(geometry, shrink);
        let kernel_size =
            [0, 1].map(|axis| if shrink[axis] { 1 } else { geometry.kernel_size()[axis] });
        let small = geometry.shrunk(kernel_size);
        Self {
            conv: builder.conv("conv", &small, false),
            bn: builder.last_norm("bn", geometry.out_channels()),
            geometry: geometry.clone(),
            offset,
        }
    }

    /// First of the block's taps that the kernel has.
    pub(crate) fn offset(&self) -> [usize; 2] {
        self.offset
    }

    pub(crate) fn forward(&self, input: Tensor<4>, pass: Pass) -> Tensor<4> {
        let (input, pads) = self.place(input);
        let options = ConvOptions::new_with_padding(
            self.conv.stride,
            pads,
            self.conv.dilation,
            self.conv.groups,
        );
        normalize(&self.bn, conv2d(input, self.conv.weight.val(), None, options), pass)
    }

    /// Crops the input where the padding behind would be negative, and gives the padding that is left.
    fn place(&self, input: Tensor<4>) -> (Tensor<4>, [(usize, usize); 2]) {
        let [batch, channels, height, width] = input.dims();
        let size = [height, width];
        let block = self.geometry.pads(size);
        let (large, small) = (self.geometry.kernel_size(), self.conv.weight.dims());
        let mut kept = size;
        let mut pads = [(0, 0); 2];
        for axis in 0..2 {
            let dilation = self.geometry.dilation()[axis];
            let missing_before = dilation * self.offset[axis];
            let missing_after = dilation * (large[axis] - small[2 + axis] - self.offset[axis]);
            // The offset was chosen so that nothing is missing in front that padding does not cover.
            pads[axis].0 = block[axis].0 - missing_before;
            pads[axis].1 = block[axis].1.saturating_sub(missing_after);
            kept[axis] -= missing_after.saturating_sub(block[axis].1).min(kept[axis]);
        }
        if kept == size {
            return (input, pads);
        }
        (input.slice([0..batch, 0..channels, 0..kept[0], 0..kept[1]]), pads)
    }

    pub(crate) fn fuse(&self) -> Kernel {
        let [_, _, height, width] = self.conv.weight.dims();
        let small = self.geometry.shrunk([height, width]);
        let kernel = Kernel::new(self.conv.weight.val(), None, small);
        embed(&fold_norm(&kernel, &NormAffine::of(&self.bn)), &self.geometry, self.offset)
    }
}
