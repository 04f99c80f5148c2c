//! The two rules for the batch norm of `kxk`, where no batch norm follows the layer.
//!
//! The neutral rule keeps outputs in evaluation and in training mode, up to rounding, on a batch like those it
//! was calibrated on; the published rule keeps the former alone.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use burn::module::Module;
use burn::tensor::Tensor;
use dyrep_burn::{
    AdjustOptions, Calibration, NormRule, Preset, RepConv2d, block_ratios, cut, grow, layers,
};
use dyrep_tests::close::relative_difference;
use dyrep_tests::device::allowed;
use dyrep_tests::network::Network;
use dyrep_tests::random::{self, Draw};
use dyrep_tests::under_test;

/// Of the largest output. Over the cases below the neutral rule moves a layer's outputs by 5e-7, a network's by
/// 3e-6 at most.
const ROUNDING: f64 = 1e-5;
/// What the published rule moves outputs by in training mode, at least; over the cases below 0.4 to 4.
const MOVED: f64 = 0.2;

#[test]
fn a_layer_keeps_its_outputs_in_training_mode() {
    let device = under_test().autodiff();
    random::for_all(30, |draw| {
        let geometry = random::geometry(draw);
        let plain = random::scramble(random::plain(&geometry, true, &under_test()), draw).train();
        let shape = [8, geometry.in_channels(), 12 + geometry.span()[0], 12 + geometry.span()[1]];
        let batch = draw.data(&shape, -1.0, 1.0);
        let before = plain.forward(Tensor::from_data(batch.clone(), &device));
        let moved = NormRule::ALL.map(|norm_rule| {
            let mut run = |model: &RepConv2d, _: usize| {
                drop(model.forward(Tensor::from_data(batch.clone(), &under_test())));
            };
            let options = AdjustOptions { norm_rule, ..AdjustOptions::default() };
            let mut calibration = Calibration::new(1, &mut run);
            let grown = grow(&plain, "", &Preset::DyRep.into(), &options, &mut calibration);
            let after = grown.unwrap().forward(Tensor::from_data(batch.clone(), &device));
            relative_difference(after, before.clone())
        });
        assert!(moved[1] < allowed(ROUNDING), "neutral moved by {:.1e} for {geometry}", moved[1]);
        assert!(moved[0] > MOVED, "published moved by {:.1e} only for {geometry}", moved[0]);
    });
}

/// Largest movements of a network's outputs, `[evaluation, training]`, over growing every convolution that can
/// grow, then the first ones inside, then cutting half of each block's branches.
fn movements(net: &Network, batch: &Tensor<4>, norm_rule: NormRule) -> [f64; 2] {
    let training = batch.clone().autodiff();
    let outputs = |net: &Network| {
        // Evaluation first, and both on copies: training moves running statistics.
        let evaluated = net.valid().forward(batch.clone());
        [evaluated, net.valid().train().forward(training.clone()).inner()]
    };
    let before = outputs(net);
    let mut most = [0.0, 0.0];
    let mut net = net.clone();
    let mut settle = |net: &Network| {
        for (i, (got, want)) in outputs(net).into_iter().zip(before.clone()).enumerate() {
            most[i] = relative_difference(got, want).max(most[i]);
        }
    };
    let mut run = |net: &Network, _: usize| drop(net.forward(batch.clone()));
    let mut calibration = Calibration::new(1, &mut run);
    let paths: Vec<String> = layers(&net).into_iter().map(|(path, _)| path).collect();
    let nested = paths
        .iter()
        .take(2)
        .flat_map(|path| ["kxk.conv", "1x1_kxk.conv2"].map(|inner| format!("{path}.{inner}")));
    for (event, path) in (0..).zip(paths.iter().cloned().chain(nested)) {
        let options = AdjustOptions { norm_rule, event, ..AdjustOptions::default() };
        net = grow(&net, &path, &Preset::DyRep.into(), &options, &mut calibration).unwrap();
        settle(&net);
    }
    for path in &paths {
        let blocks = block_ratios(&net);
        let block = blocks.iter().find(|block| block.path == *path).unwrap();
        let kinds: Vec<_> = block.ratios.iter().step_by(2).map(|(kind, _)| *kind).collect();
        let options = AdjustOptions { norm_rule, ..AdjustOptions::default() };
        net = cut(&net, path, &kinds, &options, &mut calibration).unwrap();
        settle(&net);
    }
    most
}

#[test]
fn a_network_without_norms_keeps_its_outputs_by_the_neutral_rule() {
    random::for_all(12, |draw| {
        let net = Network::random(draw, 0, &under_test());
        let net = random::scramble(net, draw).train();
        let batch = Network::batch(draw, &under_test());
        let [evaluation, training] = movements(&net, &batch, NormRule::Neutral);
        assert!(evaluation < allowed(ROUNDING), "neutral, evaluation: {evaluation:.1e}");
        assert!(training < allowed(ROUNDING), "neutral, training: {training:.1e}");
        let [evaluation, training] = movements(&net, &batch, NormRule::Published);
        assert!(evaluation < allowed(ROUNDING), "published, evaluation: {evaluation:.1e}");
        assert!(training > MOVED, "published, training: {training:.1e} only");
    });
}

/// The control: on a batch of another kind than the calibration's the neutral rule moves outputs too.
#[test]
fn neutrality_is_that_of_the_calibration_batches() {
    let draw = &mut Draw::new(5);
    let net = random::scramble(Network::random(draw, 0, &under_test()), draw).train();
    let batch = Network::batch(draw, &under_test());
    let mut run = |net: &Network, _: usize| drop(net.forward(batch.clone() * 3.0 + 1.0));
    let mut calibration = Calibration::new(1, &mut run);
    let options = AdjustOptions { norm_rule: NormRule::Neutral, ..AdjustOptions::default() };
    let path = &layers(&net)[0].0;
    let grown = grow(&net, path, &Preset::DyRep.into(), &options, &mut calibration).unwrap();
    let [before, after] =
        [net, grown].map(|net| net.valid().train().forward(batch.clone().autodiff()).inner());
    assert!(relative_difference(after, before) > allowed(100.0 * ROUNDING));
}
