//! torchvision's `RandomResizedCrop`: a random part of the image, scaled to a square.
//!
//! ```text
//! up to ten times:
//!   area   = width · height · U(scale)
//!   aspect = exp(U(ln ratio))                    log-uniform: 3/4 is as likely as 4/3
//!   w, h   = round √(area · aspect), round √(area / aspect)
//!   if the w × h box fits: take it, at any position alike
//! otherwise: the largest central box whose aspect is within `ratio`
//! ```
//!
//! C. Szegedy et al., *Going Deeper with Convolutions* (2015), section 6.

use std::ops::RangeInclusive;

use dyrep_resample::Region;

use super::Cut;
use super::checks::{checked_ratio, checked_scale, checked_side};
use crate::error::DataError;
use crate::resample::Window;
use crate::rng::SampleRng;

const NAME: &str = "RandomResizedCrop";
const TRIES: usize = 10;

/// Cuts a part of random area and aspect, and scales it to a square, bilinear with antialiasing.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomResizedCrop {
    size: u32,
    scale: RangeInclusive<f64>,
    ratio: RangeInclusive<f64>,
}

impl RandomResizedCrop {
    /// A crop scaled to `size × size` pixels, of 8 to 100 % of the area and an aspect of 3/4 to 4/3.
    ///
    /// # Errors
    ///
    /// If `size` is 0 or above 9459.
    pub fn new(size: u32) -> Result<Self, DataError> {
        let size = checked_side(NAME, size)?;
        Ok(Self { size, scale: 0.08..=1.0, ratio: 3.0 / 4.0..=4.0 / 3.0 })
    }

    /// Sets the share of the image's area that is cut out.
    ///
    /// # Errors
    ///
    /// Unless `0 < start ≤ end ≤ 1`.
    pub fn with_scale(self, scale: RangeInclusive<f64>) -> Result<Self, DataError> {
        Ok(Self { scale: checked_scale(NAME, scale)?, ..self })
    }

    /// Sets the aspect, width over height, of the part that is cut out.
    ///
    /// # Errors
    ///
    /// Unless `0 < start ≤ end` and both are finite.
    pub fn with_ratio(self, ratio: RangeInclusive<f64>) -> Result<Self, DataError> {
        Ok(Self { ratio: checked_ratio(NAME, ratio)?, ..self })
    }

    /// The part to cut from an image of `width × height`.
    fn region(&self, width: u32, height: u32, rng: &mut SampleRng) -> Region {
        let area = f64::from(width) * f64::from(height);
        for _ in 0..TRIES {
            let area = area * rng.uniform(*self.scale.start(), *self.scale.end());
            let aspect = rng.uniform(self.ratio.start().ln(), self.ratio.end().ln()).exp();
            let crop_width = (area * aspect).sqrt().round_ties_even() as u32;
            let crop_height = (area / aspect).sqrt().round_ties_even() as u32;
            if (1..=width).contains(&crop_width) && (1..=height).contains(&crop_height) {
                let top = rng.below(height - crop_height + 1);
                let left = rng.below(width - crop_width + 1);
                return Region { left, top, width: crop_width, height: crop_height };
            }
        }
        self.central_region(width, height)
    }

    /// The largest central part whose aspect is within the ratio.
    fn central_region(&self, width: u32, height: u32) -> Region {
        let aspect = f64::from(width) / f64::from(height);
        // Clamped, because a side may round to 0 or past the image's when the ratio is extreme.
        let side = |length: f64, limit: u32| (length.round_ties_even() as u32).clamp(1, limit);
        let (crop_width, crop_height) = if aspect < *self.ratio.start() {
            (width, side(f64::from(width) / self.ratio.start(), height))
        } else if aspect > *self.ratio.end() {
            (side(f64::from(height) * self.ratio.end(), width), height)
        } else {
            (width, height)
        };
        Region {
            left: (width - crop_width) / 2,
            top: (height - crop_height) / 2,
            width: crop_width,
            height: crop_height,
        }
    }
}

impl Cut for RandomResizedCrop {
    fn cut(&self, width: u32, height: u32, rng: &mut SampleRng) -> Result<Window, DataError> {
        let region = self.region(width, height, rng);
        Ok(Window { region, width: self.size, height: self.size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Image;
    use crate::transform::Transform;
    use rstest::rstest;

    fn regions(width: u32, height: u32) -> Vec<Region> {
        let crop = RandomResizedCrop::new(224).unwrap();
        (0..4000).map(|i| crop.region(width, height, &mut SampleRng::new(0, 0, i))).collect()
    }

    #[test]
    fn area_and_aspect_stay_in_their_ranges_and_fill_them() {
        let (width, height) = (500, 400);
        let regions = regions(width, height);
        let share = |r: &Region| f64::from(r.width) * f64::from(r.height) / 200_000.0;
        let aspect = |r: &Region| f64::from(r.width) / f64::from(r.height);
        for r in &regions {
            assert!(r.left + r.width <= width && r.top + r.height <= height, "{r:?}");
            // Sides are rounded to pixels, which moves both numbers by about one part in a hundred.
            assert!((0.079..=1.0).contains(&share(r)), "{r:?}");
            assert!((0.74..=1.35).contains(&aspect(r)), "{r:?}");
        }
        let count = |test: &dyn Fn(&Region) -> bool| regions.iter().filter(|r| test(r)).count();
        // Large boxes are rejected more often than small ones, so more than half are below 0.54.
        assert!(count(&|r| share(r) < 0.54) > 2000);
        assert!(count(&|r| share(r) < 0.12) > 100);
        assert!(count(&|r| share(r) > 0.80) > 200);
        assert!(count(&|r| aspect(r) < 0.80) > 200);
        assert!(count(&|r| aspect(r) > 1.25) > 200);
    }

    /// Of an image so large that every box fits easily, nothing is rejected and the means are known:
    /// the middle of the scale, an aspect whose logarithm is 0, and a position half-way.
    #[test]
    fn area_log_aspect_and_position_have_the_right_means() {
        let crop = RandomResizedCrop::new(224).unwrap().with_scale(0.1..=0.5).unwrap();
        let side = 4000;
        let mut sums = [0.0; 4];
        for i in 0..4000 {
            let r = crop.region(side, side, &mut SampleRng::new(0, 0, i));
            let [w, h, x, y] = [r.width, r.height, r.left, r.top].map(f64::from);
            let free = f64::from(side);
            let values = [w * h / (free * free), (w / h).ln(), x / (free - w), y / (free - h)];
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += value / 4000.0;
            }
        }
        // About five standard errors: 0.115, 0.166 and 0.289 over √4000.
        let tolerances = [0.0095, 0.0135, 0.023, 0.023];
        for ((mean, want), tolerance) in sums.into_iter().zip([0.3, 0.0, 0.5, 0.5]).zip(tolerances)
        {
            assert!((mean - want).abs() < tolerance, "{sums:?}");
        }
    }

    /// No box of 8 % of such a strip has an aspect of 3/4 to 4/3, so the fallback is certain.
    #[rstest]
    #[case::tall(10, 1000, Region { left: 0, top: 493, width: 10, height: 13 })]
    #[case::wide(1000, 10, Region { left: 493, top: 0, width: 13, height: 10 })]
    fn strips_fall_back_to_their_centre(
        #[case] width: u32,
        #[case] height: u32,
        #[case] want: Region,
    ) {
        assert!(regions(width, height).iter().all(|&region| region == want));
    }

    #[test]
    fn one_pixel_is_enough() {
        let image = Image::new(1, 1, 3, vec![1, 2, 3]).unwrap();
        let crop = RandomResizedCrop::new(2).unwrap();
        let large = crop.apply(image, &mut SampleRng::new(0, 0, 0)).unwrap();
        assert_eq!(large.pixels(), [1, 2, 3].repeat(4));
    }

    #[rstest]
    #[case::zero(0.0, 1.0)]
    #[case::reversed(0.5, 0.4)]
    #[case::too_large(0.5, 1.1)]
    #[case::not_a_number(f64::NAN, 1.0)]
    fn senseless_scales_are_refused(#[case] start: f64, #[case] end: f64) {
        let error = RandomResizedCrop::new(8).unwrap().with_scale(start..=end).unwrap_err();
        assert!(matches!(error, DataError::InvalidTransform { option: "scale", .. }), "{error}");
    }
}
