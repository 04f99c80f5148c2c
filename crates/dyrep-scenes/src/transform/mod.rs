//! Transforms of scenes: pictures, boxes and masks move together.
//!
//! `place.rs` has what each does once everything random is decided, as methods of [`Scene`]; the other
//! files decide. Pixels are resampled as `dyrep-data` does it, masks by the nearest pixel: the centre of
//! a new pixel, carried back, lies in the old one whose label it takes.

mod mosaic;
mod pad;
mod place;
mod random;
mod resize;

use std::fmt::{Debug, Display};

use dyrep_data::{DataError, Image, SampleRng};

pub use self::mosaic::Mosaic;
pub use self::pad::PadToMultiple;
pub use self::random::{RandomFlip, RandomScaleCrop};
pub use self::resize::ResizeSides;
use crate::error::SceneError;
use crate::scene::{Scene, sides};

/// One step that a scene goes through.
///
/// An implementation must be a function of the scene and of the numbers drawn from `rng`, and of
/// nothing else: that is what makes an epoch repeatable.
pub trait SceneTransform: Debug + Send + Sync {
    /// The transformed scene.
    ///
    /// # Errors
    ///
    /// If the scene does not suit the transform, or would have too many pixels.
    fn apply(&self, scene: Scene, rng: &mut SampleRng) -> Result<Scene, SceneError>;
}

/// Which objects are kept that were cut at an edge: those of which both is still to be seen. An object
/// that was not cut is kept always.
///
/// ```
/// use dyrep_scenes::Keep;
///
/// let keep = Keep { side: 2.0, share: 0.25 };
/// let whole = [0.0, 0.0, 8.0, 8.0];
/// assert!(keep.holds(whole, [0.0, 0.0, 2.0, 8.0]));
/// assert!(!keep.holds(whole, [0.0, 0.0, 1.9, 8.0])); // too narrow
/// assert!(!keep.holds(whole, [0.0, 0.0, 3.0, 3.0])); // too small a part
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keep {
    /// The shortest side of what is left of the box, in pixels.
    pub side: f64,
    /// The smallest share of the box's area, 0 to 1.
    pub share: f64,
}

/// A pixel on each side, and a tenth of the area.
impl Default for Keep {
    fn default() -> Self {
        Self { side: 1.0, share: 0.1 }
    }
}

impl Keep {
    /// Whether an object is kept of whose box, `[x1, y1, x2, y2]`, so much is left.
    #[must_use]
    pub fn holds(&self, whole: [f64; 4], left: [f64; 4]) -> bool {
        let (width, height) = sides(left);
        // Without area it is no box, whatever is asked for.
        let has_area = width > 0.0 && height > 0.0;
        let enough = width.min(height) >= self.side && visible(whole, left) >= self.share;
        has_area && (left == whole || enough)
    }
}

/// The share of a box's area that is left. Side by side: the area of a tiny box is 0 in an `f64`.
fn visible(whole: [f64; 4], left: [f64; 4]) -> f64 {
    let ((width, height), (left_width, left_height)) = (sides(whole), sides(left));
    left_width / width * (left_height / height)
}

/// The size of a transform's output, if it has no more than [`Image::MAX_PIXELS`] and a side is not 0.
fn checked_size(width: u64, height: u64) -> Result<(u32, u32), SceneError> {
    let narrow = |side: u64| u32::try_from(side).ok();
    let limit = Image::MAX_PIXELS;
    match (narrow(width), narrow(height)) {
        (Some(w), Some(h)) if width * height <= limit => Ok((w.max(1), h.max(1))),
        _ => Err(DataError::OutputTooLarge { width, height, limit }.into()),
    }
}

/// An option that must not be 0.
fn positive(transform: &'static str, option: &'static str, found: u32) -> Result<u32, SceneError> {
    match found {
        0 => Err(invalid(transform, option, &found, "at least 1")),
        _ => Ok(found),
    }
}

fn invalid(
    transform: &'static str,
    option: &'static str,
    found: &dyn Display,
    expected: &str,
) -> SceneError {
    let (found, expected) = (found.to_string(), expected.to_owned());
    SceneError::Transform { transform, option, found, expected }
}
