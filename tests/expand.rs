//! Expanding: blocks that compute what the convolution computed, in evaluation and in training mode, without data.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use burn::module::Module;
use burn::tensor::Tensor;
use dyrep_burn::{
    AdjustError, AdjustOptions, BranchKind, Branches, Preset, RepConv2d, Structure, deploy, expand,
    layers,
};
use dyrep_tests::close::relative_difference;
use dyrep_tests::device::allowed;
use dyrep_tests::params::{read, scatter};
use dyrep_tests::random::{self, Draw};
use dyrep_tests::under_test;

/// Of the largest output. Measured: 3e-7 in float32.
const ROUNDING: f64 = 1e-5;
/// What branches that have learnt must add, at least.
const MOVED: f64 = 1e-2;

fn presets() -> impl Iterator<Item = Preset> {
    Preset::ALL.into_iter().filter(|preset| *preset != Preset::Plain)
}

#[test]
fn a_layer_keeps_its_outputs_in_both_modes() {
    let device = under_test().autodiff();
    let blocks = AtomicUsize::new(0);
    random::for_all(20, |draw| {
        let geometry = random::geometry(draw);
        let plain = random::scramble(random::plain(&geometry, true, &under_test()), draw).train();
        let shape = [4, geometry.in_channels(), 10 + geometry.span()[0], 10 + geometry.span()[1]];
        let batch = draw.data(&shape, -1.0, 1.0);
        let input = || Tensor::<4>::from_data(batch.clone(), &device);
        let want = plain.valid().forward(input().inner());
        for preset in presets() {
            let options = AdjustOptions::default();
            let expanded = expand(&plain, [""], &preset.into(), &options).unwrap();
            let far = |got: Tensor<4>| relative_difference(got, want.clone());
            // Twice: what a norm remembers of the first batch does not matter either.
            for _ in 0..2 {
                let trained = far(expanded.forward(input()).inner());
                assert!(trained < allowed(ROUNDING), "{preset}, {geometry}: {trained:.1e}");
            }
            let evaluated = far(expanded.valid().forward(input().inner()));
            assert!(evaluated < allowed(ROUNDING), "{preset}, {geometry}: {evaluated:.1e}");
            let deployed = far(deploy(&expanded).forward(input().inner()));
            assert!(deployed < allowed(ROUNDING), "{preset}, {geometry}: {deployed:.1e}");
            if expanded.is_plain() {
                continue;
            }
            blocks.fetch_add(1, Ordering::Relaxed);
            // What ends branches learns from the first step on.
            let gradients = expanded.forward(input()).powi_scalar(2).sum().backward();
            let RepConv2d::Block(block) = &expanded else { unreachable!() };
            for branch in block.branches() {
                let learns = match (branch.norm(), branch.scale()) {
                    (Some(norm), _) => norm.gamma.val().grad(&gradients).is_some(),
                    (None, _) => true,
                };
                assert!(learns, "{preset}, {geometry}: {}", branch.name());
            }
            // Constants and what ends in nothing have no gain.
            if [Preset::Csla, Preset::QaRepVgg, Preset::QaRepVggV2, Preset::RepVit]
                .contains(&preset)
            {
                continue;
            }
            // The control: with gains that are not 0 the block is another function.
            let learnt = scatter(expanded, |name| {
                (name == "gamma" || name == "scale").then_some((1.0, 0.5))
            });
            let moved = relative_difference(learnt.valid().forward(input().inner()), want.clone());
            assert!(moved > MOVED, "{preset}, {geometry}: {moved:.1e}");
        }
    });
    assert!(blocks.into_inner() > 50);
}

#[test]
fn the_same_seed_gives_the_same_blocks() {
    let mut draw = Draw::new(3);
    let geometry = random::geometry(&mut draw);
    let plain = random::scramble(random::plain(&geometry, true, &under_test()), &mut draw);
    let expanded = |seed| {
        let options = AdjustOptions { seed, ..AdjustOptions::default() };
        expand(&plain, [""], &Preset::DyRep.into(), &options).unwrap()
    };
    assert_eq!(Structure::of(&expanded(1)), Structure::of(&expanded(2)));
    assert_eq!(read(&expanded(1)), read(&expanded(1)));
    assert_ne!(read(&expanded(1)), read(&expanded(2)));
    // The given layer stays as it is.
    assert!(plain.is_plain());
    assert!(layers(&expanded(1)).iter().all(|(_, layer)| !layer.is_plain()));
}

#[test]
fn what_cannot_be_expanded_is_named() {
    let mut draw = Draw::new(4);
    let geometry = random::geometry(&mut draw);
    let plain = random::plain(&geometry, true, &under_test());
    let options = AdjustOptions::default();
    let dbb = Branches::from(Preset::Dbb);
    let error = expand(&plain, ["conv1"], &dbb, &options).unwrap_err();
    assert!(matches!(error, AdjustError::NoSuchLayer { .. }), "{error}");
    let block = expand(&plain, [""], &dbb, &options).unwrap();
    let error = expand(&block, [""], &dbb, &options).unwrap_err();
    assert!(matches!(error, AdjustError::AlreadyGrown { .. }), "{error}");
    let named = Branches::from([BranchKind::KXK, BranchKind::smaller([99, 99], 1).unwrap()]);
    let error = expand(&block, ["kxk.conv"], &named, &options).unwrap_err();
    assert!(matches!(error, AdjustError::Branch { .. }), "{error}");
    assert!(error.to_string().starts_with("the convolution at `kxk.conv`: "), "{error}");
    // What is nested can be: a block in a block.
    let nested = expand(&block, ["kxk.conv"], &dbb, &options).unwrap();
    assert_ne!(Structure::of(&nested), Structure::of(&block));
}
