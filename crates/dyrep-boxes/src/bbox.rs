//! A box as two corners, its area and what two boxes share.
//!
//! torchvision's `ops/boxes.py`: `box_area`, `box_iou`, `clip_boxes_to_image`, `remove_small_boxes`, and
//! `resize_boxes` of `models/detection/transform.py`, all in `f32` and in its order of operations.

use std::fmt;

use crate::{BoxError, Size};

/// A rectangle with sides along the axes, in pixels from the picture's upper left corner.
///
/// Any four numbers can be written down. What is computed from them holds for boxes with `x1 ≤ x2` and
/// `y1 ≤ y2`; whatever takes boxes says what it does with others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BBox {
    /// Left side.
    pub x1: f32,
    /// Upper side.
    pub y1: f32,
    /// Right side.
    pub x2: f32,
    /// Lower side.
    pub y2: f32,
}

impl BBox {
    /// A box by its corners, left, upper, right, lower, in pixels.
    #[must_use]
    pub const fn new(x1: f32, y1: f32, x2: f32, y2: f32) -> Self {
        Self { x1, y1, x2, y2 }
    }

    /// `x2 − x1`, in pixels.
    #[must_use]
    pub const fn width(self) -> f32 {
        self.x2 - self.x1
    }

    /// `y2 − y1`, in pixels.
    #[must_use]
    pub const fn height(self) -> f32 {
        self.y2 - self.y1
    }

    /// Whether all corners are finite.
    #[must_use]
    pub const fn is_finite(self) -> bool {
        self.x1.is_finite() && self.y1.is_finite() && self.x2.is_finite() && self.y2.is_finite()
    }

    /// Width times height, in square pixels (`box_area`).
    ///
    /// DIFFERENCE: NaN where a side is negative; torchvision multiplies signed sides, so that a box with
    /// both negative has a positive area. Infinite above `f32`'s range (sides of 10¹⁹ pixels).
    #[must_use]
    pub const fn area(self) -> f32 {
        let (width, height) = (self.width(), self.height());
        if width >= 0.0 && height >= 0.0 { width * height } else { f32::NAN }
    }

    /// Intersection over union, 0 to 1 (`box_iou`); the same in either order.
    ///
    /// NaN where an area is, or where both are infinite. DIFFERENCE: 0 where neither box has an area;
    /// torchvision has 0/0 = NaN there, which no threshold is below either.
    #[must_use]
    pub fn iou(self, other: Self) -> f32 {
        overlap((self, self.area()), (other, other.area()))
    }

    /// The part inside a picture (`clip_boxes_to_image`): corners outside move to its border, so a box
    /// beside the picture loses its area. A NaN stays one.
    #[must_use]
    pub fn clipped(self, picture: Size) -> Self {
        let (width, height) = (picture.width as f32, picture.height as f32);
        Self {
            x1: self.x1.clamp(0.0, width),
            y1: self.y1.clamp(0.0, height),
            x2: self.x2.clamp(0.0, width),
            y2: self.y2.clamp(0.0, height),
        }
    }

    /// The box in a picture that is resized from one size to another (`resize_boxes`): each axis by its
    /// own ratio, because rounding to whole pixels leaves the two a little apart.
    ///
    /// # Errors
    ///
    /// A size without pixels.
    pub fn resized(self, from: Size, to: Size) -> Result<Self, BoxError> {
        from.check("a picture")?;
        to.check("a picture")?;
        let x = to.width as f32 / from.width as f32;
        let y = to.height as f32 / from.height as f32;
        Ok(Self { x1: self.x1 * x, y1: self.y1 * y, x2: self.x2 * x, y2: self.y2 * y })
    }

    /// Finite, and with sides above 0, as what is to be found must be.
    pub(crate) fn check_solid(self, what: &'static str, index: usize) -> Result<(), BoxError> {
        if self.is_finite() && self.x1 < self.x2 && self.y1 < self.y2 {
            return Ok(());
        }
        let expected = "finite corners with x1 < x2 and y1 < y2";
        Err(BoxError::Box { what, index, found: self, expected })
    }

    /// Finite, and with sides not below 0.
    pub(crate) fn check_ordered(self, what: &'static str, index: usize) -> Result<(), BoxError> {
        if self.is_finite() && self.x1 <= self.x2 && self.y1 <= self.y2 {
            return Ok(());
        }
        let expected = "finite corners with x1 ≤ x2 and y1 ≤ y2";
        Err(BoxError::Box { what, index, found: self, expected })
    }
}

impl fmt::Display for BBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {}, {}, {})", self.x1, self.y1, self.x2, self.y2)
    }
}

/// Checks each box of a list by `check`, which is told what it is and where.
pub(crate) fn check_all(
    boxes: &[BBox],
    what: &'static str,
    check: fn(BBox, &'static str, usize) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    boxes.iter().enumerate().try_for_each(|(index, one)| check(*one, what, index))
}

/// [`BBox::iou`] of boxes whose areas are known.
pub(crate) fn overlap((a, area): (BBox, f32), (b, other): (BBox, f32)) -> f32 {
    // `max` and `min` pass over a NaN, but then its box's area is one, and so is the union.
    let width = (a.x2.min(b.x2) - a.x1.max(b.x1)).max(0.0);
    let height = (a.y2.min(b.y2) - a.y1.max(b.y1)).max(0.0);
    let intersection = width * height;
    let union = area + other - intersection;
    if union == 0.0 { 0.0 } else { intersection / union }
}

/// The places of the boxes whose sides are both at least `min_side` pixels, in order
/// (`remove_small_boxes`). A box with a NaN is not among them.
#[must_use]
pub fn remove_small(boxes: &[BBox], min_side: f32) -> Vec<usize> {
    let large = |one: &BBox| one.width() >= min_side && one.height() >= min_side;
    (0..boxes.len()).filter(|&index| large(&boxes[index])).collect()
}
