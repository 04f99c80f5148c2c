//! `1x1_kxk`: 1×1 convolution → BN → k×k convolution → BN.
//!
//! Between the two the border is padded with the first norm's image of zero; then the bias that the first
//! norm adds is seen by every tap of the k×k convolution, and the two fuse exactly.

use burn::module::Module;
use burn::nn::BatchNorm;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;

use super::norm::{Pass, normalize, pad_with_image_of_zero};
use crate::build::Builder;
use crate::form::Form;
use crate::fuse::{NormAffine, fold_norm, then_kxk};
use crate::geometry::ConvGeometry;
use crate::kernel::Kernel;
use crate::ops::convolve;
use crate::rep_conv2d::RepConv2d;

/// The sequential branch. Its k×k convolution may itself be a block.
#[derive(Module, Debug)]
pub struct PointwiseKxk {
    /// 1×1 convolution `[mid, in / groups, 1, 1]`, no bias.
    pub conv1: Conv2d,
    /// The batch norm between the two convolutions.
    pub bn1: BatchNorm,
    /// k×k convolution `[out, mid / groups, k, k]` on the padded middle.
    pub conv2: RepConv2d,
    /// The last batch norm.
    pub bn2: BatchNorm,
    #[module(skip)]
    geometry: ConvGeometry,
}

impl PointwiseKxk {
    pub(crate) fn build(
        geometry: &ConvGeometry,
        mid_channels: usize,
        conv: &Form,
        builder: &mut Builder<'_>,
    ) -> Self {
        let pointwise = geometry.resized([geometry.in_channels(), mid_channels], [1, 1]);
        let second = Self::second_geometry(geometry, mid_channels);
        Self {
            conv1: builder.pointwise_start("conv1", &pointwise),
            bn1: builder.norm("bn1", mid_channels),
            conv2: builder.within("conv2", |builder| RepConv2d::build(&second, conv, builder)),
            bn2: builder.last_norm("bn2", geometry.out_channels()),
            geometry: geometry.clone(),
        }
    }

    /// Geometry of the k×k convolution, which meets an input that is padded already.
    pub(crate) fn second_geometry(geometry: &ConvGeometry, mid_channels: usize) -> ConvGeometry {
        geometry.clone().with_in_channels(mid_channels).with_padding(PaddingConfig2d::Valid)
    }

    pub(crate) fn mid_channels(&self) -> usize {
        // Asking for the tensor would make it.
        let [middle, ..] = self.conv1.weight.lazy_shape().dims::<4>();
        middle
    }

    pub(crate) fn forward(&self, input: Tensor<4>, pass: Pass) -> Tensor<4> {
        let middle = self.middle(input, pass);
        normalize(&self.bn2, self.conv2.forward_pass(middle, pass), pass)
    }

    /// What the k×k convolution sees: the padded output of the first half.
    pub(crate) fn middle(&self, input: Tensor<4>, pass: Pass) -> Tensor<4> {
        let [_, _, height, width] = input.dims();
        let pads = self.geometry.pads([height, width]);
        let middle = normalize(&self.bn1, convolve(&self.conv1, input), pass);
        pad_with_image_of_zero(&self.bn1, middle, pads)
    }

    pub(crate) fn fuse(&self) -> Kernel {
        let first = fold_norm(&Kernel::of(&self.conv1), &NormAffine::of(&self.bn1));
        let second = fold_norm(&self.conv2.fuse(), &NormAffine::of(&self.bn2));
        let fused = then_kxk(&first, &second);
        Kernel::new(fused.weight(), fused.bias(), self.geometry.clone())
    }
}
