//! A run that is asked for an end at any moment keeps what it has done, and ends as it would have ended, to the bit.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn_train::Interrupter;
use common::{First, Options, assert_same_bits, training};
use dyrep_config::Precision;
use dyrep_data::{DataError, Dataset, Digits, Image, Loader, LoaderConfig, Pipeline};
use dyrep_models::ResNet;
use dyrep_train::{
    Checkpoints, Ended, Method, Moment, Plateau, RunRecord, RunState, ScheduleConfig, ScheduleKind,
};
use rstest::rstest;

const EPOCHS: usize = 4;
const REASON: &str = "who asks";

/// Asks for an end once so many pictures have been read: of a training step, a validation, or a change of structure.
struct Asking {
    pictures: First,
    left: Arc<AtomicUsize>,
    interrupter: Interrupter,
}

impl Dataset for Asking {
    fn len(&self) -> usize {
        self.pictures.len()
    }

    fn classes(&self) -> &[String] {
        self.pictures.classes()
    }

    fn channels(&self) -> usize {
        self.pictures.channels()
    }

    fn label(&self, index: usize) -> usize {
        self.pictures.label(index)
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.interrupter.stop(Some(REASON));
        }
        self.pictures.image(index)
    }
}

/// What is tried beside a plain run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum With {
    Nothing,
    Average,
    Recalibration,
    /// Nothing is learnt, so nothing gets better.
    EarlyStopping,
    /// Three batches make a step, and four an epoch.
    RestOfAnAccumulation,
    /// Among them all of a batch.
    BadFiles,
    TwoDevices,
    /// Two batches of each make a step, and two and a half an epoch.
    TwoDevicesAndARest,
    /// With a loss that is scaled.
    F16,
    Checkpointing,
    /// With a rate that falls as the accuracies say.
    AdamWOnAPlateau,
    /// With branches that are searched, clipped gradients and an average.
    Search,
    /// Likewise, by gradients of both.
    SearchOnTwoDevices,
}

/// A run that asks for its end after so many pictures.
fn run(with: With, folder: &Path, pictures: usize) -> Ended<ResNet> {
    let left = Arc::new(AtomicUsize::new(pictures));
    let interrupter = Interrupter::new();
    let asking = |digits, count, broken| Asking {
        pictures: First { digits, count, broken },
        left: Arc::clone(&left),
        interrupter: interrupter.clone(),
    };
    let broken: &[usize] = match with {
        // Of so many pairs some are broken both, whatever the order.
        With::BadFiles => &[0, 1, 2, 3, 4, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29],
        _ => &[],
    };
    let (count, batch_size) = match with {
        With::BadFiles => (32, 2),
        With::TwoDevicesAndARest => (80, 16),
        _ => (64, 16),
    };
    let config = LoaderConfig {
        batch_size,
        shuffle: true,
        drop_last: true,
        seed: 3,
        refill: true,
        keep_classes: false,
        ..LoaderConfig::default()
    };
    let evaluation = LoaderConfig { shuffle: false, drop_last: false, refill: false, ..config };
    let train = Arc::new(asking(Digits::train(), count, broken));
    let test = Arc::new(asking(Digits::test(), 48, &[]));
    let loaders = [
        Arc::new(Loader::new(train, Pipeline::digits_train(), config).unwrap()),
        Arc::new(Loader::new(test, Pipeline::identity(), evaluation).unwrap()),
    ];
    let mut options = Options::new(EPOCHS, folder);
    options.training = training(EPOCHS);
    options.loaders = loaders;
    let changed = &mut options.training;
    match with {
        With::Nothing | With::BadFiles => {}
        With::Average => changed.optimizer.ema_decay = Some(0.9),
        With::Recalibration => changed.recalibration = 2,
        With::EarlyStopping => {
            changed.optimizer.learning_rate = 1e-12;
            changed.patience = Some(2);
        }
        With::RestOfAnAccumulation => changed.optimizer.accumulate = 3,
        With::TwoDevices => options.devices = 2,
        With::TwoDevicesAndARest => (options.devices, changed.optimizer.accumulate) = (2, 2),
        With::F16 => changed.precision = Precision::F16,
        With::Checkpointing => changed.gradient_checkpointing = true,
        With::AdamWOnAPlateau => {
            changed.optimizer.method = Method::AdamW { betas: [0.9, 0.999], epsilon: 1e-8 };
            let plateau = Plateau { factor: 0.5, patience: 0, threshold: 0.5, cooldown: 0 };
            changed.optimizer.learning_rate = 1e-3;
            let kind = ScheduleKind::Plateau(plateau);
            changed.schedule = ScheduleConfig { kind, ..ScheduleConfig::cosine(EPOCHS) };
        }
        With::Search | With::SearchOnTwoDevices => {
            changed.optimizer.clip_norm = Some(2.0);
            if with == With::Search {
                changed.optimizer.ema_decay = Some(0.9);
            } else {
                options.devices = 2;
            }
            options = options.searching();
        }
    }
    options.resume = RunRecord::path(folder).exists();
    options.interrupter = interrupter;
    options.run().unwrap()
}

/// Losses and accuracies of all epochs, as bits.
fn figures(record: &RunRecord) -> Vec<[u64; 4]> {
    let of = |it: &dyrep_train::EpochReport| {
        [it.loss, it.valid_loss, it.train_accuracy, it.accuracy].map(f64::to_bits)
    };
    record.epochs.iter().map(of).collect()
}

#[rstest]
fn a_run_stopped_at_any_moment_loses_nothing(
    #[values(
        With::Nothing,
        With::Average,
        With::Recalibration,
        With::EarlyStopping,
        With::RestOfAnAccumulation,
        With::BadFiles,
        With::TwoDevices,
        With::TwoDevicesAndARest,
        With::F16,
        With::Checkpointing,
        With::AdamWOnAPlateau,
        With::Search,
        With::SearchOnTwoDevices
    )]
    with: With,
) {
    let whole = tempfile::tempdir().unwrap();
    let want = run(with, whole.path(), usize::MAX);
    assert_eq!(want.record.state, RunState::Finished);
    assert_eq!(want.record.early, with == With::EarlyStopping);
    assert!(want.record.epochs.iter().all(|it| it.top5_accuracy > Some(0.0)), "of ten classes");
    let pictures = |it: &dyrep_train::EpochReport| match with {
        With::BadFiles => it.pictures > 0,
        With::TwoDevicesAndARest => it.pictures == 80,
        _ => it.pictures == 64,
    };
    assert!(want.record.epochs.iter().all(pictures));
    let losses = |folder: &Path| std::fs::read_to_string(folder.join("steps.csv")).unwrap();
    // Within an epoch's steps, its validation, and the change of structure that comes with every second one. A process that
    // reads fewer never gets beyond a validation: 16 before it begins, and 48.
    let mut seen = [0; 2];
    let more = if with == With::Recalibration { 32 } else { 0 };
    for pictures in [67, 90, 150].map(|pictures| pictures + more) {
        let folder = tempfile::tempdir().unwrap();
        let mut before = Moment::default();
        let got = loop {
            let ended = run(with, folder.path(), pictures);
            if ended.stopped.is_none() {
                break ended;
            }
            assert_eq!(ended.stopped.as_deref(), Some(REASON));
            assert_eq!(ended.record.state, RunState::Stopped(REASON.to_owned()));
            let (newest, broken) = Checkpoints::existing(folder.path()).newest().unwrap();
            let newest = newest.unwrap();
            assert!(newest > before && broken.is_empty(), "{newest}, after {before}");
            assert_eq!(ended.record.epochs.len(), newest.epochs);
            seen[usize::from(ended.record.unfinished.is_some())] += 1;
            before = newest;
        };
        assert_eq!(figures(&got.record), figures(&want.record), "{pictures}");
        assert_eq!(got.record.adjustments, want.record.adjustments);
        assert_eq!(got.record.search, want.record.search);
        assert_eq!((got.record.state, got.record.early), (RunState::Finished, want.record.early));
        assert_eq!(got.log, want.log);
        assert_eq!(losses(folder.path()), losses(whole.path()));
        assert_same_bits(&got.network, &want.network);
        assert_eq!(got.best.is_some(), want.best.is_some());
        if let (Some(got), Some(want)) = (&got.best, &want.best) {
            assert_same_bits(got, want);
        }
    }
    assert!(seen[1] > 3, "{seen:?}");
}

/// What is computed again is what would have been kept.
#[test]
fn gradient_checkpointing_changes_no_bit() {
    let [plain, checkpointing] = [With::Nothing, With::Checkpointing].map(|with| {
        let folder = tempfile::tempdir().unwrap();
        run(with, folder.path(), usize::MAX)
    });
    assert!(plain.log.as_ref().unwrap().events().count() > 0, "nothing grew");
    assert_same_bits(&plain.network, &checkpointing.network);
}

/// An average changes nothing about the weights, which are told beside it.
#[test]
fn weights_are_evaluated_beside_their_average() {
    let [plain, averaged] = [With::Nothing, With::Average].map(|with| {
        let folder = tempfile::tempdir().unwrap();
        run(with, folder.path(), usize::MAX).record.epochs
    });
    for (plain, averaged) in plain.iter().zip(&averaged) {
        // One is a count, the other Burn's running mean.
        let off = (averaged.weights_accuracy.unwrap() - plain.accuracy).abs();
        assert!(off < 1e-9, "{}: {off}", plain.epoch);
        assert_eq!(plain.weights_accuracy, None);
    }
    assert!(plain.iter().zip(&averaged).all(|(plain, it)| plain.valid_loss != it.valid_loss));
}
