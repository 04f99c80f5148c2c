//! How large a picture is when a network sees it: resized by its sides, then padded with its batch.
//!
//! torchvision's `GeneralizedRCNNTransform` (`models/detection/transform.py`).

use std::fmt;

use crate::BoxError;

/// The largest side, in pixels, up to which `f32` holds every whole number.
const LARGEST: u32 = 1 << 24;

/// A picture's or a grid's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

impl Size {
    /// Sides from 1 to [`LARGEST`].
    pub(crate) fn check(self, what: &'static str) -> Result<(), BoxError> {
        let fits = |side| (1..=LARGEST).contains(&side);
        if fits(self.height) && fits(self.width) {
            return Ok(());
        }
        Err(BoxError::Size { what, found: self, expected: "sides from 1 to 16777216" })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}", self.height, self.width)
    }
}

/// How pictures are resized: the shorter side to `min_size`, unless the longer one would exceed
/// `max_size`, which then decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizeRule {
    /// What the shorter side becomes, in pixels.
    pub min_size: u32,
    /// What the longer side may become, in pixels.
    pub max_size: u32,
}

impl ResizeRule {
    /// 800 and 1333, as torchvision's RetinaNet and FCOS and the latter's paper (§ 4).
    #[must_use]
    pub const fn published() -> Self {
        Self { min_size: 800, max_size: 1333 }
    }

    /// The size of a picture resized.
    ///
    /// Both sides are rounded down, in `f64`, as `interpolate` does with `recompute_scale_factor`: even
    /// the side that was to become `min_size` is sometimes a pixel shorter.
    ///
    /// # Errors
    ///
    /// A picture without pixels or so narrow that none would be left; a rule of 0.
    pub fn resized(self, picture: Size) -> Result<Size, BoxError> {
        picture.check("a picture")?;
        let [short, long] =
            [picture.height.min(picture.width), picture.height.max(picture.width)].map(f64::from);
        let scale = (f64::from(self.min_size) / short).min(f64::from(self.max_size) / long);
        // Saturates; the check below refuses what did.
        let side = |side: u32| (f64::from(side) * scale).floor() as u32;
        let resized = Size { height: side(picture.height), width: side(picture.width) };
        resized.check("a resized picture")?;
        Ok(resized)
    }
}

/// The size of a batch's pictures, each padded on the right and below: the largest height and width
/// among them, rounded up to multiples of `divisor` (`batch_images`, where it is 32).
///
/// # Errors
///
/// No picture, one without pixels, or a divisor of 0.
pub fn padded(pictures: &[Size], divisor: u32) -> Result<Size, BoxError> {
    if divisor == 0 {
        return Err(BoxError::Setting { name: "divisor", found: 0.0, expected: "at least 1" });
    }
    pictures.iter().try_for_each(|picture| picture.check("a picture"))?;
    let nothing = BoxError::Length { what: "pictures in a batch", found: 0, expected: 1 };
    let height = pictures.iter().map(|picture| picture.height).max().ok_or(nothing)?;
    let width = pictures.iter().map(|picture| picture.width).max().unwrap_or(height);
    // No side is above 2²⁴, but the divisor may be: the product saturates and is refused.
    let up = |side: u32| side.div_ceil(divisor).saturating_mul(divisor);
    let size = Size { height: up(height), width: up(width) };
    size.check("a padded picture")?;
    Ok(size)
}
