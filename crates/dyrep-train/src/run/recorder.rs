//! Burn's events become epochs of a [`RunRecord`], lines for whoever watches, and a stop if the loss is no number.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::Tensor;
use burn_train::logger::MetricLogger;
use burn_train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn_train::metric::{MetricDefinition, MetricId, NumericEntry};
use dyrep_burn::{Adjustment, Cost, SearchReport, Structure};

use super::known::Known;
use super::progress::{EpochReport, Progress, StepReport};
use super::record::{RunRecord, Unfinished};
use super::sums::{ACCURACY, LOSS, Sums, TOP5};
use super::tables::{self, Steps};
use super::tensorboard::{self, Events};
use crate::checkpoint::Moment;
use crate::error::TrainError;
use crate::evaluate::Accuracy;
use crate::failure::Failure;

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

struct Inner {
    known: Known,
    record: RunRecord,
    progress: Box<dyn Progress + Send>,
    names: HashMap<MetricId, String>,
    /// The running validation's means, by metric.
    means: HashMap<String, f64>,
    /// Of the running epoch's training pictures; nothing where not all of them were seen.
    sums: Option<Sums>,
    /// The same and more for TensorBoard, if that was asked for.
    events: Option<Events>,
    /// Losses that are to be written.
    table: Steps,
    /// Of the batches of the running step: the sum of their losses, and how many there were.
    step: (f64, usize),
    /// Of the weights themselves, in the running validation.
    weights: Accuracy,
    /// Training pictures that this process has seen of the running epoch.
    pictures: usize,
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
    pub(super) fn new(
        mut record: RunRecord,
        known: Known,
        progress: Box<dyn Progress + Send>,
    ) -> Result<Self, TrainError> {
        let (layers, structure) = (known.layers, record.start.clone());
        let sums = match (known.from.steps, record.unfinished.take()) {
            (0, _) => Some(Sums::default()),
            (_, unfinished) => unfinished.map(|unfinished| unfinished.seen),
        };
        let batch = known.epoch.batches_after(known.from.steps);
        let failed = |name| unwritable(&known.folder.join(name));
        let table = Steps::from(&known.folder, known.from, &*known.disk);
        let table = table.map_err(failed("steps.csv"))?;
        let done = known.from.epochs * known.epoch.steps() + known.from.steps;
        let events = known.tensorboard.then(|| Events::new(&known.folder, done + 1)).transpose();
        let events = events.map_err(failed("tensorboard"))?;
        let mut inner = Inner {
            known,
            record,
            progress,
            names: HashMap::new(),
            means: HashMap::new(),
            sums,
            events,
            table,
            step: (0.0, 0),
            weights: Accuracy::default(),
            pictures: 0,
            batch,
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
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the first epoch's clock.
    pub(super) fn start(&self) {
        self.lock().clock = Instant::now();
    }

    /// What is known of an epoch that was left at this moment.
    pub(super) fn left(&self, at: Moment) {
        let mut inner = self.lock();
        inner.record.unfinished = inner.sums.map(|seen| Unfinished { at, seen });
    }

    /// What has gone wrong, if anything.
    pub(super) fn failure(&self) -> Failure {
        self.lock().failure.clone()
    }

    /// A change of structure, and how long it took.
    pub(super) fn adjusted(&self, adjustment: &Adjustment, took: Duration) {
        let mut inner = self.lock();
        inner.adjust = took;
        inner.follow(adjustment);
        inner.record.adjustments.push(adjustment.clone());
        inner.progress.on_events(&adjustment.events);
    }

    /// How a search stands, and what runs by it.
    pub(super) fn searched(&self, search: SearchReport, structure: Structure) {
        let mut inner = self.lock();
        inner.layers = inner.known.sizes.cost(&structure);
        (inner.structure, inner.record.search) = (structure, Some(search));
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

    /// Asks the record something.
    pub(super) fn look<T>(&self, ask: impl FnOnce(&RunRecord) -> T) -> T {
        ask(&self.lock().record)
    }

    pub(super) fn record(&self) -> RunRecord {
        self.lock().record.clone()
    }

    /// What Burn calls the checkpoint of an epoch whose validation was left; nothing where it was not.
    pub(super) fn left_validation(&self, epoch: usize) -> Option<Moment> {
        let inner = self.lock();
        let left = inner.known.ending.left_validation();
        left.then(|| Moment { epochs: epoch - 1, steps: inner.known.epoch.steps() })
    }

    /// Counts what the weights themselves say of a batch of the running validation.
    pub(super) fn weights(&self, logits: Tensor<2>, labels: &[i64]) {
        self.lock().weights.count_batch(logits, labels);
    }

    /// The scales of the batch norms after a step, for whoever wants them.
    pub(super) fn scales<M: Module>(&self, step: usize, model: &M) {
        if let Some(events) = &mut self.lock().events {
            events.scales(step, tensorboard::scales(model));
        }
    }

    /// Says something that should be known, also to whoever looks at the record later.
    pub(super) fn note(&self, note: String) {
        let mut inner = self.lock();
        inner.progress.on_warning(&note);
        inner.record.notes.push(note);
    }

    /// Says something that does not stop the training but should be known.
    pub(super) fn warn(&self, warning: &str) {
        self.lock().progress.on_warning(warning);
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
        self.failure.stop(self.known.ending.burn(), error);
    }

    fn write(&mut self) -> Result<(), TrainError> {
        let Known { folder, disk, .. } = &self.known;
        self.record.save(&RunRecord::path(folder), &**disk)?;
        let epochs = folder.join("epochs.csv");
        let text = tables::epochs(&self.record.epochs);
        disk.write(&epochs, text.as_bytes()).map_err(unwritable(&epochs))?;
        self.table.write(&**disk).map_err(unwritable(self.table.path()))?;
        if let Some(events) = &mut self.events {
            events.write(&**disk).map_err(unwritable(events.path()))?;
        }
        super::report::write(&self.record, folder, &**disk)
    }

    /// The steps of the optimiser done after so many batches of an epoch.
    fn steps(&self, epoch: usize, batches: usize) -> usize {
        (epoch - 1) * self.known.epoch.steps() + self.known.epoch.step_of(batches)
    }

    fn rate(&self, epoch: usize, batches: usize) -> f64 {
        self.known.schedule.at(self.steps(epoch, batches).saturating_sub(1))
    }

    /// A training batch's loss.
    fn batch(&mut self, epoch: usize, loss: f64) {
        self.batch += 1;
        self.unread.push(loss);
        let (step, steps) = (self.batch, self.known.epoch.batches());
        let number = self.known.epoch.step_of(step);
        let learning_rate = self.rate(epoch, step);
        // Of several devices the losses of a step come in any order.
        self.step = (self.step.0 + loss, self.step.1 + 1);
        if self.known.epoch.batches_after(number) == step {
            let (sum, count) = std::mem::take(&mut self.step);
            let mean = sum / count as f64;
            self.table.add(epoch, number, mean, learning_rate);
            let done = self.steps(epoch, step);
            if let Some(events) = &mut self.events {
                events.step(done, mean, learning_rate);
            }
        }
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
        if self.known.ending.left_validation() {
            return;
        }
        let took = self.clock.elapsed();
        self.clock = Instant::now();
        let mean = |name: &str| self.means.get(name).copied().unwrap_or(f64::NAN);
        let trained = self.sums.take().map(Sums::means);
        let [loss, percent] = trained.unwrap_or([f64::NAN; 2]);
        let weights = Some(std::mem::take(&mut self.weights)).filter(|it| it.total > 0);
        let waited = self.known.loaders[0].times().wait;
        let cost = self.layers + self.known.rest;
        let report = EpochReport {
            epoch,
            loss,
            valid_loss: mean(LOSS),
            train_accuracy: percent / 100.0,
            accuracy: mean(ACCURACY) / 100.0,
            top5_accuracy: self.means.get(TOP5).map(|percent| percent / 100.0),
            weights_accuracy: weights.map(Accuracy::fraction),
            pictures: self.pictures,
            learning_rate: self.rate(epoch, self.known.epoch.batches()),
            train_seconds: self.train.saturating_sub(self.adjust).as_secs_f64(),
            wait_seconds: waited.saturating_sub(self.waited).as_secs_f64(),
            adjust_seconds: self.adjust.as_secs_f64(),
            valid_seconds: took.saturating_sub(self.train).as_secs_f64(),
            branches: self.structure.layers().values().map(|it| it.form.branch_count()).sum(),
            params: cost.params,
            macs: cost.macs,
        };
        self.waited = waited;
        let done = self.steps(epoch, self.known.epoch.batches());
        if let Some(events) = &mut self.events {
            events.epoch(done, &report);
        }
        self.progress.on_epoch(&report);
        self.record.epochs.push(report);
        self.tell_schedule();
        self.note_left_out();
        (self.batch, self.adjust, self.pictures) = (0, Duration::ZERO, 0);
        self.sums = Some(Sums::default());
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

/// What to say of a file that the system refuses.
fn unwritable(path: &Path) -> impl FnOnce(std::io::Error) -> TrainError + use<> {
    let path = path.to_owned();
    move |source| TrainError::Folder { path, source }
}

impl MetricLogger for Recorder {
    fn log(&mut self, update: MetricsUpdate, epoch: usize, split: &Split) {
        let mut inner = self.lock();
        for update in update.entries_numeric {
            let Some(name) = inner.names.get(&update.entry.metric_id).cloned() else { continue };
            // Burn also logs the epoch's figure at its end, which is no batch's.
            let last = matches!(update.numeric_entry, Some(NumericEntry::Final(_)));
            let mean = update.running_entry.as_ref().or(update.numeric_entry.as_ref());
            match (split, mean, &update.numeric_entry) {
                (Split::Valid, Some(mean), _) => {
                    inner.means.insert(name, mean.current());
                }
                (Split::Train, _, Some(own)) if !last => {
                    if let Some(sums) = &mut inner.sums {
                        sums.add(&name, own);
                    }
                    if let (ACCURACY, NumericEntry::Aggregated { count, .. }) = (&*name, own) {
                        inner.pictures += count;
                    }
                    if name == LOSS {
                        inner.batch(epoch, own.current());
                    }
                }
                _ => {}
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
