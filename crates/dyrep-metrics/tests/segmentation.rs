//! Counts of segmentation: numpy's on generated labels, a count of sets on random ones, refusals.

mod common;

use std::collections::HashSet;

use common::{apart, list, optional, whole};
use dyrep_metrics::{Confusion, MAX_CLASSES, MetricError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rstest::rstest;
use serde_json::Value;

/// Means may be summed in another order than numpy's. Measured: no difference.
const AS_NUMPY: f64 = 1e-12;

fn labels(values: &Value) -> Vec<i64> {
    list(values).iter().map(|label| label.as_i64().expect("a label")).collect()
}

#[test]
fn all_numbers_are_numpy_s() {
    let cases: Value = serde_json::from_str(include_str!("golden/segmentation.json")).unwrap();
    let mut worst: f64 = 0.0;
    for case in list(&cases) {
        let classes = whole(&case["classes"]);
        let mut counts = Confusion::new(classes, case["ignore"].as_i64()).unwrap();
        counts.add(&labels(&case["truth"]), &labels(&case["predicted"])).unwrap();
        for (truth, row) in list(&case["counts"]).iter().enumerate() {
            for (predicted, count) in list(row).iter().enumerate() {
                assert_eq!(counts.count(truth, predicted), whole(count) as u64, "{}", case["name"]);
            }
        }
        let means = ["mean_iou", "mean_accuracy", "pixel_accuracy"].map(|of| case[of].as_f64());
        let found = [counts.mean_iou(), counts.mean_accuracy(), counts.pixel_accuracy()];
        let all = [
            apart(&counts.iou(), &optional(&case["iou"])),
            apart(&counts.accuracy(), &optional(&case["accuracy"])),
            apart(&found, &means),
        ];
        for apart in all {
            worst = worst.max(apart);
            assert!(apart <= AS_NUMPY, "{}: {counts:?}", case["name"]);
        }
    }
    println!("largest difference: {worst:e}");
}

/// IoU by its definition, of sets of pixels; and counts of parts add up to those of all.
#[test]
fn iou_is_that_of_sets_of_pixels() {
    for seed in 0..200 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let classes = rng.random_range(1..9);
        let ignore = if rng.random() { Some(255) } else { None };
        let pixels = rng.random_range(0..300);
        let mut label = || rng.random_range(0..classes as u8);
        let mut truth: Vec<u8> = (0..pixels).map(|_| label()).collect();
        let predicted: Vec<i64> = (0..pixels).map(|_| i64::from(label())).collect();
        for label in truth.iter_mut().filter(|_| ignore.is_some() && rng.random_bool(0.2)) {
            *label = 255;
        }
        let mut counts = Confusion::new(classes, ignore).unwrap();
        counts.add(&truth, &predicted).unwrap();
        let kept: Vec<usize> = (0..pixels).filter(|&pixel| truth[pixel] != 255).collect();
        assert_eq!(counts.total(), kept.len() as u64);
        for class in 0..classes {
            let of = |is: &dyn Fn(usize) -> bool| {
                kept.iter().copied().filter(|&pixel| is(pixel)).collect::<HashSet<usize>>()
            };
            let a = of(&|pixel| usize::from(truth[pixel]) == class);
            let b = of(&|pixel| predicted[pixel] == class as i64);
            let (both, any) = (a.intersection(&b).count() as f64, a.union(&b).count());
            assert_eq!(counts.iou()[class], (any > 0).then(|| both / any as f64));
            let accuracy = (!a.is_empty()).then(|| both / a.len() as f64);
            assert_eq!(counts.accuracy()[class], accuracy);
        }
        let cut = rng.random_range(0..=pixels);
        let mut parts = Confusion::new(classes, ignore).unwrap();
        parts.add(&truth[..cut], &predicted[..cut]).unwrap();
        let mut others = Confusion::new(classes, ignore).unwrap();
        others.add(&truth[cut..], &predicted[cut..]).unwrap();
        parts.merge(&others).unwrap();
        assert_eq!(parts, counts);
    }
}

/// A class that is nowhere but predicted takes part in mean IoU, in mean accuracy it does not; one
/// that is nowhere at all takes part in neither.
#[test]
fn means_are_over_classes_that_occur() {
    let mut counts = Confusion::new(4, None).unwrap();
    counts.add(&[0u8, 0, 1, 1], &[0u8, 0, 1, 2]).unwrap();
    assert_eq!(counts.iou(), [Some(1.0), Some(0.5), Some(0.0), None]);
    assert_eq!(counts.mean_iou(), Some(0.5));
    assert_eq!(counts.accuracy(), [Some(1.0), Some(0.5), None, None]);
    assert_eq!(counts.mean_accuracy(), Some(0.75));
    assert_eq!(counts.pixel_accuracy(), Some(0.75));
}

#[rstest]
#[case(&[0, 3], &[0, 0], "pixel 1: the true label is 3; expected a class from 0 to 2, or 255, which is ignored")]
#[case(&[0, -1], &[0, 0], "pixel 1: the true label is -1; expected a class from 0 to 2, or 255, which is ignored")]
#[case(&[0, 1], &[0, 255], "pixel 1: the predicted label is 255; expected a class from 0 to 2")]
#[case(&[0, 1], &[0, -7], "pixel 1: the predicted label is -7; expected a class from 0 to 2")]
#[case(&[0, 1], &[0, i64::MIN], "pixel 1: the predicted label is -9223372036854775808; expected a class from 0 to 2")]
#[case(&[0, 1], &[0], "1 predicted labels; expected as many as true ones, 2")]
fn a_label_that_is_no_class_is_refused(
    #[case] truth: &[i64],
    #[case] predicted: &[i64],
    #[case] expected: &str,
) {
    let mut counts = Confusion::new(3, Some(255)).unwrap();
    counts.add(&[1u16], &[2i32]).unwrap();
    let before = counts.clone();
    let error = counts.add(truth, predicted).unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert_eq!(counts, before, "nothing of it is counted");
}

#[test]
fn what_is_predicted_where_labels_are_ignored_is_not_looked_at() {
    let mut counts = Confusion::new(3, Some(-1)).unwrap();
    counts.add(&[-1i64, 2], &[99i64, 2]).unwrap();
    assert_eq!((counts.total(), counts.count(2, 2)), (1, 1));
}

#[test]
fn only_counts_of_the_same_kind_are_merged() {
    let mut counts = Confusion::new(3, Some(255)).unwrap();
    let error = counts.merge(&Confusion::new(3, None).unwrap()).unwrap_err();
    let expected = "counts of 3 classes that ignore nothing cannot be merged into counts of 3 \
                    classes that ignore 255";
    assert_eq!(error.to_string(), expected);
    assert!(counts.merge(&Confusion::new(4, Some(255)).unwrap()).is_err());
    for found in [0, MAX_CLASSES + 1, usize::MAX] {
        assert_eq!(Confusion::new(found, None), Err(MetricError::Classes { found }));
    }
}
