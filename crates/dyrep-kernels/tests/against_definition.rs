//! Random convolutions against the definition, summed in double precision.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use dyrep_kernels::{ConvShape, Finish, ShapeError, backward, forward, forward_then};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Of the largest value. The largest difference over the cases below is 8e-7.
const TOLERANCE: f64 = 5e-6;
const CASES: u64 = 400;

struct Case {
    shape: ConvShape,
    input: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    gradient: Vec<f32>,
}

fn shape(draw: &mut ChaCha8Rng) -> ConvShape {
    let chance = |draw: &mut ChaCha8Rng, percent| draw.random_range(0..100) < percent;
    if chance(draw, 20) {
        return wide_3x3(draw);
    }
    let groups = if chance(draw, 60) { 1 } else { draw.random_range(1..=4) };
    let inputs = if chance(draw, 30) { 1 } else { draw.random_range(1..=6) };
    let outputs = draw.random_range(1..=6);
    let two = |draw: &mut ChaCha8Rng, most| [0; 2].map(|_| draw.random_range(1..=most));
    let shape = ConvShape {
        batch: draw.random_range(1..=9),
        channels: [groups * inputs, groups * outputs],
        input: two(draw, 19),
        kernel: if chance(draw, 25) { [1, 1] } else { two(draw, 5) },
        stride: if chance(draw, 60) { [1, 1] } else { two(draw, 3) },
        dilation: if chance(draw, 75) { [1, 1] } else { two(draw, 3) },
        padding: [0; 2].map(|_| {
            if chance(draw, 30) {
                (0, 0)
            } else {
                (draw.random_range(0..6), draw.random_range(0..6))
            }
        }),
        groups,
    };
    if shape.check().is_ok() { shape } else { self::shape(draw) }
}

/// Large enough for Winograd's way.
fn wide_3x3(draw: &mut ChaCha8Rng) -> ConvShape {
    let input = [0; 2].map(|_| draw.random_range(1..=30));
    let padding = [0; 2].map(|_| (draw.random_range(0..=4), draw.random_range(0..=4)));
    let shape = ConvShape {
        batch: draw.random_range(1..=5),
        channels: [0; 2].map(|_| draw.random_range(16..=40)),
        input,
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        padding,
        groups: 1,
    };
    if shape.check().is_ok() { shape } else { wide_3x3(draw) }
}

fn case(number: u64) -> Case {
    let draw = &mut ChaCha8Rng::seed_from_u64(number);
    let shape = shape(draw);
    let mut values =
        |count: usize| -> Vec<f32> { (0..count).map(|_| draw.random_range(-1.0..1.0)).collect() };
    Case {
        input: values(shape.input_len()),
        weight: values(shape.weight_len()),
        bias: values(shape.channels[1]),
        gradient: values(shape.output_len()),
        shape,
    }
}

/// Calls `visit` with the places of every input, weight and output that are multiplied and added.
fn each_product(shape: &ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
    let [height, width] = shape.output();
    let [inputs, outputs] = shape.channels.map(|channels| channels / shape.groups);
    let read = |axis: usize, output: usize, tap: usize| {
        (output * shape.stride[axis] + tap * shape.dilation[axis])
            .checked_sub(shape.padding[axis].0)
            .filter(|place| *place < shape.input[axis])
    };
    for image in 0..shape.batch {
        for channel in 0..shape.channels[1] {
            for (row, column) in (0..height).flat_map(|row| (0..width).map(move |c| (row, c))) {
                let output =
                    ((image * shape.channels[1] + channel) * height + row) * width + column;
                for input in 0..inputs {
                    let plane = image * shape.channels[0] + channel / outputs * inputs + input;
                    for high in 0..shape.kernel[0] {
                        for wide in 0..shape.kernel[1] {
                            let weight = ((channel * inputs + input) * shape.kernel[0] + high)
                                * shape.kernel[1]
                                + wide;
                            if let (Some(y), Some(x)) = (read(0, row, high), read(1, column, wide))
                            {
                                let place = (plane * shape.input[0] + y) * shape.input[1] + x;
                                visit(place, weight, output);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Of the largest value, or of what `terms` random ones add up to, should they all but cancel.
fn difference(got: &[f32], want: &[f64], terms: f64) -> f64 {
    let usual = 0.1 * terms.max(1.0).sqrt();
    let largest = want.iter().fold(usual, |most: f64, value| most.max(value.abs()));
    let off = got.iter().zip(want).map(|(got, want)| (f64::from(*got) - want).abs());
    off.fold(0.0, |most: f64, off| if off.is_nan() { f64::INFINITY } else { most.max(off) })
        / largest
}

#[test]
fn convolution_and_gradients_are_the_definition() {
    let mut largest: f64 = 0.0;
    for number in 0..CASES {
        let Case { shape, input, weight, bias, gradient } = case(number);
        // What was there before must not matter.
        let mut output = vec![f32::NAN; shape.output_len()];
        forward(&shape, &input, &weight, Some(&bias), &mut output).unwrap();
        let mut input_gradient = vec![f32::NAN; shape.input_len()];
        let mut weight_gradient = vec![f32::NAN; shape.weight_len()];
        let wanted = Some(input_gradient.as_mut_slice());
        let weights = Some(weight_gradient.as_mut_slice());
        backward(&shape, &input, &weight, &gradient, wanted, weights).unwrap();

        let per_channel = shape.output_len() / shape.batch / shape.channels[1];
        let mut outputs: Vec<f64> = (0..shape.output_len())
            .map(|place| f64::from(bias[place / per_channel % shape.channels[1]]))
            .collect();
        let mut inputs = vec![0.0; shape.input_len()];
        let mut weights = vec![0.0; shape.weight_len()];
        let mut products = 0;
        each_product(&shape, |i, w, o| {
            outputs[o] += f64::from(input[i]) * f64::from(weight[w]);
            inputs[i] += f64::from(gradient[o]) * f64::from(weight[w]);
            weights[w] += f64::from(gradient[o]) * f64::from(input[i]);
            products += 1;
        });
        assert!(products <= shape.macs(), "padding is counted, nothing is left out");
        for (name, got, want) in [
            ("output", &output, &outputs),
            ("gradient of the input", &input_gradient, &inputs),
            ("gradient of the weight", &weight_gradient, &weights),
        ] {
            let off = difference(got, want, products as f64 / want.len() as f64);
            assert!(off <= TOLERANCE, "{name} is off by {off:.1e} in case {number}, {shape:?}");
            largest = largest.max(off);
        }
    }
    // The comparison would notice: rounding is there, and far below the tolerance.
    assert!(largest > 0.0 && largest < TOLERANCE);
}

#[test]
fn what_follows_is_done_in_the_same_pass() {
    for number in 0..CASES {
        let Case { shape, input, weight, bias, .. } = case(number);
        let mut plain = vec![0.0; shape.output_len()];
        forward(&shape, &input, &weight, None, &mut plain).unwrap();
        let lines: Vec<[f32; 2]> = bias.iter().map(|bias| [1.5 * bias - 0.2, *bias]).collect();
        let addend: Vec<f32> = plain.iter().rev().map(|value| 0.5 * value - 0.01).collect();
        let residual = (number % 3 > 0).then_some(addend.as_slice());
        let relu = number % 2 > 0;
        let mut output = vec![f32::NAN; shape.output_len()];
        let finish = Finish { lines: &lines, residual, relu };
        forward_then(&shape, &input, &weight, finish, &mut output).unwrap();
        let per_channel = shape.output_len() / shape.batch / shape.channels[1];
        for (place, (output, plain)) in output.iter().zip(plain).enumerate() {
            let [scale, shift] = lines[place / per_channel % shape.channels[1]];
            let want = plain * scale + shift + residual.map_or(0.0, |residual| residual[place]);
            let want = if relu { want.max(0.0) } else { want };
            let off = (output - want).abs();
            assert!(off <= 1e-6 * want.abs().max(1.0), "{output}, not {want}: case {number}");
        }
    }
    let Case { shape, input, weight, bias, .. } = case(0);
    let lines = vec![[1.0, 0.0]; bias.len() + 1];
    let finish = Finish { lines: &lines, residual: None, relu: false };
    let mut output = vec![0.0; shape.output_len()];
    let refused = forward_then(&shape, &input, &weight, finish, &mut output);
    let (name, expected) = ("the list of lines", bias.len());
    assert_eq!(refused, Err(ShapeError::Length { name, expected, found: expected + 1 }));
}

#[test]
fn as_many_threads_as_there_are_make_no_difference() {
    for number in 0..60 {
        let Case { shape, input, weight, gradient, .. } = case(number);
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut output = vec![0.0; shape.output_len()];
                forward(&shape, &input, &weight, None, &mut output).unwrap();
                let mut of_input = vec![0.0; shape.input_len()];
                let mut of_weight = vec![0.0; shape.weight_len()];
                let wanted = Some(of_input.as_mut_slice());
                let weights = Some(of_weight.as_mut_slice());
                backward(&shape, &input, &weight, &gradient, wanted, weights).unwrap();
                [output, of_input, of_weight]
            })
        };
        assert_eq!(with(1), with(3), "{shape:?}");
    }
}

#[test]
fn the_same_in_every_run_and_without_bias() {
    for number in 0..40 {
        the_same(case(number));
    }
}

fn the_same(Case { shape, input, weight, gradient, .. }: Case) {
    let twice = [0, 1].map(|_| {
        let mut output = vec![0.0; shape.output_len()];
        forward(&shape, &input, &weight, None, &mut output).unwrap();
        let mut weights = vec![0.0; shape.weight_len()];
        backward(&shape, &input, &weight, &gradient, None, Some(&mut weights)).unwrap();
        (output, weights)
    });
    assert_eq!(twice[0], twice[1]);
    // What is not wanted is not read either.
    let [mut both, mut alone] = [0; 2].map(|_| vec![f32::NAN; shape.input_len()]);
    let mut weights = vec![f32::NAN; shape.weight_len()];
    backward(&shape, &input, &weight, &gradient, Some(&mut both), Some(&mut weights)).unwrap();
    backward(&shape, &[], &weight, &gradient, Some(&mut alone), None).unwrap();
    assert_eq!(both, alone);
    backward(&shape, &input, &[], &gradient, None, Some(&mut weights)).unwrap();
    assert_eq!(weights, twice[0].1);
    let mut with_zero = vec![0.0; shape.output_len()];
    forward(&shape, &input, &weight, Some(&vec![0.0; shape.channels[1]]), &mut with_zero).unwrap();
    assert_eq!(twice[0].0, with_zero);
}

#[test]
fn impossible_shapes_and_lengths_are_refused() {
    let shape = ConvShape {
        batch: 1,
        channels: [2, 4],
        input: [5, 5],
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [(0, 0); 2],
        groups: 1,
    };
    let run = |shape: ConvShape, input: usize, bias: usize| {
        let mut output = vec![0.0; 36];
        let (input, bias) = (vec![0.0; input], vec![0.0; bias]);
        forward(&shape, &input, &[0.0; 72], Some(&bias), &mut output)
    };
    assert_eq!(run(shape, 50, 4), Ok(()));
    assert_eq!(
        run(ConvShape { stride: [0, 1], ..shape }, 50, 4).unwrap_err().to_string(),
        "stride along the height must be at least 1"
    );
    let error = run(ConvShape { groups: 3, ..shape }, 50, 4).unwrap_err();
    assert!(matches!(error, ShapeError::Groups { groups: 3, .. }), "{error}");
    let error = run(ConvShape { dilation: [1, 3], ..shape }, 50, 4).unwrap_err().to_string();
    assert_eq!(error, "along the width a kernel that spans 7 does not fit into 5 padded pixels");
    let error = run(shape, 49, 4).unwrap_err().to_string();
    assert_eq!(error, "the input must have 50 values, got 49");
    assert!(run(shape, 50, 3).unwrap_err().to_string().contains("the bias must have 4"));
}
