//! Batch norms as what they are at one batch: a multiply-add on the way forward, another on the way back.

use rayon::prelude::*;

use super::{MiddleNorm, Moments, Norm};
use crate::bundle::Mix;
use crate::flat::{product, sum};
use crate::lanes::fast;

/// `scale · value + shift`, by channel.
pub(super) struct AtBatch {
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
}

impl AtBatch {
    /// The norm at a batch with these moments.
    pub(super) fn new(norm: &Norm<&[f32]>, moments: &Moments) -> Self {
        let scale: Vec<f32> = moments
            .variance
            .iter()
            .zip(norm.gamma)
            .map(|(variance, gamma)| gamma * inverse(*variance, norm.epsilon))
            .collect();
        let shift = scale.iter().zip(&moments.mean).zip(norm.beta);
        let shift = shift.map(|((scale, mean), beta)| beta - mean * scale).collect();
        Self { scale, shift }
    }
}

fn inverse(variance: f32, epsilon: f32) -> f32 {
    1.0 / (variance + epsilon).sqrt()
}

/// What a middle norm makes of zero, by the running statistics as this batch of `count` values leaves them.
pub(super) fn image_of_zero(
    middle: &MiddleNorm<&[f32]>,
    moments: &Moments,
    count: usize,
) -> Vec<f32> {
    let momentum = middle.momentum;
    let unbiased = count as f32 / count.saturating_sub(1).max(1) as f32;
    let running = |running: &[f32], channel: usize, batch: f32| {
        running[channel] * (1.0 - momentum) + batch * momentum
    };
    let norm = &middle.norm;
    let image = |channel: usize| {
        let mean = running(middle.running_mean, channel, moments.mean[channel]);
        let variance =
            running(middle.running_variance, channel, moments.variance[channel] * unbiased);
        norm.beta[channel] - mean * (norm.gamma[channel] * inverse(variance, norm.epsilon))
    };
    (0..norm.gamma.len()).map(image).collect()
}

/// The gradients of a norm, and what it makes of the gradient behind it.
pub(super) struct Reversed {
    pub(super) gamma: Vec<f32>,
    pub(super) beta: Vec<f32>,
    /// `[a, b, c]` by channel: the gradient of a value is `a · gradient + b · value + c`.
    pub(super) weights: Vec<[f32; 3]>,
}

impl Reversed {
    /// From `sums`, by channel Σ gradient and Σ gradient · (value − mean) over `count` values.
    pub(super) fn new(
        norm: &Norm<&[f32]>,
        moments: &Moments,
        sums: &[[f64; 2]],
        count: usize,
    ) -> Self {
        let mut reversed = Self { gamma: vec![], beta: vec![], weights: vec![] };
        for (channel, [sum, dot]) in sums.iter().enumerate() {
            let inverse =
                1.0 / (f64::from(moments.variance[channel]) + f64::from(norm.epsilon)).sqrt();
            let scale = f64::from(norm.gamma[channel]) * inverse;
            let gamma = dot * inverse;
            let slope = -scale * inverse * gamma / count as f64;
            let level = -scale * sum / count as f64 - slope * f64::from(moments.mean[channel]);
            reversed.gamma.push(gamma as f32);
            reversed.beta.push(*sum as f32);
            reversed.weights.push([scale as f32, slope as f32, level as f32]);
        }
        reversed
    }

    pub(super) fn mix<'a>(&'a self, map: &'a [f32]) -> Mix<'a> {
        Mix { map, weights: &self.weights }
    }
}

/// By map and channel: Σ gradient and Σ gradient · (value − mean).
///
/// All are `[batch, channels, pixels]`; each map comes with its means.
pub(super) fn sums(
    gradient: &[f32],
    maps: &[(&[f32], &[f32])],
    channels: usize,
    pixels: usize,
) -> Vec<Vec<[f64; 2]>> {
    /// Values of the gradient that stay in cache while they meet every map.
    const PIECE: usize = 4096;
    let of_channel = |channel: usize| {
        let mut total = 0.0;
        let mut dots = vec![0.0; maps.len()];
        for start in (channel * pixels..gradient.len()).step_by(channels * pixels) {
            for first in (start..start + pixels).step_by(PIECE) {
                let piece = first..(first + PIECE).min(start + pixels);
                let gradient = &gradient[piece.clone()];
                total += sum(gradient);
                for (dot, (map, means)) in dots.iter_mut().zip(maps) {
                    *dot += product(gradient, &map[piece.clone()], means[channel]);
                }
            }
        }
        dots.into_iter().map(|dot| [total, dot]).collect::<Vec<_>>()
    };
    let by_channel: Vec<Vec<[f64; 2]>> = (0..channels).into_par_iter().map(of_channel).collect();
    (0..maps.len()).map(|map| by_channel.iter().map(|sums| sums[map]).collect()).collect()
}

/// `target = Σ scale · map + shifts`, over maps `[batch, channels, pixels]`.
pub(super) fn combine(maps: &[(&[f32], &AtBatch)], pixels: usize, target: &mut [f32]) {
    let planes = target.par_chunks_exact_mut(pixels).enumerate();
    planes.for_each(|(plane, target)| {
        fast(
            #[inline(always)]
            || {
                let channels = maps.first().map_or(1, |(_, norm)| norm.scale.len());
                let channel = plane % channels;
                target.fill(maps.iter().map(|(_, norm)| norm.shift[channel]).sum());
                for (map, norm) in maps {
                    let scale = norm.scale[channel];
                    let map = &map[plane * pixels..][..pixels];
                    target.iter_mut().zip(map).for_each(|(target, value)| *target += scale * value);
                }
            },
        );
    });
}

/// Adds `a · gradient + b · map + c` to a target.
pub(super) fn add_mix(gradient: &[f32], mix: &Mix<'_>, pixels: usize, target: &mut [f32]) {
    let planes = target.par_chunks_exact_mut(pixels).enumerate();
    planes.for_each(|(plane, target)| {
        fast(
            #[inline(always)]
            || {
                let [a, b, c] = mix.weights[plane % mix.weights.len()];
                let place = plane * pixels..(plane + 1) * pixels;
                let values = gradient[place.clone()].iter().zip(&mix.map[place]);
                let triples = target.iter_mut().zip(values);
                triples.for_each(|(target, (gradient, value))| {
                    *target += a * gradient + (b * value + c);
                });
            },
        );
    });
}
