//! The loader: a data set and a pipeline, in; epochs of batches, out.
//!
//! `plan` decides the order and makes one batch; `epoch` runs a plan, in the calling thread or in
//! threads of its own. What an epoch holds is decided in the plan alone, so it cannot depend on how
//! many threads run it.

mod epoch;
mod plan;

use std::ops::Range;
use std::sync::Arc;

pub use self::epoch::Epoch;
pub use self::plan::Batch;

use self::plan::Plan;
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::transform::Pipeline;

/// How a [`Loader`] makes batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoaderConfig {
    /// Samples in a batch; at least 1.
    pub batch_size: usize,
    /// Whether each epoch has an order of its own; otherwise it is the data set's.
    pub shuffle: bool,
    /// Whether a last batch of fewer than `batch_size` samples is left out.
    pub drop_last: bool,
    /// Together with the epoch's number, determines the order and all transforms.
    pub seed: u64,
    /// Threads that decode and transform; with 0, the calling thread does it.
    pub threads: usize,
}

/// Batches of 64 in the data set's order, the last one kept, made in the calling thread.
impl Default for LoaderConfig {
    fn default() -> Self {
        Self { batch_size: 64, shuffle: false, drop_last: false, seed: 0, threads: 0 }
    }
}

/// Makes epochs of batches from a data set.
///
/// The order and the contents of an epoch are a function of (seed, epoch) alone, bit for bit,
/// whatever the number of threads. So a training resumed at an epoch sees what it would have seen.
pub struct Loader {
    dataset: Arc<dyn Dataset>,
    pipeline: Pipeline,
    config: LoaderConfig,
}

impl Loader {
    /// A loader of `dataset`, whose images go through `pipeline`.
    ///
    /// # Errors
    ///
    /// If the batch size is 0, the data set is empty, or there would be no batch because the only,
    /// incomplete one is to be dropped.
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
        Ok(Self { dataset, pipeline, config })
    }

    /// Batches in an epoch; at least 1.
    #[must_use]
    pub fn batches(&self) -> usize {
        let (samples, batch_size) = (self.dataset.len(), self.config.batch_size);
        if self.config.drop_last { samples / batch_size } else { samples.div_ceil(batch_size) }
    }

    /// Samples in an epoch: the data set's, less those of a dropped last batch.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.dataset.len().min(self.batches() * self.config.batch_size)
    }

    /// The data set.
    #[must_use]
    pub fn dataset(&self) -> &dyn Dataset {
        self.dataset.as_ref()
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &LoaderConfig {
        &self.config
    }

    /// The batches of an epoch, in order. Its threads, if any, start now.
    #[must_use]
    pub fn epoch(&self, epoch: u64) -> Epoch {
        self.part(epoch, 0..self.samples())
    }

    /// Those batches of an epoch that its samples in `range`, counted in the epoch's order, make: one device's share,
    /// or what is left of an epoch. The samples are those of the whole epoch, transformed in the same way.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond [`samples`](Self::samples).
    #[must_use]
    pub fn part(&self, epoch: u64, range: Range<usize>) -> Epoch {
        let dataset = Arc::clone(&self.dataset);
        let plan = Plan::new(dataset, self.pipeline.clone(), self.config, epoch, range);
        let threads = self.config.threads.min(plan.batches());
        Epoch::start(plan, threads)
    }
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader")
            .field("samples", &self.dataset.len())
            .field("pipeline", &self.pipeline)
            .field("config", &self.config)
            .finish()
    }
}
