//! Branches of one channel as what they are before their norm: linear forms of what the taps read.
//!
//! ```text
//! y = Σ_t u_t x_t + Σ_t v_t in_t + c
//! ```
//!
//! A convolution has `u` alone. Behind a middle norm `a x + b`, whose image of zero is `z`, a tap of weight `w`
//! reads `a x_t + b` inside and `z` outside: `u = a w`, `v = (b − z) w`, `c = z Σ w`.

use super::super::{Branch, MiddleNorm, Norm};
use super::sums::{Geometry, Sums};
use crate::shape::ConvShape;

/// Mean and biased variance of one channel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moment {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

/// A branch before its norm.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) u: Vec<f64>,
    /// Empty without a middle norm.
    pub(super) v: Vec<f64>,
    pub(super) constant: f64,
}

/// The middle norm of one channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Middle {
    /// The 1×1 convolution before it.
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
    pub(super) fn new(
        pointwise: &[f32],
        norm: &MiddleNorm<&[f32]>,
        moment: Moment,
        count: usize,
    ) -> Self {
        let scale = f64::from(pointwise[0]);
        let [gamma, beta] = [norm.norm.gamma, norm.norm.beta].map(|value| f64::from(value[0]));
        let epsilon = f64::from(norm.norm.epsilon);
        let inverse = 1.0 / (moment.variance + epsilon).sqrt();
        let momentum = f64::from(norm.momentum);
        let unbiased = if count > 1 { count as f64 / (count - 1) as f64 } else { 1.0 };
        let update = |running: &[f32], batch: f64| {
            f64::from(running[0]) * (1.0 - momentum) + batch * momentum
        };
        let mean = update(norm.running_mean, moment.mean);
        let variance = update(norm.running_variance, moment.variance * unbiased);
        let border = beta - mean * gamma / (variance + epsilon).sqrt();
        let shift = beta - gamma * inverse * moment.mean;
        let slope = scale * gamma * inverse;
        Self { scale, moment, gamma, inverse, slope, step: shift - border, border }
    }

    fn form(&self, weights: &[f64]) -> Form {
        Form {
            u: weights.iter().map(|weight| self.slope * weight).collect(),
            v: weights.iter().map(|weight| self.step * weight).collect(),
            constant: self.border * weights.iter().sum::<f64>(),
        }
    }
}

/// What a branch's last norm sees.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// What the taps read; with the middle norm and the weights behind it.
    Taps(Form, Option<(Middle, Vec<f64>)>),
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

/// Whether the last norm sees what taps read.
pub(super) fn is_tapped(shape: &ConvShape, branch: &Branch<&[f32]>) -> bool {
    match branch {
        Branch::Identity { .. } => center(shape).is_some(),
        Branch::Given { .. } => false,
        Branch::Conv { .. } | Branch::Sequence { .. } | Branch::Average { .. } => true,
    }
}

/// The 1×1 convolution and middle norm of a branch that has them.
pub(super) fn middle<'a, 'b>(
    branch: &'b Branch<&'a [f32]>,
) -> Option<(&'a [f32], &'b MiddleNorm<&'a [f32]>)> {
    match branch {
        Branch::Sequence { pointwise, middle, .. }
        | Branch::Average { first: Some((pointwise, middle)), .. } => Some((pointwise, middle)),
        _ => None,
    }
}

/// A channel of a branch, whose middle norm is known.
pub(super) fn seen(shape: &ConvShape, branch: &Branch<&[f32]>, middle: Option<Middle>) -> Seen {
    let taps = shape.taps();
    let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>();
    let plain = |u: Vec<f64>, constant| Seen::Taps(Form { u, v: Vec::new(), constant }, None);
    let behind = |weights: Vec<f64>, constant: f64| match middle {
        Some(middle) => {
            let mut form = middle.form(&weights);
            form.constant += constant;
            Seen::Taps(form, Some((middle, weights)))
        }
        None => plain(weights, constant),
    };
    let bias = |bias: &Option<&[f32]>| bias.map_or(0.0, |bias| f64::from(bias[0]));
    match branch {
        Branch::Conv { window, weight, bias: shift, .. } => {
            let mut u = vec![0.0; taps];
            for (tap, weight) in window.taps(shape.kernel).zip(wide(weight)) {
                u[tap] = weight;
            }
            plain(u, bias(shift))
        }
        Branch::Sequence { weight, bias: shift, .. } => behind(wide(weight), bias(shift)),
        Branch::Average { .. } => behind(vec![1.0 / taps as f64; taps], 0.0),
        Branch::Identity { .. } => center(shape).map_or(Seen::Input, |center| {
            plain((0..taps).map(|tap| f64::from(u8::from(tap == center))).collect(), 0.0)
        }),
        Branch::Given { .. } => Seen::Given,
    }
}

pub(super) fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// A matrix `[taps, taps]` times a vector; either may be empty, for zero.
fn times(matrix: &[f64], vector: &[f64], taps: usize) -> Vec<f64> {
    if matrix.is_empty() || vector.is_empty() {
        return vec![0.0; taps];
    }
    matrix.chunks_exact(taps).map(|row| dot(row, vector)).collect()
}

impl Form {
    /// `Σ y x_t`, without the constant's part.
    pub(super) fn with_pixels(&self, sums: &Sums) -> Vec<f64> {
        let taps = self.u.len();
        let (x, inside) = (times(&sums.second, &self.u, taps), times(&sums.inside, &self.v, taps));
        x.iter().zip(inside).map(|(x, inside)| x + inside).collect()
    }

    /// `Σ y in_t`, without the constant's part.
    pub(super) fn with_inside(&self, sums: &Sums, geometry: &Geometry) -> Vec<f64> {
        let taps = self.u.len();
        let mut result = times(&geometry.both_inside, &self.v, taps);
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

/// `γ / √(var + ε)` and `1 / √(var + ε)` of a channel's norm.
pub(super) fn slope(norm: &Norm<&[f32]>, moment: Moment) -> (f64, f64) {
    let inverse = 1.0 / (moment.variance + f64::from(norm.epsilon)).sqrt();
    (f64::from(norm.gamma[0]) * inverse, inverse)
}
