//! The controller: DyRep's schedule of growing and cutting, for any training loop.
//!
//! ```text
//! each step:   controller.observe(&model, &gradients)
//! each epoch:  if controller.is_due(epoch) { controller.adjust(&mut model, &mut optimizer, …)? }
//! ```
//!
//! Deciding is pure ([`plan_growth`], [`plan_cuts`]); only [`Controller::adjust`] touches tensors.

mod largest;
mod log;
mod plan;
#[cfg(test)]
mod plan_tests;
mod ratios;
mod state;

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use dyrep_config::{ControllerConfig, CutRule, Fidelity};

pub use log::{Adjustment, Change, Event, EventLog};
pub use plan::{BlockRatios, Costed, CutPlan, GrowthPlan, GrowthRule, plan_cuts, plan_growth};
pub use ratios::block_ratios;
pub use state::ControllerState;

use crate::adjust::{AdjustOptions, Calibration, branch_gains, cut, grow, prune_optimizer};
use crate::error::{AdjustError, ControllerConfigError};
use crate::geometry::ConvGeometry;
use crate::layer::{Block, RepConv2d};
use crate::look::layers;
use crate::look::nest::{self, Nested};
use crate::look::saliency::{Candidate, Observed, Saliency, Scored};
use crate::structure::cost::InputSizes;
use crate::structure::{BlockForm, Structure};

/// Watches training, and now and then grows the convolution that matters most and cuts weak branches.
#[derive(Clone, Debug)]
pub struct Controller {
    config: ControllerConfig,
    saliency: Saliency,
    /// None until the first model was seen.
    log: Option<EventLog>,
    /// Whether the convolution at a path may grow, where it was asked already: patterns take their time, and what they say
    /// of a path stays.
    allowed: BTreeMap<String, bool>,
}

impl Controller {
    /// A controller at the start of a run.
    ///
    /// # Errors
    /// Options that make no sense.
    pub fn new(config: ControllerConfig) -> Result<Self, ControllerConfigError> {
        config.check()?;
        Ok(Self { config, saliency: Saliency::default(), log: None, allowed: BTreeMap::new() })
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &ControllerConfig {
        &self.config
    }

    /// Every adjustment so far; none before the first.
    #[must_use]
    pub fn log(&self) -> Option<&EventLog> {
        self.log.as_ref()
    }

    /// Every change so far, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.log.iter().flat_map(EventLog::events)
    }

    /// Checks that the branches that grow exist wherever they may grow in `model`: what is named and cannot be is told
    /// before a training starts, and not when the convolution's turn comes.
    ///
    /// # Errors
    /// The first convolution that cannot have a branch named, with the reason.
    pub fn check<M: Module>(&self, model: &M) -> Result<(), ControllerConfigError> {
        let layers = changing(model);
        let may_grow = |nested: &Nested<'_>| nested.conv.is_plain() && self.allows(nested);
        for nested in nest::all(&layers).filter(may_grow) {
            let grown = BlockForm::grown(&self.config.branches, &nested.conv.geometry());
            grown.map_err(|error| ControllerConfigError {
                option: "branches",
                expected: "such as every convolution that may grow can have",
                found: format!("for `{}`: {error}", nested.path),
            })?;
        }
        Ok(())
    }

    /// Adds a step's scores. Call after the backward pass, before the optimiser's step.
    pub fn observe<M: Module>(&mut self, model: &M, gradients: &GradientsParams) {
        let candidates = self.candidates(model);
        self.saliency.observe(&candidates, gradients, self.config.score);
    }

    /// Whether the structure is to be adjusted after `epoch`, counted from 1.
    #[must_use]
    pub fn is_due(&self, epoch: usize) -> bool {
        let ControllerConfig { interval, first_epoch, last_epoch, .. } = self.config;
        epoch > 0 && epoch.is_multiple_of(interval) && (first_epoch..=last_epoch).contains(&epoch)
    }

    /// Grows the best candidates, cuts branches of all other blocks, and drops the optimiser's state of
    /// parameters that are gone. Returns the scores and what was done.
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
        run: impl FnMut(&M, usize),
    ) -> Result<&Adjustment, AdjustError> {
        self.adjust_if(model, optimizer, epoch, run, |_, _| true)
    }

    /// The same, where what has grown must show that it can be trained: if `stays` says no to the grown model and the paths
    /// that have grown, these are as they were before, and only cuts are made.
    ///
    /// # Errors
    /// As [`adjust`](Self::adjust).
    pub fn adjust_if<M: Module>(
        &mut self,
        model: &mut M,
        optimizer: &mut ModuleOptimizer,
        epoch: usize,
        mut run: impl FnMut(&M, usize),
        mut stays: impl FnMut(&M, &[String]) -> bool,
    ) -> Result<&Adjustment, AdjustError> {
        let mut calibration = Calibration::new(self.config.calibration_batches, &mut run);
        let structure = Structure::of(model);
        let sizes = InputSizes::measure(model, |model| calibration.run_once(model));
        if limits_flops(&self.config) && sizes.is_empty() {
            return Err(AdjustError::NothingMeasured);
        }
        let steps = self.saliency.steps;
        let scores = self.scores(model, &mut calibration)?;
        let mut adjusting = Adjusting {
            config: &self.config,
            epoch,
            model: model.clone(),
            now: Costed { structure: structure.clone(), sizes },
            calibration,
            first: self.next_event(),
            events: vec![],
        };
        let before = adjusting.now.clone();
        let mut grown = adjusting.grow(&scores)?;
        if !grown.is_empty() && !stays(&adjusting.model, &grown) {
            (adjusting.model, adjusting.now) = (model.clone(), before);
            adjusting.events.clear();
            grown.clear();
        }
        adjusting.cut(&grown)?;
        let Adjusting { model: adjusted, events, .. } = adjusting;
        prune_optimizer(optimizer, &adjusted)?;
        *model = adjusted;
        let log = self.log.get_or_insert_with(|| EventLog::new(structure));
        log.push(Adjustment { epoch, steps, score: self.config.score, scores, events });
        Ok(log.adjustments().last().unwrap_or_else(|| unreachable!("pushed just now")))
    }

    /// The number of the next change.
    fn next_event(&self) -> u64 {
        self.events().count() as u64
    }

    /// The candidates' scores since the last adjustment, in field order.
    fn scores<M: Module>(
        &mut self,
        model: &M,
        calibration: &mut Calibration<'_, M>,
    ) -> Result<Vec<Scored>, AdjustError> {
        let candidates = self.candidates(model);
        let ControllerConfig { score, seed, .. } = self.config;
        let event = self.next_event();
        let mut scores = match self.saliency.take(&candidates, score, [seed, event]) {
            Observed::Scores(scores) => scores,
            Observed::Gradients(gradients) => {
                let options = options(&self.config, event);
                let branches = &self.config.branches;
                let gains = branch_gains(model, &gradients, branches, &options, calibration)?;
                let paths = gradients.into_iter().map(|(path, _)| path);
                paths.zip(gains).map(|(path, score)| Scored { path, score }).collect()
            }
        };
        if self.config.per_weight {
            for scored in &mut scores {
                let candidate = candidates.iter().find(|candidate| candidate.path == scored.path);
                let weights = candidate.map_or(1, |it| it.conv.weight.shape().num_elements());
                scored.score /= weights as f64;
            }
        }
        Ok(scores)
    }

    /// The plain convolutions that may grow.
    fn candidates<M: Module>(&mut self, model: &M) -> Vec<Candidate> {
        let layers = changing(model);
        let mut candidate = |nested: Nested<'_>| match nested.conv {
            // What is frozen stays as it is.
            RepConv2d::Plain(conv) if conv.weight.is_require_grad() && self.may_grow(&nested) => {
                Some(Candidate { path: nested.path, conv: conv.clone() })
            }
            _ => None,
        };
        nest::all(&layers).filter_map(&mut candidate).collect()
    }

    /// Whether the kernel is square and larger than 1×1, it lies not too deep, its path may grow, and there is a
    /// branch to grow.
    fn may_grow(&mut self, nested: &Nested<'_>) -> bool {
        if let Some(&known) = self.allowed.get(&nested.path) {
            return known;
        }
        let allowed = self.allows(nested);
        self.allowed.insert(nested.path.clone(), allowed);
        allowed
    }

    fn allows(&self, nested: &Nested<'_>) -> bool {
        self.allows_at(&nested.path, nested.depth, &nested.conv.geometry())
    }

    /// The same for a convolution that is known by its path and its geometry.
    fn allows_at(&self, path: &str, depth: usize, geometry: &ConvGeometry) -> bool {
        let ControllerConfig { max_depth, grow_in, never_grow_in, branches, .. } = &self.config;
        let path_allows =
            || (grow_in.is_empty() || grow_in.matches(path)) && !never_grow_in.matches(path);
        let [height, width] = geometry.kernel_size();
        // Branches named that cannot exist are an error, to be reported when they are grown.
        let has_branches = || {
            let grown = BlockForm::grown(branches, geometry);
            grown.map_or(true, |block| block.branches.len() > 1)
        };
        height == width && height > 1 && depth < *max_depth && path_allows() && has_branches()
    }
}

/// Whether multiply-adds decide what is grown or cut.
fn limits_flops(config: &ControllerConfig) -> bool {
    let of_cuts = matches!(config.cut_rule, CutRule::Budget(budget) if budget.flops.is_some());
    config.budget.flops.is_some() || of_cuts
}

fn growth_rule(config: &ControllerConfig) -> GrowthRule<'_> {
    GrowthRule { count: config.growths, branches: &config.branches, budget: config.budget }
}

fn options(config: &ControllerConfig, event: u64) -> AdjustOptions {
    let ControllerConfig { norm_rule, fidelity, seed, .. } = *config;
    AdjustOptions { norm_rule, fidelity, seed, event }
}

/// An adjustment on the way: a copy of the model and what was done to it.
struct Adjusting<'a, M> {
    config: &'a ControllerConfig,
    epoch: usize,
    model: M,
    now: Costed,
    calibration: Calibration<'a, M>,
    /// The number of the first change.
    first: u64,
    events: Vec<Event>,
}

impl<M: Module> Adjusting<'_, M> {
    /// Grows what is best to grow; returns the paths.
    fn grow(&mut self, scores: &[Scored]) -> Result<Vec<String>, AdjustError> {
        let plans = plan_growth(scores, &growth_rule(self.config), &self.now);
        let mut grown = vec![];
        for plan in plans {
            let path = plan.chosen.path.clone();
            let (options, branches) = (options(self.config, self.number()), &self.config.branches);
            self.model = grow(&self.model, &path, branches, &options, &mut self.calibration)?;
            let layers = layers(&self.model);
            let found = blocks(&layers).find(|(block, _)| *block == path);
            let branches = found.map_or(vec![], |(_, block)| block.form().specs());
            self.record(Change::Grew { score: self.config.score, plan, branches });
            grown.push(path);
        }
        Ok(grown)
    }

    /// Cuts what the rule says from all blocks but those just `grown`.
    fn cut(&mut self, grown: &[String]) -> Result<(), AdjustError> {
        let rule = self.config.cut_rule;
        let mut ratios = block_ratios(&self.model);
        let layers = changing(&self.model);
        // What is frozen stays as it is.
        let open = blocks(&layers).filter(|(_, block)| !is_frozen(block));
        let open: Vec<String> = open.map(|(path, _)| path).collect();
        ratios.retain(|block| open.contains(&block.path) && !grown.contains(&block.path));
        let mut plans = plan_cuts(&ratios, rule, &self.now);
        if self.config.fidelity == Fidelity::Published {
            drop_redrawn(&mut plans);
        }
        for plan in plans {
            let options = options(self.config, self.number());
            let (path, branches) = (&plan.path, &plan.branches);
            self.model = cut(&self.model, path, branches, &options, &mut self.calibration)?;
            self.record(Change::Cut { rule, plan });
        }
        Ok(())
    }

    fn record(&mut self, change: Change) {
        let before = self.now.cost();
        change
            .apply(&mut self.now.structure)
            .unwrap_or_else(|error| unreachable!("done to the model just now: {error}"));
        let after = self.now.cost();
        let (number, epoch) = (self.number(), self.epoch);
        self.events.push(Event { number, epoch, change, before, after });
    }

    /// Of the next change.
    fn number(&self) -> u64 {
        self.first + self.events.len() as u64
    }
}

/// The layers that may be changed: where something rests, all stays as it is.
fn changing<M: Module>(model: &M) -> Vec<(String, RepConv2d)> {
    layers(model).into_iter().filter(|(_, layer)| !layer.rests()).collect()
}

/// Whether no parameter of a block is trained.
fn is_frozen(block: &Block) -> bool {
    struct Trains(bool);
    impl ModuleVisitor for Trains {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 |= param.is_require_grad();
        }
    }
    // Off the graph nothing requires a gradient; what will, once training, is seen by going there.
    let mut trains = Trains(false);
    block.clone().train().visit(&mut trains);
    !trains.0
}

/// Drops the cuts of blocks that the published code draws anew when it cuts the block around them: it looks
/// at their strengths only afterwards.
fn drop_redrawn(plans: &mut Vec<CutPlan>) {
    let drawn: Vec<String> = plans.iter().map(|plan| nest::join(&plan.path, "kxk.conv")).collect();
    plans.retain(|plan| !drawn.iter().any(|drawn| plan.path.starts_with(drawn)));
}

/// Every block in the layers, nested ones too, with its path.
fn blocks(layers: &[(String, RepConv2d)]) -> impl Iterator<Item = (String, &Block)> {
    nest::all(layers).filter_map(|nested| Some((nested.path, nested.conv.block()?)))
}
