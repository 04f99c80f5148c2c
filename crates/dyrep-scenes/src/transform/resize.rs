//! Scaling as torchvision's detectors do it: the shorter side becomes `size`, unless the longer one
//! would then be more than `longest`, which it becomes instead.
//!
//! ```text
//! scale = min(size / short, longest / long)      side ↦ ⌊side · scale⌋
//! ```
//!
//! DIFFERENCE: in exact integers, where torchvision's `GeneralizedRCNNTransform` rounds the scale to
//! `f32` and may lose a pixel by it; and with antialiasing, as everything here is resampled.

use dyrep_data::SampleRng;

use super::{SceneTransform, checked_size, invalid, positive};
use crate::error::SceneError;
use crate::scene::Scene;

/// Scales a scene by the length of its sides, keeping the proportions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizeSides {
    size: u32,
    longest: u32,
}

impl ResizeSides {
    /// The shorter side becomes `size` pixels, the longer one at most `longest`; torchvision's
    /// detectors have 800 and 1333.
    ///
    /// # Errors
    ///
    /// If `size` is 0 or `longest` is less.
    pub fn new(size: u32, longest: u32) -> Result<Self, SceneError> {
        positive("resize", "size", size)?;
        if longest < size {
            return Err(invalid(
                "resize",
                "longest",
                &longest,
                &format!("at least the size, {size}"),
            ));
        }
        Ok(Self { size, longest })
    }

    /// Width and height that a picture will have.
    ///
    /// # Errors
    ///
    /// If that is too many pixels.
    pub fn resized(&self, width: u32, height: u32) -> Result<(u32, u32), SceneError> {
        let (short, long) = (u64::from(width.min(height)), u64::from(width.max(height)));
        let (size, longest) = (u64::from(self.size), u64::from(self.longest));
        let (times, over) =
            if size * long <= longest * short { (size, short) } else { (longest, long) };
        let scaled = |side: u32| u64::from(side) * times / over;
        checked_size(scaled(width), scaled(height))
    }
}

impl SceneTransform for ResizeSides {
    fn apply(&self, scene: Scene, _rng: &mut SampleRng) -> Result<Scene, SceneError> {
        let (width, height) = self.resized(scene.image().width(), scene.image().height())?;
        scene.resized(width, height)
    }
}

impl Scene {
    /// The scene scaled by a factor; sides are rounded, and at least 1.
    ///
    /// # Errors
    ///
    /// If the factor is not above 0, or there are too many pixels.
    pub fn scaled(self, factor: f64) -> Result<Self, SceneError> {
        if !(factor > 0.0 && factor.is_finite()) {
            return Err(invalid("scale", "factor", &factor, "a number above 0"));
        }
        // A cast saturates.
        let side = |side: u32| (f64::from(side) * factor).round() as u64;
        let (width, height) =
            checked_size(side(self.image().width()), side(self.image().height()))?;
        self.resized(width, height)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(640, 480, (1066, 800))] // 1066.67
    #[case(480, 640, (800, 1066))]
    #[case(1000, 400, (1333, 533))] // 533.2
    #[case(800, 800, (800, 800))]
    #[case(1333, 800, (1333, 800))]
    #[case(5000, 1, (1333, 1))] // 0.27, which would be none
    fn sides_are_torchvision_s(#[case] width: u32, #[case] height: u32, #[case] want: (u32, u32)) {
        assert_eq!(ResizeSides::new(800, 1333).unwrap().resized(width, height).unwrap(), want);
    }

    #[test]
    fn sides_that_make_no_sense_are_refused() {
        assert!(ResizeSides::new(0, 10).is_err());
        assert!(
            ResizeSides::new(11, 10).unwrap_err().to_string().contains("at least the size, 11")
        );
        assert!(ResizeSides::new(1 << 20, 1 << 20).unwrap().resized(2, 2).is_err());
    }
}
