//! A batch knows which samples of the data set it holds, however they came into it.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::sync::Arc;

use dyrep_data::{Batch, DataError, Dataset, Image, Loader, LoaderConfig, Mix, Pipeline, Sampling};
use rstest::rstest;

const LEN: usize = 60;
/// Two batches of nothing usable, where batches are small, and some that lie alone.
const BROKEN: [usize; 7] = [0, 7, 8, 9, 10, 31, LEN - 1];

/// Pictures of one colour, their index, in classes of uneven size.
struct Numbered;

impl Dataset for Numbered {
    fn len(&self) -> usize {
        LEN
    }
    fn classes(&self) -> &[String] {
        &[]
    }
    fn channels(&self) -> usize {
        1
    }
    fn label(&self, index: usize) -> usize {
        index * index / 1000
    }
    fn image(&self, index: usize) -> Result<Image, DataError> {
        if BROKEN.contains(&index) {
            return Err(DataError::EmptyFile { path: format!("{index}.jpg").into() });
        }
        Image::new(3, 2, 1, vec![index as u8; 6])
    }
}

fn check(batch: &Batch) {
    let planes: Vec<usize> = batch.pixels.chunks(6).map(|plane| usize::from(plane[0])).collect();
    assert_eq!(batch.samples, planes);
    let labels: Vec<i64> = planes.iter().map(|index| Numbered.label(*index) as i64).collect();
    assert_eq!(batch.labels, labels);
}

#[rstest]
fn samples_are_those_whose_pixels_are_there(
    #[values(Sampling::Each, Sampling::Balanced)] sampling: Sampling,
    #[values(false, true)] shuffle: bool,
    #[values(false, true)] refill: bool,
    #[values(0, 3)] threads: usize,
    #[values(2, 7)] batch_size: usize,
) {
    let config = LoaderConfig {
        batch_size,
        shuffle,
        sampling,
        refill,
        threads,
        seed: 9,
        ..LoaderConfig::default()
    };
    let loader = Loader::new(Arc::new(Numbered), Pipeline::identity(), config).unwrap();
    for epoch in 0..3 {
        let whole: Vec<Batch> = loader.epoch(epoch).collect::<Result<_, _>>().unwrap();
        whole.iter().for_each(check);
        if refill {
            assert_eq!(whole.len(), loader.batches());
        }
        if sampling == Sampling::Each && !refill {
            let mut seen: Vec<usize> = whole.iter().flat_map(|it| it.samples.clone()).collect();
            assert_eq!(seen.is_sorted(), !shuffle);
            seen.sort_unstable();
            let usable: Vec<usize> = (0..LEN).filter(|index| !BROKEN.contains(index)).collect();
            assert_eq!(seen, usable);
        }
        // One device's share.
        for batch in loader.part(epoch, 4..33) {
            check(&batch.unwrap());
        }
    }
}

/// Mixing changes pixels; a picture stays the one that it was.
#[test]
fn mixing_leaves_samples_as_they_are() {
    let loader = Loader::new(Arc::new(Numbered), Pipeline::identity(), LoaderConfig::default());
    let mut batch = loader.unwrap().epoch(0).next().unwrap().unwrap();
    let (before, count) = (batch.samples.clone(), batch.labels.len());
    Mix { lambda: 0.5, partner: (0..count).rev().collect(), region: None }.apply(&mut batch);
    assert_eq!(batch.samples, before);
}
