//! Rep: growing a plain convolution into a block (DyRep, section 3.2).
//!
//! 1. New branches start from N(0, √(2 / fan-out)), their last γ at 0.01.
//! 2. Their batch norms are measured on calibration batches, averaged with equal weights.
//! 3. The k×k convolution gives up what they do: `W ← W − Σ W_branch`, `b ← b − Σ b_branch`, and its new
//!    batch norm passes values through.
//!
//! The weight keeps its identity, and with it its momentum.

use burn::module::Module;
use burn::tensor::Tensor;

use super::calibrate::{Statistics, set_identity, set_neutral};
use super::{AdjustOptions, Calibration, Fidelity, NormRule, Target};
use crate::block::{Block, Kxk};
use crate::branch::{Branch, Branches, Pass};
use crate::build::{Builder, Source, with_value};
use crate::error::AdjustError;
use crate::form::{BlockForm, DEEPEST};
use crate::fuse::{add, subtract};
use crate::rep_conv2d::RepConv2d;

/// The gain that the last batch norm of each new branch starts with.
pub(super) const LAST_GAMMA: f32 = 0.01;

/// Grows the plain convolution at `path` into a block.
///
/// `path` is as in [`layers`](crate::layers), with `.kxk.conv` or `.1x1_kxk.conv2` appended for each block
/// that the convolution lies in. The model's function at inference stays the same up to rounding. Branches
/// of a preset that do not exist there are left out; a preset of which nothing is left but `kxk` still adds
/// its batch norm.
///
/// # Errors
/// No such convolution, one that is a block already or lies too deep, a branch named that does not exist there, or
/// calibration that gives no batch. The model is then unchanged.
pub fn grow<M: Module>(
    model: &M,
    path: &str,
    branches: &Branches,
    options: &AdjustOptions,
    calibration: &mut Calibration<'_, M>,
) -> Result<M, AdjustError> {
    grow_with(model, path, branches, options, calibration, |block| block)
}

/// As [`grow`]; `initialize` may give the new branches other initial values than the default's.
///
/// It gets the new block, in evaluation mode, before its batch norms are measured and the k×k convolution is
/// compensated.
///
/// # Errors
/// As [`grow`].
///
/// # Panics
/// If `initialize` returns a layer of another form.
pub fn grow_with<M: Module>(
    model: &M,
    path: &str,
    branches: &Branches,
    options: &AdjustOptions,
    calibration: &mut Calibration<'_, M>,
    initialize: impl FnOnce(RepConv2d) -> RepConv2d,
) -> Result<M, AdjustError> {
    let target = Target::find(model, path)?;
    let block = new_block(&target, branches, options)?;
    let mut block = [initialized(block, initialize)];
    let evaluation = model.valid();
    measure(&mut block, &[&target], options, calibration, &evaluation)?;
    let [mut block] = block;
    compensate(&mut block);
    if options.norm_rule == NormRule::Neutral {
        let mut statistics = Statistics::default();
        calibration.each_input(&evaluation, &[&target], |_, input, _| {
            statistics.add(block.kxk.conv.forward_pass(input, Pass::Ordinary));
        })?;
        set_neutral(&mut block.kxk.bn, statistics.average());
    }
    Ok(target.put(model.clone(), RepConv2d::Block(Box::new(block))))
}

/// A block around the target, which must be plain, with fresh branches beside it, in evaluation mode.
pub(super) fn new_block(
    target: &Target,
    branches: &Branches,
    options: &AdjustOptions,
) -> Result<Block, AdjustError> {
    let RepConv2d::Plain(mut conv) = target.conv().valid() else {
        return Err(AdjustError::AlreadyGrown { path: target.path.clone() });
    };
    if target.address.len() >= DEEPEST {
        return Err(AdjustError::TooDeep { path: target.path.clone(), limit: DEEPEST });
    }
    let geometry = target.conv().geometry();
    let kinds = branches.resolve(&geometry)?.unwrap_or_default();
    let form = BlockForm::of_kinds(&kinds, true, geometry.in_channels());
    let device = conv.weight.val().device();
    let source = Source::Seeded { seed: options.seed, event: options.event };
    let mut builder = Builder::new(source, &device, &target.path).with_last_gamma(LAST_GAMMA);
    let bn = builder.within("kxk", |builder| builder.norm("bn", geometry.out_channels()));
    builder.within("kxk", |builder| {
        builder.within("conv", |builder| {
            if conv.bias.is_none() {
                conv.bias = Some(builder.constant("bias", geometry.out_channels(), 0.0));
            }
            if options.fidelity == Fidelity::Published {
                conv.weight.id = builder.id("weight");
            }
        });
    });
    let branches = Block::build_branches(&geometry, &form.branches, &mut builder);
    let kxk = Kxk { conv: RepConv2d::Plain(conv), bn };
    Ok(Block { kxk, branches, geometry })
}

fn initialized(block: Block, initialize: impl FnOnce(RepConv2d) -> RepConv2d) -> Block {
    let layer = RepConv2d::Block(Box::new(block));
    let form = layer.form();
    let layer = initialize(layer);
    assert_eq!(layer.form(), form, "an initialisation must leave the block's form as it is");
    match layer {
        RepConv2d::Block(block) => *block,
        RepConv2d::Plain(_) => unreachable!("its form was compared"),
    }
}

/// Measures the batch norms of new blocks, one for each target, all in the same passes through the model.
pub(super) fn measure<M: Module>(
    blocks: &mut [Block],
    targets: &[&Target],
    options: &AdjustOptions,
    calibration: &mut Calibration<'_, M>,
    evaluation: &M,
) -> Result<(), AdjustError> {
    let variance = options.norm_rule.variance();
    calibration.each_input(evaluation, targets, |i, input, seen| {
        blocks[i].forward_pass(&input, Pass::Calibrate { seen, variance });
    })?;
    if options.norm_rule == NormRule::Neutral {
        blocks.iter_mut().for_each(scale_last_gammas);
    }
    Ok(())
}

/// Scales the new γs by the k×k branch's spread: its own γ will be that, and their ratio should be the same
/// as under the published rule, where it is 1.
fn scale_last_gammas(block: &mut Block) {
    let spread = block.kxk.bn.running_var.value_sync() + block.kxk.bn.epsilon;
    let spread: Tensor<1> = spread.sqrt();
    for branch in &mut block.branches {
        let norm = branch.last_norm_mut();
        let gamma = norm.gamma.val() * spread.clone();
        norm.gamma = with_value(norm.gamma.clone(), gamma);
    }
}

/// Takes what the new branches do out of the k×k convolution.
fn compensate(block: &mut Block) {
    set_identity(&mut block.kxk.bn);
    let Some(sum) = block.branches.iter().map(Branch::fuse).reduce(|sum, next| add(&sum, &next))
    else {
        return;
    };
    let conv = block.kxk.conv.clone();
    let kernel = subtract(&conv.fuse(), &sum);
    block.kxk.conv = conv.into_plain(&kernel);
}
