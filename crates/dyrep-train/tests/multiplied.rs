//! A plain network whose steps are multiplied trains as the same network with CSLA's blocks, step by step (RepOptimizer,
//! arXiv 2205.15242), with every option of the optimiser.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod small_net;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::nn::{Initializer, PaddingConfig2d};
use burn::optim::GradientsParams;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::tensor::{Device, Tensor, TensorData};
use burn_train::TrainStep;
use dyrep_burn::{
    Multiplied, PathPatterns, Preset, RepConv2d, RepConv2dConfig, fuse, layers, map_layers,
};
use dyrep_tests::close::relative_difference_of;
use dyrep_tests::device::allowed;
use dyrep_tests::params;
use dyrep_tests::random::{self, Draw};
use dyrep_tests::under_test;
use dyrep_train::{
    DyRep, Ends, GradientMultipliers, Groups, LayerScales, Method, OptimizerConfig, ParameterGroup,
    ScaleValues, Scales, TrainError,
};
use small_net::Net;

/// Of each parameter's largest value, after any of 24 steps; the largest that was measured is 4.0e-6.
const SGD: f64 = 4e-5;
/// The same; 1.2e-5. It is rounding too: ε is far below the gradients.
const ADAMW: f64 = 1e-4;
const STEPS: usize = 24;

/// Of every size and sign, one number for all channels or one for each.
fn scales(net: &Net) -> Scales {
    let mut draw = Draw::new(7);
    let mut values = |outputs: usize| {
        let mut value = || {
            let sign = if draw.chance(50) { -1.0 } else { 1.0 };
            sign * draw.uniform(0.3, 1.7)
        };
        match outputs {
            4 => ScaleValues::One(value()),
            _ => ScaleValues::Each((0..outputs).map(|_| value()).collect()),
        }
    };
    let of = |(path, layer): (String, RepConv2d)| {
        let geometry = layer.geometry();
        let outputs = geometry.out_channels();
        let identity = geometry.in_channels() == outputs && geometry.stride() == [1, 1];
        let [kxk, pointwise] = [(); 2].map(|()| values(outputs));
        (path, LayerScales { kxk, pointwise, identity: identity.then(|| values(outputs)) })
    };
    Scales::new(layers(net).into_iter().map(of))
}

/// The network with blocks, the one that starts as they do and has none, and the scales.
fn both(device: &Device) -> (Net, Net, Scales) {
    let net = Net::new(device);
    let scales = scales(&net);
    let start = |_| Initializer::Uniform { min: -0.4, max: 0.4 };
    let blocks = scales.blocks(net, Ends::Constant, start).unwrap();
    assert!(layers(&blocks).iter().all(|(_, layer)| !layer.is_plain()));
    // Clones share running statistics, what is moved does not.
    let plain = scales.fused(blocks.clone()).fork(device);
    assert!(layers(&plain).iter().all(|(_, layer)| layer.is_plain()));
    (blocks.fork(device), plain, scales)
}

fn config(method: Method) -> OptimizerConfig {
    OptimizerConfig { method, weight_decay: 0.0, ..OptimizerConfig::imagenet() }
}

/// The largest difference between parameters of the two, relative to each one's largest value; blocks count as their sums.
fn apart(blocks: &Net, plain: &Net) -> f64 {
    let read = |net: &Net| -> BTreeMap<String, Vec<f64>> {
        let plain = map_layers(net.valid(), |_, layer| layer.materialize());
        let all = params::read(&plain).into_iter();
        all.map(|(path, data)| (path, data.iter::<f64>().collect())).collect()
    };
    let (got, want) = (read(plain), read(blocks));
    assert_eq!(got.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>());
    got.iter().map(|(path, got)| relative_difference_of(got, &want[path])).fold(0.0, f64::max)
}

/// Trains both and gives their largest difference after each step, and how far the plain one is from its start.
fn trained(config: &OptimizerConfig, multiplied: bool) -> (f64, f64) {
    let device = under_test().autodiff();
    let (blocks, plain, scales) = both(&device);
    let start = plain.clone().fork(&device);
    let mut runs = [blocks, plain].map(|net| {
        let groups = Groups::of(config, &net).unwrap();
        let groups = match layers(&net)[0].1.is_plain() && multiplied {
            true => groups
                .with_multipliers(GradientMultipliers::of(&net, &scales, config.method).unwrap()),
            false => groups,
        };
        let net = groups.freeze(net).unwrap();
        let mut model = DyRep::new(net, STEPS);
        if let Some(norm) = config.clip_norm {
            model = model.with_multiplied_clipping(norm, groups.multipliers().clone());
        }
        (Some(model), groups.optimizer(config))
    });
    let mut draw = Draw::new(3);
    let mut most: f64 = 0.0;
    for step in 0..STEPS {
        let [input, target] = [vec![5, 3, 8, 8], vec![5, 3]].map(|it| draw.data(&it, -1.5, 1.5));
        for (model, optimizer) in &mut runs {
            let own = model.take().unwrap();
            let batch = (
                Tensor::from_data(input.clone(), &device),
                Tensor::from_data(target.clone(), &device),
            );
            let gradients: GradientsParams = own.step(batch).grads;
            // The rate differs from step to step, as a schedule makes it.
            let rate = ModuleLearningRate::from(config.learning_rate / (1 + step / 4) as f64);
            *model = Some(own.optimize(optimizer, rate, gradients));
        }
        let [(blocks, _), (plain, _)] = &runs;
        let [blocks, plain] = [blocks, plain].map(|it| it.as_ref().unwrap().model());
        most = most.max(apart(blocks, plain));
    }
    let kernel = |net: &Net| net.grouped.fuse().weight().into_data().iter().collect::<Vec<f64>>();
    let end = runs[1].0.as_ref().unwrap().model();
    (most, relative_difference_of(&kernel(end), &kernel(&start)))
}

#[track_caller]
fn check(what: &str, config: &OptimizerConfig, tolerance: f64) {
    let (off, moved) = trained(config, true);
    assert!(moved > 0.01, "{what}: hardly moved, {moved:.1e}");
    assert!(off <= allowed(tolerance), "{what}: off by {off:.1e}");
    // The control: without multipliers it is another training.
    let (off, _) = trained(config, false);
    assert!(off > 100.0 * tolerance, "{what}: off by {off:.1e} without multipliers");
}

const MOMENTUM: Method = Method::Sgd { momentum: 0.9, nesterov: false };
const NESTEROV: Method = Method::Sgd { momentum: 0.9, nesterov: true };
const ADAMW_METHOD: Method = Method::AdamW { betas: [0.9, 0.99], epsilon: 1e-8 };

#[test]
fn sgd_trains_as_the_blocks_would() {
    let rate = |method| OptimizerConfig { learning_rate: 0.3, ..config(method) };
    check("sgd", &rate(Method::Sgd { momentum: 0.0, nesterov: false }), SGD);
    check("momentum", &rate(MOMENTUM), SGD);
    check("nesterov", &rate(NESTEROV), SGD);
    // Of W, of its parts, of the identity's scale: one decay for all.
    let decay = OptimizerConfig { weight_decay: 0.05, ..rate(NESTEROV) };
    check("decay", &decay, SGD);
    check("decay of all", &OptimizerConfig { decay_norms_and_biases: true, ..decay }, SGD);
}

/// The norm that is clipped is that of the blocks' gradients.
#[test]
fn clipping_is_the_blocks_clipping() {
    let clipped = OptimizerConfig { clip_norm: Some(0.3), learning_rate: 0.4, ..config(NESTEROV) };
    check("clipped", &clipped, SGD);
}

#[test]
fn groups_keep_their_rates_and_decays() {
    let group = |matching: &str| ParameterGroup {
        matching: PathPatterns::new([matching]).unwrap(),
        learning_rate_scale: None,
        weight_decay: None,
        frozen: false,
    };
    let groups = vec![
        ParameterGroup { frozen: true, ..group("^same$") },
        ParameterGroup { learning_rate_scale: Some(2.0), ..group("^grouped$") },
        ParameterGroup { weight_decay: Some(0.2), ..group("^(first|depthwise)$") },
    ];
    let config = OptimizerConfig {
        groups,
        learning_rate: 0.3,
        layer_decay: Some(0.9),
        weight_decay: 0.01,
        ..config(MOMENTUM)
    };
    check("groups", &config, SGD);
}

#[test]
fn adamw_trains_as_the_blocks_would() {
    let adamw = OptimizerConfig { learning_rate: 0.02, ..config(ADAMW_METHOD) };
    check("adamw", &adamw, ADAMW);
    check("adamw, decay", &OptimizerConfig { weight_decay: 0.1, ..adamw }, ADAMW);
}

/// The multiplier is the change of W for a small step on every part, whatever the geometry.
#[test]
fn multipliers_are_those_of_any_geometry() {
    let device = under_test().autodiff();
    let mut seen = 0;
    for number in 0..150 {
        let mut draw = Draw::new(number);
        let geometry = random::geometry(&mut draw);
        let config =
            RepConv2dConfig::of(&geometry).with_branches(Preset::Csla).with_norm_after(false);
        let layer = params::fill(config.init(&device), |_, shape| draw.data(shape, -1.5, 1.5));
        let block = layer.block().unwrap();
        let before = layer.fuse();
        // L = Σ W · R, so that ∂L/∂W is R.
        let r = Tensor::from_data(draw.data(&before.weight().dims(), -1.0, 1.0), &device);
        let gradients = params::gradients(&layer, &(before.weight() * r.clone()).sum().backward());
        let values = params::read(&layer);
        let stepped = params::fill(layer.clone().fork(&device), |path, shape| {
            let value = values[path].clone();
            let Some(gradient) = gradients.get(path) else { return value };
            let pairs = value.iter::<f32>().zip(gradient.iter::<f32>());
            let values: Vec<f32> = pairs.map(|(value, gradient)| value - gradient).collect();
            TensorData::new(values, shape.to_vec())
        });
        let moved = fuse::subtract(&before, &stepped.fuse()).weight().inner();
        let factors = block.multipliers(Multiplied::Gradient).unwrap().weight().inner();
        let want = factors * r.inner();
        let [moved, want] =
            [moved, want].map(|tensor| tensor.into_data().iter::<f64>().collect::<Vec<f64>>());
        let off = relative_difference_of(&moved, &want);
        assert!(off < allowed(2e-5), "{number}: {geometry}: off by {off:.1e}");
        seen += usize::from(block.branches().len() == 3);
    }
    assert!(seen > 3, "{seen} blocks had an identity");
}

/// What is no sum of convolutions times constants has no multipliers, and says which branch it is.
#[test]
fn other_blocks_are_refused() {
    let conv =
        RepConv2dConfig::new([4, 4], [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1));
    let refusal = |config: RepConv2dConfig| {
        let layer = config.init(&under_test());
        layer.block().unwrap().multipliers(Multiplied::Update).unwrap_err().to_string()
    };
    for (preset, branch) in
        [(Preset::RepVgg, "`kxk`"), (Preset::QaRepVgg, "`kxk`"), (Preset::Dbb, "`kxk`")]
    {
        let error = refusal(conv.clone().with_branches(preset).with_norm_after(false));
        assert!(error.contains(branch), "{error}");
    }
    let error = refusal(conv.with_branches(Preset::Csla));
    assert!(error.contains("a norm follows the sum"), "{error}");
}

#[test]
fn mistakes_are_told() {
    let device = under_test().autodiff();
    let net = Net::new(&device);
    let scales = scales(&net);
    for method in [
        Method::Adam { betas: [0.9, 0.999], epsilon: 1e-8 },
        Method::RmsProp { alpha: 0.9, epsilon: 1e-3, momentum: 0.9 },
        Method::Lamb { betas: [0.9, 0.999], epsilon: 1e-6 },
    ] {
        let error = GradientMultipliers::of(&net, &scales, method).unwrap_err();
        assert!(matches!(error, TrainError::Config { .. }), "{error}");
        assert!(error.to_string().contains(method.name()), "{error}");
    }
    let start = |_| Initializer::Zeros;
    let told = |change: fn(&mut LayerScales), path: &str, want: &str| {
        let mut own = scales.layer("grouped").unwrap().clone();
        change(&mut own);
        let scales = Scales::new([(path.to_owned(), own)]);
        let error = scales.blocks(net.clone(), Ends::Constant, start).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
        let error = GradientMultipliers::of(&net, &scales, MOMENTUM).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    };
    told(|_| {}, "second", "no layer `second`; its convolutions are depthwise, first");
    told(|_| {}, "first", "layer `first`: `identity` is given");
    told(|own| own.identity = None, "first", "`kxk` has 6 numbers, expected one for each of the 4");
    let nan = |own: &mut LayerScales| own.pointwise = ScaleValues::One(f32::NAN);
    told(nan, "grouped", "`1x1` is NaN, expected a number");
    // A block is no plain convolution.
    let blocks = scales.blocks(net, Ends::Learnt, start).unwrap();
    let error = GradientMultipliers::of(&blocks, &scales, MOMENTUM).unwrap_err().to_string();
    assert!(error.contains("expected a plain convolution"), "{error}");
}
