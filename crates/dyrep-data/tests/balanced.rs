//! Epochs in which every class stands equally often.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::collections::BTreeSet;
use std::sync::Arc;

use dyrep_data::{
    Batch, DataError, Dataset, Image, Loader, LoaderConfig, Pipeline, RandomCrop, SampleRng,
    Sampling,
};

/// 83 pictures of the first class, 4 of the second, none of the third, 13 of the fourth; each of one colour, its index.
struct Uneven {
    broken: &'static [usize],
}

const LEN: usize = 100;

fn class(index: usize) -> usize {
    match index {
        0..83 => 0,
        83..87 => 1,
        _ => 3,
    }
}

impl Dataset for Uneven {
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
        class(index)
    }
    fn image(&self, index: usize) -> Result<Image, DataError> {
        if self.broken.contains(&index) {
            return Err(DataError::EmptyFile { path: format!("{index}.jpg").into() });
        }
        Image::new(12, 12, 1, (0..144).map(|i| (index + i) as u8).collect())
    }
}

fn loader(threads: usize, broken: &'static [usize]) -> Loader {
    let config = LoaderConfig {
        batch_size: 7,
        sampling: Sampling::Balanced,
        seed: 5,
        threads,
        ..LoaderConfig::default()
    };
    let pipeline = Pipeline::identity().then(RandomCrop::new(12, 4).unwrap());
    Loader::new(Arc::new(Uneven { broken }), pipeline, config).unwrap()
}

fn load(loader: &Loader, epoch: u64) -> Vec<Batch> {
    loader.epoch(epoch).collect::<Result<_, _>>().unwrap()
}

fn count(batches: &[Batch], class: i64) -> usize {
    batches.iter().flat_map(|batch| &batch.labels).filter(|label| **label == class).count()
}

#[test]
fn every_class_stands_equally_often_in_an_epoch_of_the_same_length() {
    let loader = loader(0, &[]);
    assert_eq!((loader.samples(), loader.batches()), (LEN, 15));
    for epoch in 0..5 {
        let batches = load(&loader, epoch);
        let counts = [0, 1, 2, 3].map(|class| count(&batches, class));
        assert_eq!(counts.iter().sum::<usize>(), LEN);
        assert!(counts[2] == 0 && [0, 1, 3].iter().all(|at| [33, 34].contains(&counts[*at])));
    }
}

#[test]
fn an_epoch_is_a_function_of_seed_and_epoch_alone() {
    let reference = load(&loader(0, &[]), 3);
    for threads in [1, 3] {
        let loader = loader(threads, &[]);
        assert_ne!(load(&loader, 2), reference);
        assert_eq!(load(&loader, 3), reference);
    }
}

/// The shares of several devices are the epoch, cut into pieces.
#[test]
fn parts_are_of_the_whole_epoch() {
    let loader = loader(2, &[]);
    let pixels = |batches: Vec<Batch>| -> Vec<u8> {
        batches.iter().flat_map(|batch| batch.pixels.iter().copied()).collect()
    };
    let whole = pixels(load(&loader, 1));
    let parts = [0..30, 30..77, 77..LEN].map(|range| {
        let batches: Vec<Batch> = loader.part(1, range).collect::<Result<_, _>>().unwrap();
        pixels(batches)
    });
    assert_eq!(parts.concat(), whole);
}

/// A picture of a small class comes often, and never twice in the same way.
#[test]
fn what_is_drawn_again_is_transformed_anew() {
    let loader = loader(0, &[]);
    let batches = load(&loader, 0);
    let mut small = vec![];
    for batch in &batches {
        let pictures = batch.pixels.chunks(batch.pixels.len() / batch.labels.len());
        let pairs = batch.labels.iter().zip(pictures);
        small.extend(pairs.filter(|(label, _)| **label == 1).map(|(_, pixels)| pixels.to_vec()));
    }
    assert!(small.len() >= 33, "four pictures, drawn {} times", small.len());
    let different: BTreeSet<_> = small.iter().collect();
    // Of nine by nine places for a crop: few are alike by chance.
    assert!(different.len() > 25, "{} of {}", different.len(), small.len());
    let first = |mut rng: SampleRng| rng.uniform(0.0, 1.0);
    assert_ne!(first(SampleRng::of_draw(1, 2, 3)), first(SampleRng::new(1, 2, 3)));
    assert_ne!(first(SampleRng::of_draw(1, 2, 3)), first(SampleRng::of_draw(1, 2, 4)));
}

/// A picture that cannot be used is left out as often as it is drawn, and told once.
#[test]
fn unusable_pictures_leave_no_gap() {
    let broken = loader(3, &[83]);
    let (some, all) = (load(&broken, 0), load(&loader(0, &[]), 0));
    assert_eq!(broken.skipped().len(), 1);
    assert!(count(&some, 1) < count(&all, 1) && count(&some, 0) == count(&all, 0));
    // The others are what they are without it.
    let planes = |batches: &[Batch]| -> BTreeSet<Vec<u8>> {
        let planes =
            batches.iter().flat_map(|it| it.pixels.chunks(it.pixels.len() / it.labels.len()));
        planes.map(<[u8]>::to_vec).collect()
    };
    assert!(planes(&some).is_subset(&planes(&all)));
}
