//! The loader: a data set and a pipeline, in; epochs of batches, out.
//!
//! `plan` decides the order and makes one batch; `epoch` runs a plan, by the caller or ahead of it;
//! `batch` keeps the buffers. What an epoch holds is decided in the plan alone, so it cannot depend
//! on how many threads run it.

mod batch;
mod epoch;
mod plan;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

pub use self::batch::{Batch, Pixels};
pub use self::epoch::Epoch;

use self::batch::Store;
use self::plan::{Maker, Plan};
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::stages::{StageTimes, Totals};
use crate::transform::Pipeline;

/// Which samples an epoch holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sampling {
    /// Each once.
    #[default]
    Each,
    /// Draws with replacement, as many as there are samples: every class equally often (once more, by
    /// lot, if the number of classes is no divisor), every sample of a class equally likely. What is
    /// drawn twice is transformed in two ways. Classes without samples are left out.
    Balanced,
}

/// How a [`Loader`] makes batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoaderConfig {
    /// Samples in a batch; at least 1.
    pub batch_size: usize,
    /// Whether each epoch has an order of its own; otherwise it is the data set's. Draws always have
    /// one.
    pub shuffle: bool,
    /// Which samples an epoch holds.
    pub sampling: Sampling,
    /// Whether a last batch of fewer than `batch_size` samples is left out.
    pub drop_last: bool,
    /// Together with the epoch's number, determines the order and all transforms.
    pub seed: u64,
    /// Threads that decode and transform; with 0, the calling thread does it.
    pub threads: usize,
    /// Batches that are made ahead by threads; at least 1. They are the memory that an epoch takes.
    pub prefetch: usize,
    /// Samples that may be left out because their files cannot be used. One more is an error that
    /// names them all.
    pub max_skipped: usize,
    /// Whether it is an error if all samples of a class are left out. A sample of a data set, or
    /// pictures of no known class, may do without.
    pub keep_classes: bool,
    /// Whether a batch of which nothing can be used is made of the samples that come next in the epoch's order, so that an
    /// epoch always has as many batches as it should. For training, which counts steps; whoever judges a network counts
    /// each sample once.
    pub refill: bool,
}

/// Batches of 64 in the data set's order, the last one kept, made in the calling thread; up to 100
/// unusable files skipped, as long as every class keeps a sample.
impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            batch_size: 64,
            shuffle: false,
            sampling: Sampling::Each,
            drop_last: false,
            seed: 0,
            threads: 0,
            prefetch: 2,
            max_skipped: 100,
            keep_classes: true,
            refill: false,
        }
    }
}

/// Makes epochs of batches from a data set.
///
/// The order and the contents of an epoch are a function of (seed, epoch) alone, bit for bit,
/// whatever the number of threads. So a training resumed at an epoch sees what it would have seen.
pub struct Loader {
    shared: Arc<Shared>,
}

/// What all epochs of a loader use.
struct Shared {
    dataset: Arc<dyn Dataset>,
    pipeline: Pipeline,
    config: LoaderConfig,
    /// The samples of each class that has any, where they are drawn by class.
    by_class: Vec<Vec<usize>>,
    threads: Option<ThreadPool>,
    makers: Store<Maker>,
    buffers: Arc<Store<Vec<u8>>>,
    totals: Totals,
    /// What is wrong with each skipped sample, by index.
    skipped: Mutex<BTreeMap<usize, String>>,
}

impl Shared {
    /// Notes samples that could not be used.
    fn skip(&self, unusable: Vec<(usize, DataError)>) -> Result<(), DataError> {
        let limit = self.config.max_skipped;
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, error) in unusable {
            if limit == 0 {
                return Err(error);
            }
            // The same file is met in each epoch.
            let known = skipped.len();
            skipped.entry(index).or_insert_with(|| error.to_string());
            let others = self.dataset.classes().len() > 1;
            if self.config.keep_classes && others && skipped.len() > known {
                self.check_class(self.dataset.label(index), &skipped)?;
            }
            if skipped.len() > limit {
                let samples = skipped.values().cloned().collect();
                return Err(DataError::TooManySkipped { samples, limit });
            }
        }
        Ok(())
    }

    /// Whether there is a sample of the class that was not skipped. There are few skipped ones, and
    /// the classes are gone through only for them.
    fn check_class(
        &self,
        class: usize,
        skipped: &BTreeMap<usize, String>,
    ) -> Result<(), DataError> {
        let of_class = |index: &usize| self.dataset.label(*index) == class;
        if (0..self.dataset.len()).any(|at| of_class(&at) && !skipped.contains_key(&at)) {
            return Ok(());
        }
        let samples = skipped.iter().filter(|(at, _)| of_class(at)).map(|(_, text)| text.clone());
        let class = self.dataset.classes()[class].clone();
        Err(DataError::ClassLost { class, samples: samples.collect() })
    }

    fn skipped(&self) -> Vec<String> {
        let skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.values().cloned().collect()
    }
}

impl Loader {
    /// A loader of `dataset`, whose images go through `pipeline`. Its threads start now and live as
    /// long as it does.
    ///
    /// # Errors
    ///
    /// If the batch size is 0, the data set is empty, there would be no batch because the only,
    /// incomplete one is to be dropped, or the threads cannot be started.
    pub fn new(
        dataset: Arc<dyn Dataset>,
        pipeline: Pipeline,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        let (samples, batch_size) = (dataset.len(), config.batch_size);
        if batch_size == 0 {
            return Err(DataError::ZeroBatchSize);
        }
        if samples == 0 {
            return Err(DataError::EmptyDataset);
        }
        if config.drop_last && samples < batch_size {
            return Err(DataError::NoFullBatch { samples, batch_size });
        }
        let by_class = match config.sampling {
            Sampling::Each => vec![],
            Sampling::Balanced => by_class(dataset.as_ref()),
        };
        let shared = Shared {
            by_class,
            dataset,
            pipeline,
            config,
            threads: start(config.threads)?,
            makers: Store::new(config.threads.max(1)),
            // One more is in the hands of the caller.
            buffers: Arc::new(Store::new(config.prefetch + 1)),
            totals: Totals::default(),
            skipped: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Batches in an epoch; at least 1.
    #[must_use]
    pub fn batches(&self) -> usize {
        let (samples, batch_size) = (self.dataset().len(), self.config().batch_size);
        if self.config().drop_last { samples / batch_size } else { samples.div_ceil(batch_size) }
    }

    /// Samples in an epoch: the data set's, less those of a dropped last batch.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.dataset().len().min(self.batches() * self.config().batch_size)
    }

    /// The data set.
    #[must_use]
    pub fn dataset(&self) -> &dyn Dataset {
        self.shared.dataset.as_ref()
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &LoaderConfig {
        &self.shared.config
    }

    /// The samples that were left out so far because they cannot be used, in the data set's order:
    /// the name of each, and what is wrong with it.
    #[must_use]
    pub fn skipped(&self) -> Vec<String> {
        self.shared.skipped()
    }

    /// The same by index, with what is wrong with each.
    #[must_use]
    pub fn skipped_samples(&self) -> BTreeMap<usize, String> {
        self.shared.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where the time of all epochs so far went.
    #[must_use]
    pub fn times(&self) -> StageTimes {
        self.shared.totals.times()
    }

    /// The batches of an epoch, in order. Threads, if there are any, begin to make them now.
    #[must_use]
    pub fn epoch(&self, epoch: u64) -> Epoch {
        self.part(epoch, 0..self.samples())
    }

    /// The batches that the samples in `range`, counted in the epoch's order, make: one device's
    /// share, or what is left of an epoch. The samples are those of the whole epoch, transformed in
    /// the same way.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond [`samples`](Self::samples).
    #[must_use]
    pub fn part(&self, epoch: u64, range: Range<usize>) -> Epoch {
        Epoch::start(Plan::new(Arc::clone(&self.shared), epoch, range))
    }
}

fn by_class(dataset: &dyn Dataset) -> Vec<Vec<usize>> {
    let mut found = BTreeMap::<usize, Vec<usize>>::new();
    for index in 0..dataset.len() {
        found.entry(dataset.label(index)).or_default().push(index);
    }
    found.into_values().collect()
}

fn start(threads: usize) -> Result<Option<ThreadPool>, DataError> {
    if threads == 0 {
        return Ok(None);
    }
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|number| format!("loader-{number}"))
        .build()
        .map(Some)
        .map_err(|error| DataError::Thread { threads, source: io::Error::other(error) })
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader")
            .field("samples", &self.dataset().len())
            .field("pipeline", &self.shared.pipeline)
            .field("config", self.config())
            .finish()
    }
}
