//! The loop: epochs of steps, and after some of them a change of structure.

use std::time::Instant;

use burn::module::Module;
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use dyrep_burn::{Controller, ControllerConfig, Event, EventLog, layers};
use dyrep_data::{Batch, DataError, Epoch, Loader};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::evaluate::evaluate;
use crate::input::InputSpec;
use crate::optimizer::SgdRecipe;
use crate::progress::{EpochReport, Progress, StepReport};

/// Steps between two readings of the loss: reading waits for the device.
const STEPS_PER_READING: usize = 10;

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainerConfig {
    /// Epochs.
    pub epochs: usize,
    /// The learning rate at the start; it falls to zero along a cosine, step by step.
    pub learning_rate: f64,
    /// The optimiser.
    pub sgd: SgdRecipe,
    /// How bytes become input.
    pub input: InputSpec,
    /// When and how the structure changes; `None` leaves it as it is.
    pub controller: Option<ControllerConfig>,
}

/// Trains a classifier.
pub struct Trainer<'a> {
    /// How.
    pub config: TrainerConfig,
    /// Training pictures.
    pub train: &'a Loader,
    /// Validation pictures.
    pub validation: &'a Loader,
    /// Where, without autodiff.
    pub device: Device,
}

/// A trained model and how it came about.
#[derive(Clone, Debug)]
pub struct Fitted<M> {
    /// The model, still in training state.
    pub model: M,
    /// Every epoch.
    pub history: Vec<EpochReport>,
    /// Every change of structure; none if none was ever due.
    pub log: Option<EventLog>,
}

impl<M> Fitted<M> {
    /// Every change of structure, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.log.iter().flat_map(EventLog::events)
    }
}

impl Trainer<'_> {
    /// Trains `model`, whose parameters must be on the trainer's device with autodiff.
    ///
    /// The run is a function of the configuration, the loaders' seeds and the model: repeated on the same
    /// machine it gives the same model.
    ///
    /// # Errors
    /// Impossible options, unreadable data, a loss that is not a number, a change of structure that fails.
    pub fn fit<M: Module>(
        &self,
        model: M,
        forward: &dyn Fn(&M, Tensor<4>) -> Tensor<2>,
        progress: &mut dyn Progress,
    ) -> Result<Fitted<M>, TrainError> {
        self.check()?;
        let mut run = Run {
            trainer: self,
            forward,
            optimizer: self.config.sgd.init(),
            loss: CrossEntropyLossConfig::new().init(&self.device.clone().autodiff()),
            controller: self.config.controller.clone().map(Controller::new).transpose()?,
            model,
        };
        let mut history = vec![];
        for epoch in 1..=self.config.epochs {
            let started = Instant::now();
            let (loss, learning_rate) = run.train_epoch(epoch, progress)?;
            let train_seconds = started.elapsed().as_secs_f64();
            let started = Instant::now();
            let events = run.adjust(epoch)?;
            let adjust_seconds = started.elapsed().as_secs_f64();
            if !events.is_empty() {
                progress.on_events(&events);
            }
            let input = &self.config.input;
            let accuracy = evaluate(&run.model, self.validation, input, &self.device, forward)?;
            let report = EpochReport {
                epoch,
                loss,
                accuracy: accuracy.fraction(),
                learning_rate,
                train_seconds,
                adjust_seconds,
                branches: layers(&run.model).iter().map(|(_, l)| l.form().branch_count()).sum(),
            };
            progress.on_epoch(&report);
            history.push(report);
        }
        let log = run.controller.and_then(|controller| controller.log().cloned());
        Ok(Fitted { model: run.model, history, log })
    }

    /// The rate of a step, counted from 0 over the whole run: a cosine from the configured rate to zero
    /// (SGDR, arXiv 1608.03983, without restarts).
    fn learning_rate(&self, step: usize) -> f64 {
        let total = (self.config.epochs * self.train.batches()) as f64;
        let done = step as f64 / total;
        self.config.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
    }

    fn check(&self) -> Result<(), TrainError> {
        if self.config.epochs == 0 {
            let (expected, found) = ("at least 1", "0".to_owned());
            return Err(TrainError::Config { option: "epochs", expected, found });
        }
        let rate = self.config.learning_rate;
        if !(rate > 0.0 && rate <= 1.0) {
            return Err(self.bad_learning_rate());
        }
        let expected = self.config.input.mean.len();
        for loader in [self.train, self.validation] {
            let found = loader.dataset().channels();
            if found != expected {
                return Err(TrainError::Channels { expected, found });
            }
        }
        Ok(())
    }

    fn bad_learning_rate(&self) -> TrainError {
        TrainError::Config {
            option: "learning rate",
            expected: "above 0 and at most 1",
            found: self.config.learning_rate.to_string(),
        }
    }
}

struct Run<'a, M> {
    trainer: &'a Trainer<'a>,
    forward: &'a dyn Fn(&M, Tensor<4>) -> Tensor<2>,
    optimizer: ModuleOptimizer,
    loss: CrossEntropyLoss,
    controller: Option<Controller>,
    model: M,
}

impl<M: Module> Run<'_, M> {
    /// One epoch; returns its mean loss and the last learning rate.
    fn train_epoch(
        &mut self,
        epoch: usize,
        progress: &mut dyn Progress,
    ) -> Result<(f64, f64), TrainError> {
        let loader = self.trainer.train;
        let (steps, mut total, mut rate) = (loader.batches(), 0.0, 0.0);
        let mut unread: Option<(Tensor<1>, usize)> = None;
        for (step, batch) in (1..).zip(loader.epoch(epoch as u64)) {
            rate = self.trainer.learning_rate((epoch - 1) * steps + step - 1);
            let loss = self.step(&batch?, rate);
            let (sum, count) = match unread.take() {
                Some((sum, count)) => (sum + loss, count + 1),
                None => (loss, 1),
            };
            if count < STEPS_PER_READING && step < steps {
                unread = Some((sum, count));
                continue;
            }
            let sum = sum.into_data().iter::<f64>().sum::<f64>();
            let loss = sum / count as f64;
            if !loss.is_finite() {
                return Err(TrainError::Diverged { epoch, step, loss, learning_rate: rate });
            }
            total += sum;
            progress.on_steps(&StepReport { epoch, step, steps, loss, learning_rate: rate });
        }
        Ok((total / steps as f64, rate))
    }

    /// One step; returns the loss, off the graph.
    fn step(&mut self, batch: &Batch, rate: f64) -> Tensor<1> {
        let device = self.trainer.device.clone().autodiff();
        let input = &self.trainer.config.input;
        let logits = (self.forward)(&self.model, input.images(batch, &device));
        let loss = self.loss.forward(logits, input.targets(batch, &device));
        let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
        if let Some(controller) = &mut self.controller {
            controller.observe(&self.model, &gradients);
        }
        // Moved through the optimiser: a clone is shared, not copied.
        self.model = self.optimizer.step(rate, self.model.clone(), gradients);
        loss.without_autodiff()
    }

    fn adjust(&mut self, epoch: usize) -> Result<Vec<Event>, TrainError> {
        let Some(controller) = &mut self.controller else {
            return Ok(vec![]);
        };
        if !controller.is_due(epoch) {
            return Ok(vec![]);
        }
        let (trainer, forward) = (self.trainer, self.forward);
        let device = trainer.device.clone().inner();
        let mut batches = CalibrationBatches::new(trainer.train, epoch);
        let adjusted =
            controller.adjust(&mut self.model, &mut self.optimizer, epoch, |model, i| {
                if let Some(batch) = batches.get(i) {
                    let _logits = forward(model, trainer.config.input.images(&batch, &device));
                }
            });
        match batches.failed {
            Some(error) => Err(error.into()),
            None => Ok(adjusted?.events.clone()),
        }
    }
}

/// Training batches by number, drawn again from the start whenever number 0 is asked for.
struct CalibrationBatches<'a> {
    loader: &'a Loader,
    first: u64,
    next: u64,
    batches: Option<Epoch>,
    failed: Option<DataError>,
}

impl<'a> CalibrationBatches<'a> {
    /// Far from the numbers of the epochs that are trained on, so that the draws are others.
    const FIRST_EPOCH: u64 = 1 << 40;

    fn new(loader: &'a Loader, epoch: usize) -> Self {
        let first = Self::FIRST_EPOCH + ((epoch as u64) << 20);
        Self { loader, first, next: first, batches: None, failed: None }
    }

    fn get(&mut self, number: usize) -> Option<Batch> {
        if number == 0 {
            (self.next, self.batches) = (self.first, None);
        }
        // A small data set is gone through several times, in another order each.
        let batch = match self.batches.as_mut().and_then(Iterator::next) {
            Some(batch) => batch,
            None => {
                self.batches = Some(self.loader.epoch(self.next));
                self.next += 1;
                self.batches.as_mut().and_then(Iterator::next)?
            }
        };
        batch.map_err(|error| self.failed = Some(error)).ok()
    }
}
