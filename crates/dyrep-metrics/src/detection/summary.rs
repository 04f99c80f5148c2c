//! The numbers that are published, and AP of each class from its curves.

use std::ops::Range;

use hotcoco::{AccumulatedEval, COCOeval};

use crate::mean;

/// Thresholds of IoU: 0.5, 0.55, …, 0.95.
const THRESHOLDS: Range<usize> = 0..10;
const HALF: Range<usize> = 0..1;
/// Objects of all sizes, first of the curves' sizes.
const ALL: usize = 0;
/// 100 detections of a class in a picture, last of 1, 10 and 100.
const MOST: usize = 2;

/// COCO's twelve numbers, from 0 to 1, and two of them by class.
///
/// `None` is what cannot be computed because no object is asked for, where pycocotools has −1: a
/// class without objects that are no crowds, or none of that size. A class whose objects are not
/// found has 0. Means over classes leave out those that are `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectionSummary {
    /// Average precision over IoUs of 0.5 to 0.95, 100 detections of each class in each picture.
    pub ap: Option<f64>,
    /// At an IoU of 0.5 alone.
    pub ap50: Option<f64>,
    /// At an IoU of 0.75 alone.
    pub ap75: Option<f64>,
    /// Of small objects, to 32² pixels.
    pub ap_small: Option<f64>,
    /// Of medium objects, 32² to 96² pixels.
    pub ap_medium: Option<f64>,
    /// Of large objects, from 96² pixels.
    pub ap_large: Option<f64>,
    /// Average recall over the same IoUs, by the best detection of each class in each picture.
    pub ar_1: Option<f64>,
    /// By the best 10.
    pub ar_10: Option<f64>,
    /// By the best 100.
    pub ar_100: Option<f64>,
    /// Of small objects, by the best 100.
    pub ar_small: Option<f64>,
    /// Of medium objects, by the best 100.
    pub ar_medium: Option<f64>,
    /// Of large objects, by the best 100.
    pub ar_large: Option<f64>,
    /// By class, as many as the metric has.
    pub by_class: Vec<ClassSummary>,
}

/// AP of one class, over objects of all sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClassSummary {
    /// As [`DetectionSummary::ap`].
    pub ap: Option<f64>,
    /// As [`DetectionSummary::ap50`].
    pub ap50: Option<f64>,
}

impl DetectionSummary {
    /// The twelve numbers with their names, in pycocotools' order.
    #[must_use]
    pub fn named(&self) -> [(&'static str, Option<f64>); 12] {
        [
            ("AP", self.ap),
            ("AP50", self.ap50),
            ("AP75", self.ap75),
            ("AP small", self.ap_small),
            ("AP medium", self.ap_medium),
            ("AP large", self.ap_large),
            ("AR 1", self.ar_1),
            ("AR 10", self.ar_10),
            ("AR 100", self.ar_100),
            ("AR small", self.ar_small),
            ("AR medium", self.ar_medium),
            ("AR large", self.ar_large),
        ]
    }

    /// The twelve numbers of an accumulated evaluation, and those of each class.
    pub(super) fn of(evaluation: &mut COCOeval, classes: usize) -> Self {
        // The lines are for reading; making them computes the numbers.
        let _ = evaluation.summarize_lines();
        let numbers = evaluation.stats().expect("they were computed");
        let numbers: &[f64; 12] = numbers.try_into().expect("COCO's numbers are twelve");
        let [ap, ap50, ap75, ap_small, ap_medium, ap_large, ..] = numbers.map(computed);
        let [.., ar_1, ar_10, ar_100, ar_small, ar_medium, ar_large] = numbers.map(computed);
        let curves = evaluation.accumulated().expect("they were accumulated");
        let of_class = |class| ClassSummary {
            ap: precision(curves, THRESHOLDS, class),
            ap50: precision(curves, HALF, class),
        };
        Self {
            ap,
            ap50,
            ap75,
            ap_small,
            ap_medium,
            ap_large,
            ar_1,
            ar_10,
            ar_100,
            ar_small,
            ar_medium,
            ar_large,
            by_class: (0..classes).map(of_class).collect(),
        }
    }
}

/// A class's mean precision over recalls and thresholds.
fn precision(curves: &AccumulatedEval, thresholds: Range<usize>, class: usize) -> Option<f64> {
    let at = |threshold: usize| {
        let recalls = 0..curves.shape.r;
        recalls.map(move |recall| curves.precision_idx(threshold, recall, class, ALL, MOST))
    };
    mean(thresholds.flat_map(at).map(|place| computed(curves.precision[place])))
}

/// −1 stands for what cannot be computed.
fn computed(value: f64) -> Option<f64> {
    (value >= 0.0).then_some(value)
}
