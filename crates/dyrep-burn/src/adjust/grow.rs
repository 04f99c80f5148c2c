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
use super::{Calibration, NormRule, Target};
use crate::block::{Block, Kxk};
use crate::branch::{Branch, Branches, Pass};
use crate::build::{Builder, Source, with_value};
use crate::error::AdjustError;
use crate::form::BlockForm;
use crate::fuse::{add, subtract};
use crate::rep_conv2d::RepConv2d;

/// The gain that the last batch norm of each new branch starts with.
const LAST_GAMMA: f32 = 0.01;

/// What to grow, and where its initial values come from.
#[derive(Clone, Debug)]
pub struct Growth {
    /// Path of the convolution, as in [`layers`](crate::layers), `.kxk.conv` or `.1x1_kxk.conv2` appended for
    /// each block it lies in.
    pub path: String,
    /// The branches to grow.
    pub branches: Branches,
    /// How the batch norm of `kxk` is set.
    pub rule: NormRule,
    /// The run's seed: ids and initial values are functions of (seed, path, event).
    pub seed: u64,
    /// Number of this change within the run; the same on every replica.
    pub event: u64,
}

/// Grows the plain convolution at `growth.path` into a block.
///
/// The model's function at inference stays the same up to rounding. Branches of a preset that do not exist
/// there are left out; a preset of which nothing is left but `kxk` still adds its batch norm.
///
/// # Errors
/// No such convolution, one that is a block already, a branch named that does not exist there, or
/// calibration that gives no batch. The model is then unchanged.
pub fn grow<M: Module>(
    model: &M,
    growth: &Growth,
    calibration: &mut Calibration<'_, M>,
) -> Result<M, AdjustError> {
    let target = Target::find(model, &growth.path)?;
    if !target.conv().is_plain() {
        return Err(AdjustError::AlreadyGrown { path: growth.path.clone() });
    }
    let mut block = new_block(growth, target.conv().valid())?;
    let evaluation = model.valid();
    calibration.each_input(&evaluation, &growth.path, &target, |input, seen| {
        block.forward_pass(&input, Pass::Calibrate { seen });
    })?;
    if growth.rule == NormRule::Neutral {
        scale_last_gammas(&mut block);
    }
    compensate(&mut block);
    if growth.rule == NormRule::Neutral {
        let mut statistics = Statistics::default();
        calibration.each_input(&evaluation, &growth.path, &target, |input, _| {
            statistics.add(block.kxk.conv.forward_pass(input, Pass::Ordinary));
        })?;
        set_neutral(&mut block.kxk.bn, statistics.average());
    }
    Ok(target.put(model.clone(), RepConv2d::Block(Box::new(block))))
}

/// A block around `conv`, plain and in evaluation mode, with fresh branches beside it.
fn new_block(growth: &Growth, conv: RepConv2d) -> Result<Block, AdjustError> {
    let geometry = conv.geometry();
    let kinds = growth.branches.resolve(&geometry)?.unwrap_or_default();
    let form = BlockForm::of_kinds(&kinds, true, geometry.in_channels());
    let device = conv.innermost().weight.val().device();
    let source = Source::Seeded { seed: growth.seed, event: growth.event };
    let mut builder = Builder::new(source, &device, &growth.path).with_last_gamma(LAST_GAMMA);
    let bn = builder.within("kxk", |builder| builder.norm("bn", geometry.out_channels()));
    let RepConv2d::Plain(mut conv) = conv else { unreachable!("checked by the caller") };
    if conv.bias.is_none() {
        let outputs = geometry.out_channels();
        let bias = builder.within("kxk", |builder| {
            builder.within("conv", |builder| builder.constant("bias", outputs, 0.0))
        });
        conv.bias = Some(bias);
    }
    let branches = Block::build_branches(&geometry, &form.branches, &mut builder);
    let kxk = Kxk { conv: RepConv2d::Plain(conv), bn };
    Ok(Block { kxk, branches, geometry })
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
