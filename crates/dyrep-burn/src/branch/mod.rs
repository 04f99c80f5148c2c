//! The branches of a block, one file a kind.
//!
//! Each kind knows how to build itself, how to run on a batch, and which [`Kernel`] it is at inference.
//! [`Branch`] puts the optional ones behind one enum; `kxk` is part of every [`Block`](crate::Block).

mod identity;
mod kind;
mod norm;
mod pointwise_avg;
mod pointwise_kxk;
mod set;
mod small;

use burn::module::{Module, ModuleMapper, ModuleVisitor};
use burn::nn::BatchNorm;
use burn::tensor::{Device, Tensor};

pub use identity::Identity;
pub use kind::BranchKind;
pub(crate) use norm::{Pass, Variance, normalize};
pub use pointwise_avg::PointwiseAvg;
pub use pointwise_kxk::PointwiseKxk;
pub use set::{Branches, Preset};
pub use small::SmallConv;

use crate::build::Builder;
use crate::form::BranchForm;
use crate::geometry::ConvGeometry;
use crate::kernel::Kernel;

/// An optional branch of a block.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a block has at most six")]
pub enum Branch {
    /// `1x1`.
    Pointwise(SmallConv),
    /// `1x1_kxk`.
    PointwiseKxk(PointwiseKxk),
    /// `1x1_avg`.
    PointwiseAvg(PointwiseAvg),
    /// `1xk`.
    OneByK(SmallConv),
    /// `kx1`.
    KByOne(SmallConv),
    /// `identity`.
    Identity(Identity),
}

/// Evaluates `$body` with `$branch` bound to whichever kind it is.
macro_rules! each {
    ($self:expr, $branch:ident => $body:expr) => {
        match $self {
            Branch::Pointwise($branch) | Branch::OneByK($branch) | Branch::KByOne($branch) => $body,
            Branch::PointwiseKxk($branch) => $body,
            Branch::PointwiseAvg($branch) => $body,
            Branch::Identity($branch) => $body,
        }
    };
}

/// Rebuilds the same kind from `$body`.
macro_rules! rebuild {
    ($self:expr, $branch:ident => $body:expr) => {
        match $self {
            Branch::Pointwise($branch) => Branch::Pointwise($body),
            Branch::PointwiseKxk($branch) => Branch::PointwiseKxk($body),
            Branch::PointwiseAvg($branch) => Branch::PointwiseAvg($body),
            Branch::OneByK($branch) => Branch::OneByK($body),
            Branch::KByOne($branch) => Branch::KByOne($body),
            Branch::Identity($branch) => Branch::Identity($body),
        }
    };
}

impl Branch {
    pub(crate) fn build(
        geometry: &ConvGeometry,
        form: &BranchForm,
        builder: &mut Builder<'_>,
    ) -> Self {
        builder.within(form.kind().name(), |builder| match form {
            BranchForm::Pointwise => {
                Self::Pointwise(SmallConv::build(geometry, [true, true], builder))
            }
            BranchForm::PointwiseKxk { mid_channels, conv } => {
                Self::PointwiseKxk(PointwiseKxk::build(geometry, *mid_channels, conv, builder))
            }
            BranchForm::PointwiseAvg => Self::PointwiseAvg(PointwiseAvg::build(geometry, builder)),
            BranchForm::OneByK => Self::OneByK(SmallConv::build(geometry, [true, false], builder)),
            BranchForm::KByOne => Self::KByOne(SmallConv::build(geometry, [false, true], builder)),
            BranchForm::Identity => Self::Identity(Identity::build(geometry, builder)),
        })
    }

    /// The branch's kind.
    #[must_use]
    pub fn kind(&self) -> BranchKind {
        match self {
            Self::Pointwise(_) => BranchKind::Pointwise,
            Self::PointwiseKxk(_) => BranchKind::PointwiseKxk,
            Self::PointwiseAvg(_) => BranchKind::PointwiseAvg,
            Self::OneByK(_) => BranchKind::OneByK,
            Self::KByOne(_) => BranchKind::KByOne,
            Self::Identity(_) => BranchKind::Identity,
        }
    }

    /// The branch's form.
    #[must_use]
    pub fn form(&self) -> BranchForm {
        match self {
            Self::Pointwise(_) => BranchForm::Pointwise,
            Self::PointwiseKxk(branch) => BranchForm::PointwiseKxk {
                mid_channels: branch.mid_channels(),
                conv: Box::new(branch.conv2.form()),
            },
            Self::PointwiseAvg(_) => BranchForm::PointwiseAvg,
            Self::OneByK(_) => BranchForm::OneByK,
            Self::KByOne(_) => BranchForm::KByOne,
            Self::Identity(_) => BranchForm::Identity,
        }
    }

    /// The kernel, of the block's geometry, that the branch is at inference.
    #[must_use]
    pub fn fuse(&self) -> Kernel {
        each!(self, branch => branch.fuse())
    }

    pub(crate) fn forward_pass(&self, input: Tensor<4>, pass: Pass) -> Tensor<4> {
        each!(self, branch => branch.forward(input, pass))
    }

    /// The batch norm that ends the branch; its γ says how much the branch adds.
    #[must_use]
    pub fn last_norm(&self) -> &BatchNorm {
        match self {
            Self::Pointwise(branch) | Self::OneByK(branch) | Self::KByOne(branch) => &branch.bn,
            Self::PointwiseKxk(branch) => &branch.bn2,
            Self::PointwiseAvg(branch) => &branch.avgbn,
            Self::Identity(branch) => &branch.bn,
        }
    }

    pub(crate) fn last_norm_mut(&mut self) -> &mut BatchNorm {
        match self {
            Self::Pointwise(branch) | Self::OneByK(branch) | Self::KByOne(branch) => &mut branch.bn,
            Self::PointwiseKxk(branch) => &mut branch.bn2,
            Self::PointwiseAvg(branch) => &mut branch.avgbn,
            Self::Identity(branch) => &mut branch.bn,
        }
    }
}

/// Parameters appear below the branch's name: `1x1.conv.weight`, never a variant's.
impl Module for Branch {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        each!(self, branch => branch.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        rebuild!(self, branch => branch.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        rebuild!(self, branch => branch.to_device(device))
    }

    fn train(self) -> Self {
        rebuild!(self, branch => branch.train())
    }

    fn valid(&self) -> Self {
        rebuild!(self, branch => branch.valid())
    }

    fn materialize(self) -> Self {
        rebuild!(self, branch => branch.materialize())
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        let name = self.kind().name();
        visitor.enter_module(name, "Struct:Block");
        each!(self, branch => branch.visit(visitor));
        visitor.exit_module(name, "Struct:Block");
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let name = self.kind().name();
        mapper.enter_module(name, "Struct:Block");
        let mapped = rebuild!(self, branch => branch.map(mapper));
        mapper.exit_module(name, "Struct:Block");
        mapped
    }
}
