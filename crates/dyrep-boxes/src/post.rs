//! From a detector's outputs to the objects it found.
//!
//! torchvision's `postprocess_detections` of RetinaNet and FCOS (`models/detection/retinanet.py`,
//! `fcos.py`), which differ in the score and the coding. In its order:
//!
//! 1. A candidate is an anchor *and* a class: one anchor may find several. Its score is σ(logit), or
//!    √(σ(logit) · σ(centre-ness)) where there is centre-ness. The root is of the second version of
//!    FCOS (arXiv:2006.09214); the first has none (§ 3.3).
//! 2. In each level those of a score above a threshold, and of these the best few.
//! 3. Decoded, and clipped to the picture itself, not to the padded one.
//! 4. Suppressed by class, across levels, and of the rest the best few.
//!
//! There is no column for background unless the labels have one: a class is a column of the logits.

use crate::nms::{batched_nms, descending};
use crate::{BBox, BoxCoder, BoxError, BoxLinearCoder, Size, remove_small};

/// What four numbers say about a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Coding {
    /// Offsets and logarithms, RetinaNet's.
    Offsets(BoxCoder),
    /// Distances to the sides, FCOS's.
    Distances(BoxLinearCoder),
}

impl Coding {
    /// The box that codes mean for an anchor.
    ///
    /// # Errors
    ///
    /// As the coder's `decode`.
    pub fn decode(&self, codes: [f32; 4], anchor: BBox) -> Result<BBox, BoxError> {
        match self {
            Self::Offsets(coder) => coder.decode(codes, anchor),
            Self::Distances(coder) => coder.decode(codes, anchor),
        }
    }
}

/// One level's outputs for one picture, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct LevelOutputs<'a> {
    /// `[anchors, classes]`, before the sigmoid.
    pub logits: &'a [f32],
    /// `[anchors, 4]`.
    pub codes: &'a [f32],
    /// `[anchors]`, before the sigmoid, where the network has it.
    pub centreness: Option<&'a [f32]>,
    /// `[anchors]`, in the padded picture.
    pub anchors: &'a [BBox],
}

/// An object found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Where, in pixels of the picture that the network saw; [`BBox::resized`] takes it to the original.
    pub bbox: BBox,
    /// Its class: the column of the logits.
    pub class: usize,
    /// How sure the network is, 0 to 1.
    pub score: f32,
}

/// What becomes of a detector's outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PostProcess {
    /// Candidates have a score above it (`score_thresh`).
    pub score_threshold: f32,
    /// The most candidates of a level (`topk_candidates`).
    pub candidates: usize,
    /// Boxes of a class that overlap by more are one (`nms_thresh`).
    pub nms_threshold: f64,
    /// The most objects of a picture (`detections_per_img`).
    pub detections: usize,
    /// Clipped boxes with a shorter side go before suppression, as in torchvision's region proposals
    /// (`min_size`); 0, as in its RetinaNet and FCOS, keeps even those without area.
    pub min_side: f32,
    /// What the codes mean.
    pub coding: Coding,
}

impl PostProcess {
    /// torchvision's RetinaNet: above 0.05, 1000 a level, 0.5 (§ 4.1, "Inference"), 300. COCO counts the
    /// best 100.
    #[must_use]
    pub fn retinanet() -> Self {
        Self {
            score_threshold: 0.05,
            candidates: 1000,
            nms_threshold: 0.5,
            detections: 300,
            min_side: 0.0,
            coding: Coding::Offsets(BoxCoder::retinanet()),
        }
    }

    /// torchvision's FCOS: above 0.2, 1000 a level, 0.6, 100.
    #[must_use]
    pub fn fcos() -> Self {
        Self {
            score_threshold: 0.2,
            candidates: 1000,
            nms_threshold: 0.6,
            detections: 100,
            min_side: 0.0,
            coding: Coding::Distances(BoxLinearCoder::fcos()),
        }
    }

    /// The objects that a picture's outputs, level by level, say are in it, highest score first.
    ///
    /// `picture` is the size after resizing and before padding. DIFFERENCE: of equal scores the one of
    /// the lower level, anchor and class comes first; torchvision's `topk` leaves that open.
    ///
    /// # Errors
    ///
    /// Outputs of other lengths than their anchors ask for, no classes, a picture without pixels,
    /// thresholds that are NaN; a logit or centre-ness that is NaN, or a candidate's code, anchor or box
    /// that is not finite (torchvision drops the first and returns the second). An infinite logit is a
    /// score of 0 or 1.
    pub fn detect(
        &self,
        levels: &[LevelOutputs<'_>],
        classes: usize,
        picture: Size,
    ) -> Result<Vec<Detection>, BoxError> {
        self.check(classes, picture)?;
        let mut found = vec![];
        for (level, outputs) in levels.iter().enumerate() {
            self.decode_level(outputs, classes, picture, &mut found)
                .map_err(|error| error.in_level(level))?;
        }
        let boxes: Vec<_> = found.iter().map(|one| one.bbox).collect();
        if self.min_side > 0.0 {
            let large = remove_small(&boxes, self.min_side);
            found = large.into_iter().map(|index| found[index]).collect();
        }
        let boxes: Vec<_> = found.iter().map(|one| one.bbox).collect();
        let scores: Vec<_> = found.iter().map(|one| one.score).collect();
        let labels: Vec<_> = found.iter().map(|one| one.class).collect();
        let mut stay = batched_nms(&boxes, &scores, &labels, self.nms_threshold)?;
        stay.truncate(self.detections);
        Ok(stay.into_iter().map(|index| found[index]).collect())
    }

    fn decode_level(
        &self,
        outputs: &LevelOutputs<'_>,
        classes: usize,
        picture: Size,
        found: &mut Vec<Detection>,
    ) -> Result<(), BoxError> {
        outputs.check(classes)?;
        for (index, score) in self.candidates_of(outputs, classes)? {
            let (place, class) = (index / classes, index % classes);
            let at = 4 * place;
            let codes = std::array::from_fn(|code| outputs.codes[at + code]);
            let decoded = self.coding.decode(codes, outputs.anchors[place]);
            let bbox = decoded.map_err(|error| at_place(error, place))?.clipped(picture);
            found.push(Detection { bbox, class, score });
        }
        Ok(())
    }

    /// Where in the logits the best candidates are, and their scores: the highest first, then by place.
    fn candidates_of(
        &self,
        outputs: &LevelOutputs<'_>,
        classes: usize,
    ) -> Result<Vec<(usize, f32)>, BoxError> {
        let nearness = outputs.nearness()?;
        // Most logits are far below what can become a candidate, and need no exponential.
        let floor = self.lowest_logit(nearness.is_some());
        let mut candidates = vec![];
        for (index, &logit) in outputs.logits.iter().enumerate() {
            if logit < floor {
                continue;
            }
            if logit.is_nan() {
                let what = "logit";
                return Err(BoxError::Number { what, index, found: logit, expected: "a number" });
            }
            let probability = sigmoid(logit);
            let score = nearness
                .as_ref()
                .map_or(probability, |nearness| (probability * nearness[index / classes]).sqrt());
            if score > self.score_threshold {
                candidates.push((index, score));
            }
        }
        let order = |a: &(usize, f32), b: &(usize, f32)| descending(a.1, b.1).then(a.0.cmp(&b.0));
        if candidates.len() > self.candidates {
            candidates.select_nth_unstable_by(self.candidates, order);
            candidates.truncate(self.candidates);
        }
        candidates.sort_unstable_by(order);
        Ok(candidates)
    }

    /// A logit below which no score is above the threshold, whatever the centre-ness.
    fn lowest_logit(&self, has_centreness: bool) -> f32 {
        let score = f64::from(self.score_threshold);
        let probability = if has_centreness { score * score } else { score };
        if score <= 0.0 {
            return f32::NEG_INFINITY;
        }
        if probability >= 1.0 {
            return f32::INFINITY;
        }
        // Rounding is far below this margin.
        const MARGIN: f64 = 1e-3;
        ((probability / (1.0 - probability)).ln() - MARGIN) as f32
    }

    fn check(&self, classes: usize, picture: Size) -> Result<(), BoxError> {
        picture.check("a picture")?;
        if classes == 0 {
            return Err(BoxError::Length { what: "classes", found: 0, expected: 1 });
        }
        let settings = [
            ("score_threshold", f64::from(self.score_threshold)),
            ("nms_threshold", self.nms_threshold),
            ("min_side", f64::from(self.min_side)),
        ];
        let wrong = settings.into_iter().find(|(_, value)| value.is_nan());
        wrong.map_or(Ok(()), |(name, found)| {
            Err(BoxError::Setting { name, found, expected: "a number" })
        })
    }
}

impl LevelOutputs<'_> {
    fn check(&self, classes: usize) -> Result<(), BoxError> {
        let anchors = self.anchors.len();
        let lengths = [
            ("logits", self.logits.len(), anchors.saturating_mul(classes)),
            ("codes", self.codes.len(), anchors.saturating_mul(4)),
            ("centre-nesses", self.centreness.map_or(anchors, <[f32]>::len), anchors),
        ];
        let wrong = lengths.into_iter().find(|(_, found, expected)| found != expected);
        wrong.map_or(Ok(()), |(what, found, expected)| {
            Err(BoxError::Length { what, found, expected })
        })
    }

    /// σ of each centre-ness.
    fn nearness(&self) -> Result<Option<Vec<f32>>, BoxError> {
        let Some(centreness) = self.centreness else { return Ok(None) };
        if let Some(index) = centreness.iter().position(|one| one.is_nan()) {
            let (what, found) = ("centre-ness", centreness[index]);
            return Err(BoxError::Number { what, index, found, expected: "a number" });
        }
        Ok(Some(centreness.iter().map(|one| sigmoid(*one)).collect()))
    }
}

/// In `f64` and rounded, so that it is the same on every machine.
fn sigmoid(x: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(x)).exp())) as f32
}

/// An error of decoding, which knows one box, with the place of its anchor.
fn at_place(error: BoxError, place: usize) -> BoxError {
    match error {
        BoxError::Box { what, found, expected, .. } => {
            BoxError::Box { what, index: place, found, expected }
        }
        BoxError::Number { what, index, found, expected } => {
            BoxError::Number { what, index: 4 * place + index, found, expected }
        }
        other => other,
    }
}
