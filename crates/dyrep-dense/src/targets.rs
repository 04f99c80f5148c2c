//! What every anchor is to say of a batch's pictures, as plain numbers.

use dyrep_boxes::{
    Anchors, BBox, BoxCoder, BoxError, BoxLinearCoder, CentreSampling, Match, Matcher, centreness,
};
use dyrep_models::DetectionHead;

/// What is seen in a picture, in the pixels that the network sees. Crowds are left out by whoever makes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Truth {
    /// Boxes with sides above 0.
    pub boxes: Vec<BBox>,
    /// The class of each, from 0.
    pub classes: Vec<usize>,
}

/// What cannot be a target.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetsError {
    /// A picture whose boxes and classes are not as many.
    #[error("picture {picture} of the batch has {boxes} boxes and {classes} classes")]
    Counts {
        /// Its number in the batch.
        picture: usize,
        /// Boxes.
        boxes: usize,
        /// Classes.
        classes: usize,
    },
    /// A class that the detector does not have.
    #[error("object {object} of picture {picture} is of class {class}, of {classes} from 0")]
    Class {
        /// The picture's number in the batch.
        picture: usize,
        /// The object's number.
        object: usize,
        /// Its class.
        class: usize,
        /// Classes of the detector.
        classes: usize,
    },
    /// A box that is none.
    #[error("picture {picture} of the batch: {source}")]
    Boxes {
        /// Its number.
        picture: usize,
        /// What is wrong.
        source: BoxError,
    },
}

/// What every anchor is to say, picture after picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Targets {
    /// Pictures.
    pub(crate) batch: usize,
    /// The anchor's class, [`NOTHING`] or [`NOT_ASKED`]; `[batch, anchors]`.
    pub(crate) classes: Vec<i64>,
    /// What it is to say of the box: codes of RetinaNet, corners of FCOS; anything where it finds nothing.
    /// `[batch, anchors, 4]`.
    pub(crate) boxes: Vec<f32>,
    /// FCOS's centre-ness, 0 where it finds nothing; of RetinaNet none. `[batch, anchors]`.
    pub(crate) centreness: Vec<f32>,
    /// Anchors themselves, `[anchors, 4]`.
    pub(crate) anchors: Vec<f32>,
}

/// Background.
pub(crate) const NOTHING: i64 = -1;
/// Between background and an object.
pub(crate) const NOT_ASKED: i64 = -2;

impl Targets {
    /// Anchors of each picture that are to find an object.
    #[must_use]
    pub fn found(&self) -> Vec<usize> {
        let count = |classes: &[i64]| classes.iter().filter(|class| **class >= 0).count();
        self.classes.chunks(self.each()).map(count).collect()
    }

    /// Anchors of a picture.
    pub(crate) fn each(&self) -> usize {
        self.anchors.len() / 4
    }

    pub(crate) fn new(
        head: DetectionHead,
        classes: usize,
        pictures: &[Truth],
        anchors: &Anchors,
    ) -> Result<Self, TargetsError> {
        let corners = |of: &BBox| [of.x1, of.y1, of.x2, of.y2];
        let mut targets = Self {
            batch: pictures.len(),
            classes: vec![],
            boxes: vec![],
            centreness: vec![],
            anchors: anchors.boxes().iter().flat_map(corners).collect(),
        };
        for (picture, truth) in pictures.iter().enumerate() {
            truth.check(picture, classes)?;
            let wrong = |source| TargetsError::Boxes { picture, source };
            let matches = match head {
                DetectionHead::RetinaNet => {
                    Matcher::retinanet().matches(&truth.boxes, anchors.boxes())
                }
                DetectionHead::Fcos => CentreSampling::fcos().assign(&truth.boxes, anchors),
            };
            for (found, anchor) in matches.map_err(wrong)?.into_iter().zip(anchors.boxes()) {
                targets.push(head, truth, found, *anchor).map_err(wrong)?;
            }
        }
        Ok(targets)
    }

    fn push(
        &mut self,
        head: DetectionHead,
        truth: &Truth,
        found: Match,
        anchor: BBox,
    ) -> Result<(), BoxError> {
        let BBox { x1, y1, x2, y2 } = anchor;
        // Where nothing is found the loss is multiplied by zero: what stands there must be finite.
        let (class, boxes, central) = match (found, head) {
            (Match::Object(object), DetectionHead::RetinaNet) => {
                let codes = BoxCoder::retinanet().encode(truth.boxes[object], anchor)?;
                (truth.classes[object] as i64, codes, 0.0)
            }
            (Match::Object(object), DetectionHead::Fcos) => {
                let BBox { x1, y1, x2, y2 } = truth.boxes[object];
                let sides = BoxLinearCoder::fcos().encode(truth.boxes[object], anchor)?;
                (truth.classes[object] as i64, [x1, y1, x2, y2], centreness(sides)?)
            }
            (Match::Background, _) => (NOTHING, [x1, y1, x2, y2], 0.0),
            (Match::Ignored, _) => (NOT_ASKED, [x1, y1, x2, y2], 0.0),
        };
        self.classes.push(class);
        self.boxes.extend(boxes);
        if head == DetectionHead::Fcos {
            self.centreness.push(central);
        }
        Ok(())
    }
}

impl Truth {
    fn check(&self, picture: usize, classes: usize) -> Result<(), TargetsError> {
        let Self { boxes, classes: of_boxes } = self;
        if boxes.len() != of_boxes.len() {
            let (boxes, classes) = (boxes.len(), of_boxes.len());
            return Err(TargetsError::Counts { picture, boxes, classes });
        }
        match of_boxes.iter().enumerate().find(|(_, class)| **class >= classes) {
            Some((object, class)) => {
                Err(TargetsError::Class { picture, object, class: *class, classes })
            }
            None => Ok(()),
        }
    }
}
