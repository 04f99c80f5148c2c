//! `1x1_avg`: 1×1 convolution → BN → average pooling → BN; for a depthwise block the pooling alone → BN.
//!
//! The pooling has the block's kernel size, stride, dilation and padding, and counts the padding. After a
//! batch norm the border shows its image of zero, without one it is zero.

use burn::module::Module;
use burn::nn::BatchNorm;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;

use super::norm::{Pass, normalize, pad_with_image_of_zero};
use crate::build::Builder;
use crate::fuse::{NormAffine, average, fold_norm, then_average};
use crate::geometry::ConvGeometry;
use crate::kernel::Kernel;
use crate::ops::convolve;

/// The pooling branch.
#[derive(Module, Debug)]
pub struct PointwiseAvg {
    /// 1×1 convolution `[out, in / groups, 1, 1]`, no bias; `None` for a depthwise block.
    pub conv: Option<Conv2d>,
    /// The batch norm after it.
    pub bn: Option<BatchNorm>,
    /// The batch norm after the pooling.
    pub avgbn: BatchNorm,
    #[module(skip)]
    geometry: ConvGeometry,
}

impl PointwiseAvg {
    pub(crate) fn build(geometry: &ConvGeometry, builder: &mut Builder<'_>) -> Self {
        let outputs = geometry.out_channels();
        let mixes = !geometry.is_depthwise();
        let pointwise = geometry.resized([geometry.in_channels(), outputs], [1, 1]);
        Self {
            conv: mixes.then(|| builder.conv("conv", &pointwise, false)),
            bn: mixes.then(|| builder.norm("bn", outputs)),
            avgbn: builder.last_norm("avgbn", outputs),
            geometry: geometry.clone(),
        }
    }

    pub(crate) fn forward(&self, input: Tensor<4>, pass: Pass) -> Tensor<4> {
        let [_, _, height, width] = input.dims();
        let pads = self.geometry.pads([height, width]);
        let padded = match (&self.conv, &self.bn) {
            (Some(conv), Some(bn)) => {
                let mixed = normalize(bn, convolve(conv, input), pass);
                pad_with_image_of_zero(bn, mixed, pads)
            }
            _ if pads == [(0, 0), (0, 0)] => input,
            _ => input.pad(pads, 0.0),
        };
        normalize(&self.avgbn, self.pool(padded), pass)
    }

    fn pool(&self, padded: Tensor<4>) -> Tensor<4> {
        if self.geometry.dilation() == [1, 1] {
            let options = AvgPoolOptions::new(self.geometry.kernel_size())
                .with_stride(self.geometry.stride());
            return avg_pool2d(padded, options);
        }
        // Pooling has no dilation in Burn; the equal convolution has.
        average(&self.pooling_geometry(), &padded.device()).apply(padded)
    }

    fn pooling_geometry(&self) -> ConvGeometry {
        self.geometry.depthwise().with_padding(PaddingConfig2d::Valid)
    }

    pub(crate) fn fuse(&self) -> Kernel {
        let pooled = match (&self.conv, &self.bn) {
            (Some(conv), Some(bn)) => {
                let pointwise = fold_norm(&Kernel::of(conv), &NormAffine::of(bn));
                then_average(&pointwise, &self.geometry)
            }
            _ => average(&self.geometry, &self.avgbn.gamma.val().device()),
        };
        fold_norm(&pooled, &NormAffine::of(&self.avgbn))
    }
}
