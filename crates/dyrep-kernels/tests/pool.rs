//! Random max poolings against a search of each window.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use dyrep_kernels::{PoolShape, ShapeError, max_pool, max_pool_backward};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

const CASES: u64 = 400;

fn random_shape(draw: &mut ChaCha8Rng) -> PoolShape {
    let two = |draw: &mut ChaCha8Rng, most| [0; 2].map(|_| draw.random_range(1..=most));
    let kernel = two(draw, 4);
    let shape = PoolShape {
        planes: draw.random_range(1..=5),
        input: two(draw, 17),
        kernel,
        stride: two(draw, 5),
        padding: kernel.map(|size| draw.random_range(0..size)),
    };
    if shape.check().is_ok() { shape } else { random_shape(draw) }
}

/// Few different values, so that there are ties, and some that are not finite.
fn random_values(draw: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    let value = |number: u32| match number {
        0 => f32::NAN,
        1..=4 => f32::NEG_INFINITY,
        5 => f32::INFINITY,
        _ => (number % 4) as f32 - 2.0,
    };
    (0..count).map(|_| value(draw.random_range(0..40))).collect()
}

/// One window's maximum and its place, searched as PyTorch does.
fn search(shape: &PoolShape, plane: &[f32], [row, column]: [usize; 2]) -> (f32, f32) {
    let mut best: Option<(f32, f32)> = None;
    for high in 0..shape.kernel[0] {
        for wide in 0..shape.kernel[1] {
            let y = (row * shape.stride[0] + high).checked_sub(shape.padding[0]);
            let x = (column * shape.stride[1] + wide).checked_sub(shape.padding[1]);
            let (Some(y), Some(x)) = (y, x) else { continue };
            if y >= shape.input[0] || x >= shape.input[1] {
                continue;
            }
            let place = y * shape.input[1] + x;
            if best.is_none_or(|(most, _)| plane[place] > most || plane[place].is_nan()) {
                best = Some((plane[place], place as f32));
            }
        }
    }
    best.unwrap()
}

fn run(shape: &PoolShape, x: &[f32], g: &[f32]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (mut y, mut places) = (vec![0.5; g.len()], vec![f32::NAN; g.len()]);
    let mut dx = vec![f32::NAN; x.len()];
    max_pool(shape, x, &mut y, Some(&mut places)).unwrap();
    let mut alone = vec![0.5; g.len()];
    max_pool(shape, x, &mut alone, None).unwrap();
    let same = |(one, other): (&f32, &f32)| one == other || (one.is_nan() && other.is_nan());
    assert!(y.iter().zip(&alone).all(same), "{shape:?}");
    max_pool_backward(shape, g, &places, &mut dx).unwrap();
    (y, places, dx)
}

#[test]
fn poolings_are_what_a_search_finds() {
    for number in 0..CASES {
        let draw = &mut ChaCha8Rng::seed_from_u64(number);
        let shape = random_shape(draw);
        let x = random_values(draw, shape.input_len());
        // Whole numbers add up exactly, in any order.
        let g: Vec<f32> =
            (0..shape.output_len()).map(|_| draw.random_range(-9i8..=9).into()).collect();
        let (y, places, dx) = run(&shape, &x, &g);
        let [height, width] = shape.output();
        let pixels = shape.input[0] * shape.input[1];
        let mut expected = vec![0.0; x.len()];
        for (i, (y, place)) in y.iter().zip(&places).enumerate() {
            let plane = i / (height * width);
            let window = [i / width % height, i % width];
            let (most, at) = search(&shape, &x[plane * pixels..][..pixels], window);
            assert!(*y == most || (y.is_nan() && most.is_nan()), "{shape:?} {y} {most}");
            assert_eq!(*place, at, "{shape:?} at {i}");
            expected[plane * pixels + at as usize] += g[i];
        }
        assert_eq!(dx, expected, "{shape:?}");
    }
}

#[test]
fn as_many_threads_as_there_are_make_no_difference() {
    let shape =
        PoolShape { planes: 24, input: [56, 57], kernel: [3, 3], stride: [2, 2], padding: [1, 1] };
    let draw = &mut ChaCha8Rng::seed_from_u64(1);
    let mut values =
        |count: usize| -> Vec<f32> { (0..count).map(|_| draw.random_range(-1.0..1.0)).collect() };
    let (x, g) = (values(shape.input_len()), values(shape.output_len()));
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(&shape, &x, &g))
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn impossible_shapes_are_refused() {
    let shape =
        PoolShape { planes: 1, input: [4, 4], kernel: [2, 2], stride: [1, 1], padding: [0, 0] };
    assert_eq!(shape.check(), Ok(()));
    let padding = PoolShape { padding: [0, 2], ..shape };
    assert_eq!(padding.check(), Err(ShapeError::Padding { axis: "width", padding: 2, kernel: 2 }));
    let large = PoolShape { kernel: [7, 2], padding: [1, 0], ..shape };
    assert_eq!(large.check(), Err(ShapeError::TooSmall { axis: "height", span: 7, padded: 6 }));
    let none = PoolShape { stride: [1, 0], ..shape };
    assert_eq!(none.check(), Err(ShapeError::Zero { name: "stride along the width" }));
    let short = max_pool(&shape, &[0.0; 16], &mut [0.0; 9], Some(&mut [0.0; 8]));
    let (name, expected, found) = ("the places", 9, 8);
    assert_eq!(short, Err(ShapeError::Length { name, expected, found }));
}
