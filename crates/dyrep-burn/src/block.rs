//! A block: branches that read one input and sum into one output, and at inference are one convolution.

use burn::module::{Module, ModuleMapper, ModuleVisitor};
use burn::nn::BatchNorm;
use burn::tensor::{Device, Tensor};

use crate::branch::{Branch, BranchKind, Pass, normalize};
use crate::build::Builder;
use crate::form::{BlockForm, BranchForm};
use crate::fuse::{NormAffine, add, fold_norm};
use crate::geometry::ConvGeometry;
use crate::kernel::Kernel;
use crate::ops::train_block;
use crate::rep_conv2d::RepConv2d;

/// The branch that every block has: a k×k convolution, itself plain or a block, and a batch norm.
#[derive(Module, Debug)]
pub struct Kxk {
    /// The convolution.
    pub conv: RepConv2d,
    /// The batch norm.
    pub bn: BatchNorm,
}

/// The branches that stand for one convolution while training.
///
/// Parameters lie below the branches' names: `kxk.conv.weight`, `1x1.bn.gamma`, ….
#[derive(Clone, Debug)]
pub struct Block {
    pub(crate) kxk: Kxk,
    /// In the order of [`BranchKind::ALL`], one of each kind at most.
    pub(crate) branches: Vec<Branch>,
    pub(crate) geometry: ConvGeometry,
}

impl Block {
    pub(crate) fn build(
        geometry: &ConvGeometry,
        form: &BlockForm,
        builder: &mut Builder<'_>,
    ) -> Self {
        let kxk = builder.within(BranchKind::Kxk.name(), |builder| Kxk {
            conv: builder.within("conv", |builder| RepConv2d::build(geometry, &form.kxk, builder)),
            bn: builder.norm("bn", geometry.out_channels()),
        });
        let branches = Self::build_branches(geometry, &form.branches, builder);
        Self { kxk, branches, geometry: geometry.clone() }
    }

    pub(crate) fn build_branches(
        geometry: &ConvGeometry,
        forms: &[BranchForm],
        builder: &mut Builder<'_>,
    ) -> Vec<Branch> {
        forms.iter().map(|form| Branch::build(geometry, form, builder)).collect()
    }

    /// The `kxk` branch.
    #[must_use]
    pub fn kxk(&self) -> &Kxk {
        &self.kxk
    }

    /// The other branches, in canonical order.
    #[must_use]
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// The geometry that every branch's kernel has.
    #[must_use]
    pub fn geometry(&self) -> &ConvGeometry {
        &self.geometry
    }

    /// The block's form.
    #[must_use]
    pub fn form(&self) -> BlockForm {
        BlockForm {
            kxk: Box::new(self.kxk.conv.form()),
            branches: self.branches.iter().map(Branch::form).collect(),
        }
    }

    /// The one kernel that the block is at inference: the sum of its branches' (law 1).
    #[must_use]
    pub fn fuse(&self) -> Kernel {
        self.branches
            .iter()
            .map(Branch::fuse)
            .fold(self.fuse_kxk(), |sum, kernel| add(&sum, &kernel))
    }

    fn fuse_kxk(&self) -> Kernel {
        fold_norm(&self.kxk.conv.fuse(), &NormAffine::of(&self.kxk.bn))
    }

    pub(crate) fn forward_pass(&self, input: &Tensor<4>, pass: Pass) -> Tensor<4> {
        if pass == Pass::Ordinary
            && let Some(output) = train_block(self, input)
        {
            return output;
        }
        let kxk = self.kxk.conv.forward_pass(input.clone(), pass);
        let kxk = normalize(&self.kxk.bn, kxk, pass);
        self.branches.iter().fold(kxk, |sum, branch| sum + branch.forward_pass(input.clone(), pass))
    }
}

impl Module for Block {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.branches.collect_devices(self.kxk.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        let kxk = self.kxk.fork(device);
        Self { kxk, branches: self.branches.fork(device), geometry: self.geometry }
    }

    fn to_device(self, device: &Device) -> Self {
        let kxk = self.kxk.to_device(device);
        Self { kxk, branches: self.branches.to_device(device), geometry: self.geometry }
    }

    fn train(self) -> Self {
        Self { kxk: self.kxk.train(), branches: self.branches.train(), geometry: self.geometry }
    }

    fn valid(&self) -> Self {
        Self {
            kxk: self.kxk.valid(),
            branches: self.branches.valid(),
            geometry: self.geometry.clone(),
        }
    }

    /// A block cannot become anything else by itself: [`RepConv2d`] replaces it whole.
    fn materialize(self) -> Self {
        self
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        let name = BranchKind::Kxk.name();
        visitor.enter_module(name, "Struct:Block");
        self.kxk.visit(visitor);
        visitor.exit_module(name, "Struct:Block");
        for branch in &self.branches {
            branch.visit(visitor);
        }
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let name = BranchKind::Kxk.name();
        mapper.enter_module(name, "Struct:Block");
        let kxk = self.kxk.map(mapper);
        mapper.exit_module(name, "Struct:Block");
        let branches = self.branches.into_iter().map(|branch| branch.map(mapper)).collect();
        Self { kxk, branches, geometry: self.geometry }
    }
}
