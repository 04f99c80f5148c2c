//! Rep: growing a plain convolution into a block (DyRep, section 3.2).
//!
//! 1. New branches start from N(0, √(2 / fan-out)), their last γ at 0.01.
//! 2. Their batch norms are measured on calibration batches, averaged with equal weights.
//! 3. The k×k convolution gives up what they do: `W ← W − Σ W_branch`, `b ← b − Σ b_branch`, and its new
//!    batch norm passes values through.
//!
//! The weight keeps its identity, and with it its momentum.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor};
use dyrep_config::{Branches, DEEPEST};

use super::calibrate::{Statistics, set_identity, set_neutral};
use super::{AdjustOptions, Calibration, Fidelity, LAST_GAMMA, NormRule, Target};
use crate::error::AdjustError;
use crate::fuse::{subtract, wide};
use crate::layer::{Block, Branch, RepConv2d, with_value};
use crate::pass::Pass;
use crate::structure::BlockForm;

/// Grows the plain convolution at `path` into a block.
///
/// `path` is as in [`layers`](crate::layers), with `.kxk.conv` or `.1x1_kxk.conv2` appended for each block
/// that the convolution lies in. The model's function at inference stays the same up to rounding; where neither `kxk` nor
/// the new branches end in norms, in training mode too. Branches of a preset that do not exist there are left out; a
/// preset of which nothing is left but `kxk` still adds its batch norm. A norm after the sum is not grown: what follows
/// the convolution in the network stays.
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
    let block = new_block(&target, branches, options, LAST_GAMMA)?;
    let mut block = [initialized(block, initialize)];
    let evaluation = model.valid();
    measure(&mut block, &[&target], options, calibration, &evaluation)?;
    let [mut block] = block;
    compensate(&mut block);
    if options.norm_rule == NormRule::Neutral && block.main().norm().is_some() {
        let mut statistics = Statistics::default();
        calibration.each_input(&evaluation, &[&target], |_, input, _| {
            statistics.add(block.main_conv().forward_pass(input, Pass::Infer));
        })?;
        if let Some(norm) = block.main_norm_mut() {
            set_neutral(norm, statistics.average());
        }
    }
    Ok(target.put(model.clone(), RepConv2d::Block(Box::new(block))))
}

/// A block around the target, which must be plain, with fresh branches beside it that end in this gain, in evaluation mode.
pub(super) fn new_block(
    target: &Target,
    branches: &Branches,
    options: &AdjustOptions,
    last_gain: f32,
) -> Result<Block, AdjustError> {
    let RepConv2d::Plain(mut conv) = target.conv().valid() else {
        return Err(AdjustError::AlreadyGrown { path: target.path.clone() });
    };
    if target.address.len() >= DEEPEST {
        return Err(AdjustError::TooDeep { path: target.path.clone(), limit: DEEPEST });
    }
    let geometry = target.conv().geometry();
    let form = BlockForm::grown(branches, &geometry).map_err(|source| target.refused(source))?;
    let device = conv.weight.val().device();
    let mut builder = options.builder(&device, &target.path, last_gain);
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
    let dtype = conv.weight.val().dtype();
    // Off the graph nothing requires a gradient; what will, once training, is seen by going there.
    let frozen = !conv.weight.clone().train().is_require_grad();
    let conv = Some(RepConv2d::Plain(conv));
    let mut branches = vec![Branch::build(conv, &geometry, form.main(), &mut builder)];
    let others = form.branches[1..].iter();
    branches.extend(others.map(|form| Branch::build(None, &geometry, form, &mut builder)));
    // New parameters are of the type of those that are there.
    let branches = branches.into_iter().map(|branch| branch.map(&mut Cast(dtype))).collect();
    let block = Block { branches, norm_after: None, geometry };
    // What grows in a layer that is frozen is so too.
    Ok(if frozen { block.freeze() } else { block })
}

/// Casts parameters; running statistics are `f32` at least.
struct Cast(DType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if param.val().dtype() == self.0 { param } else { param.map(|value| value.cast(self.0)) }
    }
}

fn initialized(block: Block, initialize: impl FnOnce(RepConv2d) -> RepConv2d) -> Block {
    let layer = RepConv2d::Block(Box::new(block));
    let form = layer.form();
    let layer = initialize(layer);
    assert_eq!(layer.form(), form, "an initialisation must leave the block's form as it is");
    match layer {
        RepConv2d::Block(block) => *block,
        RepConv2d::Plain(_) | RepConv2d::Stack(_) => unreachable!("its form was compared"),
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
    // What has no norm has nothing to measure.
    let measured: Vec<usize> = (0..blocks.len()).filter(|i| has_norm(&blocks[*i])).collect();
    let targets: Vec<&Target> = measured.iter().map(|&i| targets[i]).collect();
    if targets.is_empty() {
        return Ok(());
    }
    let variance = super::variance_of(options.norm_rule);
    calibration.each_input(evaluation, &targets, |i, input, seen| {
        blocks[measured[i]].forward_pass(&input, Pass::Calibrate { seen, variance });
    })?;
    if options.norm_rule == NormRule::Neutral {
        blocks.iter_mut().for_each(scale_last_gammas);
    }
    Ok(())
}

fn has_norm(block: &Block) -> bool {
    let of_branch = |branch: &Branch| branch.norm().or(branch.parts.first_norm.as_ref()).is_some();
    block.branches().iter().any(of_branch)
}

/// Scales what ends the new branches by the k×k branch's spread: its own γ will be that, and their ratio should be the
/// same as under the published rule, where it is 1.
fn scale_last_gammas(block: &mut Block) {
    let Some(norm) = block.main().norm() else { return };
    let spread: Tensor<1> = (wide(norm.running_var.value_sync()) + norm.epsilon).sqrt();
    for branch in &mut block.branches[1..] {
        let spread = spread.clone();
        let times = move |parameter: Param<Tensor<1>>| {
            let value = wide(parameter.val());
            with_value(parameter, value.clone() * spread.cast(value.dtype()))
        };
        match (&mut branch.parts.norm, &mut branch.parts.scale) {
            (Some(norm), _) => norm.gamma = times(norm.gamma.clone()),
            (None, Some(scale)) => *scale = times(scale.clone()),
            (None, None) => {}
        }
    }
}

/// Takes what the new branches do out of the k×k convolution; what ends its own branch passes it through.
pub(super) fn compensate(block: &mut Block) {
    if let Some(norm) = block.main_norm_mut() {
        set_identity(norm);
    }
    if let Some(sum) = block.fuse_branches(block.others()) {
        block.map_main_conv(|conv| {
            let kernel = subtract(&conv.fuse(), &sum);
            conv.into_plain(&kernel)
        });
    }
}
