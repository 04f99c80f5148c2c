//! What the scores mean: the trap of `synflow`, what division by weights does, and that `branch_gain` is the
//! gradient norm that it says it is.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use dyrep_burn::{
    AdjustOptions, Calibration, Controller, ControllerConfig, NormRule, Preset, RepConv2d,
    RepConv2dConfig, Score, grow,
};
use dyrep_tests::device::allowed;
use dyrep_tests::params;
use dyrep_tests::random::{self, Draw};
use dyrep_tests::under_test;

/// Two convolutions of different size, the first of which may be followed by a norm.
#[derive(Module, Debug)]
struct Net {
    first: RepConv2d,
    norm: Option<BatchNorm>,
    second: RepConv2d,
}

impl Net {
    fn new(with_norm: bool) -> Self {
        let device = under_test();
        let conv = |channels| {
            RepConv2dConfig::new(channels, [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(&device)
        };
        let norm = with_norm.then(|| BatchNormConfig::new(4).init(&device));
        let net = Self { first: conv([2, 4]), norm, second: conv([4, 12]) };
        let net = random::scramble(net, &mut Draw::new(8)).train();
        // Running statistics become the batch's: evaluation and training mode then see the same.
        for _ in 0..200 {
            let _value = net.forward(batch(&device.clone().autodiff()));
        }
        net
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut x = self.first.forward(input);
        if let Some(norm) = &self.norm {
            x = norm.forward(x);
        }
        self.second.forward(relu(x))
    }

    fn loss(&self) -> Tensor<1> {
        let weights = Draw::new(2).data(&[8, 12, 9, 9], -1.0, 1.0);
        let output = self.forward(batch(&under_test().autodiff()));
        (output * Tensor::from_data(weights, &under_test().autodiff())).sum()
    }
}

fn batch(device: &Device) -> Tensor<4> {
    Tensor::from_data(Draw::new(1).data(&[8, 2, 9, 9], -1.0, 1.0), device)
}

fn config(score: Score) -> ControllerConfig {
    ControllerConfig {
        score,
        norm_rule: NormRule::Neutral,
        calibration_batches: 1,
        seed: 4,
        ..ControllerConfig::default()
    }
}

/// The scores after one step, by path.
fn scores(net: &Net, config: ControllerConfig) -> BTreeMap<String, f64> {
    let mut controller = Controller::new(config).unwrap();
    controller.observe(net, &GradientsParams::from_grads(net.loss().backward(), net));
    let mut optimizer = ModuleOptimizer::from(SgdConfig::new().build());
    let run = |net: &Net, _: usize| drop(net.forward(batch(&under_test())));
    let adjusted = controller.adjust(&mut net.clone(), &mut optimizer, 1, run).unwrap();
    adjusted.scores.iter().map(|scored| (scored.path.clone(), scored.score)).collect()
}

/// A convolution before a batch norm does the same whatever its scale, so Σ g·w is rounding and the norm's ε:
/// nothing that could rank. Σ |g·w| and ‖g‖ are not; and without the norm, Σ g·w is not.
#[test]
fn synflow_is_blind_before_a_batch_norm() {
    let share = |with_norm| {
        let net = Net::new(with_norm);
        let [synflow, snip] =
            [Score::SynFlow, Score::Snip].map(|score| scores(&net, config(score))["first"]);
        synflow.abs() / snip
    };
    let (with, without) = (share(true), share(false));
    assert!(with < allowed(1e-4), "Σ g·w is {with:.1e} of Σ |g·w| before a norm");
    assert!(without > 1e-2, "Σ g·w is {without:.1e} of Σ |g·w| without one");

    // The function does not see the scale, nor do gradients see it but as its inverse.
    let net = Net::new(true);
    let values = params::read(&net);
    let scaled = params::fill(net.clone(), |path, _| {
        let data = values[path].clone();
        if !path.starts_with("first.") {
            return data;
        }
        let values = data.iter::<f32>().map(|value| 10.0 * value).collect();
        burn::tensor::TensorData::new::<f32, _>(values, data.shape().clone())
    });
    let ratio = |score: Score| {
        scores(&scaled, config(score))["first"] / scores(&net, config(score))["first"]
    };
    assert!((ratio(Score::Snip) - 1.0).abs() < 1e-3, "snip: {}", ratio(Score::Snip));
    assert!((ratio(Score::GradNorm) - 0.1).abs() < 1e-3, "grad_norm: {}", ratio(Score::GradNorm));
}

#[test]
fn division_by_weights_is_that() {
    let net = Net::new(true);
    for score in Score::ALL {
        let total = scores(&net, config(score));
        let each = scores(&net, ControllerConfig { per_weight: true, ..config(score) });
        for (path, weights) in [("first", 2.0 * 4.0 * 9.0), ("second", 4.0 * 12.0 * 9.0)] {
            let ratio = total[path] / each[path];
            assert!((ratio / weights - 1.0).abs() < allowed(1e-6), "{score} of {path}: {ratio}");
        }
    }
}

/// Grows each candidate for real and takes the gradient of its new branches, in training mode, on the batch
/// that the score saw: the squared norm is the score.
#[test]
fn branch_gain_is_the_gradient_norm_at_birth() {
    for with_norm in [true, false] {
        let net = Net::new(with_norm);
        let scores = scores(&net, config(Score::BranchGain));
        assert_eq!(scores.len(), 2);
        for (path, score) in scores {
            let options =
                AdjustOptions { norm_rule: NormRule::Neutral, seed: 4, ..AdjustOptions::default() };
            let mut run = |net: &Net, _: usize| drop(net.forward(batch(&under_test())));
            let mut calibration = Calibration::new(1, &mut run);
            let grown =
                grow(&net, &path, &Preset::DyRep.into(), &options, &mut calibration).unwrap();
            let gradients = params::gradients(&grown, &grown.loss().backward());
            let new = gradients.iter().filter(|(name, _)| {
                name.starts_with(&path) && !name.starts_with(&format!("{path}.kxk"))
            });
            let norm: f64 = new.flat_map(|(_, data)| data.iter::<f64>().map(|g| g * g)).sum();
            // The score holds the new norms' statistics fixed, training does not: that is felt by the
            // weights before them, whose share is that of γ², 1e-4.
            let off = (norm / score - 1.0).abs();
            assert!(off < 0.02, "{path}, norm {with_norm}: {score:.4e}, at birth {norm:.4e}");
        }
    }
}

#[test]
fn random_scores_are_a_function_of_seed_path_and_event() {
    let net = Net::new(true);
    let of_seed = |seed| scores(&net, ControllerConfig { seed, ..config(Score::Random) });
    assert_eq!(of_seed(1), of_seed(1));
    assert_ne!(of_seed(1), of_seed(2));
    assert!(of_seed(1).values().all(|score| (0.0..1.0).contains(score)));
}
