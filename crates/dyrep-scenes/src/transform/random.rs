//! A flip by chance, and segmentation's usual scale and crop.

use std::ops::RangeInclusive;

use dyrep_data::{Fill, SampleRng};
use dyrep_resample::Region;

use super::pad::filled;
use super::{Keep, SceneTransform, invalid, positive};
use crate::error::SceneError;
use crate::scene::Scene;

/// Exchanges left and right with a given probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomFlip {
    probability: f64,
}

impl RandomFlip {
    /// A flip with the given probability, from 0 (never) to 1 (always).
    ///
    /// # Errors
    ///
    /// If `probability` is not within 0 to 1.
    pub fn new(probability: f64) -> Result<Self, SceneError> {
        match (0.0..=1.0).contains(&probability) {
            true => Ok(Self { probability }),
            false => Err(invalid("flip", "probability", &probability, "0 to 1")),
        }
    }
}

impl SceneTransform for RandomFlip {
    fn apply(&self, scene: Scene, rng: &mut SampleRng) -> Result<Scene, SceneError> {
        if rng.chance(self.probability) { scene.flipped() } else { Ok(scene) }
    }
}

/// Scales by a random factor, pads what is then too small, and cuts out a random part.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomScaleCrop {
    width: u32,
    height: u32,
    factors: RangeInclusive<f64>,
    fill: Fill,
    keep: Keep,
}

impl RandomScaleCrop {
    /// Parts of `width × height` pixels of scenes scaled by a factor that is uniform among `factors`;
    /// segmentation mostly has 0.5 to 2. `fill` is the colour of what is padded, one value a channel.
    ///
    /// # Errors
    ///
    /// If a side is 0, or the factors are not finite, above 0 and in order.
    pub fn new(
        (width, height): (u32, u32),
        factors: RangeInclusive<f64>,
        fill: Fill,
    ) -> Result<Self, SceneError> {
        positive("scale and crop", "width", width)?;
        positive("scale and crop", "height", height)?;
        let (least, most) = (*factors.start(), *factors.end());
        if !(least > 0.0 && least <= most && most.is_finite()) {
            let expected = "numbers above 0, the smaller first";
            return Err(invalid("scale and crop", "factors", &format!("{factors:?}"), expected));
        }
        Ok(Self { width, height, factors, fill, keep: Keep::default() })
    }

    /// Keeps other objects than [`Keep::default`] does.
    #[must_use]
    pub fn with_keep(self, keep: Keep) -> Self {
        Self { keep, ..self }
    }
}

impl SceneTransform for RandomScaleCrop {
    fn apply(&self, scene: Scene, rng: &mut SampleRng) -> Result<Scene, SceneError> {
        let factor = rng.uniform(*self.factors.start(), *self.factors.end());
        let scene = scene.scaled(factor)?;
        let (width, height) = (scene.image().width(), scene.image().height());
        let fill = filled(&self.fill, scene.image().channels());
        let scene = scene.padded(width.max(self.width), height.max(self.height), &fill)?;
        let region = random_region(&scene, (self.width, self.height), rng);
        scene.cropped(region, self.keep)
    }
}

/// A region of a size that fits, every place equally likely.
pub(super) fn random_region(
    scene: &Scene,
    (width, height): (u32, u32),
    rng: &mut SampleRng,
) -> Region {
    let left = rng.below(scene.image().width() - width + 1);
    let top = rng.below(scene.image().height() - height + 1);
    Region { left, top, width, height }
}
