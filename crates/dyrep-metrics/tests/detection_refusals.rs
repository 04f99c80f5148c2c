//! What is no detection or annotation is refused by picture and box, and nothing of it is taken.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use dyrep_metrics::{Detection, DetectionMetric, MAX_CLASSES, MetricError, Truth};
use rstest::rstest;

const BBOX: [f64; 4] = [1.0, 2.0, 30.0, 40.0];
const TRUTH: Truth = Truth { id: 17, class: 1, bbox: BBOX, area: 1200.0, is_crowd: false };
const FOUND: Detection = Detection { class: 1, bbox: BBOX, score: 0.5 };

fn metric() -> DetectionMetric {
    let mut metric = DetectionMetric::new(2).unwrap();
    metric.add(4, &[TRUTH], &[FOUND]).unwrap();
    metric
}

#[rstest]
#[case(Truth { class: 2, ..TRUTH }, "class is 2; expected a class from 0 to 1")]
#[case(Truth { area: f64::NAN, ..TRUTH }, "area is NaN; expected a finite number not below 0")]
#[case(Truth { area: f64::INFINITY, ..TRUTH }, "area is inf; expected a finite number not below 0")]
#[case(Truth { area: -1.0, ..TRUTH }, "area is -1; expected a finite number not below 0")]
#[case(
    Truth { bbox: [0.0, 0.0, -1.0, 4.0], ..TRUTH },
    "bbox is [0.0, 0.0, -1.0, 4.0]; expected [x, y, width, height] with sides not below 0"
)]
fn annotations(#[case] truth: Truth, #[case] expected: &str) {
    let mut metric = metric();
    let before = metric.summary();
    let error = metric.add(9, &[TRUTH, truth], &[FOUND]).unwrap_err();
    assert_eq!(error.to_string(), format!("picture 9, annotation 17: {expected}"));
    assert_eq!((metric.pictures(), metric.summary()), (1, before));
    metric.add(9, &[TRUTH], &[FOUND]).unwrap();
}

#[rstest]
#[case(Detection { class: 7, ..FOUND }, "class is 7; expected a class from 0 to 1")]
#[case(Detection { score: f64::NAN, ..FOUND }, "score is NaN; expected a finite number")]
#[case(Detection { score: f64::NEG_INFINITY, ..FOUND }, "score is -inf; expected a finite number")]
#[case(
    Detection { bbox: [f64::NAN, 0.0, 1.0, 1.0], ..FOUND },
    "bbox is [NaN, 0.0, 1.0, 1.0]; expected finite [x, y, width, height] with a finite area"
)]
#[case(
    Detection { bbox: [0.0, 0.0, 1e200, 1e200], ..FOUND },
    "bbox is [0.0, 0.0, 1e200, 1e200]; expected finite [x, y, width, height] with a finite area"
)]
#[case(
    Detection { bbox: [0.0, 0.0, 4.0, -0.5], ..FOUND },
    "bbox is [0.0, 0.0, 4.0, -0.5]; expected [x, y, width, height] with sides not below 0"
)]
fn detections(#[case] found: Detection, #[case] expected: &str) {
    let mut metric = metric();
    let before = metric.summary();
    let error = metric.add(9, &[TRUTH], &[FOUND, found]).unwrap_err();
    assert_eq!(error.to_string(), format!("picture 9, detection 1: {expected}"));
    assert_eq!((metric.pictures(), metric.summary()), (1, before));
    metric.add(9, &[TRUTH], &[FOUND]).unwrap();
}

#[test]
fn a_picture_twice() {
    let mut one = metric();
    let error = one.add(4, &[], &[]).unwrap_err();
    assert_eq!(error, MetricError::Twice { picture: 4 });
    assert_eq!(error.to_string(), "picture 4 is given twice; expected each once");
    assert_eq!(one.merge(metric()), Err(MetricError::Twice { picture: 4 }));
    assert_eq!(one.pictures(), 1);
}

#[test]
fn classes() {
    for found in [0, MAX_CLASSES + 1, usize::MAX] {
        assert_eq!(DetectionMetric::new(found).err(), Some(MetricError::Classes { found }));
    }
    let error = metric().merge(DetectionMetric::new(3).unwrap()).unwrap_err();
    let expected = "a metric of 3 classes cannot be merged into a metric of 2 classes";
    assert_eq!(error.to_string(), expected);
}

/// No pictures at all are no failure: nothing can be computed.
#[test]
fn nothing_is_none() {
    let mut metric = DetectionMetric::new(2).unwrap();
    for picture in 0..2 {
        let summary = metric.summary();
        assert!(summary.named().iter().all(|(_, number)| number.is_none()), "{summary:?}");
        assert!(summary.by_class.iter().all(|class| (class.ap, class.ap50) == (None, None)));
        assert_eq!(summary.by_class.len(), 2);
        metric.add(picture, &[], &[]).unwrap();
    }
}

/// Numbers at the ends of what is accepted are no failure either.
#[test]
fn large_and_tiny_numbers() {
    let mut metric = DetectionMetric::new(1).unwrap();
    let boxes = [[1e150, -1e150, 1e150, 1e150], [0.0, 0.0, 1e-300, 1e-300], [0.0; 4]];
    for (picture, bbox) in boxes.into_iter().enumerate() {
        let truth = Truth { id: u64::MAX, class: 0, bbox, area: 5.0, is_crowd: false };
        let found = Detection { class: 0, bbox, score: f64::MAX };
        metric.add(u64::MAX - picture as u64, &[truth], &[found, found]).unwrap();
    }
    let ap = metric.summary().ap.unwrap();
    assert!((0.0..=1.0).contains(&ap), "{ap}");
}
