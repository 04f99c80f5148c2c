//! torchvision's `RandomHorizontalFlip`.

use super::Transform;
use super::checks::checked_probability;
use crate::error::DataError;
use crate::image::Image;
use crate::rng::SampleRng;

/// Mirrors left and right with a given probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomHorizontalFlip {
    probability: f64,
}

impl RandomHorizontalFlip {
    /// A flip with the given probability, from 0 (never) to 1 (always).
    ///
    /// # Errors
    ///
    /// If `probability` is not within 0 to 1.
    pub fn new(probability: f64) -> Result<Self, DataError> {
        Ok(Self { probability: checked_probability("RandomHorizontalFlip", probability)? })
    }
}

impl Transform for RandomHorizontalFlip {
    fn apply(&self, mut image: Image, rng: &mut SampleRng) -> Result<Image, DataError> {
        if rng.chance(self.probability) {
            image.flip_horizontally();
        }
        Ok(image)
    }
}
