//! Law 2: growing and cutting leave the function at inference unchanged.
//!
//! Random layers go through random sequences of growths and cuts, at any depth and by both rules; between
//! two changes every parameter and statistic gets a random value, as training would give it.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use burn::module::Module;
use burn::tensor::Tensor;
use dyrep_burn::ops::{Kernels, with_kernels};
use dyrep_burn::{
    AdjustOptions, BranchName, Branches, Calibration, Form, NormRule, Preset, RepConv2d, Structure,
    cut, grow,
};
use dyrep_tests::close::relative_difference;
use dyrep_tests::device::allowed;
use dyrep_tests::params;
use dyrep_tests::random::{self, Draw};
use dyrep_tests::under_test;

/// Of the largest output, for one change. The largest difference over the cases below is 5e-7.
const TOLERANCE: f64 = 5e-6;
const SEQUENCES: u64 = 120;
const CHANGES: usize = 5;

fn change(layer: &RepConv2d, draw: &mut Draw, event: u64, batch: &Tensor<4>) -> RepConv2d {
    let mut run = |model: &RepConv2d, _: usize| drop(model.forward(batch.clone()));
    random::change(layer, draw, event, &mut Calibration::new(2, &mut run), Branches::from)
}

#[test]
fn growing_and_cutting_keep_the_function() {
    check_changes(SEQUENCES);
    with_kernels(Kernels::Composed, || check_changes(SEQUENCES / 4));
}

fn check_changes(sequences: u64) {
    let device = under_test();
    random::for_all(sequences, |draw| {
        let geometry = random::geometry(draw);
        let mut layer = random::plain(&geometry, draw.chance(50), &device);
        let input = random::input(draw, &geometry, &device);
        let batch = random::input(draw, &geometry, &device);
        for event in 0..CHANGES as u64 {
            layer = random::scramble(layer, draw);
            let before = layer.forward(input.clone());
            let changed = change(&layer, draw, event, &batch);
            let difference = relative_difference(changed.forward(input.clone()), before.clone());
            assert!(
                difference <= allowed(TOLERANCE),
                "{difference:.1e} at change {event} for {geometry}: {} → {}",
                layer.form(),
                changed.form()
            );
            // The control: a changed layer with other parameters is another function.
            let other = random::scramble(changed.valid(), draw);
            let control = relative_difference(other.forward(input.clone()), before);
            assert!(control > allowed(100.0 * TOLERANCE), "control: {control:.1e}");
            // Law 5 across the change.
            let structure = Structure::of(&changed);
            assert_eq!(Structure::from_json(&structure.to_json()).unwrap(), structure);
            layer = changed;
        }
    });
}

#[test]
fn replicas_grow_the_same_ids_and_values() {
    let device = under_test().autodiff();
    let geometry = random::geometry(&mut Draw::new(3));
    let batch = random::input(&mut Draw::new(4), &geometry, &under_test());
    let layer = random::plain(&geometry, false, &device);
    let replica = layer.clone().fork(&device);
    let grown = [layer, replica].map(|layer| {
        let mut run = |model: &RepConv2d, _: usize| drop(model.forward(batch.clone()));
        let options = AdjustOptions { seed: 1, event: 9, ..AdjustOptions::default() };
        let mut calibration = Calibration::new(3, &mut run);
        grow(&layer, "", &Preset::DyRep.into(), &options, &mut calibration).unwrap()
    });
    assert_eq!(params::read(&grown[0]), params::read(&grown[1]));
    let [first, second] = grown.each_ref().map(params::ids);
    assert_eq!(first, second);
    let [flags, others] = grown.each_ref().map(params::flags);
    assert!(!flags.is_empty() && flags == others, "whether a norm trains has an id too");
    let distinct: BTreeSet<_> = first.values().chain(&flags).collect();
    assert_eq!(distinct.len(), first.len() + flags.len(), "no two parameters share an id");
    assert!(params::trainable(&grown[0]), "what grows trains");
}

#[test]
fn a_block_cut_to_nothing_is_a_plain_convolution_with_a_bias() {
    let device = under_test();
    random::for_all(60, |draw| {
        let geometry = random::geometry(draw);
        let form = random::form(draw, &geometry, 1);
        let layer = random::scramble(random::layer(&geometry, &form, &device), draw);
        let input = random::input(draw, &geometry, &device);
        let before = layer.forward(input.clone());
        let kinds: Vec<BranchName> =
            layer.block().unwrap().others().iter().map(dyrep_burn::Branch::name).collect();
        let mut run = |_: &RepConv2d, _: usize| unreachable!("a plain result needs no calibration");
        let mut calibration = Calibration::new(0, &mut run);
        let options = AdjustOptions { norm_rule: NormRule::Neutral, ..AdjustOptions::default() };
        let plain = cut(&layer, "", &kinds, &options, &mut calibration).unwrap();
        assert_eq!(plain.form(), Form::Plain { bias: true });
        let difference =
            relative_difference(plain.forward(input.clone()), layer.forward(input.clone()));
        assert!(difference <= allowed(TOLERANCE), "{difference:.1e} for {geometry}: {form}");
        // The same while training: what was cut trains on, also a bias that was not there before.
        let options = AdjustOptions::default();
        let plain = cut(&layer.train(), "", &kinds, &options, &mut calibration).unwrap();
        assert!(params::trainable(&plain));
        let difference = relative_difference(plain.valid().forward(input.clone()), before.clone());
        assert!(
            difference <= allowed(TOLERANCE),
            "training: {difference:.1e} for {geometry}: {form}"
        );
    });
}
