//! A run that was interrupted and resumed gives the network that it would have given, to the bit.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{First, Options, assert_same_bits, bits};
use dyrep_data::{Digits, Loader, LoaderConfig, Pipeline, Sampling};
use dyrep_train::{
    ClassWeights, Loss, LossConfig, Plateau, Schedule, ScheduleConfig, ScheduleKind,
};

/// The first epochs of a run of five.
fn part(folder: &Path, epochs: usize, average: Option<f64>, resume: bool) -> Options<'_> {
    let mut options = Options::new(5, folder);
    // The schedule is that of the whole run.
    options.training.epochs = epochs;
    options.training.optimizer.ema_decay = average;
    Options { resume, ..options }
}

/// Branches grow on the way, and the average of the weights follows.
#[test]
fn k_steps_saved_and_loaded_and_the_rest_are_all_steps() {
    for average in [None, Some(0.9)] {
        let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let want = part(whole.path(), 5, average, false).run().unwrap();
        assert!(want.log.as_ref().unwrap().events().count() >= 2, "nothing grew");
        for epochs in [1, 2, 3, 5] {
            part(parts.path(), epochs, average, epochs > 1).run().unwrap();
        }
        let got = part(parts.path(), 5, average, true).run().unwrap();
        let losses = |record: &dyrep_train::RunRecord| -> Vec<f64> {
            record.epochs.iter().flat_map(|epoch| [epoch.loss, epoch.valid_loss]).collect()
        };
        assert_eq!(losses(&got.record), losses(&want.record));
        assert_eq!(got.log, want.log);
        assert_same_bits(&got.network, &want.network);
    }
}

/// Draws and weights are functions of (seed, epoch) and of the data.
#[test]
fn a_balanced_run_goes_on() {
    let run = |folder: &Path, epochs, resume, threads| {
        let mut options = part(folder, epochs, None, resume);
        let [train, validation] = &options.loaders;
        let set = Arc::new(First::new(Digits::train(), 256));
        let config = LoaderConfig { sampling: Sampling::Balanced, threads, ..*train.config() };
        let train = Loader::new(set, Pipeline::digits_train(), config).unwrap();
        let mut weights = vec![1.0; 10];
        weights[3] = 2.5;
        let class_weights = Some(ClassWeights::Each(weights));
        let loss = LossConfig { class_weights, ..LossConfig::default() };
        options.training.loss = Loss::new(loss, train.dataset()).unwrap();
        options.loaders = [Arc::new(train), Arc::clone(validation)];
        options.run().unwrap()
    };
    let [whole, parts, other] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let want = run(whole.path(), 5, false, 0);
    run(parts.path(), 2, false, 3);
    assert_same_bits(&run(parts.path(), 5, true, 1).network, &want.network);
    // The control: each picture once is another run.
    let each = part(other.path(), 5, None, false).run().unwrap();
    assert_ne!(bits(&each.network), bits(&want.network));
}

/// The rate on a plateau is a function of the record: a resumed run has it from there.
#[test]
fn a_plateau_goes_on() {
    let plateau = Plateau { factor: 0.5, patience: 0, threshold: 0.2, cooldown: 0 };
    let kind = ScheduleKind::Plateau(plateau);
    let schedule = ScheduleConfig { kind, ..ScheduleConfig::cosine(5) };
    let run = |folder: &Path, epochs, resume| {
        let mut options = part(folder, epochs, None, resume);
        options.training.schedule = schedule.clone();
        // None is kept where a run is not resumed.
        options.training.keep = usize::from(epochs < 5 || resume);
        options.run().unwrap()
    };
    let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let want = run(whole.path(), 5, false);
    for epochs in [2, 3] {
        run(parts.path(), epochs, epochs > 2);
    }
    let got = run(parts.path(), 5, true);
    let rates = |record: &dyrep_train::RunRecord| -> Vec<f64> {
        record.epochs.iter().map(|epoch| epoch.learning_rate).collect()
    };
    let accuracies: Vec<f64> = want.record.epochs.iter().map(|epoch| epoch.accuracy).collect();
    let alone = Schedule::new(schedule.clone(), 0.05, 4);
    alone.tell(accuracies.iter().copied());
    let expected: Vec<f64> = (0..5).map(|epoch| alone.at(4 * epoch)).collect();
    assert_eq!(rates(&want.record), expected);
    assert!(expected[3] < 0.05, "the rate falls before a resume: {accuracies:?}");
    assert_eq!(rates(&got.record), expected);
    assert_same_bits(&got.network, &want.network);
}

/// A run that has stopped early is at its end: resumed, it trains no further.
#[test]
fn a_run_that_stopped_early_stays_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let run = |resume| {
        let mut options = part(folder.path(), 12, None, resume);
        // Nothing is learnt, so nothing gets better.
        options.training.optimizer.learning_rate = 1e-12;
        options.training.controller = None;
        options.training.patience = Some(2);
        options.run().unwrap()
    };
    let stopped = run(false);
    assert!(stopped.record.epochs.len() < 12);
    let (network, record) = (stopped.network.clone(), stopped.record.clone());
    drop(stopped);
    let again = run(true);
    assert_eq!(again.record.epochs, record.epochs);
    assert_same_bits(&again.network, &network);
}
