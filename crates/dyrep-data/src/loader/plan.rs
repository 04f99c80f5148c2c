//! What an epoch holds: which samples make each batch, and the batch they make.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::batch::{Batch, Pixels};
use super::{LoaderConfig, Sampling, Shared};
use crate::dataset::Contents;
use crate::decode::Decoder;
use crate::error::DataError;
use crate::image::{Image, Written};
use crate::reuse::Reused;
use crate::rng::{SampleRng, balanced, permutation};
use crate::stages::Stage;

/// An epoch, decided but not yet loaded. Any thread can make any of its batches.
pub(super) struct Plan {
    pub(super) shared: Arc<Shared>,
    epoch: u64,
    /// Indices of all samples, in the epoch's order.
    order: Vec<usize>,
    /// Which of them this is about.
    part: Range<usize>,
}

/// A batch as it was made: what could be used, and what could not.
pub(super) struct Made {
    /// Nothing if no sample could be used.
    pub(super) batch: Option<Batch>,
    /// Index and error of each sample that could not.
    pub(super) unusable: Vec<(usize, DataError)>,
}

/// What one thread needs to make samples, used again for each.
#[derive(Default)]
pub(super) struct Maker {
    file: Reused,
    decoder: Decoder,
}

impl Plan {
    pub(super) fn new(shared: Arc<Shared>, epoch: u64, part: Range<usize>) -> Self {
        let samples = shared.dataset.len();
        assert!(part.end <= samples, "a part up to {} of {samples} samples", part.end);
        let LoaderConfig { sampling, shuffle, seed, .. } = shared.config;
        let order = match (sampling, shuffle) {
            (Sampling::Balanced, _) => {
                let classes: Vec<&[usize]> = shared.by_class.iter().map(Vec::as_slice).collect();
                balanced(&classes, samples, seed, epoch)
            }
            (Sampling::Each, true) => permutation(samples, seed, epoch),
            (Sampling::Each, false) => (0..samples).collect(),
        };
        Self { shared, epoch, order, part }
    }

    pub(super) fn batches(&self) -> usize {
        self.part.len().div_ceil(self.shared.config.batch_size)
    }

    /// Makes one batch, or nothing once `stopped` says so, which it is asked before each sample.
    ///
    /// The samples are made by the loader's threads; without any, by the caller.
    pub(super) fn load(
        &self,
        batch: usize,
        stopped: impl Fn() -> bool + Sync,
    ) -> Option<Result<Made, DataError>> {
        let config = &self.shared.config;
        let start = self.part.start + batch * config.batch_size;
        let size = config.batch_size.min(self.part.end - start);
        // In the whole epoch's order and around its end, so that what fills up does not depend on the part.
        let mut samples = self.order.iter().cycle().skip(start).take(self.order.len()).copied();
        let mut unusable = Vec::new();
        loop {
            let indices: Vec<usize> = samples.by_ref().take(size).collect();
            match self.load_of(&indices, start, &mut unusable, &stopped)? {
                Ok(None) if config.refill && !indices.is_empty() => {}
                Ok(batch) => return Some(Ok(Made { batch, unusable })),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Makes a batch of those of these samples that can be used.
    fn load_of(
        &self,
        indices: &[usize],
        start: usize,
        unusable: &mut Vec<(usize, DataError)>,
        stopped: impl Fn() -> bool + Sync,
    ) -> Option<Result<Option<Batch>, DataError>> {
        // The first usable sample decides the shape of all.
        for (at, &index) in indices.iter().enumerate() {
            if stopped() {
                return None;
            }
            match self.make(index, start + at, Ok) {
                Ok(image) => {
                    let slots = Slots { image, indices: &indices[at..], place: start + at };
                    let filled = self.fill(&slots, start, unusable, stopped).transpose()?;
                    return Some(filled.map(Some));
                }
                Err(error) if error.is_of_one_sample() => unusable.push((index, error)),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(None))
    }

    /// Makes the rest of a batch, given its first image.
    fn fill(
        &self,
        slots: &Slots<'_>,
        start: usize,
        unusable: &mut Vec<(usize, DataError)>,
        stopped: impl Fn() -> bool + Sync,
    ) -> Result<Option<Batch>, DataError> {
        let Slots { image, indices, place } = slots;
        let expected = image.shape();
        let length: usize = expected.iter().product();
        let mut pixels = self.shared.buffers.take();
        pixels.resize(indices.len() * length, 0);
        let (first, rest) = pixels.split_at_mut(length);
        let first = image.write_planes(first);

        let make = |(at, (slot, &index)): (usize, (&mut [u8], &usize))| {
            if stopped() {
                return None;
            }
            Some(self.make(index, place + 1 + at, |image| {
                let found = image.shape();
                if found != expected {
                    return Err(DataError::MixedShapes { found, expected });
                }
                Ok(image.write_planes(slot))
            }))
        };
        let made: Option<Vec<Result<Written, DataError>>> = match &self.shared.threads {
            Some(_) => rest
                .par_chunks_exact_mut(length)
                .zip(&indices[1..])
                .enumerate()
                // Samples differ in cost: whoever is free takes the next one.
                .with_max_len(1)
                .map(make)
                .collect(),
            None => {
                rest.chunks_exact_mut(length).zip(&indices[1..]).enumerate().map(make).collect()
            }
        };
        let Some(made) = made else { return Ok(None) };

        // What could not be used leaves no gap.
        let mut samples = Vec::with_capacity(indices.len());
        for (at, result) in std::iter::once(Ok(first)).chain(made).enumerate() {
            match result {
                Ok(Written { .. }) => {
                    let place = samples.len();
                    if place < at {
                        pixels.copy_within(at * length..(at + 1) * length, place * length);
                    }
                    samples.push(indices[at]);
                }
                Err(error) if error.is_of_one_sample() => unusable.push((indices[at], error)),
                Err(error) => return Err(error),
            }
        }
        pixels.truncate(samples.len() * length);
        let [channels, height, width] = expected;
        let shape = [samples.len(), channels, height, width];
        let labels = samples.iter().map(|&index| self.shared.dataset.label(index) as i64).collect();
        let pixels = Pixels::of_loader(pixels, Arc::downgrade(&self.shared.buffers));
        Ok(Some(Batch { pixels, labels, samples, shape, start }))
    }

    /// Reads, decodes and transforms a sample, which stands at `place` in the epoch's order, and hands
    /// it to `collate`.
    fn make<T>(
        &self,
        index: usize,
        place: usize,
        collate: impl FnOnce(Image) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        let Shared { dataset, pipeline, config, makers, totals, .. } = &*self.shared;
        let mut maker = makers.take();
        let Maker { file, decoder } = &mut maker;
        let file = file.empty();
        let mut rng = match config.sampling {
            Sampling::Each => SampleRng::new(config.seed, self.epoch, index as u64),
            Sampling::Balanced => SampleRng::of_draw(config.seed, self.epoch, place as u64),
        };
        decoder.watch.start();
        let made = dataset.read(index, file).and_then(|contents| {
            decoder.watch.lap(Stage::Read);
            match contents {
                Contents::Image(image) => pipeline.apply(image, &mut rng),
                Contents::File { path, decoding } => {
                    pipeline.open(decoder.open(&path, file, decoding)?, &mut rng)
                }
            }
        });
        decoder.watch.lap(Stage::Transform);
        let made = made.and_then(collate);
        decoder.watch.lap(Stage::Collate);
        decoder.watch.hand_over(totals);
        makers.give(maker);
        made.map_err(|error| error.of_sample(|| dataset.name(index), index))
    }
}

/// The first image of a batch and the indices of all its samples from there on.
struct Slots<'a> {
    image: Image,
    indices: &'a [usize],
    /// Where the first of them stands in the epoch's order.
    place: usize,
}
