//! Passes over the maps in front of the branches' ends.

use rayon::prelude::*;

use crate::bundle::{Gradient, Mix};
use crate::flat::{product, sum};
use crate::lanes::fast;
use crate::norm::affine::AtBatch;

/// A map, and by channel what its values are measured from.
pub(super) type Centred<'a> = (&'a [f32], &'a [f32]);

/// By map and channel: Σ gradient and Σ gradient · (value − centre), zero where there is no map.
///
/// All are `[batch, channels, pixels]`.
pub(super) fn sums(
    gradient: &[f32],
    maps: &[Option<Centred<'_>>],
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
                for (dot, map) in dots.iter_mut().zip(maps) {
                    if let Some((map, centres)) = map {
                        *dot += product(gradient, &map[piece.clone()], centres[channel]);
                    }
                }
            }
        }
        dots.into_iter().map(|dot| [total, dot]).collect::<Vec<_>>()
    };
    let by_channel: Vec<Vec<[f64; 2]>> = (0..channels).into_par_iter().map(of_channel).collect();
    (0..maps.len()).map(|map| by_channel.iter().map(|sums| sums[map]).collect()).collect()
}

/// `target = Σ scale · map + shifts`, over maps `[batch, channels, pixels]`.
pub(super) fn combine(maps: &[(&[f32], AtBatch)], pixels: usize, target: &mut [f32]) {
    let planes = target.par_chunks_exact_mut(pixels).enumerate();
    planes.for_each(|(plane, target)| {
        fast!({
            let channels = maps.first().map_or(1, |(_, norm)| norm.scale.len());
            let channel = plane % channels;
            target.fill(maps.iter().map(|(_, norm)| norm.shift[channel]).sum());
            for (map, norm) in maps {
                let scale = norm.scale[channel];
                let map = &map[plane * pixels..][..pixels];
                target.iter_mut().zip(map).for_each(|(target, value)| *target += scale * value);
            }
        });
    });
}

/// Adds a gradient to a target of its size.
pub(super) fn add(gradient: &Gradient<'_>, channels: usize, pixels: usize, target: &mut [f32]) {
    let planes = target.par_chunks_exact_mut(pixels).enumerate();
    planes.for_each(|(plane, target)| {
        let place = plane * pixels..(plane + 1) * pixels;
        let values = &gradient.values[place.clone()];
        fast!(match gradient.mix {
            Some(Mix { map, weights }) => {
                let [a, b, c] = weights[plane % channels];
                let triples = target.iter_mut().zip(values).zip(&map[place]);
                triples.for_each(|((target, gradient), value)| {
                    *target += a * gradient + (b * value + c);
                });
            }
            None => target.iter_mut().zip(values).for_each(|(target, value)| *target += value),
        });
    });
}
