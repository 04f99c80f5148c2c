//! What must not change a run: the loader's threads, how many devices share a step, and, but for rounding, in which numbers
//! it computes.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use common::{BATCH, First, Options, assert_same_bits, loaders};
use dyrep_burn::EventLog;
use dyrep_config::Precision;
use dyrep_data::{
    DataError, Dataset, Digits, Image, Loader, LoaderConfig, MixConfig, MixSpec, Mixer, Pipeline,
};

#[test]
fn loader_threads() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mixing = MixConfig {
        mixup: Some(MixSpec { alpha: 0.2, probability: 0.4 }),
        cutmix: Some(MixSpec { alpha: 1.0, probability: 0.4 }),
        ..MixConfig::default()
    };
    let runs: Vec<_> = folders
        .iter()
        .zip([0, 1, 3])
        .map(|(folder, threads)| {
            let mut options = Options::new(3, folder.path());
            options.loaders = loaders(256, threads);
            // Batches are mixed by both ways, and some not at all.
            options.training.mixer = Some(Mixer::new(mixing).unwrap());
            options.run().unwrap()
        })
        .collect();
    assert!(runs[0].log.as_ref().unwrap().events().count() > 0, "nothing grew");
    for other in &runs[1..] {
        assert_same_bits(&other.network, &runs[0].network);
    }
}

/// The same pictures twice: each of two devices gets all of them.
struct Twice(First);

impl Dataset for Twice {
    fn len(&self) -> usize {
        2 * self.0.len()
    }

    fn classes(&self) -> &[String] {
        self.0.classes()
    }

    fn channels(&self) -> usize {
        self.0.channels()
    }

    fn label(&self, index: usize) -> usize {
        self.0.label(index % self.0.len())
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        self.0.image(index % self.0.len())
    }
}

#[derive(Default)]
struct Values(Vec<Vec<f32>>);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().into_data().iter::<f32>().collect());
    }
}

fn values<M: Module>(module: &M) -> Vec<Vec<f32>> {
    let mut values = Values::default();
    module.visit(&mut values);
    values.0
}

/// Each device sees what the single one sees, so the mean of their gradients is its gradient, and the mean of their
/// statistics its statistics.
#[test]
fn two_devices() {
    let config = LoaderConfig { batch_size: BATCH, drop_last: true, ..LoaderConfig::default() };
    let first = || First::new(Digits::train(), 256);
    let sets: [Arc<dyn Dataset>; 2] = [Arc::new(first()), Arc::new(Twice(first()))];
    let [one, two] = [(1, sets[0].clone()), (2, sets[1].clone())].map(|(devices, set)| {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new(3, folder.path());
        let [_, validation] = options.loaders;
        let train = Arc::new(Loader::new(set, Pipeline::identity(), config).unwrap());
        Options { loaders: [train, validation], devices, ..options }.run().unwrap()
    });
    let chosen = |log: &Option<EventLog>| -> Vec<String> {
        log.iter().flat_map(EventLog::events).map(|it| it.change.path().to_owned()).collect()
    };
    assert!(!chosen(&one.log).is_empty(), "nothing grew");
    assert_eq!(chosen(&two.log), chosen(&one.log));
    let (one, two) = (values(&one.network), values(&two.network));
    assert_eq!(one.len(), two.len());
    let mut worst: f32 = 0.0;
    for (one, two) in one.iter().zip(&two) {
        let largest = one.iter().fold(1e-3, |most: f32, value| most.max(value.abs()));
        let off = one.iter().zip(two).map(|(one, two)| (one - two).abs());
        worst = worst.max(off.fold(0.0, f32::max) / largest);
    }
    assert!(worst < 1e-4, "off by {worst:.1e} of the largest value");
}

/// Numbers of 16 bits learn what those of 32 do; the loss is told in 32 whatever it is computed in.
#[test]
fn fewer_bits_learn_alike() {
    let losses = |precision: Precision| {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(12, folder.path());
        options.training.precision = precision;
        let ended = options.run().unwrap();
        let left_out = ended.record.notes.len();
        assert!(left_out == 0 || precision == Precision::F16, "{:?}", ended.record.notes);
        let epochs = ended.record.epochs;
        (epochs[0].loss, epochs[11].loss)
    };
    let (first, last) = losses(Precision::F32);
    assert!(last < 0.8 * first, "{first} to {last}: nothing is learnt");
    for precision in [Precision::Bf16, Precision::F16] {
        let (_, other) = losses(precision);
        assert!((other / last - 1.0).abs() < 0.25, "{precision}: {other}, in f32 {last}");
    }
}
