//! Every number of every generated case is pycocotools', and each rule of its is seen by some case.

mod common;

use common::{Case, Picture, all_of, apart, cases, measure};

/// AP by class is summed in another order than numpy's. Measured: 1e-14 at most; the twelve are equal.
const AS_PYCOCOTOOLS: f64 = 1e-12;
/// A change that no case shows by more is not seen.
const SEEN: f64 = 1e-6;

fn expected(case: &Case) -> Vec<Option<f64>> {
    case.numbers.iter().copied().chain(case.by_class.iter().copied().flatten()).collect()
}

#[test]
fn all_numbers_are_those_of_pycocotools() {
    let cases = cases();
    assert!(cases.len() >= 24);
    let mut worst: f64 = 0.0;
    for case in cases {
        let found = all_of(&measure(case.classes, &case.pictures));
        assert_eq!(found[..12], case.numbers, "{}", case.name);
        let apart = apart(&found, &expected(&case));
        worst = worst.max(apart);
        assert!(apart <= AS_PYCOCOTOOLS, "{}: {found:?}, not {:?}", case.name, expected(&case));
    }
    println!("largest difference: {worst:e}");
}

/// A rule, the case that shows it, and how to take it away from what is given.
type Rule = (&'static str, &'static str, fn(&mut Picture));

const RULES: [Rule; 14] = [
    ("crowds are ignored", "crowds", |picture| {
        picture.truths.iter_mut().for_each(|truth| truth.is_crowd = false);
    }),
    ("crowds are there", "crowded", |picture| picture.truths.retain(|truth| !truth.is_crowd)),
    ("areas are the annotations' own", "areas", |picture| {
        picture.truths.iter_mut().for_each(|truth| truth.area = truth.bbox[2] * truth.bbox[3]);
    }),
    ("borders of sizes belong to both", "areas", |picture| {
        let at_border = picture.truths.iter_mut().filter(|truth| truth.area == 1024.0);
        at_border.for_each(|truth| truth.area += 0.125);
    }),
    ("borders of sizes belong to both, of the larger ones too", "areas", |picture| {
        let at_border = picture.truths.iter_mut().filter(|truth| truth.area == 9216.0);
        at_border.for_each(|truth| truth.area -= 0.125);
    }),
    ("objects may be beyond every size", "areas", |picture| {
        picture.truths.iter_mut().for_each(|truth| truth.area = truth.area.min(1e10));
    }),
    ("ties across pictures go by their numbers", "ties", |picture| {
        picture.number = 1000 - picture.number;
    }),
    ("ties within a picture go by their order", "ties", |picture| picture.detections.reverse()),
    ("a hundred detections count, the first of equal ones", "many", |picture| {
        picture.detections.reverse();
    }),
    ("recall meets the points at which precision is asked for", "grid", |picture| {
        picture.truths.truncate(24);
    }),
    ("thresholds are met exactly", "thresholds", |picture| {
        picture.detections.iter_mut().for_each(|detection| detection.bbox[2] -= 1e-9);
    }),
    ("duplicates count once", "duplicates", |picture| picture.detections.dedup()),
    ("boxes without area are there", "zero", |picture| {
        picture.truths.retain(|truth| truth.bbox[2] * truth.bbox[3] > 0.0);
    }),
    ("what is found where nothing is counts", "empty", |picture| {
        if picture.truths.is_empty() {
            picture.detections.clear();
        }
    }),
];

/// Without this the cases could agree because none of them has crowds, ties or cut-offs that matter.
#[test]
fn each_rule_is_in_its_case() {
    let cases = cases();
    for (rule, name, take_away) in RULES {
        let mut case = cases.iter().find(|case| case.name == name).unwrap().clone();
        case.pictures.iter_mut().for_each(take_away);
        let found = all_of(&measure(case.classes, &case.pictures));
        assert!(apart(&found, &expected(&case)) > SEEN, "{name}: not seen that {rule}");
    }
}
