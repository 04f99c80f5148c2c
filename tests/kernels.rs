//! The fast kernels and the tensor operations that they stand for give the same outputs, gradients and running
//! statistics, with and without gradient checkpointing.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::MaxPool2dConfig;
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use dyrep_burn::ops::{Kernels, Tail, batch_norm, max_pool, with_kernels};
use dyrep_burn::{Preset, RepConv2d};
use dyrep_models::{ResNetConfig, Stem};
use dyrep_tests::close::relative_difference_of;
use dyrep_tests::random::{self, Draw};
use dyrep_tests::{params, random::for_all};

/// Of an output's or a statistic's largest value; the largest difference seen is 5e-7.
const TOLERANCE: f64 = 5e-6;
/// Of a gradient's largest value …
const GRADIENT: f64 = 1e-4;
/// … and on top of the largest gradient of the case, for gradients that cancel to rounding; seen: 9e-7.
const ROUNDING: f64 = 1e-5;
/// How many times more a whole network may magnify all of them, by eighteen layers of random scales and a few
/// values a channel at the end; seen: 5e-6 and 2e-5.
const NETWORK: f64 = 20.0;

type Results = BTreeMap<String, TensorData>;

fn values(data: &TensorData) -> Vec<f64> {
    data.iter::<f64>().collect()
}

fn largest(data: &TensorData) -> f64 {
    values(data).into_iter().fold(0.0, |most, value| most.max(value.abs()))
}

/// Compares what `compute` finds by the kernels, without and with checkpointing, to what it finds composed;
/// `times` the tolerances are allowed.
fn assert_same(case: u64, times: f64, compute: impl Fn(&Device) -> Results) {
    let plain = Device::flex().autodiff();
    let checkpointing = plain.clone().gradient_checkpointing();
    let want = with_kernels(Kernels::Composed, || compute(&plain));
    for device in [plain, checkpointing] {
        let got = with_kernels(Kernels::Fast, || compute(&device));
        for (name, want) in &want {
            assert_eq!(got[name].dtype(), want.dtype(), "type of {name}");
        }
        assert_close(case, times, &got, &want);
    }
}

fn assert_close(case: u64, times: f64, got: &Results, want: &Results) {
    assert_eq!(got.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>());
    let gradients = want.iter().filter(|(name, _)| name.starts_with("gradient "));
    let most = gradients.map(|(_, data)| largest(data)).fold(0.0, f64::max);
    for (name, want) in want {
        let got = &got[name];
        assert_eq!(got.shape(), want.shape(), "shape of {name}");
        let difference = relative_difference_of(&values(got), &values(want)) * largest(want);
        let allowed = match name.starts_with("gradient ") {
            true => GRADIENT * largest(want) + ROUNDING * most,
            false => TOLERANCE * largest(want),
        };
        let allowed = times * allowed;
        assert!(
            difference <= allowed,
            "case {case}, {name}: {difference:.1e}, more than {allowed:.1e}"
        );
    }
}

/// Output, gradients and running statistics of a step of `module` towards a random target.
fn step<M: Module>(
    module: &M,
    draw: &mut Draw,
    input: Tensor<4>,
    forward: impl Fn(&M, Tensor<4>) -> Tensor<4>,
) -> Results {
    let input = input.require_grad();
    let output = forward(module, input.clone());
    let target = Tensor::<4>::from_data(draw.data(&output.dims(), -1.0, 1.0), &output.device());
    let gradients = (output.clone() * target.cast(output.dtype())).sum().backward();
    let mut found = Results::from([("output".to_owned(), output.into_data())]);
    if let Some(gradient) = input.grad(&gradients) {
        found.insert("gradient input".to_owned(), gradient.into_data());
    }
    let of_params = params::gradients(module, &gradients).into_iter();
    found.extend(of_params.map(|(path, data)| (format!("gradient {path}"), data)));
    // `valid` brings pending updates in.
    found.extend(
        params::read(&module.valid()).into_iter().filter(|(path, _)| path.contains("running_")),
    );
    found
}

fn layer_step(case: u64, depth: usize, dtype: DType, device: &Device) -> Results {
    let draw = &mut Draw::new(case);
    let geometry = random::geometry(draw);
    let form = random::form(draw, &geometry, depth);
    let layer = random::scramble(random::layer(&geometry, &form, &Device::flex()), draw);
    let layer = params::cast(layer, dtype).map(&mut Onto(device));
    let input = random::input(draw, &geometry, device).cast(dtype);
    step(&layer, draw, input, RepConv2d::forward)
}

#[test]
fn convolutions() {
    for case in 0..300 {
        assert_same(case, 1.0, |device| layer_step(case, 0, DType::F32, device));
    }
}

#[test]
fn blocks() {
    for case in 0..random::cases(200, 1000) {
        let depth = 1 + case as usize % 3;
        assert_same(case, 1.0, |device| layer_step(case, depth, DType::F32, device));
    }
}

/// What is composed in single precision is what double precision says, up to rounding.
#[test]
fn composed_blocks_are_those_of_double_precision() {
    let device = Device::flex().autodiff();
    for case in 0..random::cases(100, 1000) {
        let depth = 1 + case as usize % 3;
        let [got, want] = [DType::F32, DType::F64].map(|dtype| {
            with_kernels(Kernels::Composed, || layer_step(case, depth, dtype, &device))
        });
        assert_close(case, 1.0, &got, &want);
    }
}

/// A norm of random parameters, its input and a residual, which is the input half of the time.
fn norm_and_inputs(draw: &mut Draw, device: &Device) -> (BatchNorm, [Tensor<4>; 2]) {
    let shape = [draw.between(1, 4), draw.between(1, 9), draw.between(1, 9), draw.between(1, 9)];
    let norm = random::scramble(BatchNormConfig::new(shape[1]).init(device), draw);
    let input: Tensor<4> = Tensor::from_data(draw.data(&shape, -1.0, 2.0), device);
    let residual = match draw.chance(50) {
        true => Tensor::from_data(draw.data(&shape, -1.0, 1.0), device),
        false => input.clone(),
    };
    (norm, [input, residual])
}

#[test]
fn batch_norms() {
    for case in 0..300 {
        assert_same(case, 1.0, |device| {
            let draw = &mut Draw::new(case);
            let (mut norm, [input, residual]) = norm_and_inputs(draw, device);
            if draw.chance(30) {
                norm = norm.freeze();
            }
            let tail = draw.between(0, 2);
            step(&norm, draw, input, |norm, input| match tail {
                0 => batch_norm(norm, input, Tail::default()),
                1 => batch_norm(norm, input, Tail::relu()),
                _ => batch_norm(norm, input.clone(), Tail::add_relu(residual.clone() + input)),
            })
        });
    }
}

#[test]
fn max_poolings() {
    for case in 0..200 {
        assert_same(case, 1.0, |device| {
            let draw = &mut Draw::new(case);
            let shape = [0; 4].map(|_| draw.between(1, 9));
            let kernel = [0; 2].map(|_| draw.between(1, 3));
            let [tall, wide] = kernel.map(|size| draw.between(0, size / 2));
            let pool = MaxPool2dConfig::new(kernel)
                .with_strides([0; 2].map(|_| draw.between(1, 3)))
                .with_padding(PaddingConfig2d::Explicit(tall, wide, tall, wide))
                .init();
            let shape = [shape[0], shape[1], shape[2] + kernel[0], shape[3] + kernel[1]];
            let input = Tensor::from_data(draw.data(&shape, -1.0, 1.0), device);
            step(&pool, draw, input, max_pool)
        });
    }
}

/// A layer and the norm behind it, evaluated in one pass or step by step.
#[test]
fn evaluated_layers_with_their_norms() {
    for case in 0..200 {
        assert_same(case, 1.0, |_| {
            let draw = &mut Draw::new(case);
            let geometry = random::geometry(draw);
            let form = random::form(draw, &geometry, case as usize % 2);
            let layer = random::scramble(random::layer(&geometry, &form, &Device::flex()), draw);
            let norm = BatchNormConfig::new(geometry.out_channels()).init(&Device::flex());
            let norm = random::scramble(norm, draw);
            let input = random::input(draw, &geometry, &Device::flex());
            let plain = layer.forward(input.clone());
            let residual = Tensor::from_data(draw.data(&plain.dims(), -1.0, 1.0), &plain.device());
            let tail = match draw.between(0, 2) {
                0 => Tail::default(),
                1 => Tail::relu(),
                _ => Tail::add_relu(residual),
            };
            let together = layer.forward_norm(input, &norm, tail.clone());
            let apart = batch_norm(&norm, plain, tail);
            Results::from([
                ("together".to_owned(), together.into_data()),
                ("apart".to_owned(), apart.into_data()),
            ])
        });
    }
}

/// Burn's own pass is what ours must do, in both modes.
#[test]
fn batch_norms_are_those_of_burn() {
    for_all(50, |draw| {
        let device = Device::flex().autodiff();
        let number = draw.between(0, 1000) as u64;
        let by = |ours: bool| {
            let draw = &mut Draw::new(number);
            let (norm, [input, _]) = norm_and_inputs(draw, &device);
            let forward = |norm: &BatchNorm, input: Tensor<4>| match ours {
                true => batch_norm(norm, input, Tail::default()),
                false => norm.forward(input),
            };
            let mut found = step(&norm, draw, input.clone(), forward);
            let evaluated = forward(&norm.valid(), input.inner());
            found.insert("evaluated".to_owned(), evaluated.into_data());
            found
        };
        let (got, want) = (by(true), by(false));
        for (name, want) in want.iter().filter(|(name, _)| !name.starts_with("gradient ")) {
            let difference = relative_difference_of(&values(&got[name]), &values(want));
            assert!(difference < TOLERANCE, "{name}: {difference:.1e}");
        }
    });
}

fn network_step(branches: Preset, device: &Device) -> Results {
    let draw = &mut Draw::new(7);
    let config = ResNetConfig::resnet18(5).with_width(4).with_stem(Stem::Imagenet);
    let net = config.with_branches(branches).init(device).unwrap();
    let net = random::scramble(net, draw);
    let pictures = Tensor::<4>::from_data(draw.data(&[4, 3, 48, 40], -1.0, 1.0), device);
    let classes = Tensor::<1, Int>::from_data([0, 4, 2, 1], device);
    let logits = net.forward(pictures);
    let loss = CrossEntropyLossConfig::new().init(device).forward(logits.clone(), classes);
    let gradients = loss.backward();
    let mut found = Results::from([("output".to_owned(), logits.into_data())]);
    let of_params = params::gradients(&net, &gradients).into_iter();
    found.extend(of_params.map(|(path, data)| (format!("gradient {path}"), data)));
    let evaluated = net.valid();
    found
        .extend(params::read(&evaluated).into_iter().filter(|(path, _)| path.contains("running_")));
    let pictures = Tensor::from_data(draw.data(&[2, 3, 33, 40], -1.0, 1.0), &Device::flex());
    found.insert("evaluated".to_owned(), evaluated.forward(pictures).into_data());
    found
}

#[test]
fn whole_networks() {
    for branches in [Preset::Plain, Preset::Dbb, Preset::DyRep] {
        assert_same(0, NETWORK, |device| network_step(branches, device));
    }
}

#[test]
fn views_of_other_tensors() {
    let of = |kernels, view: fn(Tensor<4>) -> Tensor<4>| {
        with_kernels(kernels, || {
            let draw = &mut Draw::new(3);
            let geometry = dyrep_burn::ConvGeometry::new([3, 4], [3, 3]).unwrap();
            let layer = random::scramble(random::plain(&geometry, true, &Device::flex()), draw);
            let norm = random::scramble(BatchNormConfig::new(4).init(&Device::flex()), draw);
            let whole = draw.data(&[3, 3, 8, 8], -1.0, 1.0);
            let seen = view(Tensor::from_data(whole, &Device::flex()));
            layer.forward_norm(seen, &norm, Tail::relu()).into_data()
        })
    };
    let views: [fn(Tensor<4>) -> Tensor<4>; 5] = [
        |x| x.swap_dims(2, 3),
        |x| x.swap_dims(0, 1),
        |x| x.slice([1..3, 0..3, 0..8, 0..8]),
        |x| x.slice([0..2, 0..3, 2..7, 1..8]),
        |x| x.flip([3]),
    ];
    for view in views {
        let (got, want) = (of(Kernels::Fast, view), of(Kernels::Composed, view));
        assert_eq!(got.shape(), want.shape());
        assert!(relative_difference_of(&values(&got), &values(&want)) < TOLERANCE);
    }
}

#[test]
fn double_precision_is_composed() {
    let draw = &mut Draw::new(4);
    let norm = random::scramble(BatchNormConfig::new(2).init(&Device::flex()), draw);
    let norm = params::cast(norm, DType::F64);
    let input = Tensor::<4>::from_data(draw.data(&[2, 2, 3, 3], -1.0, 1.0), &Device::flex());
    let output = batch_norm(&norm, input.cast(DType::F64), Tail::default());
    assert_eq!(output.dtype(), DType::F64);
}

/// Makes parameters that train on a device; [`Module::train`] knows no checkpointing.
struct Onto<'a>(&'a Device);

impl ModuleMapper for Onto<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let dtype = tensor.dtype();
            let there: Tensor<D> = Tensor::from_data(tensor.into_data(), self.0);
            there.cast(dtype).require_grad()
        })
    }
}

#[test]
fn the_choice_is_undone_also_by_a_panic() {
    let geometry = dyrep_burn::ConvGeometry::new([16, 16], [3, 3]).unwrap();
    let draw = &mut Draw::new(5);
    let layer = random::scramble(random::plain(&geometry, true, &Device::flex()), draw);
    let input = random::input(draw, &geometry, &Device::flex());
    let before = layer.forward(input.clone()).into_data();
    let failed = std::panic::catch_unwind(|| with_kernels(Kernels::Composed, || panic!("here")));
    assert!(failed.is_err());
    assert_eq!(layer.forward(input).into_data(), before);
}

#[test]
#[should_panic(expected = "channel")]
fn other_channels_are_refused() {
    let geometry = dyrep_burn::ConvGeometry::new([3, 4], [3, 3]).unwrap();
    let layer = random::plain(&geometry, true, &Device::flex());
    let _output = layer.forward(Tensor::zeros([1, 2, 8, 8], &Device::flex()));
}

#[test]
fn sgd_takes_the_steps_of_burns_to_the_bit() {
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::decay::WeightDecayConfig;
    use burn::optim::momentum::MomentumConfig;
    use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
    use dyrep_burn::ops::Sgd;

    let device = Device::flex().autodiff();
    let input = Tensor::<2>::random([5, 70], burn::tensor::Distribution::Default, &device);
    let start: Linear = LinearConfig::new(70, 60).init(&device);
    for (momentum, nesterov, weight_decay) in [(0.9, true, 1e-2), (0.5, false, 0.0)] {
        let theirs = MomentumConfig::new().with_momentum(f64::from(momentum));
        let theirs = theirs.with_dampening(0.0).with_nesterov(nesterov);
        let theirs = SgdConfig::new().with_momentum(Some(theirs));
        let theirs = match weight_decay > 0.0 {
            true => theirs.with_weight_decay(Some(WeightDecayConfig::new(weight_decay))),
            false => theirs,
        };
        let ours = Sgd { momentum, nesterov, weight_decay };
        let train = |mut optimizer: ModuleOptimizer| {
            let mut layer = start.clone();
            for step in 1..=3 {
                let loss = layer.forward(input.clone()).powi_scalar(2).sum();
                let gradients = GradientsParams::from_grads(loss.backward(), &layer);
                layer = optimizer.step(0.01 * f64::from(step), layer, gradients);
                if step == 2 {
                    // What an optimiser has learned survives being stored.
                    let record = optimizer.to_record();
                    optimizer = optimizer.load_record(record);
                }
            }
            [layer.weight.val().into_data(), layer.bias.unwrap().val().into_data()]
        };
        let want = train(ModuleOptimizer::from(theirs.build()));
        assert_ne!(want[0], start.weight.val().into_data());
        // Either goes on from the other's record.
        let mut other = ModuleOptimizer::from(ours);
        let gradients = |layer: &Linear| {
            let loss = layer.forward(input.clone()).sum();
            GradientsParams::from_grads(loss.backward(), layer)
        };
        let _layer = other.step(0.1, start.clone(), gradients(&start));
        let mut next = [ModuleOptimizer::from(ours), ModuleOptimizer::from(theirs.build())];
        let next = next.each_mut().map(|next| {
            *next =
                std::mem::replace(next, ModuleOptimizer::from(ours)).load_record(other.to_record());
            next.step(0.1, start.clone(), gradients(&start)).weight.val().into_data()
        });
        assert_eq!(next[0], next[1]);
        for kernels in [Kernels::Fast, Kernels::Composed] {
            let got = with_kernels(kernels, || train(ModuleOptimizer::from(ours)));
            assert_eq!(got, want, "{kernels:?}");
        }
    }
}
