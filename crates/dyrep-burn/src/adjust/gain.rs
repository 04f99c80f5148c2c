//! What growing a convolution would be worth: the squared gradient norm that its new branches would get.
//!
//! Side by side with the convolution `W`, a branch adds its kernel `K(θ)` to the output's, so
//! ∂L/∂K = ∂L/∂W: the gradient that training has computed anyway. The laws of fusion are differentiable,
//! and carry it on to the branch's own parameters, with its batch norms' statistics held fixed:
//! ∂L/∂θ = (∂K/∂θ)ᵀ ∂L/∂W. No forward pass with the branches is needed but to measure those statistics.
//! (GradMax, arXiv 2201.05125, asks the same of new neurons.)

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use dyrep_config::Branches;

use super::grow::{measure, new_block};
use super::{AdjustOptions, Calibration, LAST_GAMMA, Target};
use crate::error::AdjustError;
use crate::fuse::{read_all, wide};
use crate::layer::Block;
use crate::look::layers;

/// The mean gradient of a plain convolution.
#[derive(Clone, Debug)]
pub(crate) struct MeanGradient {
    /// Of its weight, `[out, in / groups, height, width]`.
    pub(crate) weight: Tensor<4>,
    /// Of its bias, `[out]`, if it has one.
    pub(crate) bias: Option<Tensor<1>>,
}

/// The gain of growing each of the convolutions, with the very branches that [`grow`](super::grow) would
/// give it.
pub(crate) fn branch_gains<M: Module>(
    model: &M,
    candidates: &[(String, MeanGradient)],
    branches: &Branches,
    options: &AdjustOptions,
    calibration: &mut Calibration<'_, M>,
) -> Result<Vec<f64>, AdjustError> {
    let layers = layers(model);
    let find = |(path, _): &(String, _)| Target::find_in(&layers, path);
    let targets = candidates.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    let build = |target| new_block(target, branches, options, LAST_GAMMA);
    let mut blocks = targets.iter().map(build).collect::<Result<Vec<_>, _>>()?;
    let targets: Vec<&Target> = targets.iter().collect();
    if targets.is_empty() {
        return Ok(vec![]);
    }
    measure(&mut blocks, &targets, options, calibration, &model.valid())?;
    let gains =
        blocks.into_iter().zip(candidates).map(|(block, (_, gradient))| gain(block, gradient));
    Ok(read_all(gains.collect()))
}

/// Σ ‖∂L/∂θ‖² over the parameters θ of the block's optional branches, `[1]`.
fn gain(block: Block, gradient: &MeanGradient) -> Tensor<1> {
    let block = block.train();
    let zero = Tensor::zeros([1], &gradient.weight.device());
    let Some(sum) = block.fuse_branches(block.others()) else { return zero };
    // A loss whose gradient with respect to the kernel is the given one.
    let mut loss = (sum.weight() * wide(gradient.weight.clone()).autodiff()).sum();
    if let (Some(bias), Some(gradient)) = (sum.bias(), &gradient.bias) {
        loss = loss + (bias * wide(gradient.clone()).autodiff()).sum();
    }
    if !loss.is_tracked() {
        // Branches without parameters, an identity that ends in nothing, have nothing to gain.
        return zero;
    }
    let gradients = loss.backward();
    let mut norm = SquaredNorm { gradients: &gradients, sum: zero };
    block.others().iter().for_each(|branch| branch.visit(&mut norm));
    norm.sum
}

struct SquaredNorm<'a> {
    gradients: &'a Gradients,
    sum: Tensor<1>,
}

impl ModuleVisitor for SquaredNorm<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(self.gradients) {
            self.sum = self.sum.clone() + wide(gradient).powi_scalar(2).sum();
        }
    }
}
