//! Law 1: a block and the one convolution that it fuses to are the same function at inference.
//!
//! For every set of branches, any nesting, stride, groups, dilation, kernel and padding, with random γ, β, μ
//! and σ², and a negative control that the same check must refuse. Law 5: a structure read back equals the
//! one written, and rebuilds the same tree.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use dyrep_burn::ops::{Kernels, with_kernels};
use dyrep_burn::{
    BranchKind, ConvGeometry, Form, Kernel, RepConv2d, RepConv2dConfig, Structure, fuse,
};
use dyrep_tests::close::relative_difference;
use dyrep_tests::device::{allowed, assert_repeated, computes};
use dyrep_tests::under_test;
use dyrep_tests::{params, random};

const CASES: u64 = 600;

/// Of the largest output. The largest error over the cases below is 6e-7.
const TOLERANCE: f64 = 5e-6;
/// The same in double precision.
const DOUBLE: f64 = 1e-12;

fn difference(fused: &RepConv2d, layer: &RepConv2d, input: &Tensor<4>) -> f64 {
    relative_difference(fused.forward(input.clone()), layer.forward(input.clone()))
}

/// The layer with one value of the norm beside the k×k convolution moved by a little.
fn disturbed(layer: &RepConv2d) -> RepConv2d {
    let original = params::read(layer);
    // `valid` copies the running statistics, which clones share.
    params::fill(layer.valid(), |path, shape| {
        let data = original[path].clone();
        // The k×k convolution at the end of its chain is in every block.
        if path.replace("kxk.conv.", "") != "weight" {
            return data;
        }
        let values = data.iter::<f32>().map(|value| value + 0.05).collect();
        TensorData::new::<f32, _>(values, shape.to_vec())
    })
}

/// A layer of any geometry and form, nested 0 to 3 deep, with random parameters and statistics.
fn any_layer(draw: &mut random::Draw, device: &Device) -> (ConvGeometry, Form, RepConv2d) {
    let geometry = random::geometry(draw);
    let depth = draw.between(0, 3);
    let form = random::form(draw, &geometry, depth);
    let layer = random::scramble(random::layer(&geometry, &form, device), draw);
    (geometry, form, layer)
}

#[test]
fn a_block_equals_its_fused_convolution() {
    check_fusion(random::cases(CASES, 1000));
    with_kernels(Kernels::Composed, || check_fusion(random::cases(CASES / 4, 1000)));
}

fn check_fusion(cases: u64) {
    let device = under_test();
    random::for_all(cases, |draw| {
        let (geometry, form, layer) = any_layer(draw, &device);
        assert_eq!(layer.form(), form);
        let input = random::input(draw, &geometry, &device);
        let [batch, _, height, width] = input.dims();
        let [out_height, out_width] = geometry.output_size([height, width]);
        let expected = [batch, geometry.out_channels(), out_height, out_width];
        assert_eq!(layer.forward(input.clone()).dims(), expected, "{geometry}: {form}");

        let fused = layer.clone().materialize();
        assert!(fused.is_plain());
        assert_eq!(fused.geometry(), geometry);
        let error = difference(&fused, &layer, &input);
        assert!(error <= allowed(TOLERANCE), "{error:.1e} for {geometry}: {form}");

        let again = fused.clone().materialize();
        assert_eq!(params::read(&again), params::read(&fused), "fusing twice changes nothing");
        // Far out in its padding a stride may pass over every pixel: then no weight shows.
        let moved = layer.forward(input.clone() + 1.0);
        let reads = relative_difference(moved, layer.forward(input.clone())) > 0.0;
        if !layer.is_plain() && reads {
            let error = difference(&disturbed(&layer).materialize(), &layer, &input);
            assert!(
                error > allowed(10.0 * TOLERANCE),
                "control: {error:.1e} for {geometry}: {form}"
            );
        }
    });
}

#[test]
fn in_double_precision_a_block_equals_its_fused_convolution_to_twelve_digits() {
    if !computes(DType::F64) {
        return;
    }
    let device = under_test();
    random::for_all(random::cases(CASES / 2, 1000), |draw| {
        let (geometry, form, layer) = any_layer(draw, &device);
        let layer = params::cast(layer, DType::F64);
        let input = random::input(draw, &geometry, &device).cast(DType::F64);
        let error = difference(&layer.clone().materialize(), &layer, &input);
        assert!(error <= DOUBLE, "{error:.1e} for {geometry}: {form}");
    });
}

#[test]
fn gradients_flow_through_fusion() {
    let device = under_test().autodiff();
    random::for_all(40, |draw| {
        let geometry = random::geometry(draw);
        let form = random::form(draw, &geometry, 2);
        let layer = random::layer(&geometry, &form, &under_test());
        let layer = random::scramble(layer, draw).train();
        let input = random::input(draw, &geometry, &device);
        let gradients = layer.fuse().apply(input).powi_scalar(2).sum().backward();
        let found = params::gradients(&layer, &gradients);
        let is_learnt = |path: &String| !path.contains("running_") && !path.ends_with("constant");
        let learnable = params::read(&layer).into_keys().filter(is_learnt);
        for path in learnable {
            assert!(found.contains_key(&path), "no gradient at {path} for {geometry}: {form}");
        }
    });
}

#[test]
fn structures_read_back_rebuild_the_same_tree() {
    let device = under_test();
    random::for_all(CASES, |draw| {
        let (geometry, form, layer) = any_layer(draw, &device);
        let structure = Structure::of(&layer);
        let read = Structure::from_json(&structure.to_json()).unwrap();
        assert_eq!(read, structure);

        // A fresh layer takes the structure, then the weights, and does the same.
        let fresh = read.apply(random::plain(&geometry, draw.chance(50), &device)).unwrap();
        assert_eq!(fresh.form(), form);
        let record = layer.valid().into_record();
        let loaded = fresh.try_load_record(record).unwrap();
        assert_eq!(params::read(&loaded), params::read(&layer));
        let input = random::input(draw, &geometry, &device);
        let (got, want) = (loaded.forward(input.clone()), layer.forward(input));
        assert_repeated("output", &got.into_data(), &want.into_data());
    });
}

#[test]
fn branches_exist_or_say_why_not() {
    let device = under_test();
    let (mut there, mut missing) = (0, 0);
    for case in 0..CASES {
        let draw = &mut random::Draw::new(case);
        let geometry = random::geometry(draw);
        let sized = [BranchKind::smaller([3, 3], 2), BranchKind::smaller([5, 1], 1)];
        for kind in BranchKind::NAMED.into_iter().chain(sized.map(Result::unwrap)) {
            let config = config(&geometry).with_branches([kind]);
            match (kind.window(&geometry), config.try_init(&device)) {
                (Ok(_), Ok(layer)) => {
                    assert!(layer.block().is_some());
                    there += 1;
                }
                (Err(reason), Err(error)) => {
                    let text = error.to_string();
                    assert!(text.contains(&format!("no `{kind}` branch")), "{text}");
                    assert!(text.contains(&reason.to_string()), "{text}");
                    missing += 1;
                }
                (check, built) => panic!("{geometry}: {check:?}, {built:?}"),
            }
        }
    }
    assert!(there > 1000 && missing > 500, "{there} there, {missing} missing");
}

fn config(geometry: &ConvGeometry) -> RepConv2dConfig {
    RepConv2dConfig::of(geometry)
}

#[test]
fn composing_grouped_kernels_is_composing_each_group() {
    let device = under_test();
    random::for_all(50, |draw| {
        let groups = draw.between(1, 4);
        let [inputs, middle, outputs] = [0; 3].map(|_| groups * draw.between(1, 3));
        let kernel = |draw: &mut random::Draw, channels, size| {
            let geometry = ConvGeometry::new(channels, size).unwrap().with_groups(groups).unwrap();
            let weight = draw.data(&geometry.weight_shape(), -1.0, 1.0);
            let bias = draw.data(&[channels[1]], -1.0, 1.0);
            let bias = Some(Tensor::from_data(bias, &device));
            Kernel::new(Tensor::from_data(weight, &device), bias, geometry)
        };
        let first = kernel(draw, [inputs, middle], [1, 1]);
        let second = kernel(draw, [middle, outputs], [3, 2]);
        let whole = fuse::then_kxk(&first, &second);
        let each = split(&first, groups).into_iter().zip(split(&second, groups));
        let parts: Vec<Kernel> =
            each.map(|(first, second)| fuse::then_kxk(&first, &second)).collect();
        let weights = Tensor::cat(parts.iter().map(Kernel::weight).collect(), 0);
        let biases = Tensor::cat(parts.iter().map(Kernel::bias_or_zero).collect(), 0);
        assert!(relative_difference(whole.weight(), weights) < allowed(1e-6));
        assert!(relative_difference(whole.bias_or_zero(), biases) < allowed(1e-6));
    });
}

/// The kernel of each group, dense, in order.
fn split(kernel: &Kernel, groups: usize) -> Vec<Kernel> {
    let channels = [kernel.geometry().in_channels(), kernel.geometry().out_channels()];
    let size = kernel.geometry().kernel_size();
    let geometry = ConvGeometry::new(channels.map(|channels| channels / groups), size).unwrap();
    let weights = kernel.weight().chunk(groups, 0).into_iter();
    let biases = kernel.bias_or_zero().chunk(groups, 0).into_iter().map(Some);
    weights.zip(biases).map(|(w, b)| Kernel::new(w, b, geometry.clone())).collect()
}
