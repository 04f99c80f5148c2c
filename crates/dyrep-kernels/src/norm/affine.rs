//! What a batch norm is at one batch: a multiply-add on the way forward, another on the way back.
//!
//! Each formula is here once in each precision that uses it. Where two look alike, the order of their operations is
//! what the results of one caller have always had, to the last bit.

use super::{Moments, Norm, Running};

/// `1 / √(σ² + ε)`.
pub(crate) fn inverse_deviation(variance: f64, epsilon: f64) -> f64 {
    (variance + f64::from(epsilon as f32)).sqrt().recip()
}

/// The same in single precision, for norms that are read along with a map.
fn inverse_deviation_single(variance: f32, epsilon: f64) -> f32 {
    1.0 / (variance + epsilon as f32).sqrt()
}

/// `scale · value + shift`, by channel.
pub(crate) struct AtBatch {
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
}

impl AtBatch {
    /// The norm at a batch with these moments.
    pub(crate) fn new(norm: &Norm<&[f32]>, moments: &Moments) -> Self {
        let pairs = moments.variance.iter().zip(norm.gamma);
        let scale: Vec<f32> = pairs
            .map(|(variance, gamma)| gamma * inverse_deviation_single(*variance, norm.epsilon))
            .collect();
        let shift = scale.iter().zip(&moments.mean).zip(norm.beta);
        let shift = shift.map(|((scale, mean), beta)| beta - mean * scale).collect();
        Self { scale, shift }
    }
}

/// What a norm makes of zero by the running statistics as a batch of these moments leaves them.
pub(crate) fn image_of_zero(
    norm: &Norm<&[f32]>,
    batch: &Running<&[f32]>,
    moments: &Moments,
) -> Vec<f32> {
    let (momentum, unbias) = (batch.momentum as f32, batch.unbias as f32);
    let running = |running: &[f32], channel: usize, batch: f32| {
        running[channel] * (1.0 - momentum) + batch * momentum
    };
    let image = |channel: usize| {
        let mean = running(batch.mean, channel, moments.mean[channel]);
        let variance = running(batch.variance, channel, moments.variance[channel] * unbias);
        let inverse = inverse_deviation_single(variance, norm.epsilon);
        norm.beta[channel] - mean * (norm.gamma[channel] * inverse)
    };
    (0..norm.gamma.len()).map(image).collect()
}

/// Mean and biased variance of one channel.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    pub(crate) mean: f64,
    pub(crate) variance: f64,
}

/// [`image_of_zero`] of a norm of one channel, in double precision.
pub(crate) fn image_of_zero_double(
    norm: &Norm<&[f32]>,
    batch: &Running<&[f32]>,
    moment: Moment,
) -> f64 {
    let [gamma, beta] = [norm.gamma, norm.beta].map(|value| f64::from(value[0]));
    // As in single precision above.
    let momentum = f64::from(batch.momentum as f32);
    let update =
        |running: &[f32], batch: f64| f64::from(running[0]) * (1.0 - momentum) + batch * momentum;
    let mean = update(batch.mean, moment.mean);
    let variance = update(batch.variance, moment.variance * batch.unbias);
    beta - mean * gamma / (variance + f64::from(norm.epsilon as f32)).sqrt()
}

/// The gradient of a value in front of a norm: `a · g + b · value + c`, `g` being the gradient behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Back {
    pub(crate) a: f64,
    pub(crate) b: f64,
    pub(crate) c: f64,
}

impl Back {
    /// Of a norm by the batch's own moments over `count` values, and the gradient of its `γ`.
    ///
    /// `along` is `Σ g · (value − mean)`, `sum` is `Σ g`.
    pub(crate) fn of_maps(
        (gamma, epsilon): (f32, f64),
        moment: Moment,
        [sum, along]: [f64; 2],
        count: f64,
    ) -> (Self, f64) {
        let inverse = inverse_deviation(moment.variance, epsilon);
        let a = f64::from(gamma) * inverse;
        let gamma = along * inverse;
        let b = -a * inverse * gamma / count;
        (Self { a, b, c: -a * sum / count - b * moment.mean }, gamma)
    }

    /// The same, in the order of depthwise blocks.
    pub(crate) fn of_forms(
        (gamma, epsilon): (f32, f64),
        moment: Moment,
        [sum, along]: [f64; 2],
        count: f64,
    ) -> (Self, f64) {
        let inverse = inverse_deviation(moment.variance, epsilon);
        let a = f64::from(gamma) * inverse;
        let gamma = inverse * along;
        let b = -a * gamma / count * inverse;
        (Self { a, b, c: -a * sum / count - b * moment.mean }, gamma)
    }
}
