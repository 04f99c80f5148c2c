//! Channels whose mean is large against their spread.
//!
//! Sums of squares lose as many digits of a variance as the squared mean has more than it. For such a channel all
//! sums are taken again over `x − centre`: frames hold that inside, and zero beyond the border still, where taps read
//! true zeros. What the taps read is then `centre` less than it was wherever they read a pixel, which the forms carry
//! as multiples of `in_t`. These are large and cancel against means: they are summed in double precision throughout,
//! and only what is left is rounded.

use super::sums::{Geometry, Sums};
use crate::flat::{squares, sum, sum_around};
use crate::norm::affine::Moment;

/// How many variances the squared mean may be: where it is more, rounding of sums, some 1e-7, is seen in variances.
const FAR: f64 = 16.0;

/// Whether a mean is large against the spread around it.
pub(super) fn is_far(moment: Moment) -> bool {
    moment.mean * moment.mean > FAR * moment.variance.max(0.0)
}

/// What is to be taken off a channel's values before they are summed; zero where nothing needs to be.
pub(super) fn centre(sums: &Sums, geometry: &Geometry) -> f32 {
    let taps = sums.first.len();
    let most = |best: usize, tap: usize| {
        if geometry.inside[tap] > geometry.inside[best] { tap } else { best }
    };
    // The first of the taps that read most pixels.
    let tap = (0..taps).fold(0, most);
    let count = geometry.inside[tap];
    let mean = sums.first[tap] / count;
    let variance = sums.second[tap * (taps + 1)] / count - mean * mean;
    if is_far(Moment { mean, variance }) { mean as f32 } else { 0.0 }
}

/// Mean and variance over planes, in two passes, and what to take off the values where the mean is large.
pub(super) fn moment_of<'a>(planes: impl Iterator<Item = &'a [f32]> + Clone) -> (Moment, f32) {
    let count = planes.clone().map(<[f32]>::len).sum::<usize>() as f64;
    let mean = planes.clone().map(sum).sum::<f64>() / count;
    let center = mean as f32;
    let square = planes.clone().map(|plane| squares(plane, center)).sum::<f64>() / count;
    // The center is the mean but for rounding.
    let off = mean - f64::from(center);
    let moment = Moment { mean, variance: (square - off * off).max(0.0) };
    if !is_far(moment) {
        return (moment, 0.0);
    }
    let off = planes.map(|plane| sum_around(plane, center)).sum::<f64>() / count;
    let mean = f64::from(center) + off;
    (Moment { mean, variance: (square - off * off).max(0.0) }, center)
}

impl Geometry {
    /// `Σ_t v_t in_t + constant` at every output.
    pub(super) fn map_inside(
        &self,
        v: &[f64],
        constant: f64,
        [high, wide]: [usize; 2],
    ) -> Vec<f64> {
        let columns = self.columns.len();
        let mut map = Vec::with_capacity(high * wide);
        let mut along = vec![0.0; columns];
        for row in 0..high {
            along.fill(0.0);
            let rows = v.chunks_exact(columns).zip(&self.rows);
            for (v, _) in rows.filter(|(_, rows)| rows.contains(&row)) {
                along.iter_mut().zip(v).for_each(|(sum, v)| *sum += v);
            }
            map.extend((0..wide).map(|column| {
                let there = along.iter().zip(&self.columns);
                let there = there.filter(|(_, columns)| columns.contains(&column));
                there.map(|(v, _)| v).sum::<f64>() + constant
            }));
        }
        map
    }
}
