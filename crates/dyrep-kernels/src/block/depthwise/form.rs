//! Branches of one channel as what they are before their end: linear forms of what the taps read.
//!
//! ```text
//! y = Σ_t u_t x_t + Σ_t v_t in_t + c
//! ```
//!
//! A convolution has `u` alone. Behind a first norm `a x + b`, whose image of zero is `z`, a tap of weight `w` reads
//! `a x_t + b` inside and `z` outside: `u = a w`, `v = (b − z) w`, `c = z Σ w`. Where frames hold `x − m` instead of
//! `x` ([`super::centre`]), a tap reads `m` more inside: `m u` is added to `v`.

use super::super::{Branch, Core, End, First, Norm};
use super::sums::{Geometry, Sums};
use crate::norm::affine::{Moment, image_of_zero_double, inverse_deviation};
use crate::shape::ConvShape;

/// A branch before its end.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) u: Vec<f64>,
    /// Empty for zeros.
    pub(super) v: Vec<f64>,
    pub(super) constant: f64,
}

/// The first convolution and norm of one channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Middle {
    /// The 1×1 convolution's weight.
    pub(super) scale: f64,
    /// Of the input times `scale`.
    pub(super) moment: Moment,
    pub(super) gamma: f64,
    /// `1 / √(var + ε)`.
    pub(super) inverse: f64,
    /// What the input is multiplied by, all in all: `a`.
    pub(super) slope: f64,
    /// `b − z`.
    pub(super) step: f64,
    /// `z`.
    pub(super) border: f64,
}

impl Middle {
    pub(super) fn new(First { weight, norm }: &First<&[f32]>, moment: Moment) -> Self {
        let scale = f64::from(weight[0]);
        let [gamma, beta] = [norm.gamma, norm.beta].map(|value| f64::from(value[0]));
        let inverse = inverse_deviation(moment.variance, norm.epsilon);
        let border = image_of_zero_double(norm, norm.running(), moment);
        let shift = beta - gamma * inverse * moment.mean;
        let slope = scale * gamma * inverse;
        Self { scale, moment, gamma, inverse, slope, step: shift - border, border }
    }
}

/// What a branch's end sees.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// What the taps read; with the weights of each tap where they are others than the form's.
    Taps(Form, Vec<f64>),
    /// The input, which no tap reads where it is.
    Input,
    /// A map of its own.
    Given,
}

/// The tap that reads every pixel where it is.
pub(super) fn center(shape: &ConvShape) -> Option<usize> {
    let same = shape.stride == [1, 1] && shape.input == shape.output();
    let place = |axis: usize| {
        let (before, dilation) = (shape.padding[axis].0, shape.dilation[axis]);
        (before % dilation == 0).then_some(before / dilation)
    };
    let tap = place(0)? * shape.kernel[1] + place(1)?;
    same.then_some(tap)
}

/// Whether the end sees what taps read.
pub(super) fn is_tapped<T>(shape: &ConvShape, branch: &Branch<T>) -> bool {
    match branch.core {
        Core::Input => center(shape).is_some(),
        Core::Given { .. } => false,
        Core::Conv { .. } | Core::Average => true,
    }
}

/// A channel of a branch, whose first norm is known; `centre` is what the frames lack.
pub(super) fn seen(
    shape: &ConvShape,
    branch: &Branch<&[f32]>,
    middle: Option<Middle>,
    centre: f64,
) -> Seen {
    let taps = shape.taps();
    let mut weights = vec![0.0; taps];
    match &branch.core {
        Core::Conv { window, weight, .. } => {
            for (tap, weight) in window.taps(shape.kernel[1]).zip(*weight) {
                weights[tap] = f64::from(*weight);
            }
        }
        Core::Average => weights.fill(1.0 / taps as f64),
        Core::Input => match center(shape) {
            Some(center) => weights[center] = 1.0,
            None => return Seen::Input,
        },
        Core::Given { .. } => return Seen::Given,
    }
    let bias = branch.bias().map_or(0.0, |bias| f64::from(bias[0]));
    let by = |factor: f64| weights.iter().map(|weight| factor * weight).collect::<Vec<f64>>();
    let (mut form, weights) = match middle {
        Some(middle) => {
            let constant = middle.border * weights.iter().sum::<f64>() + bias;
            (Form { u: by(middle.slope), v: by(middle.step), constant }, weights)
        }
        None => (Form { u: weights, v: Vec::new(), constant: bias }, Vec::new()),
    };
    if centre != 0.0 {
        form.v.resize(taps, 0.0);
        form.v.iter_mut().zip(&form.u).for_each(|(v, u)| *v += centre * u);
    }
    Seen::Taps(form, weights)
}

pub(super) fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// A matrix `[taps, taps]` times a vector.
fn times(matrix: &[f64], vector: &[f64]) -> impl Iterator<Item = f64> {
    matrix.chunks_exact(vector.len()).map(|row| dot(row, vector))
}

impl Form {
    /// `Σ y x_t`, without the constant's part.
    pub(super) fn with_pixels(&self, sums: &Sums) -> Vec<f64> {
        let mut result: Vec<f64> = times(&sums.second, &self.u).collect();
        if !self.v.is_empty() {
            let inside = times(&sums.inside, &self.v);
            result.iter_mut().zip(inside).for_each(|(x, inside)| *x += inside);
        }
        result
    }

    /// `Σ y in_t`, without the constant's part.
    pub(super) fn with_inside(&self, sums: &Sums, geometry: &Geometry) -> Vec<f64> {
        let taps = self.u.len();
        let mut result: Vec<f64> = times(&geometry.both_inside, &self.v).collect();
        for (t, row) in sums.inside.chunks_exact(taps).enumerate() {
            result.iter_mut().zip(row).for_each(|(sum, value)| *sum += self.u[t] * value);
        }
        result
    }

    /// Mean and variance over `count` outputs.
    pub(super) fn moment(&self, sums: &Sums, geometry: &Geometry, count: f64) -> Moment {
        let mean = (dot(&self.u, &sums.first) + dot(&self.v, &geometry.inside)) / count;
        let mut square = dot(&self.u, &self.with_pixels(sums));
        if !self.v.is_empty() {
            square += dot(&self.v, &self.with_inside(sums, geometry));
        }
        let variance = (square / count - mean * mean).max(0.0);
        Moment { mean: mean + self.constant, variance }
    }
}

/// What an end multiplies a channel by, and what it adds; a norm by its moments.
pub(super) fn line(end: &End<&[f32]>, moment: Option<Moment>) -> (f64, f64) {
    match (end, moment) {
        (End::Norm(Norm { gamma, beta, epsilon, .. }), Some(moment)) => {
            let slope = f64::from(gamma[0]) * inverse_deviation(moment.variance, *epsilon);
            (slope, f64::from(beta[0]) - slope * moment.mean)
        }
        (End::Scale(scale), _) => (f64::from(scale[0]), 0.0),
        _ => (1.0, 0.0),
    }
}
