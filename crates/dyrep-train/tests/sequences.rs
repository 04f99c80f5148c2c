//! Random sequences of what happens to a run: it is stopped, killed at any byte of any file that it writes, its disk is
//! full, its folder is moved, others want it, its epochs are changed. After each the folder tells the truth, and in the end
//! the weights are those of a run to which nothing happened, to the bit.
//!
//! `DYREP_SEQUENCES` says how many there are.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/faulty.rs"]
mod faulty;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use burn::module::Module;
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::Tensor;
use burn_train::Interrupter;
use common::{First, bits, training};
use dyrep_burn::ops::mean_of_maps;
use dyrep_burn::{Branches, ControllerConfig, Preset, RepConv2d, RepConv2dConfig};
use dyrep_data::{DataError, Dataset, Digits, Image, Loader, LoaderConfig, Pipeline};
use dyrep_models::Network;
use dyrep_tests::under_test;
use dyrep_train::{Checkpoints, Ended, Moment, Run, RunRecord, RunState, Silent, TrainError};
use faulty::{Fate, Faulty};

const SEQUENCES: usize = 1000;
const EPOCHS: usize = 3;
const STOP: &str = "somebody";

/// A convolution that grows, and a linear layer.
#[derive(Module, Debug)]
struct Toy {
    conv: RepConv2d,
    fc: Linear,
}

impl Toy {
    fn new(channels: usize) -> Self {
        let device = under_test().autodiff();
        device.seed(7);
        let conv = RepConv2dConfig::new([1, channels], [3, 3])
            .with_stride([2, 2])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1));
        let conv = conv.with_branches(Preset::Plain).init(&device);
        let fc = LinearConfig::new(channels, 10).init(&device);
        // Parameters are made when they are first used.
        Self { conv, fc }.materialize()
    }
}

impl Network for Toy {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let maps = self.conv.forward(images);
        self.fc.forward(mean_of_maps(maps).flatten(1, 3))
    }

    fn params(&self) -> usize {
        self.num_params()
    }

    fn flops(&self, _picture: [usize; 3]) -> u64 {
        1000
    }
}

/// Counts the pictures that are read.
struct Counting {
    pictures: &'static First,
    left: Arc<AtomicUsize>,
    interrupter: Interrupter,
}

impl Dataset for Counting {
    fn len(&self) -> usize {
        self.pictures.len()
    }

    fn classes(&self) -> &[String] {
        self.pictures.classes()
    }

    fn channels(&self) -> usize {
        1
    }

    fn label(&self, index: usize) -> usize {
        self.pictures.label(index)
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.interrupter.stop(Some(STOP));
        }
        self.pictures.image(index)
    }
}

/// Pictures, read once for all runs.
fn loaders(fate: Fate, interrupter: &Interrupter) -> [Arc<Loader>; 2] {
    let left = Arc::new(AtomicUsize::new(if let Fate::Stop(at) = fate { at } else { usize::MAX }));
    static PICTURES: OnceLock<[First; 2]> = OnceLock::new();
    let [train, test] =
        PICTURES.get_or_init(|| [First::new(Digits::train(), 16), First::new(Digits::test(), 8)]);
    let counting =
        |pictures| Counting { pictures, left: Arc::clone(&left), interrupter: interrupter.clone() };
    let config = LoaderConfig {
        batch_size: 4,
        shuffle: true,
        drop_last: true,
        seed: 3,
        refill: true,
        ..LoaderConfig::default()
    };
    let evaluation = LoaderConfig { shuffle: false, refill: false, ..config };
    [
        Loader::new(Arc::new(counting(train)), Pipeline::digits_train(), config),
        Loader::new(Arc::new(counting(test)), Pipeline::identity(), evaluation),
    ]
    .map(|loader| Arc::new(loader.unwrap()))
}

/// One process: it begins in an empty folder, and goes on in any other.
fn process(folder: &Path, toy: Toy, epochs: usize, fate: Fate) -> Result<Ended<Toy>, TrainError> {
    let interrupter = Interrupter::new();
    let [train, validation] = loaders(fate, &interrupter);
    let mut training = training(EPOCHS);
    training.epochs = epochs;
    training.recipe = format!("epochs = {epochs}");
    training.optimizer.ema_decay = Some(0.5);
    training.keep = 1;
    training.controller = Some(ControllerConfig {
        interval: 1,
        branches: Branches::Exactly(vec!["kxk".parse().unwrap(), "1x1".parse().unwrap()]),
        calibration_batches: 1,
        ..common::controller()
    });
    let disk = Faulty::new(fate, interrupter.clone());
    let run = Run {
        training,
        network: toy,
        train,
        validation,
        devices: &[under_test()],
        folder: folder.to_owned(),
        resume: folder.exists(),
        interrupter,
        disk: Arc::new(disk),
        dashboard: false,
        progress: Box::new(Silent),
    };
    run.train()
}

/// Everything in a folder, but for what is left of a killed process.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for folder in [folder.to_owned(), folder.join("checkpoint")] {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_file() {
                found.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Numbers that are the same in every run of the tests.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }
}

/// What is known of a folder from what has happened to it.
struct Known {
    /// The newest checkpoint that was seen: none after it is lost.
    newest: Option<Moment>,
    epochs: usize,
}

impl Known {
    /// The folder against it.
    fn check(&mut self, folder: &Path, ended: Result<&Ended<Toy>, &TrainError>, fate: Fate) {
        let record = RunRecord::load(&RunRecord::path(folder));
        let Ok(record) = record else {
            // Nothing was written yet, or fate struck before.
            assert!(self.newest.is_none() && ended.is_err(), "{fate:?}: {}", record.unwrap_err());
            return;
        };
        let checkpoints = Checkpoints::existing(folder);
        checkpoints.of_run(&record.id);
        let (newest, _torn) = checkpoints.newest().unwrap();
        assert!(newest >= self.newest, "{fate:?}: {newest:?}, after {:?}", self.newest);
        self.newest = newest;
        let done = newest.map_or(0, |moment| moment.epochs);
        assert!(record.epochs.len() >= done, "{fate:?}");
        assert_eq!(record.recipe, format!("epochs = {}", record.epochs_planned));
        let known = |epochs: usize| epochs == self.epochs;
        assert!(record.history.iter().all(|change| change.recipe != record.recipe || !known(0)));
        match (ended, &record.state) {
            (Ok(ended), RunState::Finished) => {
                assert!(ended.stopped.is_none() && record.epochs.len() == self.epochs, "{fate:?}");
            }
            (Ok(ended), RunState::Stopped(reason)) => {
                assert_eq!((ended.stopped.as_deref(), reason.as_str()), (Some(STOP), STOP));
            }
            // A process that dies says nothing; what it said before may be all there is.
            (Err(_), _) if matches!(fate, Fate::Kill(..) | Fate::Full(_)) => {}
            (Err(error), RunState::Failed(reason)) => assert_eq!(*reason, error.to_string()),
            (ended, state) => panic!("{fate:?}: {state:?}, {:?}", ended.map(|_| ())),
        }
    }
}

/// One sequence, until the run is done; how many processes it took.
fn sequence(seed: u64, toys: &[Toy; 2], want: &Ended<Toy>, whole: &Path) -> usize {
    let place = tempfile::tempdir().unwrap();
    let mut random = Random(seed);
    let mut folder = place.path().join("run");
    let mut known = Known { newest: None, epochs: EPOCHS };
    let toy = || toys[0].clone().fork(&under_test().autodiff());
    for number in 1.. {
        match random.below(8) {
            // Its folder is moved.
            0 if folder.exists() => {
                let moved = place.path().join(format!("moved-{number}"));
                fs::rename(&folder, &moved).unwrap();
                folder = moved;
            }
            // Another process has it.
            1 if folder.join("run.lock").exists() => {
                let lock = fs::File::open(folder.join("run.lock")).unwrap();
                lock.lock().unwrap();
                let before = contents(&folder);
                let error = process(&folder, toy(), EPOCHS, Fate::None).unwrap_err();
                assert!(matches!(error, TrainError::InUse { .. }), "{error}");
                assert!(contents(&folder) == before);
            }
            // It is another network's, which is told before anything is touched.
            2 if known.newest.is_some() => {
                let before = contents(&folder);
                let other = toys[1].clone().fork(&under_test().autodiff());
                let error = process(&folder, other, EPOCHS, Fate::None).unwrap_err();
                assert!(matches!(error, TrainError::Resume { .. }), "{error}");
                assert!(contents(&folder) == before);
            }
            _ => {}
        }
        // Now and then an end that is not the last.
        known.epochs = if random.below(4) == 0 { 1 + random.below(EPOCHS) } else { EPOCHS };
        let done = known.newest.map_or(0, |moment| moment.epochs + moment.steps.min(1));
        known.epochs = known.epochs.max(done).max(1);
        let fate = match random.below(if number > 8 { 1 } else { 8 }) {
            0 => Fate::None,
            1..=3 => Fate::Stop(5 + random.below(80)),
            4..=6 => Fate::Kill(random.below(24), random.below(1200)),
            _ => Fate::Full(random.below(24)),
        };
        let ended = process(&folder, toy(), known.epochs, fate);
        known.check(&folder, ended.as_ref(), fate);
        let Ok(ended) = ended else { continue };
        if ended.stopped.is_some() || ended.record.epochs.len() < EPOCHS {
            continue;
        }
        assert_eq!(ended.log, want.log);
        assert!(bits(&ended.network) == bits(&want.network), "{seed}: other weights");
        for (got, want) in ended.record.epochs.iter().zip(&want.record.epochs) {
            assert_eq!((got.valid_loss, got.accuracy), (want.valid_loss, want.accuracy));
            // What a killed process saw of an epoch that it was stopped in may be gone with it.
            assert!(got.loss == want.loss || got.loss.is_nan(), "{} {}", got.loss, want.loss);
        }
        let losses = |folder: &Path| fs::read_to_string(folder.join("steps.csv")).unwrap();
        assert_eq!(losses(&folder), losses(whole), "{seed}");
        return number;
    }
    unreachable!("the last process is undisturbed")
}

/// Which of the sequences a process does; without it, it starts others that do.
const PART: &str = "DYREP_SEQUENCES_PART";
/// Sequences of a process: what a process has built of graphs makes the next ones slower.
const OF_A_PROCESS: usize = 25;

#[test]
fn whatever_happens_to_a_run() {
    let count = std::env::var("DYREP_SEQUENCES").map_or(SEQUENCES, |text| text.parse().unwrap());
    match std::env::var(PART) {
        Ok(part) => sequences(part.parse().unwrap(), count),
        Err(_) => in_processes(count),
    }
}

/// As many processes at a time as there are cores.
fn in_processes(count: usize) {
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            if part * OF_A_PROCESS >= count {
                return;
            }
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["whatever_happens_to_a_run", "--exact", "--nocapture"])
                .env(PART, part.to_string())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "part {part}: {said}{errors}");
            assert!(said.contains("1 passed"), "part {part} did nothing: {said}");
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| {
            scope.spawn(work);
        });
    });
}

/// One part of so many sequences.
fn sequences(part: usize, count: usize) {
    // Tensors of a few numbers are not worth sharing out.
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().unwrap();
    let toys = [Toy::new(2), Toy::new(3)];
    let place = tempfile::tempdir().unwrap();
    let toy = toys[0].clone().fork(&under_test().autodiff());
    let whole = place.path().join("run");
    let want = process(&whole, toy, EPOCHS, Fate::None).unwrap();
    assert!(want.log.as_ref().unwrap().events().count() > 0, "nothing grew");
    let all = part * OF_A_PROCESS..count.min((part + 1) * OF_A_PROCESS);
    let seed = |number: usize| (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let processes: usize =
        all.clone().map(|number| sequence(seed(number), &toys, &want, &whole)).sum();
    assert!(processes > all.len(), "{processes} processes in {} sequences", all.len());
}
