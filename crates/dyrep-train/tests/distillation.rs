//! A student learns from its teacher's logits: batches have them in their places, and a run goes on from its folder alone.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/faulty.rs"]
#[allow(dead_code, reason = "other tests have other fates")]
mod faulty;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use burn::data::dataloader::DataLoader;
use common::{First, Options, assert_same_bits, bits, loaders};
use dyrep_data::{
    Dataset, Digits, Loader, LoaderConfig, MixConfig, MixSpec, Mixer, Pipeline, Sampling,
};
use dyrep_tests::under_test;
use dyrep_train::{
    Batches, Distillation, InputSpec, RunRecord, SystemDisk, TeacherLogits, TrainError,
};
use faulty::{Fate, Faulty};

const COPY: &str = "teacher.safetensors";

/// A teacher that is mostly right about the first pictures of the digits; another `salt` is another teacher.
fn teacher(pictures: usize, salt: f32) -> Distillation {
    let set = First::new(Digits::train(), pictures);
    let logit = |index: usize, class: usize| {
        let own = if set.label(index) == class { 4.0 } else { 0.0 };
        own + 2.0 * ((index * 10 + class) as f32 + salt).sin()
    };
    let logits = (0..pictures).flat_map(|index| (0..10).map(move |class| logit(index, class)));
    let teacher = Arc::new(TeacherLogits::new(&set, logits.collect()).unwrap());
    Distillation { teacher, weight: 0.7, temperature: 2.0 }
}

fn mixer() -> Mixer {
    let mixing = MixConfig {
        mixup: Some(MixSpec { alpha: 0.2, probability: 0.4 }),
        cutmix: Some(MixSpec { alpha: 1.0, probability: 0.4 }),
        ..MixConfig::default()
    };
    Mixer::new(mixing).unwrap()
}

fn options(folder: &Path, epochs: usize) -> Options<'_> {
    let mut options = Options::new(5, folder);
    options.training.epochs = epochs;
    options.training.distillation = Some(teacher(256, 0.0));
    options.training.mixer = Some(mixer());
    options.training.optimizer.ema_decay = Some(0.9);
    options
}

/// The labels in place of a teacher: what it says of a batch is then known from its classes and what was mixed.
#[test]
fn what_the_teacher_says_stands_beside_its_picture() {
    let set = || First { broken: &[3, 64, 65, 66, 67], ..First::new(Digits::train(), 200) };
    let logits = (0..200).flat_map(|index| {
        let label = set().label(index);
        (0..10).map(move |class| if class == label { 1e4 } else { 0.0 })
    });
    let of_labels = Arc::new(TeacherLogits::new(&set(), logits.collect()).unwrap());
    let teacher = Distillation { teacher: of_labels, weight: 1.0, temperature: 1.0 };
    for sampling in [Sampling::Each, Sampling::Balanced] {
        let config = LoaderConfig {
            batch_size: 4,
            shuffle: true,
            sampling,
            refill: true,
            threads: 2,
            seed: 3,
            ..LoaderConfig::default()
        };
        let loader = Arc::new(Loader::new(Arc::new(set()), Pipeline::identity(), config).unwrap());
        let batches = Batches::training(loader, InputSpec::digits(), 1)
            .with_mixer(Some(mixer()))
            .with_teacher(Some(teacher.clone()));
        let device = under_test();
        // The shares of three devices, of which the first has trained on some of its batches before.
        let shares = [(0, 72), (72, 140), (140, 200)];
        let (mut seen, mut mixed) = (0, 0);
        for (start, end) in shares {
            let share = batches.slice(start, end).to_device(&device);
            for pictures in share.iter() {
                let pictures = pictures.unwrap();
                let soft: Vec<f32> =
                    pictures.soft.unwrap().probabilities.into_data().iter().collect();
                let own: Vec<i64> = pictures.classes.into_data().iter().collect();
                let (others, keeps) = match pictures.mixed {
                    Some((others, keeps)) => (others.into_data().iter().collect(), keeps),
                    None => (own.clone(), 1.0),
                };
                mixed += usize::from(keeps < 1.0);
                for (row, (own, other)) in soft.chunks_exact(10).zip(own.iter().zip(others)) {
                    for (class, found) in row.iter().enumerate() {
                        let share = |label: i64, share: f64| {
                            if label == class as i64 { share } else { 0.0 }
                        };
                        let want = share(*own, keeps) + share(other, 1.0 - keeps);
                        assert!((f64::from(*found) - want).abs() < 1e-6, "{found} for {want}");
                    }
                    seen += 1;
                }
            }
        }
        assert!(seen > 150 && mixed > 20, "{seen} pictures, {mixed} batches mixed");
    }
}

/// Stopped after each of some epochs and its folder moved every time, a run ends as if nothing had been.
#[test]
fn a_student_goes_on_to_the_bit() {
    let place = tempfile::tempdir().unwrap();
    let whole = place.path().join("whole");
    let want = options(&whole, 5).run().unwrap();
    assert!(want.log.as_ref().unwrap().events().count() > 0, "nothing grew");
    let mut folder = place.path().join("run");
    for epochs in [1, 2, 4] {
        Options { resume: epochs > 1, ..options(&folder, epochs) }.run().unwrap();
        let moved = place.path().join(format!("moved-{epochs}"));
        fs::rename(&folder, &moved).unwrap();
        folder = moved;
    }
    // The last resume has nothing but the folder and the data.
    let copy = TeacherLogits::open(&folder.join(COPY)).unwrap();
    let mut last = Options { resume: true, ..options(&folder, 5) };
    let own = last.training.distillation.as_mut().unwrap();
    assert!(copy.bytes() == own.teacher.bytes());
    own.teacher = Arc::new(copy);
    let got = last.run().unwrap();
    assert_same_bits(&got.network, &want.network);
    let losses = |record: &RunRecord| -> Vec<f64> {
        record.epochs.iter().flat_map(|epoch| [epoch.loss, epoch.valid_loss]).collect()
    };
    assert_eq!(losses(&got.record), losses(&want.record));
    // The control: without the teacher it is another network.
    let folder = place.path().join("alone");
    let mut alone = options(&folder, 5);
    alone.training.distillation = None;
    assert_ne!(bits(&alone.run().unwrap().network), bits(&want.network));
}

/// What is lost of the copy is written again; other logits, or none, are not what the run began with.
#[test]
fn other_logits_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let (taught, alone) = (place.path().join("taught"), place.path().join("alone"));
    let run = |folder: &Path, teacher, epochs| {
        let mut options = options(folder, epochs);
        options.training.distillation = teacher;
        let ended = Options { resume: epochs > 1, ..options }.run();
        ended.map(|_| ()).map_err(|error| error.to_string())
    };
    run(&taught, Some(teacher(256, 0.0)), 1).unwrap();
    run(&alone, None, 1).unwrap();
    for (folder, teacher, told) in [
        (&taught, Some(teacher(256, 1.0)), "began with other logits of its teacher"),
        (&taught, None, "began with a teacher's logits"),
        (&alone, Some(teacher(256, 0.0)), "began without a teacher"),
    ] {
        let before = fs::read(RunRecord::path(folder)).unwrap();
        let error = run(folder, teacher, 2).unwrap_err();
        assert!(error.contains(told), "{error}");
        assert_eq!(fs::read(RunRecord::path(folder)).unwrap(), before);
    }
    assert!(!alone.join(COPY).exists());
    fs::remove_file(taught.join(COPY)).unwrap();
    run(&taught, Some(teacher(256, 0.0)), 2).unwrap();
    assert!(fs::read(taught.join(COPY)).unwrap() == teacher(256, 0.0).teacher.bytes());
}

/// Logits of other data are refused before there is a folder.
#[test]
fn logits_of_other_pictures_make_no_folder() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let mut options = options(&folder, 1);
    options.training.distillation = Some(teacher(255, 0.0));
    let error = options.run().unwrap_err();
    assert!(matches!(error, TrainError::Teacher { .. }), "{error}");
    assert!(error.to_string().contains("logits of 255 pictures, the data have 256"), "{error}");
    assert!(!folder.exists());
}

/// A process that dies over the copy leaves a folder in which a run can begin: the copy is whole or not there, and the
/// record comes after it.
#[test]
fn a_copy_is_whole_or_not_there() {
    let place = tempfile::tempdir().unwrap();
    let whole = place.path().join("whole");
    let want = options(&whole, 1).run().unwrap();
    for (number, fate) in [
        Fate::Kill(0, 500),
        Fate::Kill(0, 1050),
        Fate::Kill(0, 1150),
        Fate::Full(0),
        Fate::Kill(1, 500),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = place.path().join(number.to_string());
        let killed = options(&folder, 1);
        let disk = Arc::new(Faulty::new(fate, killed.interrupter.clone()));
        Options { disk, ..killed }.run().unwrap_err();
        assert!(!RunRecord::path(&folder).exists(), "{fate:?}");
        if let Ok(copy) = fs::read(folder.join(COPY)) {
            assert!(copy == teacher(256, 0.0).teacher.bytes(), "{fate:?}");
        }
        let got = Options { disk: SystemDisk::shared(), ..options(&folder, 1) }.run().unwrap();
        assert_same_bits(&got.network, &want.network);
        assert!(fs::read(folder.join(COPY)).unwrap() == teacher(256, 0.0).teacher.bytes());
    }
}

/// Several devices share a step, and several batches make one.
#[test]
fn devices_and_accumulation() {
    let place = tempfile::tempdir().unwrap();
    let run = |name: &str, devices, accumulate, salt| {
        let folder = place.path().join(name);
        let mut options = Options { devices, loaders: loaders(256, 1), ..options(&folder, 2) };
        options.training.optimizer.accumulate = accumulate;
        options.training.distillation = Some(teacher(256, salt));
        options.run().unwrap()
    };
    for (devices, accumulate) in [(2, 1), (1, 2), (2, 2)] {
        let name = format!("{devices}x{accumulate}");
        let first = run(&name, devices, accumulate, 0.0);
        let again = run(&format!("{name} again"), devices, accumulate, 0.0);
        assert_same_bits(&again.network, &first.network);
        let other = run(&format!("{name} by another"), devices, accumulate, 1.0);
        assert_ne!(bits(&other.network), bits(&first.network), "{name}: nothing is learnt of it");
    }
}
