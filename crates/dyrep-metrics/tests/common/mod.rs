//! Generated pictures with the numbers that pycocotools gives them: `golden/detection.json`.

// Not every test uses all of it; a failing one panics, with the reason.
#![allow(dead_code, clippy::unwrap_used)]

use dyrep_metrics::{Detection, DetectionMetric, DetectionSummary, Truth};
use serde_json::Value;

/// A picture's number, annotations and detections.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) number: u64,
    pub(crate) truths: Vec<Truth>,
    pub(crate) detections: Vec<Detection>,
}

/// Pictures and what is expected of them.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) classes: usize,
    pub(crate) pictures: Vec<Picture>,
    pub(crate) numbers: Vec<Option<f64>>,
    pub(crate) by_class: Vec<[Option<f64>; 2]>,
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

pub(crate) fn whole(value: &Value) -> usize {
    value.as_u64().expect("a whole number") as usize
}

pub(crate) fn optional(values: &Value) -> Vec<Option<f64>> {
    list(values).iter().map(Value::as_f64).collect()
}

fn reals<const N: usize>(values: &[Value]) -> [f64; N] {
    std::array::from_fn(|i| values[i].as_f64().expect("a number"))
}

pub(crate) fn cases() -> Vec<Case> {
    let all: Value = serde_json::from_str(include_str!("../golden/detection.json")).unwrap();
    let picture = |picture: &Value| Picture {
        number: whole(&picture["id"]) as u64,
        truths: list(&picture["truths"])
            .iter()
            .map(|row| Truth {
                id: whole(&row[0]) as u64,
                class: whole(&row[1]),
                bbox: reals(&list(row)[2..6]),
                area: row[6].as_f64().unwrap(),
                is_crowd: row[7] == 1,
            })
            .collect(),
        detections: list(&picture["detections"])
            .iter()
            .map(|row| Detection {
                class: whole(&row[0]),
                bbox: reals(&list(row)[1..5]),
                score: row[5].as_f64().unwrap(),
            })
            .collect(),
    };
    let case = |case: &Value| Case {
        name: case["name"].as_str().unwrap().to_owned(),
        classes: whole(&case["classes"]),
        pictures: list(&case["pictures"]).iter().map(picture).collect(),
        numbers: optional(&case["numbers"]),
        by_class: list(&case["by_class"])
            .iter()
            .map(|row| optional(row).try_into().unwrap())
            .collect(),
    };
    list(&all["cases"]).iter().map(case).collect()
}

pub(crate) fn measure(classes: usize, pictures: &[Picture]) -> DetectionSummary {
    let mut metric = DetectionMetric::new(classes).unwrap();
    for Picture { number, truths, detections } in pictures {
        metric.add(*number, truths, detections).unwrap();
    }
    metric.summary()
}

/// The twelve numbers, then AP and AP50 of each class.
pub(crate) fn all_of(summary: &DetectionSummary) -> Vec<Option<f64>> {
    let twelve = summary.named().map(|(_, number)| number);
    let by_class = summary.by_class.iter().flat_map(|class| [class.ap, class.ap50]);
    twelve.into_iter().chain(by_class).collect()
}

/// The largest difference of two lists; infinite where only one of two can be computed.
pub(crate) fn apart(found: &[Option<f64>], expected: &[Option<f64>]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    let apart = pairs.map(|pair| match pair {
        (Some(found), Some(expected)) => (found - expected).abs(),
        (None, None) => 0.0,
        _ => f64::INFINITY,
    });
    apart.fold(0.0, f64::max)
}
