//! Expanding: plain convolutions of a trained network become blocks that compute the same, in training mode too and
//! without any data.
//!
//! 1. `kxk` ends in a scale of 1 instead of a batch norm, which would normalise by each batch.
//! 2. What ends the other branches starts at 0 (a norm's γ, a scale), so that they add nothing; they learn from the first
//!    step on, since the gradient of a gain does not depend on its value. Branches that end in nothing start with kernels
//!    of 0.
//! 3. What a branch adds all the same, the input or an average of it, is taken out of the k×k convolution.

use burn::module::Module;
use dyrep_config::{BranchKind, Branches, End};

use super::grow::{compensate, new_block};
use super::{AdjustOptions, Target};
use crate::error::AdjustError;
use crate::layer::RepConv2d;

/// The gain that ends a new branch.
const NOTHING: f32 = 0.0;

/// Expands the plain convolutions at `paths`, which are as in [`grow`](super::grow()), into blocks.
///
/// The model's function stays the same up to rounding, at inference and in training mode, where branches are in front of
/// what follows the convolution in the network; with branches that end in norms or scales it stays the same to the bit but
/// for the sum with what is 0. Branches of a preset that do not exist at a convolution are left out, and it stays plain if
/// `kxk` alone is left. Of a preset that only starts the block is taken, without what is inside `kxk`: a trained kernel is no
/// layers in sequence. A norm after the sum is not added. `options` decide about ids and first values; the norm rule has
/// nothing to decide here, and no batch is needed, which is what makes this differ from growing by the neutral rule.
///
/// # Errors
/// No such convolution, one that is a block already or lies too deep, a branch named that does not exist there.
pub fn expand<M: Module, S: AsRef<str>>(
    model: &M,
    paths: impl IntoIterator<Item = S>,
    branches: &Branches,
    options: &AdjustOptions,
) -> Result<M, AdjustError> {
    let mut model = model.clone();
    for path in paths {
        let target = Target::find(&model, path.as_ref())?;
        let resolved = branches.resolve(&target.conv().geometry());
        let Some(specs) = resolved.map_err(|source| target.refused(source))? else { continue };
        if let [only] = &specs[..]
            && only.times == 1
        {
            continue;
        }
        let scaled = specs.into_iter().map(|spec| match (spec.kind, spec.end) {
            (BranchKind::KXK, End::Norm) => crate::BranchSpec { end: End::Scale, ..spec },
            _ => spec,
        });
        let branches = Branches::Exactly(scaled.collect());
        let mut block = new_block(&target, &branches, options, NOTHING)?;
        compensate(&mut block);
        model = target.put(model, RepConv2d::Block(Box::new(block)));
    }
    Ok(model)
}
