//! [`DyRep`]: any model that Burn can train, with branches that grow and are cut while it does.
//!
//! ```text
//! SupervisedTraining ─▶ TrainStep::step ─▶ the model's own
//!                   └─▶ TrainStep::optimize ─▶ observe gradients ─▶ optimiser ─▶ average weights
//!                                               └─ at an epoch's last step, where due: grow and cut
//! ```
//!
//! Burn's loop calls [`optimize`](TrainStep::optimize) once a step and knows nothing of structure. The wrapper counts
//! the steps, so it is told how many make an epoch. Its record carries what the controller remembers; loaded into a
//! fresh model it rebuilds the structure first.

mod average;
mod calibration;
mod clip;
mod kinds;
mod memory;
mod module;
mod record;
mod search;
mod steps;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn_train::{InferenceStep, Interrupter};
use dyrep_burn::{
    AdjustError, Adjustment, Controller, ControllerConfig, ControllerConfigError, EventLog, Search,
};

use crate::error::TrainError;
use crate::failure::Failure;
use crate::rep_optimizer::GradientMultipliers;
use crate::step_gradients::StepGradients;
use average::Average;

pub use calibration::{BoxedError, CalibrationData};

/// Told of an adjustment and of the time that it took.
type OnAdjustment = dyn Fn(&Adjustment, Duration) + Send + Sync;
/// Told of convolutions that grew after an epoch and were made plain again, and what the device said.
type OnUndone = dyn Fn(usize, &[String], &str) + Send + Sync;
/// A training step of a model, without what comes of it.
type Trial<M> = dyn Fn(&M, usize) -> Result<(), BoxedError> + Send + Sync;
/// Told of each step.
type OnStep<M> = dyn Fn(&DyRep<M>, &ModuleOptimizer) + Send + Sync;

/// Passes what is evaluated through the weights themselves, where their average is what is evaluated.
type Beside<M> = dyn Fn(&M, &<M as InferenceStep>::Input) + Send + Sync;

/// What every clone of a wrapper shares.
#[derive(Clone)]
struct Setup<M> {
    steps_per_epoch: usize,
    controller: Option<(ControllerConfig, Arc<dyn CalibrationData<M>>)>,
    decay: Option<f64>,
    clip: Option<(f64, GradientMultipliers)>,
    step: Option<StepGradients>,
    recalibration: Option<(usize, Arc<dyn CalibrationData<M>>)>,
    seed: Option<u64>,
    /// Batches passed since the last step.
    passed: Arc<AtomicU64>,
    interrupter: Option<Interrupter>,
    on_adjustment: Option<Arc<OnAdjustment>>,
    trial: Option<(Arc<Trial<M>>, Arc<OnUndone>)>,
    on_step: Option<Arc<OnStep<M>>>,
    /// An `Arc<Beside<M>>`: not every model can infer.
    beside: Option<Arc<dyn Any + Send + Sync>>,
    failure: Failure,
}

/// A model whose convolutions grow branches and lose them while Burn trains it (DyRep, arXiv 2203.12868).
///
/// It is the model to Burn: the same parameters under the same paths, the same steps. Give it to a
/// [`Learner`](burn_train::Learner); checkpointers, metrics and devices are Burn's. After training,
/// [`into_model`](Self::into_model) gives the model back, to be [deployed](dyrep_burn::deploy).
#[derive(Clone)]
pub struct DyRep<M> {
    model: M,
    controller: Option<Controller>,
    search: Option<Search>,
    average: Option<Average<M>>,
    /// In evaluation, of an average: the weights themselves.
    beside: Option<Box<M>>,
    /// Optimiser steps done.
    steps: usize,
    setup: Arc<Setup<M>>,
}

impl<M: Module> DyRep<M> {
    /// Wraps a model that trains in epochs of `steps_per_epoch` steps of the optimiser: batches, divided by those
    /// that are accumulated and by the devices that share a step, rounded up.
    ///
    /// # Panics
    /// If `steps_per_epoch` is zero.
    #[must_use]
    pub fn new(model: M, steps_per_epoch: usize) -> Self {
        assert!(steps_per_epoch > 0, "an epoch must have at least one step");
        let setup = Setup {
            steps_per_epoch,
            controller: None,
            decay: None,
            clip: None,
            step: None,
            recalibration: None,
            seed: None,
            passed: Arc::default(),
            interrupter: None,
            on_adjustment: None,
            trial: None,
            on_step: None,
            beside: None,
            failure: Failure::default(),
        };
        let setup = Arc::new(setup);
        let (controller, search, average) = (None, None, None);
        Self { model, controller, search, average, beside: None, steps: 0, setup }
    }

    /// Lets the structure change; new batch norms are measured on `calibration`.
    ///
    /// # Errors
    /// Options that make no sense.
    pub fn with_controller(
        mut self,
        config: ControllerConfig,
        calibration: impl CalibrationData<M> + 'static,
    ) -> Result<Self, ControllerConfigError> {
        let controller = Controller::new(config.clone())?;
        controller.check(&self.model)?;
        self.controller = Some(controller);
        self.setup_mut().controller = Some((config, Arc::new(calibration)));
        Ok(self)
    }

    /// Keeps an exponential moving average of the weights, `a ← d · a + (1 − d) · w` after each step, batch norms'
    /// statistics included; after n steps d is min(`decay`, (1 + n) / (10 + n)), so that a short training's average is not
    /// of the weights that it began with. It is what evaluation sees, and follows every change of structure.
    ///
    /// # Panics
    /// If the decay is not between 0 and 1.
    #[must_use]
    pub fn with_average(mut self, decay: f64) -> Self {
        assert!(
            (0.0..1.0).contains(&decay),
            "the decay must be at least 0 and below 1, got {decay}"
        );
        self.average = Some(Average::new(&self.model));
        self.setup_mut().decay = Some(decay);
        self
    }

    /// Makes each step from gradients that were handed in to `step`, instead of those that Burn has added up: for steps of
    /// several batches, and for losses that are scaled. `share` tells the model, which hands them in.
    #[must_use]
    pub fn with_shared_step(
        mut self,
        step: StepGradients,
        share: impl FnOnce(M, StepGradients) -> M,
    ) -> Self {
        self.model = share(self.model, step.clone());
        self.setup_mut().step = Some(step);
        self
    }

    /// Lets batch norms' moving averages go on over so many batches of `data` before each evaluation, in a copy of the
    /// model that is in training mode and off the graph: they are then those of the last weights.
    #[must_use]
    pub fn with_recalibration(
        mut self,
        batches: usize,
        data: impl CalibrationData<M> + 'static,
    ) -> Self {
        self.setup_mut().recalibration = Some((batches, Arc::new(data)));
        self
    }

    /// Seeds the model's device before each batch: what a model draws while it trains, as dropout does, is then a function
    /// of (seed, step, batch of the step), and the same after a resumption. Several devices that share a step pass their
    /// batches at once, in an order that nothing decides.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.setup_mut().seed = Some(seed);
        self
    }

    /// Tells whoever can stop the training when something fails: an adjustment, or reading calibration data. Without
    /// one such a failure panics. [`failure`](Self::failure) says afterwards what it was.
    #[must_use]
    pub fn with_interrupter(mut self, interrupter: Interrupter) -> Self {
        self.setup_mut().interrupter = Some(interrupter);
        self
    }

    /// Calls `f` after each adjustment, also those that changed nothing, with the time that it took.
    #[must_use]
    pub fn on_adjustment(
        mut self,
        f: impl Fn(&Adjustment, Duration) + Send + Sync + 'static,
    ) -> Self {
        self.setup_mut().on_adjustment = Some(Arc::new(f));
        self
    }

    /// Tries whatever has grown before it is kept, by `trial` of the grown model after an epoch: if the device says that it
    /// has not the memory, the growth is undone, and `undone` is told the epoch, the paths and the device's words. The trial must leave
    /// the model as it is: an evaluation copy in training mode has statistics of its own.
    #[must_use]
    pub fn with_trial(
        mut self,
        trial: impl Fn(&M, usize) -> Result<(), BoxedError> + Send + Sync + 'static,
        undone: impl Fn(usize, &[String], &str) + Send + Sync + 'static,
    ) -> Self {
        self.setup_mut().trial = Some((Arc::new(trial), Arc::new(undone)));
        self
    }

    /// Calls `f` after each step, once everything is done that belongs to it: averages, and at an epoch's end its change of
    /// structure. What it is given is what a checkpoint consists of.
    #[must_use]
    pub fn on_step(mut self, f: impl Fn(&Self, &ModuleOptimizer) + Send + Sync + 'static) -> Self {
        self.setup_mut().on_step = Some(Arc::new(f));
        self
    }

    fn setup_mut(&mut self) -> &mut Setup<M> {
        Arc::make_mut(&mut self.setup)
    }

    /// The model, as it trains.
    #[must_use]
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The model. After [`valid`](Module::valid), as Burn returns it: the averaged one where there is one.
    #[must_use]
    pub fn into_model(self) -> M {
        self.model
    }

    /// In evaluation, where their average is the model: the weights themselves.
    #[must_use]
    pub fn beside(&self) -> Option<&M> {
        self.beside.as_deref()
    }

    /// Every change of structure so far; none before the first adjustment.
    #[must_use]
    pub fn log(&self) -> Option<&EventLog> {
        self.controller.as_ref().and_then(Controller::log)
    }

    /// Steps of the optimiser done, since the training began.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Whole epochs done.
    #[must_use]
    pub fn epochs(&self) -> usize {
        self.steps / self.setup.steps_per_epoch
    }

    /// A handle that tells, after the training, what stopped it if that was this wrapper.
    #[must_use]
    pub fn failure(&self) -> Failure {
        self.setup.failure.clone()
    }

    /// After the optimiser's step.
    fn stepped(mut self, optimizer: &mut ModuleOptimizer) -> Self {
        self.steps += 1;
        if let (Some(average), Some(decay)) = (self.average.take(), self.setup.decay) {
            let decay = warmed_up(decay, self.steps);
            self.average = Some(average.moved(&self.model, decay));
        }
        self = self.searched();
        if self.steps.is_multiple_of(self.setup.steps_per_epoch)
            && let Err(error) = self.adjust(optimizer)
        {
            self.fail(error);
        }
        self.setup.passed.store(0, Ordering::Relaxed);
        if let Some(tell) = &self.setup.on_step {
            tell(&self, optimizer);
        }
        self
    }

    /// Grows and cuts, where it is due after the epoch that has just ended.
    fn adjust(&mut self, optimizer: &mut ModuleOptimizer) -> Result<(), TrainError> {
        let (epoch, setup) = (self.epochs(), Arc::clone(&self.setup));
        let (Some(controller), Some((config, data))) = (&mut self.controller, &setup.controller)
        else {
            return Ok(());
        };
        if !controller.is_due(epoch) {
            return Ok(());
        }
        let started = Instant::now();
        let mut failed = None;
        let mut run = |model: &M, index: usize| {
            if let Err(error) = data.run(model, epoch, index) {
                failed = Some(error);
            }
        };
        let mut not_tried = None;
        let stays = |model: &M, grown: &[String]| {
            let Some((trial, undone)) = &setup.trial else { return true };
            match memory::lacking(model, |model| trial(model, epoch)) {
                Ok(None) => true,
                Ok(Some(said)) => {
                    undone(epoch, grown, said.trim());
                    false
                }
                Err(error) => {
                    not_tried = Some(error);
                    true
                }
            }
        };
        let adjust = || {
            let model = &mut self.model;
            let adjustment =
                controller.adjust_if(model, optimizer, epoch, &mut run, stays)?.clone();
            if let Some(average) = self.average.take() {
                self.average = Some(average.adjusted(&adjustment, config, &mut run)?);
            }
            Ok(adjustment)
        };
        let adjusted: Result<Adjustment, AdjustError> = adjust();
        if let Some(source) = failed.or(not_tried) {
            return Err(TrainError::Calibration { epoch, source });
        }
        let adjustment = adjusted?;
        if let Some(tell) = &setup.on_adjustment {
            tell(&adjustment, started.elapsed());
        }
        Ok(())
    }

    /// With statistics measured on data of this epoch, if that was asked for.
    fn recalibrated(&self, model: M) -> M {
        let Some((batches, data)) = &self.setup.recalibration else { return model };
        let (epoch, model) = (self.epochs(), model.train().no_grad());
        for index in 0..*batches {
            if let Err(source) = data.run(&model, epoch, index) {
                self.fail(TrainError::Calibration { epoch, source });
                break;
            }
        }
        model.valid()
    }

    fn seed_batch(&self) {
        if let (Some(seed), Some(device)) = (self.setup.seed, self.model.devices().first()) {
            let batch = self.setup.passed.fetch_add(1, Ordering::Relaxed);
            // Numbers are small and neighbours, seeds are spread: odd multipliers keep them apart.
            let step = (self.steps as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            device.seed(seed ^ step ^ batch.wrapping_mul(0xD1B5_4A32_D192_ED03));
        }
    }

    fn fail(&self, error: TrainError) {
        let Some(interrupter) = &self.setup.interrupter else {
            panic!("{error}");
        };
        self.setup.failure.stop(interrupter, error);
    }
}

/// What an average keeps of itself at a step, so many being done.
fn warmed_up(decay: f64, steps: usize) -> f64 {
    decay.min((1 + steps) as f64 / (10 + steps) as f64)
}
