//! A run that was interrupted and resumed gives the network that it would have given, to the bit.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{Options, assert_same_bits};
use dyrep_train::Schedule;

/// The first epochs of a run of five.
fn part(folder: &Path, epochs: usize, average: Option<f64>, resume: bool) -> Options<'_> {
    let mut options = Options::new(5, folder);
    // The schedule is that of the whole run.
    options.training.epochs = epochs;
    options.training.average_decay = average;
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

/// A run that has stopped early is at its end: resumed, it trains no further.
#[test]
fn a_run_that_stopped_early_stays_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let run = |resume| {
        let mut options = part(folder.path(), 12, None, resume);
        // Nothing is learnt, so nothing gets better.
        options.training.schedule = Schedule::cosine(1e-12, 48);
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
