//! Parts of an epoch: what is left of one that was broken off, and the shares of several devices.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::ops::Range;
use std::sync::Arc;

use dyrep_data::{Batch, Digits, Loader, LoaderConfig, Pipeline, Synthetic, SyntheticConfig};
use rstest::rstest;

const EPOCH: u64 = 3;
const BATCH: usize = 16;

fn loader(threads: usize, drop_last: bool) -> Loader {
    let config = LoaderConfig {
        batch_size: BATCH,
        shuffle: true,
        drop_last,
        seed: 9,
        threads,
        ..LoaderConfig::default()
    };
    let pipeline = Pipeline::imagenet_train(6).unwrap();
    Loader::new(Arc::new(Digits::test()), pipeline, config).unwrap()
}

fn part(loader: &Loader, range: Range<usize>) -> Vec<Batch> {
    loader.part(EPOCH, range).collect::<Result<_, _>>().unwrap()
}

/// Label and pixels of each sample, in order.
fn samples(batches: &[Batch]) -> Vec<(i64, Vec<u8>)> {
    let of = |batch: &Batch| {
        let size = batch.pixels.len() / batch.labels.len();
        let pixels = batch.pixels.chunks(size).map(<[u8]>::to_vec);
        batch.labels.iter().copied().zip(pixels).collect::<Vec<_>>()
    };
    batches.iter().flat_map(of).collect()
}

#[rstest]
fn an_epoch_goes_on_where_it_was_broken_off(
    #[values(0, 1, 3)] threads: usize,
    #[values(0, 1, 7, 22)] done: usize,
    #[values(false, true)] drop_last: bool,
) {
    let loader = loader(threads, drop_last);
    let whole = part(&loader, 0..loader.samples());
    assert_eq!(whole.len(), if drop_last { 22 } else { 23 });
    let rest = part(&loader, (done * BATCH).min(loader.samples())..loader.samples());
    assert_eq!(rest, whole[done..]);
}

/// Ranges of one order: together they are the epoch, and no sample is in two of them.
#[rstest]
#[case::two(&[0..180, 180..360])]
#[case::three_of_other_lengths(&[0..100, 100..101, 101..360])]
#[case::not_at_a_batch(&[0..77, 77..360])]
fn shares_are_the_epoch_without_overlap(
    #[case] shares: &[Range<usize>],
    #[values(0, 2)] threads: usize,
) {
    let loader = loader(threads, false);
    let whole = samples(&part(&loader, 0..360));
    let mut starts = Vec::new();
    let mut all = Vec::new();
    for share in shares {
        let batches = part(&loader, share.clone());
        starts.extend(batches.iter().map(|batch| batch.start));
        assert!(batches.iter().all(|batch| share.contains(&batch.start)));
        all.extend(samples(&batches));
    }
    assert_eq!(all, whole);
    assert!(starts.is_sorted() && starts[0] == 0);
}

/// Each sample's number is its label, so that a double or a missing one is seen as such.
#[test]
fn shares_of_a_shuffled_epoch_hold_each_sample_once() {
    let config = SyntheticConfig {
        samples: 100,
        classes: 100,
        width: 8,
        height: 8,
        ..SyntheticConfig::default()
    };
    let data = Arc::new(Synthetic::new(config).unwrap());
    let config =
        LoaderConfig { batch_size: 7, shuffle: true, threads: 2, ..LoaderConfig::default() };
    let loader = Loader::new(data, Pipeline::identity(), config).unwrap();
    for epoch in 0..3 {
        let shares = (0..4).flat_map(|device| loader.part(epoch, device * 25..(device + 1) * 25));
        let mut labels: Vec<i64> = shares.flat_map(|batch| batch.unwrap().labels).collect();
        assert!(!labels.is_sorted(), "epoch {epoch} is in the data set's order");
        labels.sort_unstable();
        assert!(labels.into_iter().eq(0..100));
    }
}

#[test]
fn an_empty_part_has_no_batches() {
    let loader = loader(2, false);
    assert!(part(&loader, 360..360).is_empty());
}

#[test]
#[should_panic(expected = "a part up to 361 of 360 samples")]
fn a_part_beyond_the_end_is_a_mistake() {
    let _ = loader(0, false).part(EPOCH, 0..361);
}
