//! Runs of RepOptimizer: equal to those of their blocks, resumed to the bit, with constants that a search has found.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::Module;
use burn::nn::Initializer;
use common::{Options, assert_same_bits, bits, network};
use dyrep_burn::layers;
use dyrep_config::Precision;
use dyrep_models::{Model, ResNet, Selection};
use dyrep_tests::device::allowed;
use dyrep_tests::under_test;
use dyrep_train::recipe::Recipe;
use dyrep_train::{
    Ended, Ends, Interrupter, Method, OptimizerConfig, Plan, RepOptimizer, Run, RunRecord,
    ScaleValues, Scales, Silent, SystemDisk, TrainError,
};

/// Of a loss, after any of three epochs; the largest that was measured is 1.0e-7. A ReLU may turn on rounding.
const LOSS: f64 = 5e-5;

/// The device's generator belongs to all threads of the program, and parameters are drawn when they are first used: tests
/// that compare what was drawn run one by one.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with_blocks() -> (Scales, ResNet) {
    let scales = Scales::initial(&network(), &Selection::default()).unwrap();
    let start = |_| Initializer::Uniform { min: -0.2, max: 0.2 };
    under_test().seed(2);
    let blocks = scales.blocks(network(), Ends::Constant, start).unwrap();
    // What is drawn when it is first used is used.
    let _drawn = bits(&blocks);
    (scales, blocks)
}

/// The same run with blocks, with multiplied gradients, and with neither.
fn losses(optimizer: impl Fn(OptimizerConfig) -> OptimizerConfig) -> [Vec<f64>; 3] {
    let (scales, blocks) = with_blocks();
    let plain = scales.fused(blocks.clone());
    let multiplied = Some(RepOptimizer::Multiplied(scales));
    let runs = [(blocks, None), (plain.clone(), multiplied), (plain, None)];
    runs.map(|(network, rep_optimizer)| {
        let folder = tempfile::tempdir().unwrap();
        // Clones share running statistics.
        let network = network.fork(&under_test().autodiff());
        let mut options = Options { network, ..Options::new(3, folder.path()) };
        options.training.controller = None;
        options.training.rep_optimizer = rep_optimizer;
        options.training.optimizer = optimizer(options.training.optimizer);
        let record = options.run().unwrap().record;
        record.epochs.iter().flat_map(|epoch| [epoch.loss, epoch.valid_loss]).collect()
    })
}

fn off(got: &[f64], want: &[f64]) -> f64 {
    let each = got.iter().zip(want).map(|(got, want)| (got - want).abs() / want);
    each.fold(0.0, f64::max)
}

#[test]
fn a_run_is_that_of_its_blocks() {
    let _alone = alone();
    let sgd = |clip_norm: Option<f64>, accumulate| {
        move |config| OptimizerConfig {
            learning_rate: 0.01,
            weight_decay: 1e-2,
            ema_decay: Some(0.9),
            clip_norm,
            accumulate,
            ..config
        }
    };
    let adamw = |config| OptimizerConfig {
        method: Method::AdamW { betas: [0.9, 0.99], epsilon: 1e-8 },
        learning_rate: 1e-3,
        weight_decay: 1e-2,
        ..config
    };
    for (what, [blocks, multiplied, plain]) in [
        ("sgd", losses(sgd(None, 1))),
        ("clipped, accumulated", losses(sgd(Some(1.0), 2))),
        ("adamw", losses(adamw)),
    ] {
        let found = off(&multiplied, &blocks);
        let control = off(&plain, &blocks);
        assert!(found < allowed(LOSS), "{what}: {multiplied:?} instead of {blocks:?}");
        // The control: without multipliers it is another run.
        assert!(control > 20.0 * LOSS, "{what}: {plain:?} and {blocks:?}");
    }
}

/// In half precision, with accumulation, clipping and an average, too.
#[test]
fn a_resumed_run_is_the_whole_one() {
    let _alone = alone();
    let run = |folder: &Path, epochs, resume| {
        let (scales, blocks) = with_blocks();
        let network = scales.fused(blocks).fork(&under_test().autodiff());
        let mut options = Options { network, resume, ..Options::new(4, folder) };
        options.training.epochs = epochs;
        options.training.controller = None;
        options.training.rep_optimizer = Some(RepOptimizer::Multiplied(scales));
        options.training.precision = Precision::F16;
        options.training.optimizer = OptimizerConfig {
            accumulate: 2,
            clip_norm: Some(1.0),
            ema_decay: Some(0.9),
            ..options.training.optimizer
        };
        options.run().unwrap()
    };
    let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let want = run(whole.path(), 4, false);
    run(parts.path(), 1, false);
    run(parts.path(), 3, true);
    assert_same_bits(&run(parts.path(), 4, true).network, &want.network);
}

fn recipe(changes: &[&str]) -> Recipe {
    let small = ["schedule.epochs=2", "model.width=8", "strategy.name=repoptimizer"];
    let changes = small.iter().chain(changes).map(|change| change.parse().unwrap());
    Recipe::builtin("digits_quick", &changes.collect::<Vec<_>>()).unwrap()
}

fn train(plan: Plan, folder: &Path, resume: bool) -> Result<Ended<Model>, TrainError> {
    let run = Run {
        training: plan.training,
        network: plan.network,
        train: plan.train,
        validation: plan.validation,
        devices: &[under_test()],
        folder: folder.to_owned(),
        resume,
        interrupter: Interrupter::new(),
        disk: SystemDisk::shared(),
        dashboard: false,
        progress: Box::new(Silent),
    };
    run.train()
}

/// A search leaves its scales in its folder; another run has them as constants, keeps them, and goes on without the file.
#[test]
fn constants_are_searched_and_kept() {
    let _alone = alone();
    let [search, folder, other] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let plan = Plan::new(&recipe(&["strategy.search=true"]), &[under_test()]).unwrap();
    let initial = Scales::of_blocks(&plan.network).unwrap();
    assert!(layers(&plan.network).iter().filter(|(_, layer)| !layer.is_plain()).count() == 17);
    let ended = train(plan, search.path(), false).unwrap();
    let file = search.path().join("scales.json");
    let chosen = Selection::default();
    let found = Scales::open(&file, &network_of(&[]), &chosen).unwrap();
    assert_eq!(found, Scales::of_blocks(&ended.network).unwrap());
    assert_ne!(found, initial, "they are learnt");

    let scales = format!("strategy.scales={}", file.display());
    let of = |epochs: &str| recipe(&[&scales, epochs]);
    let plan = |epochs| Plan::new(&of(epochs), &[under_test()]).unwrap();
    let want = train(plan("schedule.epochs=3"), other.path(), false).unwrap();
    let mut first = plan("schedule.epochs=3");
    first.training.epochs = 1;
    train(first, folder.path(), false).unwrap();
    std::fs::remove_file(&file).unwrap();
    let record = RunRecord::load(&RunRecord::path(folder.path())).unwrap();
    let resuming =
        |folder: &Path| Plan::resuming(&of("schedule.epochs=3"), &[under_test()], folder, &record);
    let got = train(resuming(folder.path()).unwrap(), folder.path(), true).unwrap();
    assert_same_bits(&got.network, &want.network);
    // Its folder is its own as long as it is there.
    drop(got);

    // Other constants are another run.
    let mut plan = resuming(folder.path()).unwrap();
    plan.training.rep_optimizer =
        Some(RepOptimizer::Multiplied(Scales::initial(&plan.network, &chosen).unwrap()));
    let error = train(plan, folder.path(), true).unwrap_err().to_string();
    assert!(error.contains("other scales of its blocks"), "{error}");
    // Without the file and the copy it cannot go on.
    std::fs::remove_file(folder.path().join("scales.json")).unwrap();
    let error = resuming(folder.path()).unwrap_err().to_string();
    assert!(error.contains("scales.json: cannot be read"), "{error}");
}

fn network_of(changes: &[&str]) -> Model {
    Plan::new(&recipe(changes), &[under_test()]).unwrap().network
}

/// By default those that a search starts from: √(2 / i) at place i of a stage; for chosen convolutions alone.
#[test]
fn constants_by_default() {
    let _alone = alone();
    let scales = Scales::initial(&network_of(&[]), &Selection::default()).unwrap();
    let root = |i: f64| (2.0 / i).sqrt() as f32;
    for (path, want, identity) in [
        ("conv1", 1.0, false),
        ("layer1.0.conv1", root(1.0), true),
        ("layer1.0.conv2", root(2.0), true),
        ("layer1.1.conv2", root(4.0), true),
        ("layer2.0.conv1", 1.0, false),
        ("layer2.0.conv2", root(1.0), true),
    ] {
        let own = scales.layer(path).unwrap();
        assert_eq!(own.kxk, ScaleValues::One(want), "{path}");
        assert_eq!((&own.kxk, own.identity.is_some()), (&own.pointwise, identity), "{path}");
    }
    assert!(scales.layer("layer2.0.downsample.0").is_none());
    // What starts as the blocks would is not what starts plain, but where nothing is chosen.
    let only = r#"strategy.only={matching=["^layer4"]}"#;
    let [all, some] = [network_of(&[]), network_of(&[only])];
    let plain = Recipe::builtin(
        "digits_quick",
        &["model.width=8".parse().unwrap(), "strategy.name=plain".parse().unwrap()],
    );
    let plain = Plan::new(&plain.unwrap(), &[under_test()]).unwrap().network;
    let paths = |network: &Model| bits(network).into_iter().map(|(path, _)| path);
    assert!(paths(&all).eq(paths(&plain)), "nothing is there that a plain network has not");
    let spread = |network: &Model, path: &str| {
        let weight = bits(network).into_iter().find(|(name, _)| name == path).unwrap().1;
        let squares = weight.iter().map(|bits| f64::from(f32::from_bits(*bits)).powi(2));
        (squares.sum::<f64>() / weight.len() as f64).sqrt()
    };
    for (network, path, grows) in [
        (&all, "layer1.0.conv1.weight", true),
        (&some, "layer1.0.conv1.weight", false),
        (&some, "layer4.1.conv1.weight", true),
    ] {
        let ratio = spread(network, path) / spread(&plain, path);
        assert_eq!(ratio > 1.2, grows, "{path}: {ratio}");
    }
}

#[test]
fn files_that_are_no_scales() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.json");
    let told = |text: &str, want: &str| {
        std::fs::write(&file, text).unwrap();
        let scales = format!("strategy.scales={}", file.display());
        let error = Plan::new(&recipe(&[&scales]), &[under_test()]).unwrap_err().to_string();
        assert!(error.starts_with(&file.display().to_string()), "{error}");
        assert!(error.contains(want), "{error}");
    };
    told("", "expected a file of scales");
    told("{\"layers\":{}}", "missing field `version`");
    told("{\"version\":2,\"layers\":{}}", "version 2, expected 1");
    told("{\"version\":1,\"layers\":{}}", "it has no scales for layer `conv1`");
    told(
        "{\"version\":1,\"layers\":{\"conv1\":{\"kxk\":1,\"1x1\":1,\"bn\":1}}}",
        "unknown field `bn`",
    );
    told("{\"version\":1,\"layers\":{\"conv1\":{\"kxk\":\"a\",\"1x1\":1}}}", "expected a file");
}
