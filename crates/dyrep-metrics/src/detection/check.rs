//! What a picture's boxes must be, so that every comparison of them means something.

use super::{Detection, Truth};
use crate::{Item, MetricError};

pub(super) fn picture(
    classes: usize,
    picture: u64,
    truths: &[Truth],
    detections: &[Detection],
) -> Result<(), MetricError> {
    for truth in truths {
        let of = Checked { picture, item: Item::Truth(truth.id) };
        of.class(truth.class, classes)?;
        of.bbox(truth.bbox)?;
        let is_area = truth.area.is_finite() && truth.area >= 0.0;
        of.field("area", is_area, truth.area, "a finite number not below 0")?;
    }
    for (place, detection) in detections.iter().enumerate() {
        let of = Checked { picture, item: Item::Detection(place) };
        of.class(detection.class, classes)?;
        of.bbox(detection.bbox)?;
        of.field("score", detection.score.is_finite(), detection.score, "a finite number")?;
    }
    Ok(())
}

struct Checked {
    picture: u64,
    item: Item,
}

impl Checked {
    fn class(&self, class: usize, classes: usize) -> Result<(), MetricError> {
        if class < classes {
            return Ok(());
        }
        self.refuse("class", class.to_string(), &format!("a class from 0 to {}", classes - 1))
    }

    /// Corners and area are numbers too, where sides are.
    fn bbox(&self, bbox: [f64; 4]) -> Result<(), MetricError> {
        let [x, y, width, height] = bbox;
        let finite = [x, y, width, height, x + width, y + height, width * height];
        if !finite.into_iter().all(f64::is_finite) {
            let expected = "finite [x, y, width, height] with a finite area";
            return self.refuse("bbox", format!("{bbox:?}"), expected);
        }
        if width < 0.0 || height < 0.0 {
            let expected = "[x, y, width, height] with sides not below 0";
            return self.refuse("bbox", format!("{bbox:?}"), expected);
        }
        Ok(())
    }

    fn field(
        &self,
        field: &'static str,
        holds: bool,
        found: f64,
        expected: &str,
    ) -> Result<(), MetricError> {
        if holds { Ok(()) } else { self.refuse(field, found.to_string(), expected) }
    }

    fn refuse(
        &self,
        field: &'static str,
        found: String,
        expected: &str,
    ) -> Result<(), MetricError> {
        let (picture, item, expected) = (self.picture, self.item, expected.to_owned());
        Err(MetricError::Field { picture, item, field, found, expected })
    }
}
