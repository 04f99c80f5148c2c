//! Which object a place is to find, by where it lies in it: FCOS's assignment.
//!
//! torchvision's `FCOS.compute_loss` (`models/detection/fcos.py`), in `f32` and in its order of
//! operations.

use crate::bbox::check_all;
use crate::{Anchors, BBox, BoxError, Match};

/// What the smallest area is found by: torchvision takes the largest of this minus the area.
const BEYOND: f32 = 1e8;

/// Assigns places to objects by centre sampling (FCOS §§ 3.1 and 3.2; the first rule is of the paper's
/// second version, arXiv:2006.09214).
///
/// A place, an anchor's centre, finds an object if
///
/// 1. it is nearer to the object's centre than `radius` times the anchor's width, along either axis;
/// 2. it is inside the object, not on its border;
/// 3. the farthest of the object's four sides is more than 4 and less than 8 of the anchor's widths
///    away: no lower bound in the first level, no upper one in the last.
///
/// Of several objects it finds the smallest. Kept from torchvision:
///
/// - Both ranges are in units of the anchor's width, 8 to 128 pixels by level, not of the stride, which
///   [`AnchorGenerator`](crate::AnchorGenerator) rounds down. With these widths the third rule is the
///   paper's, 0, 64, 128, 256, 512 and ∞, without the upper bounds themselves.
/// - Areas are compared as `10⁸ − area` in `f32`, which holds multiples of 4 or 8 there: of objects
///   whose areas differ by less, the first may win. An object of 10⁸ square pixels or more is never
///   found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CentreSampling {
    /// How far from an object's centre it may be found, in anchor widths.
    pub radius: f32,
}

impl CentreSampling {
    /// A radius of 1.5.
    #[must_use]
    pub const fn fcos() -> Self {
        Self { radius: 1.5 }
    }

    /// What each anchor is to find, never [`Match::Ignored`]. Without objects all is background.
    ///
    /// # Errors
    ///
    /// An object that is not finite or has a side not above 0, or a radius that is not above 0.
    pub fn assign(&self, objects: &[BBox], anchors: &Anchors) -> Result<Vec<Match>, BoxError> {
        if self.radius.is_nan() || self.radius <= 0.0 {
            let (name, found) = ("radius", f64::from(self.radius));
            return Err(BoxError::Setting { name, found, expected: "a number above 0" });
        }
        check_all(objects, "object", BBox::check_solid)?;
        let objects: Vec<_> = objects.iter().map(|object| Object::new(*object)).collect();
        let last = anchors.levels().len() - 1;
        let mut matches = Vec::with_capacity(anchors.boxes().len());
        for (level, boxes) in anchors.by_level().enumerate() {
            matches.extend(boxes.iter().map(|anchor| {
                let place = Place::new(*anchor, level == 0, level == last, self.radius);
                find(place, &objects)
            }));
        }
        Ok(matches)
    }
}

/// An object with what is asked of it at every place.
struct Object {
    corners: BBox,
    centre: (f32, f32),
    /// Larger for smaller ones.
    rank: f32,
}

impl Object {
    fn new(corners: BBox) -> Self {
        let BBox { x1, y1, x2, y2 } = corners;
        let centre = ((x1 + x2) / 2.0, (y1 + y2) / 2.0);
        Self { corners, centre, rank: BEYOND - corners.area() }
    }
}

/// A place with what it is responsible for, in pixels.
#[derive(Clone, Copy)]
struct Place {
    x: f32,
    y: f32,
    reach: f32,
    nearest: f32,
    farthest: f32,
}

impl Place {
    fn new(anchor: BBox, is_first: bool, is_last: bool, radius: f32) -> Self {
        let size = anchor.width();
        Self {
            x: (anchor.x1 + anchor.x2) / 2.0,
            y: (anchor.y1 + anchor.y2) / 2.0,
            reach: radius * size,
            nearest: if is_first { 0.0 } else { size * 4.0 },
            farthest: if is_last { f32::INFINITY } else { size * 8.0 },
        }
    }

    fn may_find(self, object: &Object) -> bool {
        let (x, y) = object.centre;
        let away = (self.x - x).abs().max((self.y - y).abs());
        let BBox { x1, y1, x2, y2 } = object.corners;
        let sides = [self.x - x1, self.y - y1, x2 - self.x, y2 - self.y];
        let nearest = sides.into_iter().fold(f32::INFINITY, f32::min);
        let farthest = sides.into_iter().fold(f32::NEG_INFINITY, f32::max);
        let responsible = farthest > self.nearest && farthest < self.farthest;
        away < self.reach && nearest > 0.0 && responsible
    }
}

fn find(place: Place, objects: &[Object]) -> Match {
    // What is not above 0 is of 10⁸ square pixels or more.
    let mut found = (0.0, Match::Background);
    for (index, object) in objects.iter().enumerate() {
        if object.rank > found.0 && place.may_find(object) {
            found = (object.rank, Match::Object(index));
        }
    }
    found.1
}
