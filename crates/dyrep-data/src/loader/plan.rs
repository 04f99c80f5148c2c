//! What an epoch holds: which samples make each batch, and the batch they make.

use std::ops::Range;
use std::sync::Arc;

use super::LoaderConfig;
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::image::Image;
use crate::rng::{SampleRng, permutation};
use crate::transform::Pipeline;

/// Images of equal shape and their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The pixels, `[n, channels, height, width]` in row-major order.
    pub pixels: Vec<u8>,
    /// The classes of the `n` images.
    pub labels: Vec<i64>,
    /// `[n, channels, height, width]`.
    pub shape: [usize; 4],
}

/// An epoch, decided but not yet loaded. Any thread can make any of its batches.
pub(super) struct Plan {
    dataset: Arc<dyn Dataset>,
    pipeline: Pipeline,
    seed: u64,
    epoch: u64,
    batch_size: usize,
    /// Indices of the samples, in the epoch's order.
    order: Vec<usize>,
}

impl Plan {
    pub(super) fn new(
        dataset: Arc<dyn Dataset>,
        pipeline: Pipeline,
        config: LoaderConfig,
        epoch: u64,
        part: Range<usize>,
    ) -> Self {
        let LoaderConfig { batch_size, shuffle, seed, .. } = config;
        let samples = dataset.len();
        let order: Vec<usize> =
            if shuffle { permutation(samples, seed, epoch) } else { (0..samples).collect() };
        let order = order[part].to_vec();
        Self { dataset, pipeline, seed, epoch, batch_size, order }
    }

    pub(super) fn batches(&self) -> usize {
        self.order.len().div_ceil(self.batch_size)
    }

    /// Makes one batch, or nothing once `stopped` says so, which it is asked before each sample.
    pub(super) fn load(
        &self,
        batch: usize,
        stopped: impl Fn() -> bool,
    ) -> Option<Result<Batch, DataError>> {
        let start = batch * self.batch_size;
        let end = self.order.len().min(start + self.batch_size);
        let mut stack = Stack::new(end - start);
        for &index in &self.order[start..end] {
            if stopped() {
                return None;
            }
            if let Err(error) = self.load_sample(index, &mut stack) {
                return Some(Err(error));
            }
        }
        Some(Ok(stack.into_batch()))
    }

    fn load_sample(&self, index: usize, stack: &mut Stack) -> Result<(), DataError> {
        let image = self.dataset.image(index)?;
        let mut rng = SampleRng::new(self.seed, self.epoch, index as u64);
        self.pipeline
            .apply(image, &mut rng)
            .and_then(|image| stack.push(&image, self.dataset.label(index)))
            // Errors of decoding name their file already; these do not know which image it was.
            .map_err(|source| DataError::Sample {
                name: self.dataset.name(index),
                index,
                source: Box::new(source),
            })
    }
}

/// A batch under construction, whose first image decides the shape of all.
struct Stack {
    expected: usize,
    shape: Option<[usize; 3]>,
    pixels: Vec<u8>,
    labels: Vec<i64>,
}

impl Stack {
    fn new(expected: usize) -> Self {
        Self { expected, shape: None, pixels: Vec::new(), labels: Vec::with_capacity(expected) }
    }

    fn push(&mut self, image: &Image, label: usize) -> Result<(), DataError> {
        let found = image.shape();
        let expected = *self.shape.get_or_insert(found);
        if found != expected {
            return Err(DataError::MixedShapes { found, expected });
        }
        if self.labels.is_empty() {
            self.pixels.reserve_exact(self.expected * found.iter().product::<usize>());
        }
        image.append_planes(&mut self.pixels);
        self.labels.push(label as i64);
        Ok(())
    }

    fn into_batch(self) -> Batch {
        let [channels, height, width] = self.shape.unwrap_or_default();
        let shape = [self.labels.len(), channels, height, width];
        Batch { pixels: self.pixels, labels: self.labels, shape }
    }
}
