//! Networks trained on the shipped digits, in INT8: accuracy stays, and a kernel that INT8 cannot hold is found.
//!
//! `cargo test --workspace --test int8 -- --ignored --nocapture` measures what `docs/quantisation.md` shows.

// A failing test panics, with the reason; what is measured is printed.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::Arc;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use burn_train::Interrupter;
use dyrep_data::{DataError, Loader};
use dyrep_models::{Model, fold_norms};
use dyrep_quant::{
    Calibration, Check, Granularity, Options, Quantized, WeightRanges, check, quantize,
};
use dyrep_tests::params::{fill, read};
use dyrep_tests::under_test;
use dyrep_train::recipe::Recipe;
use dyrep_train::{InputSpec, Network, Plan, Run, Silent, evaluate};

/// Batches of 64 pictures that inputs are measured on.
const BATCHES: usize = 4;

struct Trained {
    network: Model,
    train: Arc<Loader>,
    validation: Arc<Loader>,
    input: InputSpec,
}

impl Trained {
    /// The shipped recipe with changes.
    fn by(changes: &[&str]) -> Self {
        let changes: Vec<_> = changes.iter().map(|change| change.parse().unwrap()).collect();
        let recipe = Recipe::builtin("digits_quick", &changes).unwrap();
        let devices = [under_test()];
        let plan = Plan::new(&recipe, &devices).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let input = plan.training.input.clone();
        let (train, validation) = (Arc::clone(&plan.train), Arc::clone(&plan.validation));
        let run = Run {
            training: plan.training,
            network: plan.network,
            train: plan.train,
            validation: plan.validation,
            devices: &devices,
            folder: folder.path().to_owned(),
            resume: false,
            disk: dyrep_train::SystemDisk::shared(),
            interrupter: Interrupter::new(),
            dashboard: false,
            progress: Box::new(Silent),
        };
        let network = run.train().unwrap().network.valid();
        Self { network, train, validation, input }
    }

    fn pictures(&self) -> Vec<Tensor<4>> {
        let batches = self.train.epoch(0).take(BATCHES);
        batches.map(|batch| self.input.images(&batch.unwrap(), &under_test())).collect()
    }

    fn quantised(&self, options: &Options) -> Quantized<Model> {
        quantize(&self.network, self.pictures(), Model::forward, options).unwrap()
    }

    fn accuracy<N: Network>(&self, network: &N) -> Result<f64, DataError> {
        Ok(evaluate(network, &self.validation, &self.input, &under_test())?.fraction())
    }

    /// The check without accuracy by layer.
    fn check_noise(&self, quantised: &Quantized<Model>) -> Check {
        let all = quantised.scales().len();
        let accuracy = |network: &Quantized<Model>| match network.scales().len() {
            count if count == 0 || count == all => self.accuracy(network),
            _ => Ok(0.0),
        };
        check(&self.network, quantised, self.pictures(), Model::forward, accuracy).unwrap()
    }

    fn check(&self, quantised: &Quantized<Model>) -> Check {
        let accuracy = |network: &Quantized<Model>| self.accuracy(network);
        check(&self.network, quantised, self.pictures(), Model::forward, accuracy).unwrap()
    }
}

fn options(granularity: Granularity, calibration: Calibration) -> Options {
    Options::default().with_granularity(granularity).with_calibration(calibration)
}

/// Slower than the shipped recipe and longer: a row of convolutions without shortcuts takes its time.
const REPVGG: [&str; 5] = [
    "model.name=repvgg_a0",
    "model.width=16",
    "strategy.name=repvgg",
    "optimizer.learning_rate=0.02",
    "schedule.epochs=40",
];

/// Every second convolution of a stage gets nothing in channel 0, and the norm behind its identity multiplies that nothing
/// by `factor`: what training does to a channel that died, where ε allows up to 316.
fn with_dead_channels(network: &Model, factor: f32) -> Model {
    let values = read(network);
    fill(network.valid(), |path, shape| {
        let mut one: Vec<f32> = values[path].iter().collect();
        if let ["stages", _, number, "conv", branch, "bn", name] =
            path.split('.').collect::<Vec<_>>()[..]
        {
            let dead = number.parse::<usize>().unwrap().is_multiple_of(2);
            match (dead, branch, name) {
                (true, _, "gamma" | "beta") | (false, "identity", "running_mean" | "beta") => {
                    one[0] = 0.0;
                }
                (false, "identity", "gamma") => one[0] = factor,
                (false, "identity", "running_var") => one[0] = 1.0 - 1e-5,
                _ => {}
            }
        }
        TensorData::new(one, shape.to_vec())
    })
}

fn percent(share: f64) -> f64 {
    100.0 * share
}

/// The largest figures of a check.
fn figures(check: &Check) -> String {
    let noise = check.layers.iter().filter_map(|layer| layer.sqnr_db);
    let least = noise.fold(f64::INFINITY, f64::min);
    let most = |figure: fn(&WeightRanges) -> f64| {
        check.layers.iter().map(|layer| figure(&layer.ranges)).fold(0.0, f64::max)
    };
    let (spread, crest) = (most(|ranges| ranges.spread().1), most(|ranges| ranges.crest().1));
    let warnings = check.warnings.len();
    format!("least {least:.1} dB, spread {spread:.0}, crest {crest:.0}, {warnings} warnings")
}

#[test]
fn a_trained_network_keeps_its_accuracy() {
    let changes = ["model.width=8", "strategy.name=plain", "schedule.epochs=4"];
    let trained = Trained::by(&changes);
    let before = trained.accuracy(&trained.network).unwrap();
    assert!(before > 0.8, "{before}");
    for granularity in [Granularity::PerChannel, Granularity::PerTensor] {
        for calibration in [Calibration::MinMax, Calibration::Percentile(99.99), Calibration::Mse] {
            let quantised = trained.quantised(&options(granularity, calibration));
            let after = trained.accuracy(&quantised).unwrap();
            assert!(after > before - 0.02, "{granularity} {calibration}: {before} to {after}");
            assert_eq!(quantised.params(), fold_norms(&trained.network).params());
        }
    }
    // The control: half of all inputs are clipped.
    let clipped = options(Granularity::PerChannel, Calibration::Percentile(50.0));
    let after = trained.accuracy(&trained.quantised(&clipped)).unwrap();
    assert!(after < before - 0.05, "{before} to {after}");
}

/// Prints the accuracy of every way to quantise, and the check of the default.
#[test]
#[ignore = "trains for minutes; prints what the documents show"]
fn measure() {
    let networks: [(&str, &[&str]); 2] =
        [("ResNet-18 of width 32, dyrep", &[]), ("RepVGG-A0 of width 16, repvgg", &REPVGG)];
    for (title, changes) in networks {
        let started = Instant::now();
        let mut trained = Trained::by(changes);
        let before = percent(trained.accuracy(&trained.network).unwrap());
        println!("\n{title}: {before:.2}% in f32, trained in {:.0?}", started.elapsed());
        for granularity in [Granularity::PerChannel, Granularity::PerTensor] {
            for calibration in [
                Calibration::MinMax,
                Calibration::Percentile(99.9),
                Calibration::Percentile(99.99),
                Calibration::Mse,
            ] {
                let quantised = trained.quantised(&options(granularity, calibration));
                let checked = trained.check_noise(&quantised);
                let after = percent(checked.accuracy_after);
                let (granularity, calibration) = (granularity.to_string(), calibration.to_string());
                println!("{granularity:<12} {calibration:<17} {after:6.2}%  {}", figures(&checked));
            }
        }
        println!("{}", trained.check(&trained.quantised(&Options::default())));
        if changes.is_empty() {
            continue;
        }
        let sound = trained.network.clone();
        for factor in [1.0, 3.0, 10.0, 30.0, 100.0, 316.0] {
            trained.network = with_dead_channels(&sound, factor);
            for granularity in [Granularity::PerChannel, Granularity::PerTensor] {
                let quantised =
                    trained.quantised(&Options::default().with_granularity(granularity));
                let checked = trained.check_noise(&quantised);
                let [before, after] =
                    [checked.accuracy_before, checked.accuracy_after].map(percent);
                let figures = figures(&checked);
                println!(
                    "dead × {factor:<4} {granularity}: {before:.2}% to {after:.2}%, {figures}"
                );
            }
        }
    }
}
