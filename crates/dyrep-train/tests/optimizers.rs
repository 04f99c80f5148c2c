//! Every optimiser under changes of structure: what is left keeps its state, what is gone leaves none.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn_pack::Reader;
use common::{METHODS, Options, assert_same_bits};
use dyrep_burn::{Controller, ControllerConfig, CutRule, prune_optimizer};
use dyrep_tests::network::{Network, random_gradients};
use dyrep_tests::random::Draw;
use dyrep_tests::{params, random, under_test};
use dyrep_train::{Groups, OptimizerConfig};

/// What an optimiser remembers: for each parameter's id the tensors, by name, as bytes, and the numbers.
type Remembered = BTreeMap<u64, BTreeMap<String, Vec<u8>>>;

fn remembered(optimizer: &ModuleOptimizer) -> Remembered {
    let reader = Reader::from_bytes(optimizer.into_bytes().unwrap()).unwrap();
    let mut found = Remembered::new();
    let mut note = |name: &str, value: Vec<u8>| {
        let (id, what) = name.split_once('.').unwrap();
        found.entry(id.parse().unwrap()).or_default().insert(what.to_owned(), value);
    };
    for (name, value) in reader.scalars() {
        note(name, format!("{value:?}").into_bytes());
    }
    for tensor in reader.into_tensors().unwrap() {
        let (name, _, _, _, bytes) = tensor.into_parts().unwrap();
        note(&name, bytes.to_vec());
    }
    found
}

/// Grows and cuts until both have happened some times.
fn sequence(config: &OptimizerConfig, draw: &mut Draw) {
    let net = Network::random(draw, 0, &under_test());
    let mut net = random::scramble(net, draw).train();
    let mut controller = Controller::new(ControllerConfig {
        interval: 1,
        calibration_batches: 2,
        cut_rule: CutRule::TopK { keep: 2 },
        ..ControllerConfig::default()
    })
    .unwrap();
    let mut optimizer = Groups::default().optimizer(config);
    let (mut gone, mut new) = (0, 0);
    for epoch in 1..=8 {
        let gradients = random_gradients(&net, draw);
        controller.observe(&net, &gradients);
        net = optimizer.step(1e-3, net, gradients);
        let before = remembered(&optimizer);
        let ids =
            |net: &Network| -> BTreeSet<u64> { params::trainable_ids(net).into_values().collect() };
        assert_eq!(before.keys().copied().collect::<BTreeSet<_>>(), ids(&net));
        let run = |net: &Network, i: usize| {
            let input = Network::batch(&mut Draw::new(1000 + i as u64), &under_test());
            drop(net.forward(input));
        };
        controller.adjust(&mut net, &mut optimizer, epoch, run).unwrap();
        let (after, now) = (remembered(&optimizer), ids(&net));
        let survivors: Vec<_> = before.keys().filter(|id| now.contains(id)).collect();
        assert_eq!(after.keys().collect::<Vec<_>>(), survivors, "none is orphaned, none is lost");
        for id in survivors {
            assert_eq!(after[id], before[id], "a survivor's state stays to the bit");
        }
        assert_eq!(prune_optimizer(&mut optimizer, &net).unwrap(), 0);
        gone += before.keys().filter(|id| !now.contains(id)).count();
        new += now.iter().filter(|id| !before.contains_key(id)).count();
    }
    assert!(gone > 0 && new > 0, "{config:?}: {gone} parameters went, {new} came");
}

#[test]
fn no_state_is_orphaned_and_none_is_lost() {
    for method in METHODS {
        for decay_norms_and_biases in [false, true] {
            let config =
                OptimizerConfig { method, decay_norms_and_biases, ..OptimizerConfig::imagenet() };
            sequence(&config, &mut Draw::new(7));
        }
    }
}

/// Accumulation, clipping and the average of weights go with each, and a resumed run is the whole one.
#[test]
fn every_optimizer_goes_on_to_the_bit() {
    for method in METHODS {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let run = |folder: &tempfile::TempDir, epochs, resume| {
            let mut options = Options::new(5, folder.path());
            let training = &mut options.training;
            training.epochs = epochs;
            training.optimizer = OptimizerConfig {
                method,
                learning_rate: 0.005,
                accumulate: 2,
                clip_norm: Some(1.0),
                ema_decay: Some(0.9),
                ..training.optimizer.clone()
            };
            Options { resume, ..options }.run().unwrap()
        };
        let want = run(&folders[0], 5, false);
        assert!(want.log.as_ref().unwrap().events().count() >= 2, "nothing grew");
        for epochs in [1, 3] {
            run(&folders[1], epochs, epochs > 1);
        }
        let got = run(&folders[1], 5, true);
        assert_same_bits(&got.network, &want.network);
        let losses = |run: &dyrep_train::Ended<dyrep_models::ResNet>| -> Vec<f64> {
            run.record.epochs.iter().map(|epoch| epoch.loss).collect()
        };
        assert_eq!(losses(&got), losses(&want));
    }
}

#[test]
fn every_optimizer_learns() {
    for (method, rate) in METHODS.into_iter().zip([0.05, 0.01, 0.01, 0.01, 0.05]) {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(8, folder.path());
        options.training.optimizer.method = method;
        options.training.optimizer.learning_rate = rate;
        options.training.controller = None;
        let epochs = options.run().unwrap().record.epochs;
        let losses: Vec<f64> = epochs.iter().map(|epoch| epoch.loss).collect();
        assert!(losses[7] < 0.9 * losses[0], "{method:?}: {losses:?}");
    }
}
