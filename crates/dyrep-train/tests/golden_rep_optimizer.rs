//! Whole trajectories of CSLA's blocks in PyTorch, repeated by a plain network whose steps are multiplied.
//!
//! `golden/rep_optimizer.py` made them in float64, with `torch.optim`'s own optimisers and blocks that are there.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod small_net;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::nn::Initializer;
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use dyrep_burn::layers;
use dyrep_tests::close::relative_difference_of;
use dyrep_tests::device::allowed;
use dyrep_tests::golden::Tensors;
use dyrep_tests::{params, under_test};
use dyrep_train::{
    Ends, GradientMultipliers, Groups, LayerScales, Method, OptimizerConfig, ScaleValues, Scales,
};
use small_net::Net;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/rep_optimizer.safetensors");

/// Relative to a loss, and to a tensor's largest value; the largest that were measured are 1.6e-6 and 4.7e-6.
const LOSS: f64 = 5e-5;
const END: f64 = 5e-5;

/// Those with a norm behind them, in their order.
const NORMED: [&str; 5] = ["first", "same", "strided", "grouped", "pointwise"];

/// Our path in a network of blocks as the file names it; nothing for what it has not: constants and statistics.
fn name(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('.').collect();
    Some(match parts[..] {
        ["norms", number, leaf @ ("gamma" | "beta")] => {
            format!("{}.{leaf}", NORMED[number.parse::<usize>().unwrap()])
        }
        ["head", leaf] => format!("head.{leaf}"),
        [layer, branch @ ("kxk" | "1x1"), "conv", "weight"] => format!("{layer}.{branch}"),
        [layer, "kxk", "conv", "bias"] => format!("{layer}.bias"),
        [layer, leaf @ ("weight" | "bias")] => format!("{layer}.{leaf}"),
        _ => return None,
    })
}

/// PyTorch's linear layer has its weight the other way round.
fn laid(name: &str, data: TensorData) -> TensorData {
    match name {
        "head.weight" => {
            Tensor::<2>::from_data(data, &burn::tensor::Device::flex()).transpose().into_data()
        }
        _ => data,
    }
}

/// The scales of the file's blocks.
fn scales(file: &Tensors, net: &Net) -> Scales {
    let values = |name: &str| ScaleValues::Each(file.data(name).iter::<f32>().collect());
    let identities = file.names("start.");
    let of = |(path, _)| {
        let [kxk, pointwise] = ["kxk", "1x1"].map(|it| values(&format!("constant.{path}.{it}")));
        let identity = identities.contains(&format!("{path}.identity"));
        let identity = identity.then(|| values(&format!("start.{path}.identity")));
        (path, LayerScales { kxk, pointwise, identity })
    };
    Scales::new(layers(net).into_iter().map(of))
}

/// The plain network that starts as the file's blocks do, and their scales.
fn start(file: &Tensors) -> (Net, Scales) {
    let net = Net::new(&under_test().autodiff());
    let scales = scales(file, &net);
    let blocks = scales.blocks(net, Ends::Constant, |_| Initializer::Zeros).unwrap();
    let own = params::read(&blocks);
    let mut set = 0;
    let blocks = params::fill(blocks, |path, _| match name(path) {
        Some(name) => {
            set += 1;
            laid(&name, file.data(&format!("start.{name}")))
        }
        None => own[path].clone(),
    });
    let identities = file.names("start.").iter().filter(|it| it.ends_with(".identity")).count();
    assert_eq!(set + identities, file.names("start.").len(), "all of the start is used");
    (scales.fused(blocks), scales)
}

/// The largest differences of losses and of what the run ends with.
fn differences(run: &str, method: Method, decay: f64, rate: f64, multiplied: bool) -> [f64; 2] {
    let device = under_test().autodiff();
    let file = Tensors::read(FILE);
    let (mut net, scales) = start(&file);
    let config = OptimizerConfig { method, weight_decay: decay, ..OptimizerConfig::imagenet() };
    let mut groups = Groups::of(&config, &net).unwrap();
    if multiplied {
        let multipliers = GradientMultipliers::of(&net, &scales, method).unwrap();
        groups = groups.with_multipliers(multipliers);
    }
    let mut optimizer = groups.optimizer(&config);
    let inputs: Tensor<5> = file.tensor("inputs", &device);
    let targets: Tensor<3> = file.tensor("targets", &device);
    let want: Vec<f64> = file.data(&format!("{run}.losses")).iter::<f64>().collect();
    let mut most = [0.0_f64; 2];
    for (step, want) in want.iter().enumerate() {
        let input = inputs.clone().narrow(0, step, 1).squeeze_dim(0);
        let loss = net.loss(input, targets.clone().narrow(0, step, 1).squeeze_dim(0));
        let got = f64::from(loss.clone().into_scalar::<f32>());
        most[0] = most[0].max((got - want).abs() / want);
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        net = optimizer.step(rate / (1 + step / 4) as f64, net, gradients);
    }
    let got: BTreeMap<String, TensorData> = params::read(&net.valid())
        .into_iter()
        .filter_map(|(path, data)| Some((name(&path)?, data)))
        .collect();
    let names = file.names(&format!("{run}.end."));
    assert!(names.iter().eq(got.keys()), "{names:?}");
    for (name, got) in &got {
        let want = laid(name, file.data(&format!("{run}.end.{name}")));
        let [got, want] = [got, &want].map(|data| data.iter::<f64>().collect::<Vec<f64>>());
        most[1] = most[1].max(relative_difference_of(&got, &want));
    }
    most
}

#[track_caller]
fn check(run: &str, method: Method, decay: f64, rate: f64) {
    let [loss, end] = differences(run, method, decay, rate, true);
    assert!(loss <= allowed(LOSS) && end <= allowed(END), "{run}: off by {loss:.1e}, {end:.1e}");
    // The control: without multipliers it goes elsewhere.
    let [loss, end] = differences(run, method, decay, rate, false);
    assert!(loss > 100.0 * LOSS && end > 100.0 * END, "{run}: {loss:.1e}, {end:.1e}");
}

#[test]
fn sgd_repeats_the_blocks_of_pytorch() {
    check("sgd", Method::Sgd { momentum: 0.9, nesterov: true }, 0.02, 0.3);
}

#[test]
fn adamw_repeats_the_blocks_of_pytorch() {
    check("adamw", Method::AdamW { betas: [0.9, 0.99], epsilon: 1e-8 }, 0.1, 0.02);
}
