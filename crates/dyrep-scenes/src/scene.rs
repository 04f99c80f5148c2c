//! A picture with what is known of it: boxes of objects and a class for each pixel.

use dyrep_data::Image;

use crate::error::SceneError;

/// One object in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Object {
    /// Corners `[x1, y1, x2, y2]` in pixels, continuous, `x1 < x2` and `y1 < y2`.
    pub bbox: [f64; 4],
    /// Its class, from 0 without gaps.
    pub class: usize,
    /// Whether the box stands for several objects that nobody told apart (COCO's `iscrowd`).
    pub is_crowd: bool,
    /// Its area in square pixels: of its shape where that is known, else of the box.
    pub area: f64,
    /// What the annotations call it.
    pub id: u64,
}

/// Width and height of a box in pixels.
#[must_use]
pub(crate) fn sides([x1, y1, x2, y2]: [f64; 4]) -> (f64, f64) {
    (x2 - x1, y2 - y1)
}

/// A class for each pixel.
#[derive(Clone, PartialEq, Eq)]
pub struct Mask {
    width: u32,
    height: u32,
    labels: Vec<u8>,
}

impl Mask {
    /// The label of pixels that count for nothing.
    pub const IGNORE: u8 = 255;

    /// A mask from its labels, row by row.
    ///
    /// # Errors
    ///
    /// [`SceneError::InvalidMask`] if a side is 0 or there are not exactly `width × height` labels.
    pub fn new(width: u32, height: u32, labels: Vec<u8>) -> Result<Self, SceneError> {
        let area = u64::from(width) * u64::from(height);
        if area == 0 || area != labels.len() as u64 {
            return Err(SceneError::InvalidMask { width, height, labels: labels.len() });
        }
        Ok(Self { width, height, labels })
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The labels, `[height, width]`.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }
}

/// The size without the labels, which would fill a screen.
impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({}x{})", self.width, self.height)
    }
}

/// A picture, its objects, and perhaps a class for each pixel.
///
/// ```
/// use dyrep_data::Image;
/// use dyrep_scenes::{Mask, Object, Scene};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bbox = [0.0, 0.0, 2.0, 1.0];
/// let object = Object { bbox, class: 0, is_crowd: false, area: 2.0, id: 7 };
/// let image = Image::new(2, 2, 1, vec![9, 9, 0, 0])?;
/// let mask = Mask::new(2, 2, vec![1, 1, 0, Mask::IGNORE])?;
/// let scene = Scene::new(image, vec![object], Some(mask))?;
/// assert_eq!(scene.objects()[0].id, 7);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    image: Image,
    objects: Vec<Object>,
    mask: Option<Mask>,
}

impl Scene {
    /// A scene from its parts.
    ///
    /// # Errors
    ///
    /// [`SceneError::InvalidObject`] if a box is not finite, has no area or leaves the picture, or an
    /// object's area is negative or not finite; [`SceneError::MaskSize`] if the mask is not of the
    /// picture's size.
    pub fn new(image: Image, objects: Vec<Object>, mask: Option<Mask>) -> Result<Self, SceneError> {
        let (width, height) = (image.width(), image.height());
        for &Object { bbox: bbox @ [x1, y1, x2, y2], area, id, .. } in &objects {
            // Comparisons with what is not a number are false.
            let inside = 0.0 <= x1 && x1 < x2 && x2 <= f64::from(width);
            let inside = inside && 0.0 <= y1 && y1 < y2 && y2 <= f64::from(height);
            if !(inside && area >= 0.0 && area.is_finite()) {
                return Err(SceneError::InvalidObject { id, bbox, area, width, height });
            }
        }
        if let Some(mask) = &mask
            && (mask.width, mask.height) != (width, height)
        {
            let found = (mask.width, mask.height);
            return Err(SceneError::MaskSize { found, expected: (width, height) });
        }
        Ok(Self { image, objects, mask })
    }

    /// The picture.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The objects.
    #[must_use]
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// A class for each pixel, if there is one.
    #[must_use]
    pub fn mask(&self) -> Option<&Mask> {
        self.mask.as_ref()
    }

    /// The parts by value.
    #[must_use]
    pub fn into_parts(self) -> (Image, Vec<Object>, Option<Mask>) {
        (self.image, self.objects, self.mask)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

    use super::*;
    use rstest::rstest;

    fn scene(bbox: [f64; 4], area: f64) -> Result<Scene, SceneError> {
        let object = Object { bbox, class: 0, is_crowd: false, area, id: 3 };
        Scene::new(Image::new(4, 3, 1, vec![0; 12]).unwrap(), vec![object], None)
    }

    #[rstest]
    #[case::not_a_number([f64::NAN, 0.0, 1.0, 1.0], 1.0)]
    #[case::no_width([1.0, 0.0, 1.0, 1.0], 1.0)]
    #[case::upside_down([0.0, 2.0, 1.0, 1.0], 1.0)]
    #[case::to_the_left([-0.1, 0.0, 1.0, 1.0], 1.0)]
    #[case::too_wide([0.0, 0.0, 4.1, 1.0], 1.0)]
    #[case::too_high([0.0, 0.0, 4.0, f64::INFINITY], 1.0)]
    #[case::negative_area([0.0, 0.0, 4.0, 3.0], -1.0)]
    #[case::endless_area([0.0, 0.0, 4.0, 3.0], f64::INFINITY)]
    fn objects_that_make_no_sense_are_refused(#[case] bbox: [f64; 4], #[case] area: f64) {
        let error = scene(bbox, area).unwrap_err();
        assert!(matches!(error, SceneError::InvalidObject { id: 3, .. }), "{error}");
        assert!(scene([0.0, 0.0, 4.0, 3.0], 12.0).is_ok());
    }

    #[test]
    fn masks_are_of_the_size_that_they_say_and_of_the_picture_s() {
        for (width, height, labels) in [(0, 1, 0), (2, 2, 3), (2, 2, 5), (u32::MAX, u32::MAX, 1)] {
            assert!(Mask::new(width, height, vec![0; labels]).is_err());
        }
        let image = Image::new(4, 3, 1, vec![0; 12]).unwrap();
        let mask = Mask::new(3, 4, vec![0; 12]).unwrap();
        let error = Scene::new(image, vec![], Some(mask)).unwrap_err();
        assert!(error.to_string().contains("3x4") && error.to_string().contains("4x3"), "{error}");
    }
}
