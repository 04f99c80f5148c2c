//! A whole run in a folder: Burn's loop around a [`DyRep`], checkpoints that it can be resumed from, its record and
//! its report.
//!
//! ```text
//! RUN/run.json  report.html  checkpoint/…      written after every epoch, each whole or not at all
//! ```

mod calibration;
mod folder;
mod layout;
mod progress;
mod record;
mod recorder;
mod report;
mod resume;
mod time;

use std::path::PathBuf;
use std::sync::Arc;

use burn::module::{ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use burn_train::metric::{AccuracyMetric, LossMetric};
use burn_train::{
    ExecutionStrategy, Interrupter, Learner, LearningResult, MultiDeviceOptim, SupervisedTraining,
    TrainingStrategy,
};
use dyrep_burn::{ControllerConfig, EventLog};
use dyrep_data::{Loader, Mixer};
use dyrep_models::Network;

pub use progress::{EpochReport, Progress, Silent, StepReport};
pub use record::{Amendment, RunRecord, RunState};

use crate::checkpoint::Checkpoints;
use crate::classifier::{Classifier, Loss};
use crate::dyrep::DyRep;
use crate::error::TrainError;
use crate::input::InputSpec;
use crate::optimizer::{GroupsConfig, OptimizerConfig};
use crate::pictures::Batches;
use crate::schedule::Schedule;
use calibration::Calibration;
use folder::Held;
use layout::Layout;
use recorder::{Known, Recorder};
use resume::{check_checkpoint, newest, record};

/// How to train a classifier.
#[derive(Clone, Debug)]
pub struct Training {
    /// What is trained, for the record.
    pub title: String,
    /// On what, and where.
    pub description: String,
    /// The recipe's text.
    pub recipe: String,
    /// Epochs.
    pub epochs: usize,
    /// The learning rate, by step of the optimiser.
    pub schedule: Schedule,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// Layers that are trained in another way than the rest, or not at all.
    pub groups: GroupsConfig,
    /// The norm that all gradients together are clipped to.
    pub clip_norm: Option<f64>,
    /// Batches whose gradients make one step, on each device.
    pub accumulate: usize,
    /// The loss.
    pub loss: Loss,
    /// When and how the structure changes; `None` leaves it as it is.
    pub controller: Option<ControllerConfig>,
    /// The decay of the weights' moving average, which is then what is evaluated and returned.
    pub average_decay: Option<f64>,
    /// Training batches that batch norms are measured on before each evaluation; 0 for none.
    pub recalibration: usize,
    /// Epochs without a better validation accuracy after which the training ends.
    pub patience: Option<usize>,
    /// The newest checkpoints that stay; 0 to write none.
    pub keep: usize,
    /// How bytes become input.
    pub input: InputSpec,
    /// How batches are mixed; `None` leaves them as they are.
    pub mixer: Option<Mixer>,
    /// The seed of what the model draws while it trains.
    pub seed: u64,
}

/// What a run is made of beside its options.
pub struct Run<'a, N> {
    /// How to train.
    pub training: Training,
    /// The network at its start.
    pub network: N,
    /// Training pictures.
    pub train: Arc<Loader>,
    /// Validation pictures.
    pub validation: Arc<Loader>,
    /// Where, without autodiff: several share each step.
    pub devices: &'a [Device],
    /// The run's folder.
    pub folder: PathBuf,
    /// Whether to go on from the folder's newest whole checkpoint.
    pub resume: bool,
    /// Stops the training from outside.
    pub interrupter: Interrupter,
    /// Whether Burn's dashboard is shown.
    pub dashboard: bool,
    /// Told what happens.
    pub progress: Box<dyn Progress + Send>,
}

/// A run that has ended. Its folder is no other process's as long as this is there.
#[derive(Debug)]
pub struct Ended<N> {
    /// The network in evaluation mode: its average, where one was kept.
    pub network: N,
    /// Every change of structure; none if none was ever due.
    pub log: Option<EventLog>,
    /// Everything that is known of it.
    pub record: RunRecord,
    /// Why it was stopped, if it was not left to end.
    pub stopped: Option<String>,
    /// Kept so that deployment can be added to the record.
    recorder: Recorder,
}

impl<N> Ended<N> {
    /// Adds what deployment changed to the record and the report.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn deployed(&mut self, deployment: &crate::Deployment) -> Result<(), TrainError> {
        self.recorder.update(|record| record.deployment = Some(deployment.clone()))?;
        self.record = self.recorder.record();
        Ok(())
    }
}

impl<N: Network> Run<'_, N> {
    /// Trains. The run is a function of its options, the loaders' seeds and the network: repeated on the same
    /// machine, or resumed after any end, it gives the same network to the bit.
    ///
    /// # Errors
    /// Options that make no sense, data that cannot be read, a loss that is not a number, a change of structure that
    /// fails, files that cannot be written, a checkpoint that is not of this run. The last whole checkpoint is left
    /// as it was.
    pub fn train(self) -> Result<Ended<N>, TrainError> {
        self.check()?;
        let mut progress = self.progress;
        let held = Held::take(&self.folder, &mut *progress)?;
        let checkpoints = Checkpoints::open(self.folder.join("checkpoint"), self.training.keep)?;
        let from = match self.resume {
            true => newest(&checkpoints, &mut *progress)?,
            // Checkpoints of no run are of one whose record is gone.
            false if RunRecord::path(&self.folder).exists() || checkpoints.any()? => {
                return Err(TrainError::Exists { path: self.folder });
            }
            false => None,
        };
        let (training, devices) = (self.training, self.devices);
        let batches = self.train.batches();
        let parts = training.accumulate * devices.len();
        let steps_per_epoch = batches.div_ceil(parts);

        let main = devices[0].clone();
        let picture = picture(&self.validation, &training.input, &main)?;
        let layout = Layout::of(&self.network, &picture);
        let classes = self.train.dataset().classes();
        let record = record(&layout, (&training, classes), from, &self.folder)?;
        // A run that has stopped early has its last epoch.
        let last_epoch = match (from, training.patience) {
            (Some(epoch), Some(patience)) if record.epochs_since_best() >= patience => epoch,
            _ => training.epochs,
        };
        let known = Known {
            held,
            folder: self.folder.clone(),
            schedule: training.schedule.clone(),
            batches: [batches, parts],
            loaders: [Arc::clone(&self.train), Arc::clone(&self.validation)],
            layers: layout.cost,
            rest: layout.rest,
            interrupter: self.interrupter.clone(),
        };
        let recorder = Recorder::new(record, known, progress);
        recorder.update(|_| {})?;

        let network = self.network.train().fork(&main.clone().autodiff());
        let groups = training.groups.of(&network)?;
        let network = groups.freeze(network)?;
        let model = Classifier::new(network, training.loss.clone(), parts);
        let calibration = Calibration::new(Arc::clone(&self.train), training.input.clone());
        // An epoch's last step may have fewer batches; each then counts for more.
        let rest = batches % training.accumulate;
        let last_step =
            (devices.len() == 1 && rest > 0).then(|| training.accumulate as f64 / rest as f64);
        let steps = (steps_per_epoch, last_step);
        let model = wrap(model, steps, &training, calibration, &recorder)?
            .with_interrupter(self.interrupter.clone());
        let failure = model.failure();
        if let Some(epoch) = from {
            check_checkpoint(&model, &checkpoints, epoch)?;
        }

        let first = from.unwrap_or(0) + 1;
        let input = &training.input;
        let train = Batches::training(Arc::clone(&self.train), input.clone(), first)
            .with_mixer(training.mixer);
        let valid = Batches::evaluation(Arc::clone(&self.validation), input.clone());
        let [of_model, of_optimizer, of_scheduler] = checkpoints.checkpointers();
        let execution = match devices {
            [device] => ExecutionStrategy::single(device.clone()),
            devices => {
                ExecutionStrategy::multi(devices.to_vec(), MultiDeviceOptim::OptimMainDevice)
            }
        };
        let mut burn = SupervisedTraining::new(&self.folder, Arc::new(train), Arc::new(valid))
            .metrics((LossMetric::new(), AccuracyMetric::new()))
            .with_metric_logger(recorder.clone())
            .with_application_logger(None)
            .with_custom_checkpointers(of_model, of_optimizer, of_scheduler)
            .with_checkpointing_strategy(recorder.strategy(training.keep > 0))
            .with_training_strategy(TrainingStrategy::Default(execution))
            .with_interrupter(self.interrupter.clone())
            .num_epochs(last_epoch);
        if !self.dashboard {
            burn = burn.renderer(Box::new(progress::NoRenderer));
        }
        if training.accumulate > 1 {
            burn = burn.grads_accumulation(training.accumulate);
        }
        if let Some(patience) = training.patience {
            burn = burn.early_stopping(recorder.patience(patience));
        }
        if let Some(epoch) = from {
            burn = burn.checkpoint(epoch);
        }
        recorder.start();
        let learner = Learner::new(
            model,
            training.optimizer.init_grouped(&groups),
            training.schedule.clone(),
        );
        let LearningResult { model, interrupted, error, renderer } = burn.launch(learner);
        drop(renderer);

        let log = model.log().cloned();
        let network = model.into_model().network;
        let loop_failed = || {
            let path = self.folder.join("checkpoint");
            error.map(|error| TrainError::Loop { reason: error.to_string(), path })
        };
        let lost = || {
            let parameter = not_finite(&network).map(|parameter| format!("`{parameter}`"));
            let what = parameter.or_else(|| {
                let last = recorder.record().epochs.last().map(|epoch| epoch.valid_loss);
                let loss = last.filter(|loss| interrupted.is_none() && !loss.is_finite())?;
                Some(format!("the validation loss, {loss},"))
            });
            let learning_rate = training.schedule.rate;
            what.map(|what| TrainError::NotFinite { what, learning_rate })
        };
        let failed = recorder.take_failure().or_else(|| failure.take());
        if let Some(error) = failed.or_else(loop_failed).or_else(lost) {
            // That the record cannot be written either is no more to be said.
            let _ = recorder.update(|record| record.state = RunState::Failed(error.to_string()));
            return Err(error);
        }
        let stopped = interrupted.map(|it| it.reason.unwrap_or_else(|| "stopped".to_owned()));
        recorder.update(|record| {
            record.state = match &stopped {
                Some(reason) => RunState::Stopped(reason.clone()),
                None => RunState::Finished,
            };
        })?;
        Ok(Ended { network, log, record: recorder.record(), stopped, recorder })
    }

    fn check(&self) -> Result<(), TrainError> {
        let training = &self.training;
        let counts = [
            ("epochs", training.epochs),
            ("accumulate", training.accumulate),
            ("devices", self.devices.len()),
        ];
        if let Some((option, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            let (expected, found) = ("at least 1", "0".to_owned());
            return Err(TrainError::Config { option, expected, found });
        }
        let rate = training.schedule.rate;
        if !(rate > 0.0 && rate.is_finite()) {
            let (option, expected) = ("learning rate", "a number above 0");
            return Err(TrainError::Config { option, expected, found: rate.to_string() });
        }
        training.loss.check(self.train.dataset().classes().len())?;
        let expected = training.input.mean.len();
        for loader in [&self.train, &self.validation] {
            let found = loader.dataset().channels();
            if found != expected {
                return Err(TrainError::Channels { expected, found });
            }
        }
        Ok(())
    }
}

/// A validation picture, `[1, channels, height, width]`.
fn picture(
    validation: &Loader,
    input: &InputSpec,
    device: &Device,
) -> Result<Tensor<4>, TrainError> {
    // Of a whole batch, since a file that cannot be used is left out.
    let batch = validation.epoch(0).next().unwrap_or_else(|| unreachable!("never empty"))?;
    Ok(input.images(&batch, device).narrow(0, 0, 1))
}

/// The first parameter or statistic that is not finite.
fn not_finite<N: Network>(network: &N) -> Option<String> {
    struct Search(Vec<String>, Option<String>);
    impl ModuleVisitor for Search {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let finite = || param.val().into_data().iter::<f32>().all(f32::is_finite);
            if self.1.is_none() && !finite() {
                self.1 = Some(self.0.join("."));
            }
        }
    }
    let mut search = Search(vec![], None);
    network.visit(&mut search);
    search.1
}

fn wrap<N: Network>(
    model: Classifier<N>,
    (steps_per_epoch, last_step): (usize, Option<f64>),
    training: &Training,
    calibration: Calibration,
    recorder: &Recorder,
) -> Result<DyRep<Classifier<N>>, TrainError> {
    let recorder = recorder.clone();
    let mut model = DyRep::new(model, steps_per_epoch)
        .with_seed(training.seed)
        .on_adjustment(move |adjustment, took| recorder.adjusted(adjustment, took));
    if let Some(decay) = training.average_decay {
        model = model.with_average(decay);
    }
    if let Some(norm) = training.clip_norm {
        model = model.with_clipping(norm);
    }
    if let Some(scale) = last_step {
        model = model.with_last_step(scale);
    }
    let calibration = Arc::new(calibration);
    let run = move |model: &Classifier<N>, epoch, index| calibration.run(model, epoch, index);
    if training.recalibration > 0 {
        model = model.with_recalibration(training.recalibration, run.clone());
    }
    if let Some(config) = &training.controller {
        model = model.with_controller(config.clone(), run)?;
    }
    Ok(model)
}
