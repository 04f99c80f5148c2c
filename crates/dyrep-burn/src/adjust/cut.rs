//! Dep: folding branches back into the k×k one (DyRep, section 3.3).
//!
//! What the cut branches do at inference is added to the k×k convolution. Its batch norm is first folded
//! in, so that nothing is ever divided by a γ that may be near zero. A block inside is not touched but at
//! the end of its own chain of k×k convolutions. With no branch left the block becomes the convolution of
//! its `kxk` branch, with a bias.

use burn::module::{Module, Param};
use burn::nn::BatchNorm;
use burn::tensor::Tensor;

use super::calibrate::{Statistics, set_identity, set_neutral};
use super::redraw::redraw;
use super::{AdjustOptions, Calibration, Fidelity, NormRule, Target};
use crate::block::{Block, Kxk};
use crate::branch::{Branch, BranchKind, Pass};
use crate::build::with_value;
use crate::error::AdjustError;
use crate::fuse::{NormAffine, add, fold_norm, subtract};
use crate::kernel::Kernel;
use crate::nest::join;
use crate::rep_conv2d::RepConv2d;

/// Cuts the branches of the given `kinds` from the block at `path`.
///
/// The model's function at inference stays the same up to rounding. Only [`NormRule::Neutral`] needs
/// `calibration` batches, and only where the block keeps a branch. A block that has none but `kxk` becomes a
/// convolution when no kind is named.
///
/// # Errors
/// No block at `path`, no kind named or one that it does not have (`kxk` cannot be cut), or calibration that
/// gives no batch. The model is then unchanged.
pub fn cut<M: Module>(
    model: &M,
    path: &str,
    kinds: &[BranchKind],
    options: &AdjustOptions,
    calibration: &mut Calibration<'_, M>,
) -> Result<M, AdjustError> {
    let target = Target::find(model, path)?;
    let missing = |kind| AdjustError::NoSuchBranch { path: path.to_owned(), kind };
    let RepConv2d::Block(block) = target.conv().valid() else {
        return Err(missing(kinds.first().copied().unwrap_or(BranchKind::Kxk)));
    };
    let has = |kind: &BranchKind| block.branches.iter().any(|branch| branch.kind() == *kind);
    if let Some(&kind) = kinds.iter().find(|kind| !has(kind)) {
        return Err(missing(kind));
    }
    if kinds.is_empty() && !block.branches.is_empty() {
        return Err(AdjustError::NoBranchNamed { path: path.to_owned() });
    }
    let mut conv = fold_back(*block, kinds, path, options);
    if options.norm_rule == NormRule::Neutral && !conv.is_plain() {
        let evaluation = model.valid();
        let mut chain = vec![];
        calibration.each_input(&evaluation, &[&target], |_, input, _| {
            measure_chain(&conv, &input, &mut chain);
        })?;
        settle_chain(&mut conv, &chain);
    }
    Ok(target.put(model.clone(), conv))
}

/// The block without the branches of the given kinds, or what it becomes when none is left.
fn fold_back(block: Block, kinds: &[BranchKind], path: &str, options: &AdjustOptions) -> RepConv2d {
    let (cut, kept): (Vec<Branch>, Vec<Branch>) =
        block.branches.into_iter().partition(|branch| kinds.contains(&branch.kind()));
    let Kxk { conv, mut bn } = block.kxk;
    let mut conv = scale(conv, &NormAffine::of(&bn));
    set_identity(&mut bn);
    if let (Fidelity::Published, RepConv2d::Block(inner)) = (options.fidelity, &conv) {
        let redrawn = redraw(inner, &join(path, "kxk.conv"), options);
        let missing = subtract(&inner.fuse(), &redrawn.fuse());
        conv = absorb(redrawn, &missing);
    }
    if let Some(sum) = cut.iter().map(Branch::fuse).reduce(|sum, next| add(&sum, &next)) {
        conv = absorb(conv, &sum);
    }
    if kept.is_empty() {
        return conv;
    }
    let kxk = Kxk { conv, bn };
    RepConv2d::Block(Box::new(Block { kxk, branches: kept, geometry: block.geometry }))
}

/// The convolution followed by the map `x · scale + shift`, in both modes.
fn scale(conv: RepConv2d, affine: &NormAffine) -> RepConv2d {
    let mut block = match conv {
        RepConv2d::Plain(_) => {
            let kernel = fold_norm(&conv.fuse(), affine);
            return conv.into_plain(&kernel);
        }
        RepConv2d::Block(block) => block,
    };
    let norms = block.branches.iter_mut().map(Branch::last_norm_mut);
    for norm in norms.chain([&mut block.kxk.bn]) {
        norm.gamma = times(norm.gamma.clone(), &affine.scale);
        norm.beta = times(norm.beta.clone(), &affine.scale);
    }
    shift(&mut block.kxk.bn, affine.shift.clone());
    RepConv2d::Block(block)
}

fn times(parameter: Param<Tensor<1>>, scale: &Tensor<1>) -> Param<Tensor<1>> {
    let value = parameter.val() * scale.clone();
    with_value(parameter, value)
}

fn shift(norm: &mut BatchNorm, by: Tensor<1>) {
    let value = norm.beta.val() + by;
    norm.beta = with_value(norm.beta.clone(), value);
}

/// The convolution that does at inference what `conv` and `kernel` do side by side.
fn absorb(conv: RepConv2d, kernel: &Kernel) -> RepConv2d {
    match conv {
        RepConv2d::Plain(_) => {
            let sum = add(&conv.fuse(), kernel);
            conv.into_plain(&sum)
        }
        RepConv2d::Block(mut block) => {
            let inner = scale(block.kxk.conv, &NormAffine::of(&block.kxk.bn));
            set_identity(&mut block.kxk.bn);
            block.kxk.conv = absorb(inner, kernel);
            RepConv2d::Block(block)
        }
    }
}

/// Adds a batch to the statistics of each k×k branch along the chain that [`absorb`] changed.
fn measure_chain(conv: &RepConv2d, input: &Tensor<4>, chain: &mut Vec<Statistics>) {
    let mut level = 0;
    let mut conv = conv;
    while let RepConv2d::Block(block) = conv {
        if chain.len() == level {
            chain.push(Statistics::default());
        }
        conv = &block.kxk.conv;
        chain[level].add(conv.forward_pass(input.clone(), Pass::Ordinary));
        level += 1;
    }
}

fn settle_chain(conv: &mut RepConv2d, chain: &[Statistics]) {
    let mut conv = conv;
    for statistics in chain {
        let RepConv2d::Block(block) = conv else {
            return;
        };
        set_neutral(&mut block.kxk.bn, statistics.average());
        conv = &mut block.kxk.conv;
    }
}
