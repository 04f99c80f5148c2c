//! The controller: DyRep's schedule of growing and cutting, for any training loop.
//!
//! ```text
//! each step:   controller.observe(&model, &gradients)
//! each epoch:  if controller.is_due(epoch) { controller.adjust(&mut model, &mut optimizer, …)? }
//! ```
//!
//! Deciding is pure ([`plan_growth`], [`plan_cuts`]); only [`Controller::adjust`] touches tensors.

mod event;
mod plan;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use serde::{Deserialize, Serialize};

pub use event::{Change, Event};
pub use plan::{BlockRatios, CutPlan, CutRule, GrowthPlan, plan_cuts, plan_growth};

use crate::adjust::{Calibration, Growth, NormRule, cut, grow, prune_optimizer};
use crate::block::Block;
use crate::branch::{Branches, Preset};
use crate::error::AdjustError;
use crate::nest;
use crate::rep_conv2d::RepConv2d;
use crate::saliency::{Saliency, Score};
use crate::walk::layers;

/// When and how a [`Controller`] changes the structure. Defaults are the paper's, but for the score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControllerConfig {
    /// What ranks the candidates.
    pub score: Score,
    /// The branches that a convolution grows.
    pub branches: Branches,
    /// Adjust after every so many epochs.
    pub interval: usize,
    /// The last epoch, counted from 1, after which the structure is adjusted.
    pub last_epoch: usize,
    /// How deep blocks may nest: 1 forbids blocks inside blocks.
    pub max_depth: usize,
    /// Training batches that new batch norms are measured on.
    pub calibration_batches: usize,
    /// How the batch norm of `kxk` is set after a change.
    pub norm_rule: NormRule,
    /// When a branch is weak enough to cut.
    pub cut_rule: CutRule,
    /// The seed of new parameters.
    pub seed: u64,
}

impl Default for ControllerConfig {
    fn default() -> Self {
        Self {
            score: Score::default(),
            branches: Preset::DyRep.into(),
            interval: 5,
            last_epoch: 100,
            max_depth: 2,
            calibration_batches: 20,
            norm_rule: NormRule::default(),
            cut_rule: CutRule::default(),
            seed: 0,
        }
    }
}

/// Watches training, and now and then grows the convolution that matters most and cuts weak branches.
#[derive(Clone, Debug)]
pub struct Controller {
    config: ControllerConfig,
    saliency: Saliency,
    events: Vec<Event>,
}

impl Controller {
    /// A controller at the start of a run.
    #[must_use]
    pub fn new(config: ControllerConfig) -> Self {
        Self { config, saliency: Saliency::default(), events: vec![] }
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &ControllerConfig {
        &self.config
    }

    /// Every change so far, in order.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Adds a step's scores. Call after the backward pass, before the optimiser's step.
    pub fn observe<M: Module>(&mut self, model: &M, gradients: &GradientsParams) {
        let (score, depth) = (self.config.score, self.config.max_depth);
        self.saliency.observe(model, gradients, score, depth);
    }

    /// Whether the structure is to be adjusted after `epoch`, counted from 1.
    #[must_use]
    pub fn is_due(&self, epoch: usize) -> bool {
        let interval = self.config.interval.max(1);
        epoch > 0 && epoch.is_multiple_of(interval) && epoch <= self.config.last_epoch
    }

    /// Grows the best candidate, cuts weak branches of all other blocks, and drops the optimiser's state of
    /// parameters that are gone. Returns what was done.
    ///
    /// The model's function at inference stays the same up to rounding. `run` passes the `i`-th calibration
    /// batch through the model it is given, which is in evaluation mode; the same `i` must give the same
    /// batch.
    ///
    /// # Errors
    /// As [`grow`] and [`cut`]. Model, optimiser and log are then unchanged, but the scores start anew.
    pub fn adjust<M: Module>(
        &mut self,
        model: &mut M,
        optimizer: &mut ModuleOptimizer,
        epoch: usize,
        mut run: impl FnMut(&M, usize),
    ) -> Result<Vec<Event>, AdjustError> {
        let mut calibration = Calibration::new(self.config.calibration_batches, &mut run);
        let first = self.events.len() as u64;
        let mut changes = vec![];
        let (mut adjusted, grown) = self.grow_best(model, first, &mut calibration, &mut changes)?;
        let ratios: Vec<_> = block_ratios(&adjusted)
            .into_iter()
            .filter(|block| Some(&block.path) != grown.as_ref())
            .collect();
        for plan in plan_cuts(&ratios, self.config.cut_rule) {
            let rule = self.config.norm_rule;
            adjusted = cut(&adjusted, &plan.path, &plan.branches, rule, &mut calibration)?;
            changes.push(Change::Cut(plan));
        }
        prune_optimizer(optimizer, &adjusted)?;
        *model = adjusted;
        let events: Vec<Event> = (first..)
            .zip(changes)
            .map(|(number, change)| Event { number, epoch, change })
            .collect();
        self.events.extend(events.iter().cloned());
        Ok(events)
    }

    /// The model with its best candidate grown, and that candidate's path.
    fn grow_best<M: Module>(
        &mut self,
        model: &M,
        event: u64,
        calibration: &mut Calibration<'_, M>,
        changes: &mut Vec<Change>,
    ) -> Result<(M, Option<String>), AdjustError> {
        let ControllerConfig { score, max_depth, seed, norm_rule: rule, .. } = self.config;
        let scores = self.saliency.take(model, score, max_depth, [seed, event]);
        let Some(plan) = plan_growth(&scores) else {
            return Ok((model.clone(), None));
        };
        let path = plan.best.path.clone();
        let branches = self.config.branches.clone();
        let growth = Growth { path: path.clone(), branches, rule, seed, event };
        let grown = grow(model, &growth, calibration)?;
        let blocks = block_ratios(&grown);
        let block = blocks.into_iter().find(|block| block.path == path);
        let mut kinds: Vec<_> =
            block.into_iter().flat_map(|block| block.ratios).map(|(kind, _)| kind).collect();
        kinds.push(crate::BranchKind::Kxk);
        kinds.sort_unstable();
        changes.push(Change::Grew { score, plan, branches: kinds });
        Ok((grown, Some(path)))
    }
}

/// The strength of every optional branch of every block, nested ones too: r = mean |γ| of the branch's last
/// batch norm over mean |γ| of `kxk`'s (DyRep, equation 7).
#[must_use]
pub fn block_ratios<M: Module>(model: &M) -> Vec<BlockRatios> {
    let layers = layers(model);
    let nested = layers.iter().flat_map(|(path, layer)| nest::all(path, layer));
    let blocks = nested.filter_map(|nested| match nested.conv {
        RepConv2d::Block(block) => Some((nested.path, block)),
        RepConv2d::Plain(_) => None,
    });
    blocks.map(|(path, block)| BlockRatios { path, ratios: ratios(block) }).collect()
}

fn ratios(block: &Block) -> Vec<(crate::BranchKind, f64)> {
    let strength = |norm: &burn::nn::BatchNorm| -> f64 {
        norm.gamma.val().abs().mean().into_data().iter::<f64>().sum()
    };
    let kxk = strength(&block.kxk.bn);
    let ratio = |branch: &crate::Branch| (branch.kind(), strength(branch.last_norm()) / kxk);
    block.branches.iter().map(ratio).collect()
}
