//! The fast kernels and the tensor operations that they stand for give the same outputs, gradients and running
//! statistics, with and without gradient checkpointing.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::MaxPool2dConfig;
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::{DType, Device, Int, Tensor};
use dyrep_burn::Preset;
use dyrep_burn::ops::{
    Kernels, Tail, batch_norm, max_pool, mean_axis, mean_of_maps, sum_axis, with_kernels,
};
use dyrep_models::{ResNetConfig, Stem};
use dyrep_tests::close::relative_difference_of;
use dyrep_tests::device::{allowed, assert_repeated, computes, fewer, under_test};
use dyrep_tests::random::{self, Draw};
use dyrep_tests::steps::{Results, TOLERANCE, assert_close, layer_step, step, values};
use dyrep_tests::{params, random::for_all};

/// How many times more a whole network may magnify all of them, by eighteen layers of random scales and a few
/// values a channel at the end; seen: 5e-6 and 2e-5.
const NETWORK: f64 = 20.0;

/// Compares what `compute` finds on the device under test, by its kernels where it has some, without and with
/// checkpointing, to what it finds composed on flex; `times` the tolerances are allowed.
fn assert_same(case: u64, times: f64, compute: impl Fn(&Device) -> Results) {
    let want = with_kernels(Kernels::Composed, || compute(&Device::flex().autodiff()));
    let plain = under_test().autodiff();
    let checkpointing = plain.clone().gradient_checkpointing();
    for device in [plain, checkpointing] {
        let got = with_kernels(Kernels::Fast, || compute(&device));
        for (name, want) in &want {
            assert_eq!(got[name].dtype(), want.dtype(), "type of {name}");
        }
        assert_close(case, times, &got, &want);
    }
}

#[test]
fn convolutions() {
    for case in 0..fewer(300) {
        assert_same(case, 1.0, |device| layer_step(case, 0, DType::F32, device));
    }
}

#[test]
fn blocks() {
    for case in 0..fewer(random::cases(200, 1000)) {
        let depth = 1 + case as usize % 3;
        assert_same(case, 1.0, |device| layer_step(case, depth, DType::F32, device));
    }
}

/// What is composed in single precision is what double precision says, up to rounding.
#[test]
fn composed_blocks_are_those_of_double_precision() {
    let here = [(DType::F32, under_test()), (DType::F64, Device::flex())];
    for case in 0..fewer(random::cases(100, 1000)) {
        let depth = 1 + case as usize % 3;
        let [got, want] = here.each_ref().map(|(dtype, device)| {
            let device = device.clone().autodiff();
            with_kernels(Kernels::Composed, || layer_step(case, depth, *dtype, &device))
        });
        assert_close(case, 1.0, &got, &want);
    }
}

/// Fewer and wider operations give what a composition branch by branch gives, to rounding in either precision.
#[test]
fn merged_blocks() {
    for case in 0..fewer(random::cases(150, 1000)) {
        let depth = 1 + case as usize % 3;
        let by = |kernels, dtype, device: &Device| {
            with_kernels(kernels, || layer_step(case, depth, dtype, &device.clone().autodiff()))
        };
        let flex = Device::flex();
        let got = by(Kernels::Merged, DType::F32, &under_test());
        assert_close(case, 1.0, &got, &by(Kernels::Composed, DType::F32, &flex));
        let got = by(Kernels::Merged, DType::F64, &flex);
        assert_close(case, 1e-6, &got, &by(Kernels::Composed, DType::F64, &flex));
    }
}

/// Axes of length one of tensors whose axes do not lie in memory in their order, as those of a convolution's output: what is
/// summed there are single values.
#[test]
fn sums_along_axes_of_length_one() {
    let draw = &mut Draw::new(0);
    for (batch, side, wide) in [(2, 1, 1), (3, 1, 5), (1, 4, 1), (1, 1, 1), (2, 3, 4)] {
        let data = draw.data(&[batch, side, wide, 6], -1.0, 1.0);
        let lying: Tensor<4> = Tensor::from_data(data.clone(), &under_test());
        let maps = lying.permute([0, 3, 1, 2]);
        let (numbers, dims) = (values(&data), [batch, 6, side, wide]);
        let at = |[n, c, h, w]: [usize; 4]| numbers[((n * side + h) * wide + w) * 6 + c];
        // Over these axes, computed here.
        let wanted = |axes: &[usize]| -> Vec<f64> {
            let kept = |axis: usize| if axes.contains(&axis) { 1 } else { dims[axis] };
            let summed = |axis: usize| if axes.contains(&axis) { dims[axis] } else { 1 };
            let all = |of: &dyn Fn(usize) -> usize| {
                let sizes = [0, 1, 2, 3].map(of);
                let place = move |mut i: usize| {
                    let mut place = [0; 4];
                    for axis in (0..4).rev() {
                        place[axis] = i % sizes[axis];
                        i /= sizes[axis];
                    }
                    place
                };
                (0..sizes.iter().product()).map(place).collect::<Vec<[usize; 4]>>()
            };
            let sum = |first: [usize; 4]| {
                let places = all(&summed).into_iter();
                places.map(|more| at([0, 1, 2, 3].map(|axis| first[axis] + more[axis]))).sum()
            };
            all(&kept).into_iter().map(sum).collect()
        };
        let close = |what: &str, got: Tensor<4>, sums: Vec<f64>, count: usize| {
            let want: Vec<f64> = sums.iter().map(|sum| sum / count as f64).collect();
            let difference = relative_difference_of(&values(&got.into_data()), &want);
            assert!(difference < allowed(1e-6), "{what} of {dims:?}: {difference}");
        };
        close("maps", mean_of_maps(maps.clone()), wanted(&[2, 3]), side * wide);
        for (axis, size) in dims.into_iter().enumerate() {
            close(&format!("sum {axis}"), sum_axis(maps.clone(), axis), wanted(&[axis]), 1);
            let mean = mean_axis(maps.clone(), axis);
            close(&format!("mean {axis}"), mean, wanted(&[axis]), size);
        }
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
    for case in 0..fewer(300) {
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
    for case in 0..fewer(200) {
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
    for case in 0..fewer(200) {
        assert_same(case, 1.0, |device| {
            let device = &device.clone().without_autodiff();
            let draw = &mut Draw::new(case);
            let geometry = random::geometry(draw);
            let form = random::form(draw, &geometry, case as usize % 2);
            let layer = random::scramble(random::layer(&geometry, &form, device), draw);
            let norm = BatchNormConfig::new(geometry.out_channels()).init(device);
            let norm = random::scramble(norm, draw);
            let input = random::input(draw, &geometry, device);
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
        let device = under_test().autodiff();
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
            assert!(difference < allowed(TOLERANCE), "{name}: {difference:.1e}");
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
    let pictures = Tensor::from_data(
        draw.data(&[2, 3, 33, 40], -1.0, 1.0),
        &device.clone().without_autodiff(),
    );
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
            let layer = random::scramble(random::plain(&geometry, true, &under_test()), draw);
            let norm = random::scramble(BatchNormConfig::new(4).init(&under_test()), draw);
            let whole = draw.data(&[3, 3, 8, 8], -1.0, 1.0);
            let seen = view(Tensor::from_data(whole, &under_test()));
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
        assert!(relative_difference_of(&values(&got), &values(&want)) < allowed(TOLERANCE));
    }
}

#[test]
fn double_precision_is_composed() {
    if !computes(DType::F64) {
        return;
    }
    let draw = &mut Draw::new(4);
    let norm = random::scramble(BatchNormConfig::new(2).init(&under_test()), draw);
    let norm = params::cast(norm, DType::F64);
    let input = Tensor::<4>::from_data(draw.data(&[2, 2, 3, 3], -1.0, 1.0), &under_test());
    let output = batch_norm(&norm, input.cast(DType::F64), Tail::default());
    assert_eq!(output.dtype(), DType::F64);
}

#[test]
fn the_choice_is_undone_also_by_a_panic() {
    let geometry = dyrep_burn::ConvGeometry::new([16, 16], [3, 3]).unwrap();
    let draw = &mut Draw::new(5);
    let layer = random::scramble(random::plain(&geometry, true, &under_test()), draw);
    let input = random::input(draw, &geometry, &under_test());
    let before = layer.forward(input.clone()).into_data();
    let failed = std::panic::catch_unwind(|| with_kernels(Kernels::Composed, || panic!("here")));
    assert!(failed.is_err());
    assert_repeated("after the panic", &layer.forward(input).into_data(), &before);
}

#[test]
#[should_panic(expected = "channel")]
fn other_channels_are_refused() {
    let geometry = dyrep_burn::ConvGeometry::new([3, 4], [3, 3]).unwrap();
    let layer = random::plain(&geometry, true, &under_test());
    let _output = layer.forward(Tensor::zeros([1, 2, 8, 8], &under_test()));
}

#[test]
fn sgd_takes_the_steps_of_burns_to_the_bit() {
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::decay::WeightDecayConfig;
    use burn::optim::momentum::MomentumConfig;
    use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
    use dyrep_burn::ops::Sgd;

    let device = under_test().autodiff();
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
        assert_repeated("either's record", &next[0], &next[1]);
        for kernels in [Kernels::Fast, Kernels::Composed] {
            let got = with_kernels(kernels, || train(ModuleOptimizer::from(ours)));
            for (got, want) in got.iter().zip(&want) {
                assert_repeated(&format!("{kernels:?}"), got, want);
            }
        }
    }
}
