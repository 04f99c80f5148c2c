//! What goes wrong ends with a message that names it, and the last good checkpoint is as it was.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use burn_train::Interrupter;
use common::{First, Options, assert_same_bits, loaders};
use dyrep_data::{DataError, Digits, Loader, LoaderConfig, Pipeline};
use dyrep_models::{ResNetConfig, Stem};
use dyrep_tests::under_test;
use dyrep_train::{
    Amendment, Checkpoints, EpochReport, InputSpec, Moment, Progress, RunRecord, RunState,
    ScheduleConfig, TrainError,
};

fn newest(folder: &Path) -> Option<usize> {
    let (newest, _broken) = Checkpoints::existing(folder).newest().unwrap();
    newest.map(|moment| {
        assert_eq!(moment.steps, 0, "{moment}");
        moment.epochs
    })
}

fn resumed(folder: &Path, epochs: usize) -> Options<'_> {
    let mut options = Options::new(5, folder);
    options.training.epochs = epochs;
    Options { resume: true, ..options }
}

fn one_epoch(folder: &Path) {
    Options { resume: false, ..resumed(folder, 1) }.run().unwrap();
}

#[test]
fn a_loss_that_is_no_number() {
    let folder = tempfile::tempdir().unwrap();
    one_epoch(folder.path());
    let mut options = resumed(folder.path(), 3);
    options.training.optimizer.learning_rate = 1e30;
    let error = options.run().unwrap_err();
    assert!(matches!(error, TrainError::Diverged { epoch: 2, .. }), "{error}");
    assert!(error.to_string().contains("training diverged"), "{error}");
    assert_eq!(newest(folder.path()), Some(1));
    let record = RunRecord::load(&RunRecord::path(folder.path())).unwrap();
    assert!(matches!(record.state, RunState::Failed(_)), "{:?}", record.state);
    resumed(folder.path(), 2).run().unwrap();
    assert_eq!(newest(folder.path()), Some(2));
}

/// A last step that leaves weights of which nothing can be computed is no end of a training, and no checkpoint.
#[test]
fn a_last_step_that_diverges() {
    let folder = tempfile::tempdir().unwrap();
    let run = |epochs, rate| {
        let mut options = Options::new(epochs, folder.path());
        options.loaders = loaders(64, 0);
        options.training.schedule = ScheduleConfig::cosine(4);
        options.training.optimizer.learning_rate = rate;
        options.training.controller = None;
        options.training.keep = 1;
        options.resume = epochs > 1;
        options.run()
    };
    run(1, 0.05).unwrap();
    let error = run(2, 1e30).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { .. }), "{error}");
    assert_eq!(newest(folder.path()), Some(1));
    let record = RunRecord::load(&RunRecord::path(folder.path())).unwrap();
    assert!(matches!(record.state, RunState::Failed(_)), "{:?}", record.state);
    run(2, 0.05).unwrap();
    assert_eq!(newest(folder.path()), Some(2));
}

#[test]
fn two_processes_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    one_epoch(folder.path());
    let other = fs::File::open(folder.path().join("run.lock")).unwrap();
    other.lock().unwrap();
    let error = resumed(folder.path(), 2).run().unwrap_err();
    assert!(matches!(error, TrainError::InUse { .. }), "{error}");
    drop(other);
    resumed(folder.path(), 2).run().unwrap();
}

/// A resume is told by its record, and the next one goes on with what it changed.
#[test]
fn what_a_resume_changes_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    for (epochs, recipe) in [(1, "one"), (2, "two"), (3, "two")] {
        let mut options = Options { resume: epochs > 1, ..resumed(folder.path(), epochs) };
        recipe.clone_into(&mut options.training.recipe);
        options.run().unwrap();
    }
    let record = RunRecord::load(&RunRecord::path(folder.path())).unwrap();
    let before = Amendment { epochs: 1, recipe: "one".to_owned() };
    assert_eq!((record.recipe.as_str(), &record.history[..]), ("two", &[before][..]));
}

/// What was trained beyond an end that is asked for later is not passed off as that.
#[test]
fn fewer_epochs_than_are_done_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    Options { resume: false, ..resumed(folder.path(), 3) }.run().unwrap();
    let error = resumed(folder.path(), 2).run().unwrap_err();
    assert!(matches!(error, TrainError::Resume { .. }), "{error}");
    assert!(error.to_string().contains("further than the 2 epochs"), "{error}");
    resumed(folder.path(), 3).run().unwrap();
}

/// The rest of an accumulation is a step of its batches alone.
#[test]
fn a_step_of_fewer_batches_is_a_whole_step() {
    let network = |accumulate| {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(2, folder.path());
        options.loaders = loaders(64, 0);
        options.training.controller = None;
        options.training.optimizer.accumulate = accumulate;
        options.run().unwrap().network
    };
    // Powers of two round nothing.
    assert_same_bits(&network(4), &network(1));
}

#[test]
fn a_run_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    one_epoch(folder.path());
    for record in [true, false] {
        if !record {
            fs::remove_file(RunRecord::path(folder.path())).unwrap();
        }
        let error = Options::new(5, folder.path()).run().unwrap_err();
        assert!(error.to_string().contains("holds a run already"), "{error}");
    }
}

#[test]
fn folders_that_cannot_be_written_to() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Options::new(5, &file.path().join("run")).run().unwrap_err();
    assert!(matches!(error, TrainError::Folder { .. }), "{error}");
    assert!(error.to_string().contains("run"), "{error}");
}

#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Progress for Warnings {
    fn on_warning(&mut self, warning: &str) {
        self.0.lock().unwrap().push(warning.to_owned());
    }
}

#[test]
fn pictures_that_are_broken_are_left_out_told_and_limited() {
    let folder = tempfile::tempdir().unwrap();
    let with_limit = |max_skipped, folder| {
        let mut options = Options { resume: false, ..resumed(folder, 2) };
        let config = LoaderConfig { max_skipped, ..*options.loaders[0].config() };
        let broken = Arc::new(First { broken: &[3, 17], ..First::new(Digits::train(), 160) });
        let loader = Loader::new(broken, Pipeline::digits_train(), config).unwrap();
        options.loaders[0] = Arc::new(loader);
        options
    };
    let warnings = Warnings::default();
    let mut options = with_limit(2, folder.path());
    options.progress = Box::new(warnings.clone());
    let ended = options.run().unwrap();
    let told = warnings.0.lock().unwrap().clone();
    assert_eq!(told.len(), 2, "each once: {told:?}");
    assert!(told[0].contains("3.jpg") && told[1].contains("17.jpg"), "{told:?}");
    assert_eq!(ended.record.left_out.len(), 2);
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("2 pictures left out") && page.contains("17.jpg"));

    let folder = tempfile::tempdir().unwrap();
    let error = with_limit(1, folder.path()).run().unwrap_err().to_string();
    assert!(error.contains("at most 1 may be skipped"), "{error}");
    assert!(error.contains("3.jpg") && error.contains("17.jpg"), "{error}");
}

#[test]
fn a_truncated_checkpoint_is_passed_over_with_a_word() {
    let [folder, whole] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    Options { resume: false, ..resumed(folder.path(), 2) }.run().unwrap();
    let path = folder.path().join("checkpoint/model-2.bpk");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let warnings = Warnings::default();
    let mut options = resumed(folder.path(), 5);
    options.progress = Box::new(warnings.clone());
    let got = options.run().unwrap();
    let told = warnings.0.lock().unwrap().join("\n");
    assert!(told.contains("epoch 2") && told.contains("model-2.bpk"), "{told}");
    // From epoch 1 it has become what it would have been.
    assert_same_bits(&got.network, &Options::new(5, whole.path()).run().unwrap().network);
}

#[test]
fn no_whole_checkpoint_is_an_error_and_none_at_all_a_start() {
    let folder = tempfile::tempdir().unwrap();
    resumed(folder.path(), 1).run().unwrap();
    fs::write(folder.path().join("checkpoint/optim-1.bpk"), b"something else").unwrap();
    let error = resumed(folder.path(), 2).run().unwrap_err();
    assert!(
        matches!(error, TrainError::Resume { moment: Moment { epochs: 1, steps: 0 }, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("optim-1.bpk"), "{error}");
}

#[test]
fn another_networks_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    one_epoch(folder.path());
    let wide = ResNetConfig::resnet18(10).with_in_channels(1).with_width(8).with_stem(Stem::Small);
    let mut options = resumed(folder.path(), 5);
    options.network = wide.init(&under_test().autodiff()).unwrap();
    let error = options.run().unwrap_err();
    assert!(matches!(error, TrainError::Resume { .. }), "{error}");
    assert!(error.to_string().contains("conv1"), "{error}");
    assert_eq!(newest(folder.path()), Some(1));
}

#[test]
fn nothing_to_validate_on() {
    let empty = Arc::new(First::new(Digits::test(), 0));
    let loader = Loader::new(empty, Pipeline::identity(), LoaderConfig::default());
    assert!(matches!(loader.unwrap_err(), DataError::EmptyDataset));
}

#[test]
fn stopped_from_outside() {
    /// Stops the training once an epoch is done.
    struct Stop(Interrupter);
    impl Progress for Stop {
        fn on_epoch(&mut self, report: &EpochReport) {
            if report.epoch == 2 {
                self.0.stop(Some("Ctrl-C"));
            }
        }
    }
    let [folder, whole] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut options = Options::new(5, folder.path());
    options.progress = Box::new(Stop(options.interrupter.clone()));
    let stopped = options.run().unwrap();
    assert_eq!(stopped.stopped.as_deref(), Some("Ctrl-C"));
    assert_eq!(stopped.record.state, RunState::Stopped("Ctrl-C".to_owned()));
    // Whoever may still write to a folder keeps it.
    let error = resumed(folder.path(), 5).run().unwrap_err();
    assert!(matches!(error, TrainError::InUse { .. }), "{error}");
    drop(stopped);
    let got = resumed(folder.path(), 5).run().unwrap();
    assert_same_bits(&got.network, &Options::new(5, whole.path()).run().unwrap().network);
}

#[test]
fn pictures_of_other_channels_than_the_input_takes() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new(5, folder.path());
    options.training.input = InputSpec::imagenet();
    let error = options.run().unwrap_err();
    assert!(matches!(error, TrainError::Channels { expected: 3, found: 1 }), "{error}");
}

/// Where nobody may write, whoever runs the tests.
#[test]
#[cfg(target_os = "linux")]
fn a_read_only_folder() {
    let error = Options::new(5, Path::new("/proc/dyrep-run")).run().unwrap_err();
    assert!(matches!(error, TrainError::Folder { .. }), "{error}");
    assert!(error.to_string().contains("/proc/dyrep-run"), "{error}");
}

#[test]
fn impossible_options() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new(5, folder.path());
    options.training.optimizer.accumulate = 0;
    let error = options.run().unwrap_err().to_string();
    assert!(error.contains("accumulate: expected at least 1, got 0"), "{error}");
    let mut options = Options::new(5, folder.path());
    options.training.optimizer.learning_rate = f64::NAN;
    let error = options.run().unwrap_err().to_string();
    assert!(error.contains("learning rate: expected a number above 0, got NaN"), "{error}");
}
