//! The loader: the same epoch whatever the threads, and no failure that goes unnoticed.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use dyrep_data::{
    Batch, DataError, Dataset, Digits, Image, Loader, LoaderConfig, Pipeline, RandomCrop, SampleRng,
};
use rstest::rstest;

/// Small pictures, whose labels are their indices; one sample may fail or panic.
#[derive(Default)]
struct Samples {
    len: usize,
    failing: Option<usize>,
    panicking: Option<usize>,
    larger: Option<usize>,
    pause: Duration,
    loaded: Arc<AtomicUsize>,
}

impl Dataset for Samples {
    fn len(&self) -> usize {
        self.len
    }
    fn classes(&self) -> &[String] {
        &[]
    }
    fn channels(&self) -> usize {
        3
    }
    fn label(&self, index: usize) -> usize {
        index
    }
    fn image(&self, index: usize) -> Result<Image, DataError> {
        sleep(self.pause);
        self.loaded.fetch_add(1, Ordering::SeqCst);
        assert!(self.panicking != Some(index), "sample {index} panics");
        if self.failing == Some(index) {
            return Err(DataError::EmptyFile { path: format!("{index}.jpg").into() });
        }
        let width = if self.larger == Some(index) { 13 } else { 12 };
        let pixels = (0..width as usize * 10 * 3).map(|i| (i * 7 + index * 13) as u8).collect();
        Image::new(width, 10, 3, pixels)
    }
}

/// Without leave to skip anything.
fn config(batch_size: usize, threads: usize) -> LoaderConfig {
    LoaderConfig { batch_size, threads, seed: 3, max_skipped: 0, ..LoaderConfig::default() }
}

fn load(loader: &Loader, epoch: u64) -> Vec<Batch> {
    loader.epoch(epoch).collect::<Result<_, _>>().unwrap()
}

fn labels(batches: &[Batch]) -> Vec<i64> {
    batches.iter().flat_map(|batch| batch.labels.iter().copied()).collect()
}

fn shuffled(len: usize, threads: usize, seed: u64) -> Loader {
    let config = LoaderConfig { shuffle: true, seed, ..config(7, threads) };
    let samples = Samples { len, ..Samples::default() };
    Loader::new(Arc::new(samples), Pipeline::imagenet_train(8).unwrap(), config).unwrap()
}

#[test]
fn an_epoch_is_a_function_of_seed_and_epoch_alone() {
    let reference = load(&shuffled(100, 0, 3), 5);
    assert_eq!(reference.len(), 15);
    for threads in [1, 3, 40] {
        let loader = shuffled(100, threads, 3);
        // Other epochs before it must not matter either.
        assert_ne!(load(&loader, 4), reference);
        assert_eq!(load(&loader, 5), reference);
    }
    assert_ne!(load(&shuffled(100, 0, 4), 5), reference);
}

/// The numbers of a sample follow its index in the data set, not its place in the epoch.
#[test]
fn every_sample_draws_from_a_generator_of_its_own() {
    let pipeline = Pipeline::imagenet_train(8).unwrap();
    let samples = Samples { len: 100, ..Samples::default() };
    for batch in load(&shuffled(100, 0, 3), 5) {
        let planes = batch.pixels.chunks(3 * 8 * 8);
        for (&label, found) in batch.labels.iter().zip(planes) {
            let mut rng = SampleRng::new(3, 5, label as u64);
            let image = samples.image(label as usize).unwrap();
            let want = pipeline.apply(image, &mut rng).unwrap();
            let red: Vec<u8> = want.pixels().iter().step_by(3).copied().collect();
            assert_eq!(found[..64], red, "sample {label}");
        }
    }
}

#[rstest]
fn a_shuffled_epoch_holds_every_sample_once(#[values(0, 2)] threads: usize) {
    let loader = shuffled(100, threads, 3);
    let order = labels(&load(&loader, 0));
    assert_eq!(order.len(), 100);
    assert_eq!(order.iter().collect::<HashSet<_>>().len(), 100);
    assert!(!order.is_sorted());
    assert_ne!(order, labels(&load(&loader, 1)));
}

#[test]
fn without_shuffling_the_order_stays_and_the_transforms_change() {
    let crop = Pipeline::identity().then(RandomCrop::new(8, 2).unwrap());
    let samples = Samples { len: 20, ..Samples::default() };
    let loader = Loader::new(Arc::new(samples), crop, config(6, 0)).unwrap();
    let (first, second) = (load(&loader, 0), load(&loader, 1));
    assert_eq!(labels(&first), (0..20).collect::<Vec<i64>>());
    assert_eq!(labels(&second), labels(&first));
    assert_ne!(first[0].pixels, second[0].pixels);
}

#[rstest]
#[case(20, 6, false, &[6, 6, 6, 2])]
#[case(20, 6, true, &[6, 6, 6])]
#[case(18, 6, false, &[6, 6, 6])]
#[case(18, 6, true, &[6, 6, 6])]
#[case(3, 6, false, &[3])]
fn batches_have_the_asked_size(
    #[case] len: usize,
    #[case] batch_size: usize,
    #[case] drop_last: bool,
    #[case] sizes: &[usize],
    #[values(0, 2)] threads: usize,
) {
    let config = LoaderConfig { drop_last, ..config(batch_size, threads) };
    let samples = Samples { len, ..Samples::default() };
    let loader = Loader::new(Arc::new(samples), Pipeline::identity(), config).unwrap();
    let batches = load(&loader, 0);
    assert_eq!(batches.iter().map(|batch| batch.labels.len()).collect::<Vec<_>>(), sizes);
    assert_eq!(loader.batches(), sizes.len());
    assert_eq!(loader.samples(), sizes.iter().sum::<usize>());
    for batch in batches {
        assert_eq!(batch.shape, [batch.labels.len(), 3, 10, 12]);
        assert_eq!(batch.pixels.len(), batch.shape.iter().product::<usize>());
    }
}

#[test]
fn pixels_are_planes_in_the_order_of_the_labels() {
    let samples = Arc::new(Samples { len: 4, ..Samples::default() });
    let loader = Loader::new(samples.clone(), Pipeline::identity(), config(4, 1)).unwrap();
    let batch = &load(&loader, 0)[0];
    for (n, image) in (0..4).map(|index| (index, samples.image(index).unwrap())) {
        for (at, pixel) in image.pixels().chunks(3).enumerate() {
            for (channel, value) in pixel.iter().enumerate() {
                assert_eq!(batch.pixels[(n * 3 + channel) * 120 + at], *value);
            }
        }
    }
}

#[rstest]
fn an_error_comes_in_its_place_and_ends_the_epoch(#[values(0, 1, 3)] threads: usize) {
    let samples = Samples { len: 50, failing: Some(23), ..Samples::default() };
    let loader = Loader::new(Arc::new(samples), Pipeline::identity(), config(5, threads)).unwrap();
    let mut epoch = loader.epoch(0);
    for batch in 0..4 {
        let labels = epoch.next().unwrap().unwrap().labels;
        assert_eq!(labels, (batch * 5..batch * 5 + 5).collect::<Vec<i64>>());
    }
    let error = epoch.next().unwrap().unwrap_err();
    assert!(error.to_string().contains("23.jpg"), "{error}");
    assert!(epoch.next().is_none());
    assert!(epoch.next().is_none());
}

#[rstest]
fn a_panic_reaches_the_caller(#[values(0, 1, 3)] threads: usize) {
    let samples = Samples { len: 50, panicking: Some(23), ..Samples::default() };
    let loader = Loader::new(Arc::new(samples), Pipeline::identity(), config(5, threads)).unwrap();
    let mut epoch = loader.epoch(0);
    let before: Vec<_> = epoch.by_ref().take(4).map(|batch| batch.unwrap().labels).collect();
    assert_eq!(before.concat(), (0..20).collect::<Vec<i64>>());
    let panic = catch_unwind(AssertUnwindSafe(|| epoch.next())).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>().unwrap(), "sample 23 panics");
}

#[rstest]
fn images_of_other_shapes_are_named(#[values(0, 2)] threads: usize) {
    let samples = Samples { len: 10, larger: Some(7), ..Samples::default() };
    let loader = Loader::new(Arc::new(samples), Pipeline::identity(), config(5, threads)).unwrap();
    let error = loader.epoch(0).nth(1).unwrap().unwrap_err();
    let DataError::Sample { index: 7, source, .. } = &error else { panic!("{error}") };
    assert!(matches!(
        **source,
        DataError::MixedShapes { found: [3, 10, 13], expected: [3, 10, 12] }
    ));
    assert!(error.to_string().contains("sample 7"), "{error}");
}

#[test]
fn an_image_too_small_for_a_crop_is_named() {
    let crop = Pipeline::identity().then(RandomCrop::new(11, 0).unwrap());
    let samples = Samples { len: 2, ..Samples::default() };
    let loader = Loader::new(Arc::new(samples), crop, config(2, 0)).unwrap();
    let error = loader.epoch(0).next().unwrap().unwrap_err();
    assert!(
        matches!(&error, DataError::Sample { index: 0, source, .. }
        if matches!(**source, DataError::ImageTooSmall { width: 12, height: 10, size: 11 })),
        "{error}"
    );
}

/// As many batches as are asked for wait for a slow caller, whatever the number of threads.
#[test]
fn threads_do_not_run_far_ahead() {
    let loaded = Arc::new(AtomicUsize::new(0));
    let samples = Samples { len: 1000, loaded: Arc::clone(&loaded), ..Samples::default() };
    let loader = Loader::new(Arc::new(samples), Pipeline::identity(), config(5, 3)).unwrap();
    let epoch = loader.epoch(0);
    let end = Instant::now() + Duration::from_secs(20);
    while loaded.load(Ordering::SeqCst) < 10 && Instant::now() < end {
        sleep(Duration::from_millis(5));
    }
    sleep(Duration::from_millis(100));
    assert_eq!(loaded.load(Ordering::SeqCst), 2 * 5);
    drop(epoch);
}

/// A batch takes 20 s to make; dropping the epoch must not wait for it.
#[test]
fn dropping_an_epoch_stops_its_threads_at_once() {
    let loaded = Arc::new(AtomicUsize::new(0));
    let pause = Duration::from_millis(20);
    let samples = Samples { len: 4000, pause, loaded: Arc::clone(&loaded), ..Samples::default() };
    let loader = Loader::new(Arc::new(samples), Pipeline::identity(), config(1000, 3)).unwrap();
    let epoch = loader.epoch(0);
    sleep(Duration::from_millis(100));
    let start = Instant::now();
    drop(epoch);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // The threads are gone, not merely told to go.
    let after = loaded.load(Ordering::SeqCst);
    sleep(Duration::from_millis(100));
    assert_eq!(loaded.load(Ordering::SeqCst), after);
}

/// With its thread blocked on a full channel, dropping must still return.
#[test]
fn dropping_an_epoch_wakes_threads_that_wait() {
    let samples = Samples { len: 1000, ..Samples::default() };
    let loader = Loader::new(Arc::new(samples), Pipeline::identity(), config(1, 2)).unwrap();
    let mut epoch = loader.epoch(0);
    assert!(epoch.next().unwrap().is_ok());
    sleep(Duration::from_millis(50));
    drop(epoch);
}

#[test]
fn senseless_loaders_are_refused() {
    let new = |len, config| {
        let samples = Samples { len, ..Samples::default() };
        Loader::new(Arc::new(samples), Pipeline::identity(), config).unwrap_err()
    };
    assert!(matches!(new(5, config(0, 0)), DataError::ZeroBatchSize));
    assert!(matches!(new(0, config(5, 0)), DataError::EmptyDataset));
    let drop_last = LoaderConfig { drop_last: true, ..config(6, 0) };
    assert!(matches!(new(5, drop_last), DataError::NoFullBatch { samples: 5, batch_size: 6 }));
}

#[test]
fn digits_load() {
    let config = LoaderConfig { shuffle: true, drop_last: true, ..config(64, 2) };
    let loader = Loader::new(Arc::new(Digits::train()), Pipeline::digits_train(), config).unwrap();
    let batches = load(&loader, 0);
    assert_eq!(batches.len(), 1437 / 64);
    assert!(batches.iter().all(|batch| batch.shape == [64, 1, 8, 8]));
    assert!(
        batches
            .iter()
            .flat_map(|batch| &batch.pixels[..])
            .all(|&p| f32::from(p) <= Digits::MAX_VALUE)
    );
}
