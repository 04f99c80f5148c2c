//! What holds of AP and AR whatever the pictures are.

mod common;

use common::{Picture, all_of, apart, measure};
use dyrep_metrics::{Detection, DetectionMetric, Truth};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const CLASSES: usize = 3;
/// The same sums in the same order.
const SAME: f64 = 0.0;

/// Pictures in random order, with crowds, areas of their own and few distinct scores.
fn random(rng: &mut ChaCha8Rng) -> Vec<Picture> {
    let mut numbers: Vec<u64> = (0..rng.random_range(1..8)).map(|n| n * 3).collect();
    numbers.sort_by_key(|_| rng.random::<u32>());
    numbers.into_iter().map(|number| picture(rng, number)).collect()
}

fn picture(rng: &mut ChaCha8Rng, number: u64) -> Picture {
    let mut picture = Picture { number, truths: vec![], detections: vec![] };
    for id in 0..rng.random_range(0..6) {
        let class = rng.random_range(0..CLASSES);
        let mut side = || rng.random_range(5.0..150.0);
        let bbox = [side(), side(), side(), side()];
        let area = bbox[2] * bbox[3] * rng.random_range(0.3..=1.0);
        let is_crowd = rng.random_bool(0.2);
        picture.truths.push(Truth { id, class, bbox, area, is_crowd });
        for _ in 0..rng.random_range(0..4) {
            let bbox = bbox.map(|side: f64| side * rng.random_range(0.9..1.1));
            let score = f64::from(rng.random_range(0..8)) / 8.0;
            picture.detections.push(Detection { class, bbox, score });
        }
    }
    picture
}

fn for_many(mut law: impl FnMut(&mut ChaCha8Rng, Vec<Picture>)) {
    for seed in 0..80 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let pictures = random(&mut rng);
        law(&mut rng, pictures);
    }
}

fn numbers(pictures: &[Picture]) -> Vec<Option<f64>> {
    all_of(&measure(CLASSES, pictures))
}

#[test]
fn neither_the_order_of_pictures_nor_ids_matter_nor_who_had_them() {
    for_many(|rng, mut pictures| {
        let expected = numbers(&pictures);
        pictures.sort_by_key(|_| rng.random::<u32>());
        for truth in pictures.iter_mut().flat_map(|picture| &mut picture.truths) {
            truth.id = rng.random_range(0..3);
        }
        assert!(apart(&numbers(&pictures), &expected) <= SAME);
        let mut workers = vec![DetectionMetric::new(CLASSES).unwrap(); 3];
        for Picture { number, truths, detections } in &pictures {
            workers[rng.random_range(0..3)].add(*number, truths, detections).unwrap();
        }
        let mut merged = DetectionMetric::new(CLASSES).unwrap();
        for worker in workers {
            merged.merge(worker).unwrap();
        }
        assert_eq!(merged.pictures(), pictures.len());
        assert!(apart(&all_of(&merged.summary()), &expected) <= SAME);
    });
}

#[test]
fn of_scores_only_the_order_matters() {
    let mut changed = 0;
    for_many(|_, mut pictures| {
        let expected = numbers(&pictures);
        for detection in pictures.iter_mut().flat_map(|picture| &mut picture.detections) {
            // 0 becomes −0 for every other one, to which it is equal.
            let sign = if detection.bbox[0] < 70.0 { -1.0 } else { 1.0 };
            let score = detection.score;
            detection.score = if score == 0.0 { sign * score } else { score.powi(3) * 40.0 };
        }
        assert!(apart(&numbers(&pictures), &expected) <= SAME);
        // The control: another order.
        for detection in pictures.iter_mut().flat_map(|picture| &mut picture.detections) {
            detection.score = -detection.bbox[0];
        }
        changed += usize::from(apart(&numbers(&pictures), &expected) > 1e-6);
    });
    assert!(changed > 40, "another order changes the numbers of {changed} in 80");
}

/// With scores all different the order in which a picture's detections are given is nothing.
#[test]
fn detections_of_a_picture_are_sorted() {
    for_many(|rng, mut pictures| {
        for detection in pictures.iter_mut().flat_map(|picture| &mut picture.detections) {
            detection.score = rng.random();
        }
        let expected = numbers(&pictures);
        for picture in &mut pictures {
            picture.detections.sort_by_key(|_| rng.random::<u32>());
        }
        assert!(apart(&numbers(&pictures), &expected) <= SAME);
    });
}

#[test]
fn more_detections_recall_no_less_and_all_numbers_are_shares() {
    for_many(|_, pictures| {
        let summary = measure(CLASSES, &pictures);
        let shares = all_of(&summary);
        assert!(shares.iter().flatten().all(|share| (0.0..=1.0).contains(share)), "{shares:?}");
        assert!(summary.ar_1 <= summary.ar_10 && summary.ar_10 <= summary.ar_100, "{summary:?}");
        let asked = |class| {
            let truths = pictures.iter().flat_map(|picture| &picture.truths);
            truths.into_iter().any(|truth: &Truth| truth.class == class && !truth.is_crowd)
        };
        for (class, of_class) in summary.by_class.iter().enumerate() {
            assert_eq!(of_class.ap.is_some(), asked(class));
            assert_eq!(of_class.ap50.is_some(), asked(class));
        }
    });
}

#[test]
fn what_was_annotated_is_found_perfectly() {
    for_many(|_, mut pictures| {
        for picture in &mut pictures {
            let found = |truth: &Truth| {
                let Truth { class, bbox, .. } = *truth;
                Detection { class, bbox, score: 0.5 }
            };
            picture.truths.retain(|truth| !truth.is_crowd);
            picture.detections = picture.truths.iter().map(found).collect();
        }
        let summary = measure(CLASSES, &pictures);
        for number in [summary.ap, summary.ap50, summary.ap75, summary.ar_100] {
            assert!(number.is_none_or(|number| (number - 1.0).abs() < 1e-12), "{summary:?}");
        }
    });
}
