//! T. DeVries, G. W. Taylor, *Improved Regularization of Convolutional Neural Networks with Cutout*
//! (arXiv 1708.04552), section 3.2: a square whose centre is any pixel of the image alike.
//!
//! The square may stick out: the paper found that covering less in some images matters, so that the
//! network sees whole ones too. A square of even side has its centre right and below of the middle.
//!
//! The paper sets to 0 what has been normalised, which is the mean of the data set. Pixels here are
//! not normalised yet, so the same is had by [`Cutout::with_fill`] with that mean in bytes; the
//! default, black, is what plain byte pipelines cut to.
//!
//! DIFFERENCE: the published code covers `2·⌊size / 2⌋` pixels a side, here an odd size is exact.

use dyrep_resample::Region;

use super::Transform;
use super::checks::checked_side;
use super::fill::{Fill, paint};
use crate::error::DataError;
use crate::image::Image;
use crate::rng::SampleRng;

const NAME: &str = "Cutout";

/// Covers a square around a random pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cutout {
    size: u32,
    fill: Fill,
}

impl Cutout {
    /// A black square of `size × size` pixels, of which those outside the image do not count.
    ///
    /// # Errors
    ///
    /// If `size` is 0 or above 9459.
    pub fn new(size: u32) -> Result<Self, DataError> {
        Ok(Self { size: checked_side(NAME, size)?, fill: Fill::grey(0) })
    }

    /// Sets the square's colour, such as the mean of the data set.
    #[must_use]
    pub fn with_fill(self, fill: Fill) -> Self {
        Self { fill, ..self }
    }

    /// The covered part of an image of `width × height`.
    fn region(&self, width: u32, height: u32, rng: &mut SampleRng) -> Region {
        let (x, y) = (rng.below(width), rng.below(height));
        let start = |center: u32| center.saturating_sub(self.size / 2);
        let end = |center: u32, side: u32| side.min(center + self.size - self.size / 2);
        let (left, top) = (start(x), start(y));
        Region { left, top, width: end(x, width) - left, height: end(y, height) - top }
    }
}

impl Transform for Cutout {
    fn apply(&self, mut image: Image, rng: &mut SampleRng) -> Result<Image, DataError> {
        let pixel = self.fill.pixel(NAME, image.channels())?;
        let region = self.region(image.width(), image.height(), rng);
        paint(&mut image, region, &pixel);
        Ok(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const DRAWS: u64 = 10_000;

    fn regions(size: u32, width: u32, height: u32) -> impl Iterator<Item = Region> {
        let cutout = Cutout::new(size).unwrap();
        (0..DRAWS).map(move |i| cutout.region(width, height, &mut SampleRng::new(0, 0, i)))
    }

    /// The mean side over all centres, counted out, and the measured one.
    #[rstest]
    #[case::even(16, 32)]
    #[case::odd(5, 8)]
    #[case::one(1, 7)]
    #[case::larger_than_the_image(40, 16)]
    fn the_covered_side_is_that_of_uniform_centres(#[case] size: u32, #[case] side: u32) {
        let covered = |center: u32| {
            let first = i64::from(center) - i64::from(size / 2);
            let inside = |x: &i64| (0..i64::from(side)).contains(x);
            (first..first + i64::from(size)).filter(inside).count() as f64
        };
        let want = (0..side).map(covered).sum::<f64>() / f64::from(side);
        let sums = regions(size, side, side).fold((0.0, 0.0), |(width, height), region| {
            assert!(region.left + region.width <= side && region.top + region.height <= side);
            assert!(region.width.min(region.height) >= 1 && region.width <= size);
            (width + f64::from(region.width), height + f64::from(region.height))
        });
        // At most a quarter of the size is the deviation: five standard errors.
        let tolerance = 5.0 * f64::from(size) / 4.0 / (DRAWS as f64).sqrt();
        for found in [sums.0 / DRAWS as f64, sums.1 / DRAWS as f64] {
            assert!((found - want).abs() <= tolerance, "{found} for {want}");
        }
    }

    #[test]
    fn every_pixel_is_a_centre_equally_often() {
        let mut counts = [0; 12];
        for region in regions(1, 4, 3) {
            counts[(region.top * 4 + region.left) as usize] += 1;
        }
        // 833 each, standard deviation 27.6; five of them.
        assert!(counts.iter().all(|count| (696..=971).contains(count)), "{counts:?}");
    }
}
