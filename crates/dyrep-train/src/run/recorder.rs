//! Burn's events become epochs of a [`RunRecord`], lines for whoever watches, and a stop if the loss is no number.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use burn_train::checkpoint::{CheckpointingAction, CheckpointingStrategy};
use burn_train::logger::MetricLogger;
use burn_train::metric::store::{Aggregate, EpochSummary, EventStoreClient, MetricsUpdate, Split};
use burn_train::metric::{MetricDefinition, MetricId, NumericEntry};
use burn_train::{EarlyStoppingStrategy, Interrupter};
use dyrep_burn::{Adjustment, Cost, Structure};
use dyrep_data::Loader;

use super::folder::Held;
use super::progress::{EpochReport, Progress, StepReport};
use super::record::RunRecord;
use crate::error::TrainError;
use crate::failure::Failure;
use crate::schedule::Schedule;

/// The metrics' names, as Burn has them.
const LOSS: &str = "Loss";
const ACCURACY: &str = "Accuracy";
/// Batches between two reports of the loss.
const BATCHES_PER_REPORT: usize = 10;

/// What is written, and to whom it is told. Clones are the same recorder.
#[derive(Clone)]
pub(super) struct Recorder(Arc<Mutex<Inner>>);

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}

/// What the recorder must know of the run.
pub(super) struct Known {
    /// Held until the run's last file is written.
    #[allow(dead_code, reason = "it is held")]
    pub(super) held: Held,
    pub(super) folder: PathBuf,
    pub(super) schedule: Schedule,
    /// Batches of an epoch, and those of a step.
    pub(super) batches: [usize; 2],
    /// Of training and of validation.
    pub(super) loaders: [Arc<Loader>; 2],
    /// What the whole network costs beyond its layers: parameters and multiply-adds.
    pub(super) rest: Cost,
    /// What the layers cost at the start.
    pub(super) layers: Cost,
    pub(super) interrupter: Interrupter,
}

struct Inner {
    known: Known,
    record: RunRecord,
    progress: Box<dyn Progress + Send>,
    names: HashMap<MetricId, String>,
    /// The running epoch's means, by metric.
    means: HashMap<(Split, String), f64>,
    batch: usize,
    unread: Vec<f64>,
    clock: Instant,
    train: Duration,
    adjust: Duration,
    /// How long the training loader had kept its caller waiting before this epoch.
    waited: Duration,
    structure: Structure,
    layers: Cost,
    failure: Failure,
}

impl Recorder {
    pub(super) fn new(record: RunRecord, known: Known, progress: Box<dyn Progress + Send>) -> Self {
        let (layers, structure) = (known.layers, record.start.clone());
        let mut inner = Inner {
            known,
            record,
            progress,
            names: HashMap::new(),
            means: HashMap::new(),
            batch: 0,
            unread: vec![],
            clock: Instant::now(),
            train: Duration::ZERO,
            adjust: Duration::ZERO,
            waited: Duration::ZERO,
            structure,
            layers,
            failure: Failure::default(),
        };
        inner.tell_schedule();
        for adjustment in inner.record.adjustments.clone() {
            inner.follow(&adjustment);
        }
        Self(Arc::new(Mutex::new(inner)))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the first epoch's clock.
    pub(super) fn start(&self) {
        self.lock().clock = Instant::now();
    }

    /// A change of structure, and how long it took.
    pub(super) fn adjusted(&self, adjustment: &Adjustment, took: Duration) {
        let mut inner = self.lock();
        inner.adjust = took;
        inner.follow(adjustment);
        inner.record.adjustments.push(adjustment.clone());
        inner.progress.on_events(&adjustment.events);
    }

    pub(super) fn take_failure(&self) -> Option<TrainError> {
        self.lock().failure.take()
    }

    /// Changes the record and writes it.
    pub(super) fn update(&self, change: impl FnOnce(&mut RunRecord)) -> Result<(), TrainError> {
        let mut inner = self.lock();
        change(&mut inner.record);
        inner.write()
    }

    pub(super) fn record(&self) -> RunRecord {
        self.lock().record.clone()
    }

    /// For Burn, which asks it after each epoch whether to save.
    pub(super) fn strategy(&self, save: bool) -> Save {
        Save { recorder: self.clone(), save }
    }

    /// For Burn, which asks it after each epoch whether to stop.
    pub(super) fn patience(&self, epochs: usize) -> Patience {
        Patience { recorder: self.clone(), epochs }
    }
}

impl Inner {
    fn follow(&mut self, adjustment: &Adjustment) {
        let Some(last) = adjustment.events.last() else { return };
        self.layers = last.after;
        for event in &adjustment.events {
            event
                .change
                .apply(&mut self.structure)
                .unwrap_or_else(|error| unreachable!("made to the model just now: {error}"));
        }
    }

    /// A schedule may ask for the accuracies, which are told before the next epoch begins (see [`Save`]).
    fn tell_schedule(&self) {
        self.known.schedule.tell(self.record.epochs.iter().map(|epoch| epoch.accuracy));
    }

    fn fail(&mut self, error: TrainError) {
        self.failure.stop(&self.known.interrupter, error);
    }

    fn write(&mut self) -> Result<(), TrainError> {
        self.record.save(&RunRecord::path(&self.known.folder))?;
        super::report::write(&self.record, &self.known.folder)
    }

    /// The steps of the optimiser done after so many batches of an epoch.
    fn steps(&self, epoch: usize, batches: usize) -> usize {
        let [all, of_step] = self.known.batches;
        (epoch - 1) * all.div_ceil(of_step) + batches.div_ceil(of_step)
    }

    fn rate(&self, epoch: usize, batches: usize) -> f64 {
        self.known.schedule.at(self.steps(epoch, batches).saturating_sub(1))
    }

    /// A training batch's loss.
    fn batch(&mut self, epoch: usize, loss: f64) {
        self.batch += 1;
        self.unread.push(loss);
        let (step, steps) = (self.batch, self.known.batches[0]);
        let learning_rate = self.rate(epoch, step);
        if !loss.is_finite() {
            return self.fail(TrainError::Diverged { epoch, step, loss, learning_rate });
        }
        if self.unread.len() == BATCHES_PER_REPORT || step == steps {
            let loss = self.unread.iter().sum::<f64>() / self.unread.len() as f64;
            self.unread.clear();
            self.progress.on_steps(&StepReport { epoch, step, steps, loss, learning_rate });
        }
    }

    fn ended(&mut self, epoch: usize) {
        let took = self.clock.elapsed();
        self.clock = Instant::now();
        let mean = |split: Split, name: &str| self.means.get(&(split, name.to_owned())).copied();
        let accuracy = |split| mean(split, ACCURACY).map(|percent| percent / 100.0);
        let waited = self.known.loaders[0].times().wait;
        let cost = self.layers + self.known.rest;
        let report = EpochReport {
            epoch,
            loss: mean(Split::Train, LOSS).unwrap_or(f64::NAN),
            valid_loss: mean(Split::Valid, LOSS).unwrap_or(f64::NAN),
            train_accuracy: accuracy(Split::Train).unwrap_or(f64::NAN),
            accuracy: accuracy(Split::Valid).unwrap_or(f64::NAN),
            learning_rate: self.rate(epoch, self.known.batches[0]),
            train_seconds: self.train.saturating_sub(self.adjust).as_secs_f64(),
            wait_seconds: waited.saturating_sub(self.waited).as_secs_f64(),
            adjust_seconds: self.adjust.as_secs_f64(),
            valid_seconds: took.saturating_sub(self.train).as_secs_f64(),
            branches: self.structure.layers().values().map(|it| it.form.branch_count()).sum(),
            params: cost.params,
            macs: cost.macs,
        };
        self.waited = waited;
        self.progress.on_epoch(&report);
        self.record.epochs.push(report);
        self.tell_schedule();
        self.note_left_out();
        (self.batch, self.adjust) = (0, Duration::ZERO);
        self.unread.clear();
        self.means.clear();
        if let Err(error) = self.write() {
            self.fail(error);
        }
    }

    /// Tells of pictures that the loaders have left out since it was last asked.
    fn note_left_out(&mut self) {
        for picture in self.known.loaders.iter().flat_map(|loader| loader.skipped()) {
            if !self.record.left_out.contains(&picture) {
                self.progress.on_warning(&format!("left out: {picture}"));
                self.record.left_out.push(picture);
            }
        }
    }
}

impl MetricLogger for Recorder {
    fn log(&mut self, update: MetricsUpdate, epoch: usize, split: &Split) {
        let mut inner = self.lock();
        for update in update.entries_numeric {
            let Some(name) = inner.names.get(&update.entry.metric_id).cloned() else { continue };
            // Burn also logs the epoch's figure at its end, which is no batch's.
            let last = matches!(update.numeric_entry, Some(NumericEntry::Final(_)));
            if let Some(mean) = update.running_entry.as_ref().or(update.numeric_entry.as_ref()) {
                inner.means.insert((split.clone(), name.clone()), mean.current());
            }
            if let (Some(own), false, Split::Train, LOSS) =
                (&update.numeric_entry, last, split, name.as_str())
            {
                let loss = own.current();
                inner.batch(epoch, loss);
            }
        }
    }

    fn read_numeric(
        &mut self,
        name: &str,
        epoch: usize,
        split: &Split,
    ) -> Result<Vec<NumericEntry>, String> {
        let inner = self.lock();
        let report = inner.record.epochs.iter().find(|report| report.epoch == epoch);
        let value = report.and_then(|report| match (name, split) {
            (LOSS, Split::Train) => Some(report.loss),
            (LOSS, Split::Valid) => Some(report.valid_loss),
            (ACCURACY, Split::Train) => Some(100.0 * report.train_accuracy),
            (ACCURACY, Split::Valid) => Some(100.0 * report.accuracy),
            _ => None,
        });
        Ok(value.map(NumericEntry::Final).into_iter().collect())
    }

    fn log_metric_definition(&mut self, definition: MetricDefinition) {
        self.lock().names.insert(definition.metric_id, definition.name.to_string());
    }

    fn log_epoch_summary(&mut self, summary: EpochSummary) {
        let mut inner = self.lock();
        match summary.split {
            Split::Train => inner.train = inner.clock.elapsed(),
            Split::Valid => inner.ended(summary.epoch_number),
            Split::Test(_) => {}
        }
    }
}

/// Waits until all events have come that were sent before now.
fn catch_up(epoch: usize, store: &EventStoreClient) {
    let _ = store.find_metric(LOSS, epoch, Aggregate::Mean, &Split::Valid);
}

/// Saves after every epoch, but none of a training that has failed. What is old is removed once the new is whole.
pub(super) struct Save {
    recorder: Recorder,
    save: bool,
}

impl CheckpointingStrategy for Save {
    fn checkpointing(
        &mut self,
        epoch: usize,
        store: &EventStoreClient,
    ) -> Vec<CheckpointingAction> {
        catch_up(epoch, store);
        let mut inner = self.recorder.lock();
        let lost = inner.record.epochs.last().is_some_and(|last| !last.valid_loss.is_finite());
        if lost && self.save {
            inner.progress.on_warning(&format!(
                "no checkpoint of epoch {epoch}: its validation loss is no finite number"
            ));
        }
        match self.save && !lost && !inner.known.interrupter.should_stop() {
            true => vec![CheckpointingAction::Save],
            false => vec![],
        }
    }
}

/// Stops when the validation accuracy has not risen for so many epochs. It looks at the record, and so forgets nothing
/// when a run is resumed.
#[derive(Clone)]
pub(super) struct Patience {
    recorder: Recorder,
    epochs: usize,
}

impl EarlyStoppingStrategy for Patience {
    fn should_stop(&mut self, epoch: usize, store: &EventStoreClient) -> bool {
        catch_up(epoch, store);
        self.recorder.lock().record.epochs_since_best() >= self.epochs
    }
}
