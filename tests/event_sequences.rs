//! Random networks through random sequences of at least ten growths and cuts, led by controllers of every kind.
//!
//! Over a whole sequence the function at inference stays, the log replays to the structure that the model has,
//! no optimiser state is orphaned and none is lost, and a second run gives the same ids and values.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use burn::module::Module;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{ModuleOptimizer, SgdConfig};
use burn::tensor::Tensor;
use dyrep_burn::{
    Branches, Budget, Controller, ControllerConfig, CutRule, EventLog, Fidelity, InputSizes,
    NormRule, Preset, Score, Structure, prune_optimizer,
};
use dyrep_tests::close::relative_difference;
use dyrep_tests::device::allowed;
use dyrep_tests::network::{Network, random_gradients};
use dyrep_tests::params;
use dyrep_tests::random::{self, Draw};
use dyrep_tests::under_test;

/// Of the largest output, over a whole sequence. The largest movement over the cases below is 4e-7.
const TOLERANCE: f64 = 5e-6;
const SEQUENCES: u64 = 40;
const EVENTS: usize = 10;

fn config(draw: &mut Draw) -> ControllerConfig {
    let presets = [Preset::DyRep, Preset::Dbb, Preset::AcNet, Preset::RepVgg];
    let preset = presets[draw.between(0, 3)];
    // Without training new branches stay as strong as each other, and thresholds soon have nothing to cut.
    let cut_rule = match draw.between(0, 4) {
        0 | 1 => CutRule::TopK { keep: draw.between(0, 3) },
        2 | 3 => CutRule::Budget(Budget { flops: Some(1.2), params: None }),
        _ => CutRule::Threshold { min_deviation: 1e-9, max_ratio: 10.0, lone: true },
    };
    ControllerConfig {
        score: Score::ALL[draw.between(0, Score::ALL.len() - 1)],
        per_weight: draw.chance(50),
        branches: if draw.chance(30) { Branches::Online(preset) } else { preset.into() },
        growths: draw.between(1, 3),
        max_depth: draw.between(2, 3),
        calibration_batches: 2,
        norm_rule: NormRule::ALL[draw.between(0, 1)],
        cut_rule,
        fidelity: if draw.chance(75) { Fidelity::Mended } else { Fidelity::Published },
        seed: 11,
        ..ControllerConfig::default()
    }
}

fn optimizer() -> ModuleOptimizer {
    ModuleOptimizer::from(SgdConfig::new().with_momentum(Some(MomentumConfig::new())).build())
}

fn batch(number: usize) -> Tensor<4> {
    Network::batch(&mut Draw::new(1000 + number as u64), &under_test())
}

/// One sequence; returns the network and the number of changes.
fn sequence(draw: &mut Draw, check: bool) -> (Network, usize) {
    let device = under_test().autodiff();
    let net = Network::random(draw, 60, &under_test());
    let mut net = random::scramble(net, draw).train();
    let config = config(draw);
    let mut controller = Controller::new(config.clone()).unwrap();
    let mut optimizer = optimizer();
    let input = Network::batch(draw, &under_test());
    let outputs = |net: &Network| net.valid().forward(input.clone());
    let (start, before) = (Structure::of(&net), outputs(&net));
    for epoch in 1..=30 {
        let gradients = random_gradients(&net, draw);
        controller.observe(&net, &gradients);
        // Steps of size zero: the optimiser gets its state, the function stays.
        net = optimizer.step(0.0, net, gradients);
        let ids_before: BTreeSet<u64> = params::trainable_ids(&net).into_values().collect();
        assert_eq!(optimizer.to_record().len(), ids_before.len());
        let run = |net: &Network, i: usize| drop(net.forward(batch(i)));
        controller.adjust(&mut net, &mut optimizer, epoch, run).unwrap();
        if check {
            let difference = relative_difference(outputs(&net), before.clone());
            assert!(
                difference <= allowed(TOLERANCE),
                "{difference:.1e} after epoch {epoch}: {config:?}"
            );
            let ids: BTreeSet<u64> = params::trainable_ids(&net).into_values().collect();
            let kept = optimizer.to_record().len();
            assert_eq!(kept, ids.intersection(&ids_before).count(), "survivors keep their state");
            assert_eq!(prune_optimizer(&mut optimizer, &net).unwrap(), 0, "nothing is orphaned");
            assert!(params::trainable(&net), "what grew, and what is left, trains");
            let log = controller.log().unwrap();
            assert_eq!(log.start(), &start);
            assert_eq!(log.replay().unwrap(), Structure::of(&net));
        }
        if controller.events().count() >= EVENTS {
            break;
        }
    }
    if check {
        check_log(&controller, &net);
        // The control: other parameters are another function.
        let other = random::scramble(net.valid(), draw);
        assert!(relative_difference(other.forward(input), before) > allowed(100.0 * TOLERANCE));
    }
    let net = net.to_device(&device);
    (net, controller.events().count())
}

fn check_log(controller: &Controller, net: &Network) {
    let log = controller.log().unwrap();
    let read = EventLog::from_json(&log.to_json()).unwrap();
    assert_eq!(read.replay().unwrap(), Structure::of(net));
    // Costs are those of the structures in between, and each begins where the last one ended.
    let sizes = InputSizes::measure(net, |net| drop(net.forward(batch(0))));
    let mut structure = log.start().clone();
    for (number, event) in log.events().enumerate() {
        assert_eq!(event.number, number as u64);
        assert_eq!(event.before, sizes.cost(&structure));
        event.change.apply(&mut structure).unwrap();
        assert_eq!(event.after, sizes.cost(&structure));
    }
    assert_eq!(log.structure_after(0).unwrap(), *log.start());
}

#[test]
fn long_sequences_keep_function_log_and_optimiser_together() {
    let long = std::cell::Cell::new(0);
    random::for_all(SEQUENCES, |draw| {
        let (_, events) = sequence(draw, true);
        long.set(long.get() + u64::from(events >= EVENTS));
    });
    // A network with little to grow, few kernels larger than 1×1 say, runs out of events.
    assert!(long.get() >= SEQUENCES * 4 / 5, "{} of {SEQUENCES} had {EVENTS} events", long.get());
}

#[test]
fn a_second_run_gives_the_same_ids_and_values() {
    for number in 0..6 {
        let twice = [0, 1].map(|_| {
            // Ids of the plain network are drawn anew: only what grew is a function of the seed.
            let (net, _) = sequence(&mut Draw::new(number), false);
            let ids: Vec<u64> = params::ids(&net)
                .into_iter()
                .filter(|(path, _)| path.contains(".1x") || path.contains(".kx1"))
                .map(|(_, id)| id)
                .collect();
            (params::read(&net.valid()), ids)
        });
        assert_eq!(twice[0], twice[1], "sequence {number}");
    }
}
