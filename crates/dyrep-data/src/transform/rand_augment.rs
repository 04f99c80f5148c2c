//! RandAugment as timm runs it: `rand-m9-mstd0.5` is `RandAugment::new(2, 9.0, 0.5)`.
//!
//! E. D. Cubuk et al., *RandAugment* (arXiv 1909.13719). Each of `operations` times: one of the 15
//! below, all equally likely and with replacement; carried out in half of the cases; at a level
//! drawn from N(`magnitude`, `magnitude_std`) and cut off to 0 to 10. With `s` = level / 10:
//!
//! | operation | argument | `increasing` |
//! |---|---|---|
//! | auto contrast, equalize, invert | none | |
//! | rotate | ± 30·s degrees | |
//! | posterize | keep ⌊4·s⌋ bits | keep 4 − ⌊4·s⌋ bits |
//! | solarize | from ⌊256·s⌋ on | from 256 − ⌊256·s⌋ on |
//! | solarize add | ⌊110·s⌋ | |
//! | saturation, contrast, brightness, sharpness | factor 0.1 + 1.8·s | factor 1 ± 0.9·s |
//! | shear x, shear y | ± 0.3·s | |
//! | translate x, translate y | ± 0.45·s of the side | |
//!
//! Signs are equally likely. Without `increasing`, a higher level weakens posterizing and
//! solarizing, and factors are strongest at both ends: so the recipe was published. timm's suffix
//! `-inc1` is `increasing`.
//!
//! Pixels are interpolated bilinearly, and uncovered ones get the fill, a mid grey of 128; timm
//! fills with the mean of the data set, given by [`RandAugment::with_fill`].
//!
//! DIFFERENCE: unless told which, timm draws between bilinear and bicubic each time. And it
//! posterizes to 0 bits at the weakest levels (the strongest ones if increasing), which is a black
//! image in old versions of Pillow and an error in new ones; here at least one bit is kept.

use super::Transform;
use super::checks::within;
use super::fill::Fill;
use super::ops::{Operation, check_channels};
use crate::error::DataError;
use crate::image::Image;
use crate::rng::SampleRng;

const NAME: &str = "RandAugment";
const PROBABILITY: f64 = 0.5;
const MAX_LEVEL: f64 = 10.0;

/// Applies a few random operations at a common strength.
#[derive(Clone, Debug, PartialEq)]
pub struct RandAugment {
    operations: u32,
    magnitude: f64,
    magnitude_std: f64,
    increasing: bool,
    fill: Fill,
}

impl RandAugment {
    /// Draws `operations` operations for each image, at levels around `magnitude` on timm's scale
    /// of 0 to 10, with a standard deviation of `magnitude_std`.
    ///
    /// # Errors
    ///
    /// If `magnitude` is not within 0 to 10, or `magnitude_std` is negative or not finite.
    pub fn new(operations: u32, magnitude: f64, magnitude_std: f64) -> Result<Self, DataError> {
        let level = "a number from 0 to 10, timm's scale";
        let std = "a finite number of at least 0";
        Ok(Self {
            operations,
            magnitude: within(NAME, "magnitude", magnitude, 0.0..=MAX_LEVEL, level)?,
            magnitude_std: within(NAME, "magnitude_std", magnitude_std, 0.0..=f64::MAX, std)?,
            increasing: false,
            fill: Fill::grey(128),
        })
    }

    /// Sets whether every operation gets stronger with its level.
    #[must_use]
    pub fn with_increasing(self, increasing: bool) -> Self {
        Self { increasing, ..self }
    }

    /// Sets the pixel of what rotating, shearing and translating uncover.
    #[must_use]
    pub fn with_fill(self, fill: Fill) -> Self {
        Self { fill, ..self }
    }

    /// The operations that are carried out, in order.
    fn plan(&self, rng: &mut SampleRng) -> Vec<Operation> {
        let mut plan = Vec::new();
        for _ in 0..self.operations {
            let kind = rng.below(15);
            if rng.chance(PROBABILITY) {
                let share = self.level(rng) / MAX_LEVEL;
                plan.push(operation(kind, share, self.increasing, rng));
            }
        }
        plan
    }

    fn level(&self, rng: &mut SampleRng) -> f64 {
        if self.magnitude_std == 0.0 {
            return self.magnitude;
        }
        rng.normal(self.magnitude, self.magnitude_std).clamp(0.0, MAX_LEVEL)
    }
}

impl Transform for RandAugment {
    fn apply(&self, mut image: Image, rng: &mut SampleRng) -> Result<Image, DataError> {
        check_channels(NAME, &image)?;
        let fill = self.fill.pixel(NAME, image.channels())?;
        for operation in self.plan(rng) {
            operation.apply(&mut image, &fill);
        }
        Ok(image)
    }
}

/// The `kind`-th operation of the table at a share `s` of the highest level.
fn operation(kind: u32, s: f64, increasing: bool, rng: &mut SampleRng) -> Operation {
    let mut signed = |value: f64| if rng.chance(0.5) { -value } else { value };
    let mut factor = || {
        if increasing { (1.0 + signed(0.9 * s)).max(0.1) } else { 0.1 + 1.8 * s }
    };
    match kind {
        0 => Operation::AutoContrast,
        1 => Operation::Equalize,
        2 => Operation::Invert,
        3 => {
            let bits = (4.0 * s) as u32;
            Operation::Posterize(if increasing { 4 - bits } else { bits }.max(1))
        }
        4 => {
            let threshold = (256.0 * s) as u16;
            Operation::Solarize(if increasing { 256 - threshold } else { threshold })
        }
        5 => Operation::SolarizeAdd((110.0 * s) as u8),
        6 => Operation::Saturation(factor()),
        7 => Operation::Contrast(factor()),
        8 => Operation::Brightness(factor()),
        9 => Operation::Sharpness(factor()),
        10 => Operation::Rotate(signed(30.0 * s)),
        11 => Operation::ShearX(signed(0.3 * s)),
        12 => Operation::ShearY(signed(0.3 * s)),
        13 => Operation::TranslateX(signed(0.45 * s)),
        _ => Operation::TranslateY(signed(0.45 * s)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::mem::{Discriminant, discriminant};

    const DRAWS: u64 = 10_000;

    fn plans(augment: &RandAugment) -> Vec<Vec<Operation>> {
        (0..DRAWS).map(|i| augment.plan(&mut SampleRng::new(0, 0, i))).collect()
    }

    /// Level 9, by hand from the table.
    #[test]
    fn arguments_follow_the_table() {
        let at_nine = |kind, increasing| {
            let operation = operation(kind, 0.9, increasing, &mut SampleRng::new(0, 0, 0));
            // The sign is random; whichever it is, the size is the same.
            let size = |value: f64| (value.abs() * 1e9).round() / 1e9;
            match operation {
                Operation::Rotate(value) => Operation::Rotate(size(value)),
                Operation::ShearX(value) => Operation::ShearX(size(value)),
                Operation::ShearY(value) => Operation::ShearY(size(value)),
                Operation::TranslateX(value) => Operation::TranslateX(size(value)),
                Operation::TranslateY(value) => Operation::TranslateY(size(value)),
                Operation::Contrast(value) => Operation::Contrast(size(value)),
                other => other,
            }
        };
        assert_eq!(at_nine(3, false), Operation::Posterize(3));
        assert_eq!(at_nine(3, true), Operation::Posterize(1));
        assert_eq!(at_nine(4, false), Operation::Solarize(230));
        assert_eq!(at_nine(4, true), Operation::Solarize(26));
        assert_eq!(at_nine(5, false), Operation::SolarizeAdd(99));
        assert_eq!(at_nine(7, false), Operation::Contrast(1.72));
        assert!([Operation::Contrast(0.19), Operation::Contrast(1.81)].contains(&at_nine(7, true)));
        assert_eq!(at_nine(10, false), Operation::Rotate(27.0));
        assert_eq!(at_nine(11, false), Operation::ShearX(0.27));
        assert_eq!(at_nine(12, false), Operation::ShearY(0.27));
        assert_eq!(at_nine(13, false), Operation::TranslateX(0.405));
        assert_eq!(at_nine(14, false), Operation::TranslateY(0.405));
    }

    #[test]
    fn both_ends_of_the_scale_make_sense() {
        for (increasing, share) in [(false, 0.0), (false, 1.0), (true, 0.0), (true, 1.0)] {
            let mut rng = SampleRng::new(0, 0, 0);
            for operation in (0..15).map(|kind| operation(kind, share, increasing, &mut rng)) {
                match operation {
                    Operation::Posterize(bits) => assert!((1..=4).contains(&bits)),
                    Operation::Solarize(threshold) => assert!(threshold <= 256),
                    Operation::Contrast(factor) => assert!((0.1..=1.9 + 1e-9).contains(&factor)),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn operations_are_equally_likely_and_half_are_carried_out() {
        let plans = plans(&RandAugment::new(2, 9.0, 0.5).unwrap());
        let mut counts: HashMap<Discriminant<Operation>, i32> = HashMap::new();
        for operation in plans.iter().flatten() {
            *counts.entry(discriminant(operation)).or_default() += 1;
        }
        assert_eq!(counts.len(), 15);
        // 20,000 draws, each 1/30: 667 of each with a standard deviation of 25.4; five of them.
        assert!(counts.values().all(|count| (540..=794).contains(count)), "{counts:?}");
        // None in a quarter of the cases, one in a half, two in a quarter: 43 and 50; five of them.
        let of_length = |length| plans.iter().filter(|plan| plan.len() == length).count();
        assert!((2284..=2716).contains(&of_length(0)), "{}", of_length(0));
        assert!((4750..=5250).contains(&of_length(1)), "{}", of_length(1));
    }

    /// Angles of 30·N(0.6, 0.05): the mean of their size 18, deviation 1.5, half of them negative.
    #[test]
    fn levels_are_normal_and_signs_even() {
        let augment = RandAugment::new(10, 6.0, 0.5).unwrap();
        let angles: Vec<f64> = plans(&augment)
            .into_iter()
            .flatten()
            .filter_map(|operation| match operation {
                Operation::Rotate(degrees) => Some(degrees),
                _ => None,
            })
            .collect();
        let count = angles.len() as f64; // about 3300
        let mean = angles.iter().map(|angle| angle.abs()).sum::<f64>() / count;
        let square = angles.iter().map(|angle| (angle.abs() - mean).powi(2)).sum::<f64>() / count;
        let negative = angles.iter().filter(|&&angle| angle < 0.0).count() as f64 / count;
        // Five standard errors: 1.5 / √n, 1.5 / √(2n), 0.5 / √n.
        assert!((mean - 18.0).abs() < 0.14, "{mean}");
        assert!((square.sqrt() - 1.5).abs() < 0.1, "{square}");
        assert!((negative - 0.5).abs() < 0.045, "{negative}");
    }

    #[test]
    fn levels_are_cut_off_to_the_scale() {
        let augment = RandAugment::new(1, 9.0, 5.0).unwrap();
        let mut rng = SampleRng::new(0, 0, 0);
        let levels: Vec<f64> = (0..DRAWS).map(|_| augment.level(&mut rng)).collect();
        assert!(levels.iter().all(|level| (0.0..=10.0).contains(level)));
        assert!(levels.contains(&0.0) && levels.contains(&10.0));
        let fixed = RandAugment::new(1, 9.0, 0.0).unwrap();
        assert_eq!(fixed.level(&mut rng), 9.0);
    }
}
