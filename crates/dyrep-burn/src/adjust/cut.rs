//! Dep: folding branches back into the k×k one (DyRep, section 3.3).
//!
//! What the cut branches do at inference is added to the k×k convolution. What ends its branch is first folded in, so
//! that nothing is ever divided by a γ that may be near zero. A block inside is not touched but at the end of its own
//! chain of k×k convolutions. With no branch left the block becomes the convolution of its `kxk` branch, with a bias, a
//! norm after the sum folded in.

use burn::module::Module;
use burn::tensor::Tensor;
use dyrep_config::BranchName;

use super::calibrate::{Statistics, set_neutral};
use super::redraw::redraw;
use super::{AdjustOptions, Calibration, Fidelity, NormRule, Target};
use crate::error::AdjustError;
use crate::fuse::{Kernel, add, subtract};
use crate::layer::{Block, Branch, RepConv2d};
use crate::look::nest::join;
use crate::pass::Pass;

/// Cuts the named branches from the block at `path`.
///
/// The model's function at inference stays the same up to rounding. Only [`NormRule::Neutral`] needs
/// `calibration` batches, and only where the block keeps a branch and its `kxk` a norm. A block that has none but `kxk`
/// becomes a convolution when none is named.
///
/// # Errors
/// No block at `path`, no branch named or one that it does not have (`kxk` cannot be cut), or calibration that
/// gives no batch. The model is then unchanged.
pub fn cut<M: Module>(
    model: &M,
    path: &str,
    branches: &[BranchName],
    options: &AdjustOptions,
    calibration: &mut Calibration<'_, M>,
) -> Result<M, AdjustError> {
    let target = Target::find(model, path)?;
    let missing = |branch| AdjustError::NoSuchBranch { path: path.to_owned(), branch };
    let RepConv2d::Block(block) = target.conv().valid() else {
        return Err(missing(branches.first().copied().unwrap_or(BranchName::MAIN)));
    };
    let has = |name: &BranchName| block.others().iter().any(|branch| branch.name() == *name);
    if let Some(&name) = branches.iter().find(|name| !has(name)) {
        return Err(missing(name));
    }
    if branches.is_empty() && !block.others().is_empty() {
        return Err(AdjustError::NoBranchNamed { path: path.to_owned() });
    }
    let mut conv = fold_back(*block, branches, path, options);
    if options.norm_rule == NormRule::Neutral && has_norm_on_chain(&conv) {
        let evaluation = model.valid();
        let mut chain = vec![];
        calibration.each_input(&evaluation, &[&target], |_, input, _| {
            measure_chain(&conv, &input, &mut chain);
        })?;
        settle_chain(&mut conv, &chain);
    }
    Ok(target.put(model.clone(), conv))
}

/// The block without the named branches, or what it becomes when none is left.
fn fold_back(
    mut block: Block,
    names: &[BranchName],
    path: &str,
    options: &AdjustOptions,
) -> RepConv2d {
    let (cut, kept): (Vec<Branch>, Vec<Branch>) =
        block.branches.drain(..).partition(|branch| names.contains(&branch.name()));
    block.branches = kept;
    let sum = block.fuse_branches(&cut);
    block.open_main();
    block.map_main_conv(|mut conv| {
        if let (Fidelity::Published, RepConv2d::Block(inner)) = (options.fidelity, &conv) {
            let redrawn = redraw(inner, &join(path, "kxk.conv"), options);
            let missing = subtract(&inner.fuse(), &redrawn.fuse());
            conv = absorb(redrawn, &missing);
        }
        match &sum {
            Some(sum) => absorb(conv, sum),
            None => conv,
        }
    });
    match block.others() {
        [] => block.into_main_conv(),
        _ => RepConv2d::Block(Box::new(block)),
    }
}

/// The convolution that does at inference what `conv` and `kernel` do side by side.
pub(super) fn absorb(conv: RepConv2d, kernel: &Kernel) -> RepConv2d {
    match conv {
        RepConv2d::Plain(_) | RepConv2d::Stack(_) => {
            let sum = add(&conv.fuse(), kernel);
            conv.into_plain(&sum)
        }
        RepConv2d::Block(mut block) => {
            block.open();
            block.map_main_conv(|conv| absorb(conv, kernel));
            RepConv2d::Block(block)
        }
    }
}

/// The blocks along the chain of `kxk` branches, outermost first.
fn has_norm_on_chain(conv: &RepConv2d) -> bool {
    conv.block()
        .is_some_and(|block| block.main().norm().is_some() || has_norm_on_chain(block.main_conv()))
}

/// Adds a batch to the statistics of each k×k branch along the chain that [`absorb`] changed.
fn measure_chain(conv: &RepConv2d, input: &Tensor<4>, chain: &mut Vec<Statistics>) {
    let mut level = 0;
    let mut conv = conv;
    while let RepConv2d::Block(block) = conv {
        if chain.len() == level {
            chain.push(Statistics::default());
        }
        conv = block.main_conv();
        if block.main().norm().is_some() {
            chain[level].add(conv.forward_pass(input.clone(), Pass::Infer));
        }
        level += 1;
    }
}

fn settle_chain(conv: &mut RepConv2d, chain: &[Statistics]) {
    let (RepConv2d::Block(block), [statistics, rest @ ..]) = (conv, chain) else { return };
    if let Some(norm) = block.main_norm_mut() {
        set_neutral(norm, statistics.average());
    }
    block.map_main_conv(|mut conv| {
        settle_chain(&mut conv, rest);
        conv
    });
}
