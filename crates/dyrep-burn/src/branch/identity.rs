//! `identity`: a batch norm of the input.

use burn::module::Module;
use burn::nn::BatchNorm;
use burn::tensor::Tensor;

use super::kind::checked_offset;
use super::norm::{Pass, normalize};
use crate::build::Builder;
use crate::fuse::{NormAffine, embed, fold_norm, identity};
use crate::geometry::ConvGeometry;
use crate::kernel::Kernel;

/// The shortcut branch.
#[derive(Module, Debug)]
pub struct Identity {
    /// The batch norm.
    pub bn: BatchNorm,
    #[module(skip)]
    geometry: ConvGeometry,
    #[module(skip)]
    offset: [usize; 2],
}

impl Identity {
    pub(crate) fn build(geometry: &ConvGeometry, builder: &mut Builder<'_>) -> Self {
        Self {
            offset: checked_offset(geometry, [true, true]),
            bn: builder.last_norm("bn", geometry.out_channels()),
            geometry: geometry.clone(),
        }
    }

    pub(crate) fn forward(&self, input: Tensor<4>, pass: Pass) -> Tensor<4> {
        normalize(&self.bn, input, pass)
    }

    pub(crate) fn fuse(&self) -> Kernel {
        let device = self.bn.gamma.val().device();
        let kernel = identity(self.geometry.in_channels(), self.geometry.groups(), &device);
        embed(&fold_norm(&kernel, &NormAffine::of(&self.bn)), &self.geometry, self.offset)
    }
}
