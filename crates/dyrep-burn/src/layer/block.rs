//! A block: branches that read one input and sum into one output, and at inference are one convolution.

use burn::module::{Module, ModuleMapper, ModuleVisitor};
use burn::nn::BatchNorm;
use burn::tensor::{Device, Tensor};
use dyrep_config::BranchName;

use super::branch::{BLOCK, Branch, map_part, visit_part};
use super::build::{Builder, GAMMA};
use super::rep_conv2d::RepConv2d;
use crate::fuse::{Kernel, NormAffine, add, fold_norm, wide};
use crate::geometry::ConvGeometry;
use crate::structure::BlockForm;

/// The branches that stand for one convolution while training.
///
/// Parameters lie below the branches' names: `kxk.conv.weight`, `1x1.bn.gamma`, …; those of a norm after the sum below
/// `bn`.
#[derive(Clone, Debug)]
pub struct Block {
    /// `kxk` first, then the others in canonical order.
    pub(crate) branches: Vec<Branch>,
    /// Follows the sum.
    pub(crate) norm_after: Option<BatchNorm>,
    pub(crate) geometry: ConvGeometry,
}

/// Where the norm after the sum lies.
pub(crate) const AFTER: &str = "bn";

impl Block {
    pub(crate) fn build(
        geometry: &ConvGeometry,
        form: &BlockForm,
        builder: &mut Builder<'_>,
    ) -> Self {
        let branches = form.branches.iter();
        let branches = branches.map(|form| Branch::build(None, geometry, form, builder)).collect();
        let norm_after =
            form.norm_after.then(|| builder.norm(AFTER, geometry.out_channels(), GAMMA));
        Self { branches, norm_after, geometry: geometry.clone() }
    }

    /// The `kxk` branch, which carries the layer's identity.
    #[must_use]
    pub fn main(&self) -> &Branch {
        &self.branches[0]
    }

    /// The convolution of the `kxk` branch.
    pub(crate) fn main_conv(&self) -> &RepConv2d {
        self.main().conv().unwrap_or_else(|| unreachable!("kxk is a convolution"))
    }

    /// Replaces the convolution of the `kxk` branch.
    pub(crate) fn map_main_conv(&mut self, replace: impl FnOnce(RepConv2d) -> RepConv2d) {
        let conv = &mut self.branches[0].parts.conv;
        *conv = conv.take().map(replace);
    }

    /// The norm of the `kxk` branch, if it has one.
    pub(crate) fn main_norm_mut(&mut self) -> Option<&mut BatchNorm> {
        self.branches[0].parts.norm.as_mut()
    }

    /// The block with another scale, `[out]`, at the end of a branch that has one, learnt or not; as it is where no such
    /// branch is there.
    ///
    /// # Panics
    /// If there is not one value for each output channel.
    #[must_use]
    pub fn with_scale(mut self, name: BranchName, scale: Tensor<1>) -> Self {
        let outputs = self.geometry.out_channels();
        assert_eq!(scale.dims(), [outputs], "a scale has a value for each output channel");
        if let Some(branch) = self.branches.iter_mut().find(|branch| branch.name() == name) {
            branch.set_scale(scale);
        }
        self
    }

    /// All branches, `kxk` first, the others in canonical order.
    #[must_use]
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// The branches that run: all but those that [rest](Branch::is_resting), at least one.
    pub fn running(&self) -> impl Iterator<Item = &Branch> {
        self.branches.iter().filter(|branch| !branch.resting)
    }

    /// Lets the branches rest that `rests` says, and all others run; `kxk` runs where none else would.
    pub(crate) fn rest(&mut self, rests: impl Fn(BranchName) -> bool) {
        for branch in &mut self.branches {
            branch.resting = rests(branch.name());
        }
        if self.running().next().is_none() {
            self.branches[0].resting = false;
        }
    }

    /// The branch of that name.
    #[must_use]
    pub fn branch(&self, name: BranchName) -> Option<&Branch> {
        self.branches.iter().find(|branch| branch.name() == name)
    }

    /// The branches beside `kxk`.
    #[must_use]
    pub fn others(&self) -> &[Branch] {
        &self.branches[1..]
    }

    /// The batch norm after the sum, if there is one.
    #[must_use]
    pub fn norm_after(&self) -> Option<&BatchNorm> {
        self.norm_after.as_ref()
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
            branches: self.branches.iter().map(Branch::form).collect(),
            norm_after: self.norm_after.is_some(),
        }
    }

    /// Whether nothing in it is a norm, but one that follows the sum.
    #[must_use]
    pub fn is_linear(&self) -> bool {
        self.branches.iter().all(Branch::is_linear)
    }

    /// The one kernel that the block is at inference: the sum of its branches' (law 1), through the norm after it.
    #[must_use]
    pub fn fuse(&self) -> Kernel {
        let sum = self.fuse_branches(self.running());
        let sum = sum.unwrap_or_else(|| unreachable!("one branch always runs"));
        match &self.norm_after {
            Some(norm) => fold_norm(&sum, &NormAffine::of(norm)),
            None => sum,
        }
    }

    /// The kernel of one of the block's branches, before the norm after the sum.
    ///
    /// # Panics
    /// If the branch is of a block of another geometry.
    #[must_use]
    pub fn fuse_branch(&self, branch: &Branch) -> Kernel {
        assert_eq!(branch.geometry, self.geometry, "the branch is of another block");
        branch.fuse(&wide(self.main_conv().innermost().weight.val()))
    }

    /// The kernel that some of the block's branches, or new ones for it, sum to; none of none.
    pub(crate) fn fuse_branches<'a>(
        &self,
        branches: impl IntoIterator<Item = &'a Branch>,
    ) -> Option<Kernel> {
        let kernels = branches.into_iter().map(|branch| self.fuse_branch(branch));
        kernels.reduce(|sum, kernel| add(&sum, &kernel))
    }
}

impl Module for Block {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.norm_after.collect_devices(self.branches.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        let norm_after = self.norm_after.fork(device);
        Self { branches: self.branches.fork(device), norm_after, ..self }
    }

    fn to_device(self, device: &Device) -> Self {
        let norm_after = self.norm_after.to_device(device);
        Self { branches: self.branches.to_device(device), norm_after, ..self }
    }

    fn train(self) -> Self {
        let norm_after = self.norm_after.train();
        Self { branches: self.branches.train(), norm_after, ..self }
    }

    fn valid(&self) -> Self {
        let norm_after = self.norm_after.valid();
        Self { branches: self.branches.valid(), norm_after, geometry: self.geometry.clone() }
    }

    /// A block cannot become anything else by itself: [`RepConv2d`] replaces it whole.
    fn materialize(self) -> Self {
        self
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.branches.iter().for_each(|branch| branch.visit(visitor));
        visit_part([AFTER, BLOCK], &self.norm_after, visitor);
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let branches = self.branches.into_iter().map(|branch| branch.map(mapper)).collect();
        let norm_after = map_part([AFTER, BLOCK], self.norm_after, mapper);
        Self { branches, norm_after, geometry: self.geometry }
    }
}
