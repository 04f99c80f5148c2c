//! torchvision's `ColorJitter`: brightness, contrast, saturation and hue, in random order.
//!
//! ```text
//! brightness, contrast, saturation: a factor from U(max(0, 1 − v), 1 + v)
//! hue:                              a shift from U(−v, v) of the circle
//! ```
//!
//! An option of 0 leaves its part out, hue included, which would otherwise be rounded. The pixels'
//! arithmetic is Pillow's, as of torchvision on Pillow's images; `ops/mod.rs` says why. Grey images
//! have no saturation and no hue: these parts leave them as they are.

use super::Transform;
use super::checks::within;
use super::ops::{Operation, check_channels};
use crate::error::DataError;
use crate::image::Image;
use crate::rng::SampleRng;

const NAME: &str = "ColorJitter";

/// Changes brightness, contrast, saturation and hue at random.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColorJitter {
    brightness: f64,
    contrast: f64,
    saturation: f64,
    hue: f64,
}

impl ColorJitter {
    /// A jitter of the given strengths: factors up to 1 ± the first three, and a hue turned by up
    /// to ± `hue` of the circle. 0 leaves a part out.
    ///
    /// # Errors
    ///
    /// If one of the first three is negative or not finite, or `hue` is not within 0 to 0.5.
    pub fn new(
        brightness: f64,
        contrast: f64,
        saturation: f64,
        hue: f64,
    ) -> Result<Self, DataError> {
        let strength = |option, value| {
            within(NAME, option, value, 0.0..=f64::MAX, "a finite number of at least 0")
        };
        Ok(Self {
            brightness: strength("brightness", brightness)?,
            contrast: strength("contrast", contrast)?,
            saturation: strength("saturation", saturation)?,
            hue: within(NAME, "hue", hue, 0.0..=0.5, "a number from 0 to 0.5")?,
        })
    }

    /// The parts in the order in which they are applied.
    fn plan(&self, rng: &mut SampleRng) -> Vec<Operation> {
        let mut factor = |strength: f64| rng.uniform((1.0 - strength).max(0.0), 1.0 + strength);
        let mut plan = Vec::with_capacity(4);
        if self.brightness > 0.0 {
            plan.push(Operation::Brightness(factor(self.brightness)));
        }
        if self.contrast > 0.0 {
            plan.push(Operation::Contrast(factor(self.contrast)));
        }
        if self.saturation > 0.0 {
            plan.push(Operation::Saturation(factor(self.saturation)));
        }
        if self.hue > 0.0 {
            plan.push(Operation::Hue(rng.uniform(-self.hue, self.hue)));
        }
        rng.shuffle(&mut plan);
        plan
    }
}

impl Transform for ColorJitter {
    fn apply(&self, mut image: Image, rng: &mut SampleRng) -> Result<Image, DataError> {
        check_channels(NAME, &image)?;
        for operation in self.plan(rng) {
            // None of these uncovers anything, so there is nothing to fill.
            operation.apply(&mut image, &[]);
        }
        Ok(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const DRAWS: u64 = 10_000;

    fn plans(jitter: ColorJitter) -> Vec<Vec<Operation>> {
        (0..DRAWS).map(|i| jitter.plan(&mut SampleRng::new(0, 0, i))).collect()
    }

    fn place(operation: &Operation) -> (usize, f64) {
        match *operation {
            Operation::Brightness(factor) => (0, factor),
            Operation::Contrast(factor) => (1, factor),
            Operation::Saturation(factor) => (2, factor),
            Operation::Hue(shift) => (3, shift),
            ref other => panic!("{other:?} is not part of a jitter"),
        }
    }

    /// A uniform number of [a, b] has the mean (a + b) / 2 and the deviation (b − a) / √12.
    #[test]
    fn factors_are_uniform_in_their_ranges() {
        let ranges = [(0.6, 1.4), (0.0, 2.5), (0.9, 1.1), (-0.3, 0.3)];
        let mut factors = [const { Vec::new() }; 4];
        for plan in plans(ColorJitter::new(0.4, 1.5, 0.1, 0.3).unwrap()) {
            for (part, factor) in plan.iter().map(place) {
                factors[part].push(factor);
            }
        }
        for ((low, high), factors) in ranges.into_iter().zip(factors) {
            let count = DRAWS as f64;
            assert_eq!(factors.len(), DRAWS as usize);
            assert!(factors.iter().all(|factor| (low - 1e-12..high).contains(factor)));
            let mean = factors.iter().sum::<f64>() / count;
            let square = factors.iter().map(|factor| (factor - mean).powi(2)).sum::<f64>() / count;
            let deviation = (high - low) / 12.0_f64.sqrt();
            // Five standard errors of the mean, and 2 % of the deviation, which are 4.5 of its own.
            assert!((mean - f64::midpoint(low, high)).abs() < 5.0 * deviation / count.sqrt());
            assert!((square.sqrt() / deviation - 1.0).abs() < 0.02, "{square} for {deviation}");
        }
    }

    #[test]
    fn all_orders_are_equally_likely() {
        let mut counts = BTreeMap::new();
        for plan in plans(ColorJitter::new(0.4, 0.4, 0.4, 0.1).unwrap()) {
            let order: Vec<usize> = plan.iter().map(|operation| place(operation).0).collect();
            *counts.entry(order).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 24);
        // 416.7 each, standard deviation 20; five of them.
        assert!(counts.values().all(|count| (317..=516).contains(count)), "{counts:?}");
    }

    #[test]
    fn parts_of_strength_zero_are_left_out() {
        let plan = |a, b, c, d| plans(ColorJitter::new(a, b, c, d).unwrap());
        assert!(plan(0.0, 0.0, 0.0, 0.0).iter().all(Vec::is_empty));
        let contrast = plan(0.0, 0.3, 0.0, 0.0);
        assert!(contrast.iter().all(|plan| matches!(plan[..], [Operation::Contrast(_)])));
    }
}
