//! Random batch norms against the definition in double precision, and gradients against finite differences.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use dyrep_kernels::{Gradients, Moments, NormCall, NormShape, Passed, ShapeError, Tail};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

const EPSILON: f64 = 1e-3;
const CASES: u64 = 160;
/// Of outputs, moments and gradients. The largest errors over the cases below are 9e-7, 3e-7 and 5e-6.
const TOLERANCE: [f64; 3] = [5e-6, 1e-6, 2e-5];
/// With a mean of 100 deviations, to which the mean's own rounding adds. The largest are 5e-5, 2e-7 and 2e-5.
const FAR_TOLERANCE: [f64; 3] = [2e-4, 1e-6, 1e-4];

#[derive(Clone)]
struct Case {
    shape: NormShape,
    x: Vec<f32>,
    residual: Option<Vec<f32>>,
    relu: bool,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    /// Of inference.
    given: [Vec<f32>; 2],
    /// The output's gradient.
    g: Vec<f32>,
}

/// What a case's functions wrote.
#[derive(Clone, PartialEq)]
struct Found {
    y: Vec<f32>,
    mean: Vec<f32>,
    variance: Vec<f32>,
    dx: Vec<f32>,
    dresidual: Vec<f32>,
    dgamma: Vec<f32>,
    dbeta: Vec<f32>,
}

fn values(draw: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| draw.random_range(-1.0..1.0)).collect()
}

fn case(number: u64, shape: NormShape, mean: f32) -> Case {
    let draw = &mut ChaCha8Rng::seed_from_u64(number);
    let residual = draw.random_range(0..2) == 1;
    Case {
        x: values(draw, shape.len()).iter().map(|value| value + mean).collect(),
        residual: residual.then(|| values(draw, shape.len())),
        relu: draw.random_range(0..2) == 1,
        gamma: values(draw, shape.channels),
        beta: values(draw, shape.channels),
        given: [
            values(draw, shape.channels).iter().map(|value| value + mean).collect(),
            values(draw, shape.channels).iter().map(|value| value + 1.1).collect(),
        ],
        g: values(draw, shape.len()),
        shape,
    }
}

fn random_shape(number: u64) -> NormShape {
    let draw = &mut ChaCha8Rng::seed_from_u64(number ^ 0x5a5a);
    let batch = draw.random_range(1..=9);
    match number % 8 {
        0 => NormShape { batch, channels: draw.random_range(1..=700), pixels: 1 },
        1 => NormShape { batch: 1, channels: draw.random_range(1..=70), pixels: 49 },
        2 => NormShape { batch: 70, channels: 3, pixels: draw.random_range(1..=9) },
        3 => NormShape { batch: 2, channels: draw.random_range(1..=3), pixels: 40_001 },
        4 => NormShape { batch, channels: 2, pixels: draw.random_range(120..=136) },
        5 => NormShape { batch, channels: 40, pixels: draw.random_range(200..=5000) },
        _ => {
            let channels = draw.random_range(1..=60);
            NormShape { batch, channels, pixels: draw.random_range(1..=300) }
        }
    }
}

fn run(case: &Case, own: bool) -> Found {
    let Case { shape, x, residual, relu, gamma, beta, given, g } = case;
    let norm = NormCall { shape: *shape, gamma, beta, epsilon: EPSILON };
    // Not-a-number shows what is left unwritten.
    let new = |count| vec![f32::NAN; count];
    let (mut y, mut dx, mut dresidual) = (new(shape.len()), new(shape.len()), new(shape.len()));
    let (mut dgamma, mut dbeta) = (new(shape.channels), new(shape.channels));
    let [mut mean, mut variance] = given.clone();
    let tail = Tail { residual: residual.as_deref(), relu: *relu };
    if own {
        let moments = Moments { mean: &mut mean[..], variance: &mut variance[..] };
        norm.train(x, tail, &mut y, moments).unwrap();
    } else {
        norm.infer(Moments { mean: &mean[..], variance: &variance[..] }, x, tail, &mut y).unwrap();
    }
    let moments = Moments { mean: &mean[..], variance: &variance[..] };
    let mut back = |passed, dresidual: Option<&mut Vec<f32>>| {
        let gradients = Gradients {
            input: &mut dx,
            residual: dresidual.map(Vec::as_mut_slice),
            gamma: &mut dgamma,
            beta: &mut dbeta,
        };
        let result = if own {
            norm.train_backward(moments, x, passed, g, gradients)
        } else {
            norm.infer_backward(moments, x, passed, g, gradients)
        };
        result.unwrap();
        (dx.clone(), dgamma.clone(), dbeta.clone())
    };
    match (relu, residual) {
        (false, _) => {
            back(Passed::All, None);
            dresidual.clone_from(g);
        }
        (true, None) => {
            // The signs found again are those of the output, to the last bit.
            let of_output = back(Passed::OfOutput(&y), Some(&mut dresidual));
            assert_eq!(back(Passed::OfNorm, None), of_output);
        }
        (true, Some(_)) => {
            let both = back(Passed::OfOutput(&y), Some(&mut dresidual));
            assert_eq!(back(Passed::OfOutput(&y), None), both);
        }
    }
    Found { y, mean, variance, dx, dresidual, dgamma, dbeta }
}

/// A batch in double precision.
#[derive(Clone)]
struct Wide {
    x: Vec<f64>,
    residual: Vec<f64>,
    gamma: Vec<f64>,
    beta: Vec<f64>,
}

impl Wide {
    fn of(case: &Case) -> Self {
        let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
        Self {
            x: wide(&case.x),
            residual: case.residual.as_ref().map_or(vec![0.0; case.x.len()], |r| wide(r)),
            gamma: wide(&case.gamma),
            beta: wide(&case.beta),
        }
    }

    fn moments(&self, shape: &NormShape) -> [Vec<f64>; 2] {
        let count = (shape.batch * shape.pixels) as f64;
        let [mut mean, mut variance] = [(); 2].map(|()| vec![0.0; shape.channels]);
        for (i, x) in self.x.iter().enumerate() {
            mean[i / shape.pixels % shape.channels] += x / count;
        }
        for (i, x) in self.x.iter().enumerate() {
            let channel = i / shape.pixels % shape.channels;
            variance[channel] += (x - mean[channel]).powi(2) / count;
        }
        [mean, variance]
    }

    /// The values before the ReLU.
    fn forward(&self, case: &Case, own: bool) -> Vec<f64> {
        let given = || case.given.clone().map(|v| v.into_iter().map(f64::from).collect());
        let [mean, variance] = if own { self.moments(&case.shape) } else { given() };
        let one = |(i, x): (usize, &f64)| {
            let c = i / case.shape.pixels % case.shape.channels;
            let deviation = (variance[c] + EPSILON).sqrt();
            self.gamma[c] * (x - mean[c]) / deviation + self.beta[c] + self.residual[i]
        };
        self.x.iter().enumerate().map(one).collect()
    }
}

/// The largest, or not-a-number where there is one.
fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    let larger = |most: f64, value: f64| if value <= most || most.is_nan() { most } else { value };
    values.into_iter().fold(0.0, larger)
}

/// Differences of outputs, of the moments, and of gradients along random directions, each of what is usual.
fn errors(case: &Case, found: &Found, own: bool) -> [f64; 3] {
    let wide = Wide::of(case);
    let before = wide.forward(case, own);
    let after = before.iter().map(|z| if case.relu { z.max(0.0) } else { *z });
    let output = largest(after.zip(&found.y).map(|(z, y)| (z - f64::from(*y)).abs()));
    let [mean, variance] = wide.moments(&case.shape);
    let moments = if own {
        let each = (0..case.shape.channels).flat_map(|c| {
            let mean_off = (f64::from(found.mean[c]) - mean[c]).abs() / mean[c].abs().max(1.0);
            let least = variance[c].max(1e-12);
            [mean_off, (f64::from(found.variance[c]) - variance[c]).abs() / least]
        });
        largest(each)
    } else {
        0.0
    };
    // Where the ReLU passes is held, as the derivative holds it.
    let passes: Vec<bool> = found.y.iter().map(|y| !case.relu || *y > 0.0).collect();
    let loss = |wide: &Wide| -> f64 {
        let values = wide.forward(case, own).into_iter().zip(&case.g).zip(&passes);
        values.map(|((z, g), passes)| if *passes { z * f64::from(*g) } else { 0.0 }).sum()
    };
    let draw = &mut ChaCha8Rng::seed_from_u64(7);
    let field: [fn(&mut Wide) -> &mut Vec<f64>; 4] =
        [|w| &mut w.x, |w| &mut w.residual, |w| &mut w.gamma, |w| &mut w.beta];
    let gradients = [&found.dx, &found.dresidual, &found.dgamma, &found.dbeta];
    let each = field.into_iter().zip(gradients).map(|(field, gradient)| {
        let direction = values(draw, gradient.len());
        let step = 1e-5;
        let moved = |by: f64| {
            let mut wide = wide.clone();
            let pairs = field(&mut wide).iter_mut().zip(&direction);
            pairs.for_each(|(value, along)| *value += by * f64::from(*along));
            loss(&wide)
        };
        let expected = (moved(step) - moved(-step)) / (2.0 * step);
        let products = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d));
        let size = products.clone().map(f64::abs).sum::<f64>();
        (expected - products.sum::<f64>()).abs() / (size + 0.1)
    });
    [output, moments, largest(each)]
}

fn check(case: &Case, own: bool, tolerance: [f64; 3]) -> [f64; 3] {
    let found = run(case, own);
    let errors = errors(case, &found, own);
    let fine = errors.iter().zip(tolerance).all(|(error, most)| *error <= most);
    assert!(fine, "{:?} relu {} own {own}: {errors:?}", case.shape, case.relu);
    errors
}

#[test]
fn norms_and_gradients_are_the_definition() {
    let mut most = [0.0f64; 3];
    for number in 0..CASES {
        let case = case(number, random_shape(number), 0.0);
        for own in [true, false] {
            let errors = check(&case, own, TOLERANCE);
            most = std::array::from_fn(|i| most[i].max(errors[i]));
        }
    }
    println!("largest errors {most:?}");
}

#[test]
fn a_mean_far_from_zero_costs_no_accuracy_of_the_variance() {
    let mut most = [0.0f64; 3];
    for number in 0..40 {
        // Uniform values deviate by 0.58.
        let mut case = case(number, random_shape(number), 58.0);
        case.relu = false;
        let errors = check(&case, true, FAR_TOLERANCE);
        most = std::array::from_fn(|i| most[i].max(errors[i]));
    }
    println!("largest errors {most:?}");
}

#[test]
fn values_unlike_the_others_cost_no_accuracy() {
    for pixels in [4, 4096, 40_000] {
        let shape = NormShape { batch: 200_000 / pixels, channels: 3, pixels };
        let mut case = case(1, shape, 0.0);
        // The sums start from the mean of a few values, each channel's first among them.
        (0..3).for_each(|channel| case.x[channel * pixels] = 1e6);
        let (found, wide) = (run(&case, true), Wide::of(&case));
        let [_, variance] = wide.moments(&shape);
        for (found, expected) in found.variance.iter().zip(variance) {
            assert!((f64::from(*found) / expected - 1.0).abs() < 1e-6, "{found} {expected}");
        }
        let constant = vec![1234.567; shape.len()];
        let case = Case { x: constant, residual: None, relu: false, ..case };
        let found = run(&case, true);
        assert!(found.variance.iter().all(|variance| *variance == 0.0));
        assert!(found.y.iter().enumerate().all(|(i, y)| *y == case.beta[i / pixels % 3]));
    }
}

#[test]
fn a_wrong_gradient_is_noticed() {
    let case = case(3, NormShape { batch: 4, channels: 5, pixels: 9 }, 0.0);
    let right = run(&case, true);
    assert!(errors(&case, &right, true)[2] < 2e-5);
    // The gradient of inference leaves out what the statistics depend on.
    let mut wrong = right.clone();
    let moments = Case { given: [right.mean.clone(), right.variance.clone()], ..case.clone() };
    wrong.dx = run(&moments, false).dx;
    assert!(errors(&case, &wrong, true)[2] > 1e-2);
    let mut wrong = right.clone();
    wrong.dgamma[2] *= 1.01;
    assert!(errors(&case, &wrong, true)[2] > 1e-4);
    let mut wrong = right.clone();
    wrong.y[17] += 1e-3;
    assert!(errors(&case, &wrong, true)[0] > 5e-4);
}

#[test]
fn as_many_threads_as_there_are_make_no_difference() {
    let with = |threads: usize, case: &Case, own: bool| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(case, own))
    };
    for number in 0..64 {
        let case = case(number, random_shape(number), 1.0);
        for own in [true, false] {
            let (one, three) = (with(1, &case, own), with(3, &case, own));
            assert!(one == three, "{:?}", case.shape);
        }
    }
}

#[test]
fn not_a_number_is_not_hidden_by_the_relu() {
    let shape = NormShape { batch: 1, channels: 2, pixels: 200 };
    let mut x = vec![1.0; shape.len()];
    x[3] = f32::NAN;
    let (one, mut y) = ([1.0; 2], vec![0.0; shape.len()]);
    let norm = NormCall { shape, gamma: &one, beta: &one, epsilon: EPSILON };
    let [mut mean, mut variance] = [[0.0; 2]; 2];
    let moments = Moments { mean: &mut mean[..], variance: &mut variance[..] };
    norm.train(&x, Tail { residual: None, relu: true }, &mut y, moments).unwrap();
    assert!(y[..200].iter().all(|value| value.is_nan()) && y[200..].iter().all(|y| *y == 1.0));
}

#[test]
fn wrong_lengths_are_refused() {
    let shape = NormShape { batch: 2, channels: 3, pixels: 4 };
    let (ones, x, mut y) = ([1.0; 3], [0.0; 24], [0.0; 24]);
    let norm = NormCall { shape, gamma: &ones, beta: &ones, epsilon: EPSILON };
    let moments = Moments { mean: &ones[..], variance: &ones[..] };
    let none = Tail::default();
    assert_eq!(norm.infer(moments, &x, none, &mut y), Ok(()));
    let length = |name, expected, found| Err(ShapeError::Length { name, expected, found });
    assert_eq!(norm.infer(moments, &x[1..], none, &mut y), length("the input", 24, 23));
    let short = Tail { residual: Some(&x[..6]), relu: false };
    assert_eq!(norm.infer(moments, &x, short, &mut y), length("the residual", 24, 6));
    let empty = NormCall { shape: NormShape { pixels: 0, ..shape }, ..norm };
    assert_eq!(empty.infer(moments, &[], none, &mut []), Err(ShapeError::Zero { name: "pixels" }));
    let gradients =
        Gradients { input: &mut y, residual: None, gamma: &mut [0.0; 3], beta: &mut [0.0; 2] };
    assert_eq!(
        norm.train_backward(moments, &x, Passed::All, &x, gradients),
        length("beta's gradient", 3, 2)
    );
}
