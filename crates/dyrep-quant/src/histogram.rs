//! The magnitudes of a layer's inputs, counted in one pass over any number of batches.
//!
//! Bins are of equal width from zero. When a value lies beyond the last, neighbours are joined until it does not: counts
//! are kept, and at least half of the bins are always in use.

use crate::grid::InputScale;
use crate::options::Calibration;

/// Bins: with half of them in use, a step of the grid is still eight wide.
const BINS: usize = 4096;

/// What was seen of a layer's inputs.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    width: f32,
    zeros: u64,
    largest: f32,
    negative: bool,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BINS], width: 0.0, zeros: 0, largest: 0.0, negative: false }
    }

    /// Whether nothing was counted.
    pub(crate) fn is_empty(&self) -> bool {
        self.zeros == 0 && self.counts.iter().all(|count| *count == 0)
    }

    /// Counts the values.
    ///
    /// # Errors
    /// The first that is no finite number; nothing is counted then.
    pub(crate) fn add(&mut self, values: &[f32]) -> Result<(), f32> {
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(*value);
        }
        let largest = values.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
        self.make_room(largest);
        for value in values {
            self.negative |= *value < 0.0;
            match value.abs() {
                0.0 => self.zeros += 1,
                size => self.counts[((size / self.width) as usize).min(BINS - 1)] += 1,
            }
        }
        Ok(())
    }

    fn make_room(&mut self, largest: f32) {
        self.largest = self.largest.max(largest);
        if self.width == 0.0 && largest > 0.0 {
            self.width = (largest / BINS as f32).max(f32::MIN_POSITIVE);
        }
        while self.largest > self.width * BINS as f32 * (1.0 + f32::EPSILON) {
            for bin in 0..BINS / 2 {
                self.counts[bin] = self.counts[2 * bin] + self.counts[2 * bin + 1];
            }
            self.counts[BINS / 2..].fill(0);
            self.width *= 2.0;
        }
    }

    /// The grid for these inputs.
    pub(crate) fn scale(&self, method: Calibration) -> InputScale {
        let largest = match method {
            Calibration::MinMax => self.largest,
            Calibration::Percentile(percent) => self.percentile(percent),
            Calibration::Mse => self.least_error(),
        };
        InputScale::reaching(largest, self.negative)
    }

    /// The upper end of a bin, no larger than what was seen.
    fn end(&self, bin: usize) -> f32 {
        (self.width * (bin + 1) as f32).min(self.largest)
    }

    /// The magnitude below which this share of the values lies.
    fn percentile(&self, percent: f64) -> f32 {
        let all = self.zeros + self.counts.iter().sum::<u64>();
        let wanted = (all as f64 * percent / 100.0).ceil() as u64;
        let mut below = self.zeros;
        for (bin, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= wanted && below > self.zeros {
                return self.end(bin);
            }
        }
        self.largest
    }

    /// The threshold with the least squared error: what is inside is off by a twelfth of a squared step, zeros by
    /// nothing, what is outside by its distance from the threshold.
    fn least_error(&self) -> f32 {
        let middle = |bin: usize| f64::from(self.width) * (bin as f64 + 0.5);
        // Number, sum and sum of squares of what lies beyond.
        let (mut number, mut sum, mut squares) = (0.0, 0.0, 0.0);
        let all: u64 = self.counts.iter().sum();
        let mut best = (f64::INFINITY, self.largest);
        for bin in (0..BINS).rev() {
            let threshold = f64::from(self.end(bin));
            let step = f64::from(InputScale::reaching(threshold as f32, self.negative).scale);
            let clipped = squares - 2.0 * threshold * sum + threshold * threshold * number;
            let error = (all as f64 - number) * step * step / 12.0 + clipped;
            if error < best.0 {
                best = (error, threshold as f32);
            }
            let count = self.counts[bin] as f64;
            number += count;
            sum += count * middle(bin);
            squares += count * middle(bin) * middle(bin);
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(batches: &[Vec<f32>]) -> Histogram {
        let mut histogram = Histogram::new();
        batches.iter().for_each(|batch| histogram.add(batch).unwrap());
        histogram
    }

    /// Half of a wave between 0 and 1, and one value far away.
    fn with_outlier(outlier: f32) -> Vec<f32> {
        (0..100_000).map(|i| (0.01 * i as f32).sin().abs()).chain([outlier]).collect()
    }

    #[test]
    fn an_outlier_is_kept_or_clipped_as_asked() {
        let histogram = of(&[with_outlier(1000.0)]);
        let reach = |method| histogram.scale(method).scale * 255.0;
        assert!((reach(Calibration::MinMax) - 1000.0).abs() < 0.01);
        assert!(reach(Calibration::Percentile(99.99)) < 2.0);
        assert!((reach(Calibration::Percentile(100.0)) - 1000.0).abs() < 0.01);
        // One value in 100,000 is worth less than the others' steps, but not nothing.
        let mild = of(&[with_outlier(1.5)]);
        let reach = mild.scale(Calibration::Mse).scale * 255.0;
        assert!((0.99..1.51).contains(&reach), "{reach}");
    }

    /// The error that the bins promise is the one that rounding the values makes, and no other threshold makes less.
    #[test]
    fn the_least_error_is_the_least_of_the_values_themselves() {
        let tail = |i: usize| -(1.0 - (i as f32 + 0.5) / 50_000.0).ln();
        let values: Vec<f32> = (0..50_000).map(tail).collect();
        let chosen = of(std::slice::from_ref(&values)).scale(Calibration::Mse).scale;
        let error = |scale: f32| -> f64 {
            let off = values.iter().map(|x| (x / scale).round().min(255.0) * scale - x);
            off.map(|off| f64::from(off).powi(2)).sum()
        };
        let least = (1..400).map(|i| error(i as f32 * 0.0002)).fold(f64::INFINITY, f64::min);
        assert!(error(chosen) < 1.02 * least, "{} {least}", error(chosen));
        // With 8 bits even a long tail is hardly worth clipping.
        let all = error(values.iter().copied().fold(0.0, f32::max) / 255.0);
        assert!(error(chosen) < 0.96 * all, "{} {all}", error(chosen));
    }

    #[test]
    fn batches_of_any_order_and_size_count_the_same() {
        let values = with_outlier(37.0);
        let at_once = of(std::slice::from_ref(&values));
        let parts: Vec<Vec<f32>> = values.chunks(999).map(<[f32]>::to_vec).collect();
        let by_parts = of(&parts);
        assert_eq!(at_once.counts.iter().sum::<u64>(), by_parts.counts.iter().sum::<u64>());
        for method in [Calibration::MinMax, Calibration::Percentile(99.9), Calibration::Mse] {
            let [one, other] = [&at_once, &by_parts].map(|one| one.scale(method).scale);
            assert!((one - other).abs() < 0.1 * one, "{method}: {one} {other}");
        }
    }

    #[test]
    fn signs_zeros_and_what_is_no_number_are_seen() {
        assert_eq!(of(&[vec![0.0, 1.0]]).scale(Calibration::MinMax).zero_point, i8::MIN);
        assert_eq!(of(&[vec![-0.5, 1.0]]).scale(Calibration::MinMax).zero_point, 0);
        let nothing = of(&[vec![0.0; 9]]);
        for method in [Calibration::MinMax, Calibration::Percentile(50.0), Calibration::Mse] {
            assert_eq!(nothing.scale(method).scale, f32::MIN_POSITIVE, "{method}");
        }
        assert!(Histogram::new().add(&[1.0, f32::NAN]).unwrap_err().is_nan());
        assert_eq!(Histogram::new().add(&[f32::NEG_INFINITY]), Err(f32::NEG_INFINITY));
    }
}
