//! A whole run in a folder: Burn's loop around a [`DyRep`], checkpoints that it can be resumed from, its record and
//! its report.
//!
//! ```text
//! RUN/run.json  report.html  epochs.csv  checkpoint/…    written after every epoch, each whole or not at all
//! RUN/tensorboard/…                                      events for TensorBoard, if they are asked for
//! RUN/steps.csv                                          the loss of every step, added to after every epoch
//! RUN/teacher.safetensors                                the teacher's logits, if there is one
//! RUN/scales.json                                        scales of blocks that its steps are those of, or that it has found
//! ```

mod calibration;
mod check;
mod ending;
mod folder;
mod known;
mod layout;
mod model;
mod notes;
mod options;
mod progress;
mod record;
mod recorder;
mod report;
mod resume;
pub(crate) mod scales;
mod searched;
mod strategies;
mod sums;
mod tables;
pub(crate) mod teacher;
mod tensorboard;
mod time;

use std::path::PathBuf;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Device;
use burn_train::metric::{AccuracyMetric, LossMetric, TopKAccuracyMetric};
use burn_train::renderer::default_renderer;
use burn_train::{
    ExecutionStrategy, Interrupter, Learner, LearningResult, MultiDeviceOptim, SupervisedTraining,
    TrainingStrategy,
};
use dyrep_burn::{EventLog, without_resting};
use dyrep_data::Loader;
use dyrep_models::Network;

pub use options::Training;
pub(crate) use options::numbers;
pub use progress::{EpochReport, Progress, Silent, StepReport};
pub use record::{Amendment, RunRecord, RunState, Unfinished};
pub use sums::Sums;

use crate::checkpoint::{Checkpoints, Moment};
use crate::classifier::Classifier;
use crate::disk::Disk;
use crate::epoch_steps::EpochSteps;
use crate::error::TrainError;
use crate::pictures::{Batches, Pictures};
use crate::rep_optimizer::RepOptimizer;
use crate::schedule::Schedule;
use calibration::Calibration;
use ending::{Ending, StopAfterStep};
use folder::Held;
use known::Known;
use layout::Layout;
use model::{not_finite, picture, wrap};
use notes::LeftOut;
use recorder::Recorder;
use resume::{begun, gone_on, newest, restored};
use strategies::{Patience, Save};

/// Of so many classes with the largest logits the right one may be one.
const TOP: usize = 5;

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
    /// Stops the training from outside: after the step that it is at, with a checkpoint.
    pub interrupter: Interrupter,
    /// Where files are written.
    pub disk: Arc<dyn Disk>,
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
    /// The same with the weights themselves, where it is their average.
    pub raw: Option<N>,
    /// The same after the epoch with the best validation accuracy, where that is not the last one and its checkpoint is
    /// there.
    pub best: Option<N>,
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
    /// Notes that the run is being measured.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn measuring(&self) -> Result<(), TrainError> {
        self.recorder.update(|record| record.state = RunState::Measuring)
    }

    /// Adds what deployment changed to the record and the report: the run is finished.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn deployed(&mut self, deployment: &crate::Deployment) -> Result<(), TrainError> {
        self.recorder.update(|record| {
            record.deployment = Some(deployment.clone());
            record.state = RunState::Finished;
        })?;
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
        let disk = &self.disk;
        let checkpoints = Checkpoints::open(&self.folder, self.training.keep, Arc::clone(disk))?;
        // Read here and not before: now it is nobody else's.
        let former = RunRecord::load(&RunRecord::path(&self.folder));
        if let (true, Ok(former)) = (self.resume, &former) {
            checkpoints.of_run(&former.id);
        }
        let from = match self.resume {
            true => newest(&checkpoints, &mut *progress)?,
            // Checkpoints of no run are of one whose record is gone.
            false if RunRecord::path(&self.folder).exists() || checkpoints.any()? => {
                return Err(TrainError::Exists { path: self.folder });
            }
            false => None,
        };
        let (training, devices) = (self.training, self.devices);
        let accumulate = training.optimizer.accumulate;
        let epoch = EpochSteps::of(&self.train, accumulate, devices.len());
        let steps_per_epoch = epoch.steps();

        let main = devices[0].clone();
        let picture = picture(&self.validation, &training.input, &main)?;
        let layout = Layout::of(&self.network, &picture);
        let classes = self.train.dataset().classes();
        let mut record = match from {
            Some(moment) => gone_on(former?, &layout, (&training, classes), moment, &self.folder)?,
            None => begun(&layout, (&training, classes)),
        };
        checkpoints.of_run(&record.id);
        checkpoints.keep_best(record.best_epoch());

        let ending = Ending::new(self.interrupter);
        let network = training.learning(self.network, &main);
        let groups = training.groups(&network)?;
        let network = groups.freeze(network)?;
        let model = training.classifier(network);
        let calibration = Calibration::new(Arc::clone(&self.train), training.input.clone());
        let calibration = Arc::new(calibration);
        let full = self.train.config().batch_size;
        let step = training.shared_step(&main, full, epoch.is_by_batch());
        let model = wrap(
            model,
            groups.multipliers(),
            (steps_per_epoch, step.clone()),
            &training,
            Arc::clone(&calibration),
        )?
        .with_interrupter(ending.burn().clone());
        let failure = model.failure();
        let mut began = model.clone();
        if let Some(moment) = from {
            let restored = restored(&model, &checkpoints, moment)?;
            // The checkpoint knows which changes of structure it has seen.
            if let Some(log) = restored.log() {
                record.adjustments = log.adjustments().to_vec();
            }
            began = restored;
        }

        let moment = from.unwrap_or_default();
        // A run that has stopped early has its last epoch.
        let over = |patience| moment.steps == 0 && record.epochs_since_best() >= patience;
        let last_epoch = match training.patience {
            Some(patience) if from.is_some() && over(patience) => moment.epochs,
            _ => training.epochs,
        };
        teacher::keep(training.distillation.as_ref(), &self.folder, from.is_none(), &**disk)?;
        let rep_optimizer = training.rep_optimizer.clone();
        scales::keep(rep_optimizer.as_ref(), &self.folder, from.is_none(), &**disk)?;
        let rate = training.optimizer.learning_rate;
        let schedule = Schedule::new(training.schedule.clone(), rate, steps_per_epoch);
        let known = Known {
            held,
            folder: self.folder.clone(),
            disk: Arc::clone(disk),
            tensorboard: training.tensorboard,
            from: moment,
            schedule: schedule.clone(),
            epoch,
            loaders: [Arc::clone(&self.train), Arc::clone(&self.validation)],
            layers: layout.cost,
            sizes: layout.sizes,
            rest: layout.rest,
            ending: ending.clone(),
        };
        let recorder = Recorder::new(record, known, progress)?;
        searched::note(&recorder, &began);
        recorder.update(|_| {})?;

        let stop = StopAfterStep {
            ending: ending.clone(),
            checkpoints: checkpoints.clone(),
            save: training.keep > 0,
            steps_per_epoch,
            scheduler: schedule.clone().into(),
            failures: [recorder.failure(), failure.clone()],
        };
        let before = model.clone();
        let [of_adjustments, of_trials, of_weights, of_scales] = [(); 4].map(|()| recorder.clone());
        let (left_out, tried) = (LeftOut::new(step), training.clone());
        let model = model
            .with_trial(
                move |model, epoch| calibration.trial(&tried, model, epoch),
                move |epoch, paths, said| of_trials.note(notes::undone(epoch, paths, said)),
            )
            .on_adjustment(move |adjustment, took| of_adjustments.adjusted(adjustment, took))
            .on_step(move |model, optimizer| {
                if model.steps().is_multiple_of(steps_per_epoch) {
                    left_out.note(model.epochs()).into_iter().for_each(|it| of_scales.note(it));
                    of_scales.scales(model.steps(), &model.model().network);
                    searched::note(&of_scales, model);
                }
                stop.after(model, optimizer);
            })
            .beside_average(move |model: &Classifier<N>, pictures: &Pictures| {
                let logits = model.network.forward(pictures.images.clone());
                let labels: Vec<i64> = pictures.classes.to_data().iter().collect();
                of_weights.weights(logits, &labels);
            });
        let input = &training.input;
        let train = Batches::training(Arc::clone(&self.train), input.clone(), moment.epochs + 1)
            .without_first(moment.steps * accumulate)
            .with_mixer(training.mixer)
            .with_teacher(training.distillation);
        let left = ending.clone();
        let valid = Batches::evaluation(Arc::clone(&self.validation), input.clone())
            .until(move || left.leaves_validation());
        let [of_model, of_optimizer, of_scheduler] = checkpoints.checkpointers();
        let execution = match devices {
            [device] => ExecutionStrategy::single(device.clone()),
            devices => {
                ExecutionStrategy::multi(devices.to_vec(), MultiDeviceOptim::OptimMainDevice)
            }
        };
        let save = Save {
            recorder: recorder.clone(),
            ending: ending.clone(),
            checkpoints: checkpoints.clone(),
            save: training.keep > 0,
        };
        let patience = Patience {
            recorder: recorder.clone(),
            ending: ending.clone(),
            epochs: training.patience,
        };
        let mut burn = SupervisedTraining::new(&self.folder, Arc::new(train), Arc::new(valid))
            .metrics((LossMetric::new(), AccuracyMetric::new()))
            .with_metric_logger(recorder.clone())
            .with_application_logger(None)
            .with_custom_checkpointers(of_model, of_optimizer, of_scheduler)
            .with_checkpointing_strategy(save)
            .with_training_strategy(TrainingStrategy::Default(execution))
            .with_interrupter(ending.burn().clone())
            .early_stopping(patience)
            .num_epochs(last_epoch);
        if classes.len() > TOP {
            burn = burn.metric_valid_numeric(TopKAccuracyMetric::new(TOP));
        }
        burn = burn.renderer(match self.dashboard {
            // Whoever stops there is heard as everybody else is.
            true => default_renderer(ending.asked().clone(), from.map(|moment| moment.epochs)),
            false => Box::new(progress::NoRenderer),
        });
        if training.gradient_checkpointing {
            burn = burn.gradient_checkpointing();
        }
        if accumulate > 1 {
            burn = burn.grads_accumulation(accumulate);
        }
        if from.is_some() {
            checkpoints.number(moment.epochs, moment);
            burn = burn.checkpoint(moment.epochs);
        }
        recorder.start();
        let learner = Learner::new(model, groups.optimizer(&training.optimizer), schedule);
        let LearningResult { model, interrupted, error, renderer } = burn.launch(learner);
        drop(renderer);

        let (log, steps) = (model.log().cloned(), model.steps());
        let raw = model.beside().map(|model| without_resting(model.network.clone()));
        let network = without_resting(model.into_model().network);
        let loop_failed = || {
            let path = checkpoints.folder().to_owned();
            error.map(|error| TrainError::Loop { reason: error.to_string(), path })
        };
        let lost = || {
            let parameter = not_finite(&network).map(|parameter| format!("`{parameter}`"));
            let what = parameter.or_else(|| {
                let last = recorder.look(|it| it.epochs.last().map(|epoch| epoch.valid_loss));
                let loss = last.filter(|loss| interrupted.is_none() && !loss.is_finite())?;
                Some(format!("the validation loss, {loss},"))
            });
            what.map(|what| TrainError::NotFinite { what, learning_rate: rate })
        };
        let failed = recorder.take_failure().or_else(|| failure.take());
        if let Some(error) = failed.or_else(loop_failed).or_else(lost) {
            // That the record cannot be written either is no more to be said.
            let _ = recorder.update(|record| record.state = RunState::Failed(error.to_string()));
            return Err(error);
        }
        // All of a training may be done when an end is asked for.
        let (done, worse) = recorder.look(|it| (it.epochs.len(), it.epochs_since_best()));
        let early = training.patience.is_some_and(|it| done < training.epochs && worse >= it);
        let whole = early || done >= last_epoch;
        let stopped = ending.reason().filter(|_| !whole);
        if stopped.is_some() && steps > done * steps_per_epoch {
            recorder.left(StopAfterStep::moment(steps, steps_per_epoch));
        }
        if let (Some(RepOptimizer::Search), None) = (rep_optimizer, &stopped) {
            scales::found(&network, &self.folder, &**disk)?;
        }
        recorder.update(|record| {
            record.early = early;
            record.state = match &stopped {
                Some(reason) => RunState::Stopped(reason.clone()),
                None => RunState::Finished,
            };
        })?;
        let record = recorder.record();
        let best = match record.best_epoch() {
            Some(epoch) if stopped.is_none() && epoch < done => {
                let moment = Moment::after(epoch);
                let whole = checkpoints.check(moment).is_ok();
                whole.then(|| restored(&before, &checkpoints, moment)).transpose()?
            }
            _ => None,
        };
        let best = best.map(|model| without_resting(model.valid().into_model().network));
        Ok(Ended { network, raw, best, log, record, stopped, recorder })
    }
}
