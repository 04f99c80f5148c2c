//! Mean and variance of a channel, gathered piece by piece.

use rayon::prelude::*;

use crate::lanes::{F8, fast};
use crate::norm::Moments;
use crate::tile::Tile;

/// Count, mean and sum of squared deviations of what has been seen so far.
///
/// Pieces are summed in lanes of `f32` around a value of their own and joined in `f64` (Chan, Golub and LeVeque,
/// 1979), so a mean far from zero costs no digits of the variance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Accumulator {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Accumulator {
    /// Joins a piece, which should be no longer than a cache.
    #[inline(always)]
    pub(crate) fn add(&mut self, values: &[f32]) {
        let Some(&shift) = values.first() else { return };
        let (mut sum, mut squares) = ([F8::ZERO; 2], [F8::ZERO; 2]);
        let shifts = F8::splat(shift);
        let (pairs, rest) = values.as_chunks::<16>();
        for pair in pairs {
            let (first, second) = (F8::load(pair) - shifts, F8::load(&pair[8..]) - shifts);
            sum = [sum[0] + first, sum[1] + second];
            squares = [first * first + squares[0], second * second + squares[1]];
        }
        let (mut total, mut total_squares) =
            ((sum[0] + sum[1]).sum(), (squares[0] + squares[1]).sum());
        for value in rest {
            let deviation = f64::from(value - shift);
            total += deviation;
            total_squares += deviation * deviation;
        }
        let count = values.len() as f64;
        let mean = total / count;
        self.join(&Self {
            count,
            mean: f64::from(shift) + mean,
            squares: (total_squares - total * mean).max(0.0),
        });
    }

    fn join(&mut self, other: &Self) {
        let count = self.count + other.count;
        let apart = other.mean - self.mean;
        self.mean += apart * other.count / count;
        self.squares += other.squares + apart * apart * self.count * other.count / count;
        self.count = count;
    }

    pub(crate) fn mean(&self) -> f32 {
        self.mean as f32
    }

    /// Biased.
    pub(crate) fn variance(&self) -> f32 {
        (self.squares / self.count) as f32
    }
}

/// Adds a tile of `map` `[batch, channels, height, width]` to its channels' moments.
pub(crate) fn add_tile(accumulators: &mut [Accumulator], map: &[f32], tile: &Tile) {
    /// Values in a piece: few enough for lanes of `f32`.
    const PIECE: usize = 4096;
    let channels = accumulators.len();
    accumulators.par_iter_mut().enumerate().for_each(|(channel, accumulator)| {
        fast!(for image in tile.images.clone() {
            for piece in map[tile.place(image, channel, channels)].chunks(PIECE) {
                accumulator.add(piece);
            }
        });
    });
}

/// As lists.
pub(crate) fn finish(accumulators: &[Accumulator]) -> Moments {
    Moments {
        mean: accumulators.iter().map(Accumulator::mean).collect(),
        variance: accumulators.iter().map(Accumulator::variance).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_mean_costs_no_digits_of_the_variance() {
        let values: Vec<f32> =
            (0..1003).map(|i| 1000.0 + ((i * 7919) % 101) as f32 / 101.0).collect();
        let wide = values.iter().map(|value| f64::from(*value));
        let mean = wide.clone().sum::<f64>() / 1003.0;
        let variance = wide.map(|value| (value - mean).powi(2)).sum::<f64>() / 1003.0;
        let mut whole = Accumulator::default();
        whole.add(&values);
        let mut parts = Accumulator::default();
        values.chunks(77).for_each(|part| parts.add(part));
        for accumulator in [whole, parts] {
            assert!((f64::from(accumulator.mean()) - mean).abs() < 1e-4);
            assert!((f64::from(accumulator.variance()) / variance - 1.0).abs() < 1e-6);
        }
    }
}
