//! A box relative to an anchor, as a network predicts it, and back.
//!
//! torchvision's `BoxCoder` and `BoxLinearCoder` (`models/detection/_utils.py`), in its order of
//! operations. Logarithms and exponentials are taken in `f64` and rounded, so they are the same on
//! every machine; torchvision's `f32` ones are within an ulp or two.

use crate::{BBox, BoxError};

/// Offsets of the centre and logarithms of the sides, in units of the anchor's: R-CNN's coding
/// (Girshick et al., 2014, appendix C), which RetinaNet uses (§ 4, "Box Regression Subnet").
///
/// ```text
/// [wx·(x − xa)/wa,  wy·(y − ya)/ha,  ww·ln(w/wa),  wh·ln(h/ha)]
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoxCoder {
    /// What the four codes are multiplied by: `wx`, `wy`, `ww`, `wh`.
    pub weights: [f32; 4],
    /// The largest logarithm that is decoded; a larger one counts as this.
    pub clip: f32,
}

impl Default for BoxCoder {
    fn default() -> Self {
        Self::retinanet()
    }
}

impl BoxCoder {
    /// All weights 1, sides up to 1000/16 of the anchor's (torchvision's `bbox_xform_clip`).
    #[must_use]
    pub fn retinanet() -> Self {
        Self { weights: [1.0; 4], clip: (1000.0_f64 / 16.0).ln() as f32 }
    }

    /// The four codes of a box for an anchor.
    ///
    /// # Errors
    ///
    /// A box or anchor that is not finite or has a side not above 0, as torchvision refuses to train on
    /// (`forward`: "All bounding boxes should have positive height and width"); a weight that is not
    /// above 0; codes beyond `f32`.
    pub fn encode(&self, object: BBox, anchor: BBox) -> Result<[f32; 4], BoxError> {
        self.check()?;
        object.check_solid("object", 0)?;
        anchor.check_solid("anchor", 0)?;
        let [wx, wy, ww, wh] = self.weights;
        let (x, y) = centre_from_corner(object);
        let (anchor_x, anchor_y) = centre_from_corner(anchor);
        let (width, height) = (anchor.width(), anchor.height());
        let codes = [
            wx * (x - anchor_x) / width,
            wy * (y - anchor_y) / height,
            ww * ln(object.width() / width),
            wh * ln(object.height() / height),
        ];
        check_codes(&codes, f32::NEG_INFINITY)?;
        Ok(codes)
    }

    /// The box that four codes mean for an anchor. Its sides are at most `e^clip` of the anchor's and
    /// may be 0.
    ///
    /// # Errors
    ///
    /// A code that is not finite, an anchor that is not finite or has a side not above 0, a weight not
    /// above 0, or a box beyond `f32`.
    pub fn decode(&self, codes: [f32; 4], anchor: BBox) -> Result<BBox, BoxError> {
        self.check()?;
        check_codes(&codes, f32::NEG_INFINITY)?;
        anchor.check_solid("anchor", 0)?;
        let [wx, wy, ww, wh] = self.weights;
        let [dx, dy, dw, dh] = codes;
        let (anchor_x, anchor_y) = centre_from_corner(anchor);
        let (width, height) = (anchor.width(), anchor.height());
        let x = dx / wx * width + anchor_x;
        let y = dy / wy * height + anchor_y;
        let half_width = 0.5 * (exp((dw / ww).min(self.clip)) * width);
        let half_height = 0.5 * (exp((dh / wh).min(self.clip)) * height);
        let found = BBox::new(x - half_width, y - half_height, x + half_width, y + half_height);
        found.check_ordered("the decoded box", 0)?;
        Ok(found)
    }

    fn check(&self) -> Result<(), BoxError> {
        for weight in self.weights {
            if !(weight > 0.0 && weight.is_finite()) {
                let (name, found) = ("weights", f64::from(weight));
                return Err(BoxError::Setting { name, found, expected: "numbers above 0" });
            }
        }
        if self.clip.is_nan() {
            let expected = "a number";
            return Err(BoxError::Setting { name: "clip", found: f64::NAN, expected });
        }
        Ok(())
    }
}

/// Distances from the anchor's centre to the box's left, upper, right and lower side: FCOS's coding
/// (§ 3.1, equation 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoxLinearCoder {
    /// Whether distances are in units of the anchor's width and height instead of pixels.
    pub normalize_by_size: bool,
}

impl Default for BoxLinearCoder {
    fn default() -> Self {
        Self::fcos()
    }
}

impl BoxLinearCoder {
    /// In units of the anchor, which is as large as its level's stride.
    #[must_use]
    pub const fn fcos() -> Self {
        Self { normalize_by_size: true }
    }

    /// The four distances of a box for an anchor; one below 0 means that the centre is outside.
    ///
    /// # Errors
    ///
    /// A box or anchor that is not finite or has a side not above 0; distances beyond `f32`.
    pub fn encode(&self, object: BBox, anchor: BBox) -> Result<[f32; 4], BoxError> {
        object.check_solid("object", 0)?;
        anchor.check_solid("anchor", 0)?;
        let (x, y) = centre_from_sum(anchor);
        let (width, height) = self.units(anchor);
        let codes = [
            (x - object.x1) / width,
            (y - object.y1) / height,
            (object.x2 - x) / width,
            (object.y2 - y) / height,
        ];
        check_codes(&codes, f32::NEG_INFINITY)?;
        Ok(codes)
    }

    /// The box that four distances mean for an anchor.
    ///
    /// # Errors
    ///
    /// A distance that is not finite or so far below 0 that the box would be turned inside out, an
    /// anchor that is not finite or has a side not above 0, or a box beyond `f32`.
    pub fn decode(&self, codes: [f32; 4], anchor: BBox) -> Result<BBox, BoxError> {
        check_codes(&codes, f32::NEG_INFINITY)?;
        anchor.check_solid("anchor", 0)?;
        let (x, y) = centre_from_sum(anchor);
        let (width, height) = self.units(anchor);
        let [left, top, right, bottom] = codes;
        let found =
            BBox::new(x - left * width, y - top * height, x + right * width, y + bottom * height);
        found.check_ordered("the decoded box", 0)?;
        Ok(found)
    }

    fn units(&self, anchor: BBox) -> (f32, f32) {
        if self.normalize_by_size { (anchor.width(), anchor.height()) } else { (1.0, 1.0) }
    }
}

/// How near a place is to the middle of its box, 1 there and 0 on the border, from the distances to its
/// left, upper, right and lower side: FCOS's centre-ness (§ 3.3, equation 3).
///
/// ```text
/// √( min(l, r)/max(l, r) · min(t, b)/max(t, b) )
/// ```
///
/// # Errors
///
/// A distance that is not finite or below 0, or two opposite ones of 0.
pub fn centreness(distances: [f32; 4]) -> Result<f32, BoxError> {
    check_codes(&distances, 0.0)?;
    let [left, top, right, bottom] = distances;
    let ratio = |a: f32, b: f32| a.min(b) / a.max(b);
    let found = (ratio(left, right) * ratio(top, bottom)).sqrt();
    if found.is_nan() {
        let expected = "opposite sides that are apart";
        return Err(BoxError::Number { what: "centre-ness", index: 0, found, expected });
    }
    Ok(found)
}

/// As `BoxCoder` computes it: the corner plus half of the side.
fn centre_from_corner(one: BBox) -> (f32, f32) {
    (one.x1 + 0.5 * one.width(), one.y1 + 0.5 * one.height())
}

/// As `BoxLinearCoder` computes it: half of the corners' sum, which rounds differently.
fn centre_from_sum(one: BBox) -> (f32, f32) {
    (0.5 * (one.x1 + one.x2), 0.5 * (one.y1 + one.y2))
}

fn ln(x: f32) -> f32 {
    f64::from(x).ln() as f32
}

fn exp(x: f32) -> f32 {
    f64::from(x).exp() as f32
}

fn check_codes(codes: &[f32; 4], smallest: f32) -> Result<(), BoxError> {
    let wrong = codes.iter().position(|code| !(code.is_finite() && *code >= smallest));
    wrong.map_or(Ok(()), |index| {
        let expected = if smallest == 0.0 { "a number not below 0" } else { "a finite number" };
        Err(BoxError::Number { what: "code", index, found: codes[index], expected })
    })
}
