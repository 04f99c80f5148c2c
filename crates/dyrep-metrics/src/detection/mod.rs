//! COCO's detection metric (Lin et al., arXiv 1405.0312; <https://cocodataset.org/#detection-eval>),
//! as pycocotools' `COCOeval` computes it of boxes with its own parameters.
//!
//! A picture's detections of a class, the best 100 by score, are matched to its annotations at ten
//! thresholds of IoU, 0.5 to 0.95. Precision at 101 recalls is averaged over thresholds and classes
//! (AP), as is the recall that is reached (AR). Crowds and objects of other sizes are neither asked
//! for nor held against a detection.

mod check;
mod summary;

use std::collections::BTreeSet;

use hotcoco::params::{IouType, Params};
use hotcoco::{Annotation, Category, EvalMode, Image, StreamingEval};

use crate::{MetricError, checked};
pub use summary::{ClassSummary, DetectionSummary};

/// An object as it was annotated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truth {
    /// The annotation's number, for messages; no result depends on it.
    ///
    /// DIFFERENCE: pycocotools holds a match with an annotation numbered 0 to be none.
    pub id: u64,
    /// The class, from 0.
    pub class: usize,
    /// `[x, y, width, height]` in pixels, `x` and `y` those of the upper left corner. Sides may be 0;
    /// such a box overlaps nothing.
    pub bbox: [f64; 4],
    /// The area in pixels, by which an object is small (to 32²), medium (32² to 96²) or large (from
    /// 96²), borders included; of a segmentation it is less than width times height. Of more than
    /// 10¹⁰ pixels an object counts nowhere.
    pub area: f64,
    /// Whether many objects are one annotation. It may match any number of detections, by their
    /// share inside it; none of them count.
    pub is_crowd: bool,
}

/// An object as it was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// The class, from 0.
    pub class: usize,
    /// `[x, y, width, height]` in pixels, as [`Truth::bbox`]; its area is width times height.
    pub bbox: [f64; 4],
    /// How sure the detector is; any finite number, only the order matters.
    pub score: f64,
}

/// Detections and annotations of pictures, of which AP and AR are computed.
///
/// Each picture is matched when it is given; about 20 bytes a detection are kept. Detections of equal
/// scores are taken as pycocotools takes them: by the pictures' numbers, within a picture as given.
#[derive(Clone)]
pub struct DetectionMetric {
    classes: usize,
    pictures: BTreeSet<u64>,
    matched: StreamingEval,
}

impl DetectionMetric {
    /// A metric of so many classes, without pictures.
    ///
    /// # Errors
    /// No classes, or more than [`MAX_CLASSES`](crate::MAX_CLASSES).
    pub fn new(classes: usize) -> Result<Self, MetricError> {
        let classes = checked(classes)?;
        let category =
            |class| Category { id: class as u64, name: format!("{class}"), ..Category::default() };
        let categories = (0..classes).map(category).collect();
        let matched = StreamingEval::new(Params::new(IouType::Bbox), EvalMode::Coco, categories)
            .expect("COCO's mode can be given pictures one by one");
        Ok(Self { classes, pictures: BTreeSet::new(), matched })
    }

    /// How many pictures were given.
    #[must_use]
    pub fn pictures(&self) -> usize {
        self.pictures.len()
    }

    /// Matches a picture's detections to its annotations. Either may be empty: what is found where
    /// nothing is counts against precision.
    ///
    /// # Errors
    /// A picture that was given before; a class that does not exist; a box, area or score that is
    /// not finite; sides, areas below 0. Nothing of the picture is taken then.
    pub fn add(
        &mut self,
        picture: u64,
        truths: &[Truth],
        detections: &[Detection],
    ) -> Result<(), MetricError> {
        check::picture(self.classes, picture, truths, detections)?;
        if !self.pictures.insert(picture) {
            return Err(MetricError::Twice { picture });
        }
        let of_picture = |class: usize, bbox| Annotation {
            image_id: picture,
            category_id: class as u64,
            bbox: Some(bbox),
            ..Annotation::default()
        };
        let truths = truths.iter().map(|truth| Annotation {
            area: Some(truth.area),
            iscrowd: truth.is_crowd,
            ..of_picture(truth.class, truth.bbox)
        });
        let detections = detections.iter().map(|detection| Annotation {
            score: Some(detection.score),
            ..of_picture(detection.class, detection.bbox)
        });
        let image = Image { id: picture, ..Image::default() };
        self.matched
            .update(vec![image], truths.collect(), detections.collect())
            .expect("classes and scores were checked");
        Ok(())
    }

    /// Takes the pictures of another metric, such as another worker's, as if they had been given
    /// here.
    ///
    /// # Errors
    /// Another number of classes; a picture that both were given.
    pub fn merge(&mut self, other: Self) -> Result<(), MetricError> {
        if self.classes != other.classes {
            let of = |classes| format!("a metric of {classes} classes");
            let (found, expected) = (of(other.classes), of(self.classes));
            return Err(MetricError::Merge { found, expected });
        }
        if let Some(&picture) = self.pictures.intersection(&other.pictures).next() {
            return Err(MetricError::Twice { picture });
        }
        self.pictures.extend(other.pictures);
        self.matched.merge(other.matched).expect("both are COCO's, with the same classes");
        Ok(())
    }

    /// AP and AR of the pictures so far.
    #[must_use]
    pub fn summary(&self) -> DetectionSummary {
        let mut evaluation = self.matched.clone().finalize();
        evaluation.accumulate();
        DetectionSummary::of(&mut evaluation, self.classes)
    }
}
