//! What must hold of boxes whatever they are: overlaps, codes, suppression, assignment.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use common::{cases, random_box, random_boxes, uniform};
use dyrep_boxes::{
    AnchorGenerator, BBox, BoxCoder, BoxLinearCoder, CentreSampling, Coding, LevelOutputs, Match,
    Matcher, PostProcess, Size, batched_nms, centreness, nms, pyramid,
};

/// Of the picture's 400 pixels, of a box decoded from its own codes; measured: 1.2e-7.
const ROUND_TRIP: f32 = 1e-6;

/// How far apart two boxes' corners are.
fn apart(a: BBox, b: BBox) -> f32 {
    let corners = [a.x1 - b.x1, a.y1 - b.y1, a.x2 - b.x2, a.y2 - b.y2];
    corners.into_iter().map(f32::abs).fold(0.0, f32::max)
}

#[test]
fn overlaps_are_symmetric_and_between_0_and_1() {
    for mut random in cases() {
        let (a, b) = (random_box(&mut random), random_box(&mut random));
        let iou = a.iou(b);
        assert_eq!(iou, b.iou(a), "{a} {b}");
        assert!((0.0..=1.0).contains(&iou), "{a} {b}: {iou}");
        assert_eq!(a.iou(a), 1.0, "{a}");
        let beside = BBox { x1: a.x2, x2: a.x2 + 5.0, ..a };
        assert_eq!(a.iou(beside), 0.0, "{a}: what touches shares no area");
    }
}

#[test]
fn what_is_decoded_from_its_codes_is_the_same() {
    let (retinanet, fcos) = (BoxCoder::retinanet(), BoxLinearCoder::fcos());
    let weighted = BoxCoder { weights: [10.0, 10.0, 5.0, 5.0], ..retinanet };
    let pixels = BoxLinearCoder { normalize_by_size: false };
    for mut random in cases() {
        let (object, anchor) = (random_box(&mut random), random_box(&mut random));
        for coder in [retinanet, weighted] {
            // Sides of more than 62.5 times the anchor's cannot be decoded.
            if object.width() > 60.0 * anchor.width() || object.height() > 60.0 * anchor.height() {
                continue;
            }
            let back = coder.decode(coder.encode(object, anchor).unwrap(), anchor).unwrap();
            let off = apart(back, object) / 400.0;
            assert!(off <= ROUND_TRIP, "{object} for {anchor}: {back}, off by {off:e}");
        }
        for coder in [fcos, pixels] {
            let back = coder.decode(coder.encode(object, anchor).unwrap(), anchor).unwrap();
            let off = apart(back, object) / 400.0;
            assert!(off <= ROUND_TRIP, "{object} for {anchor}: {back}, off by {off:e}");
        }
    }
}

#[test]
fn a_decoded_side_is_limited() {
    let coder = BoxCoder::retinanet();
    let anchor = BBox::new(0.0, 0.0, 16.0, 16.0);
    let largest = coder.decode([0.0, 0.0, 1e30, 4.2], anchor).unwrap();
    assert!((largest.width() - 1000.0).abs() < 1e-3 && (largest.height() - 1000.0).abs() < 1e-3);
    let smaller = coder.decode([0.0, 0.0, 4.1, 0.0], anchor).unwrap();
    assert!(smaller.width() < 966.0 && smaller.width() > 965.0, "{smaller}");
    assert_eq!(coder.decode([0.0, 0.0, -1e30, 0.0], anchor).unwrap().width(), 0.0);
}

#[test]
fn the_middle_is_nearest_to_itself() {
    assert_eq!(centreness([3.0, 5.0, 3.0, 5.0]).unwrap(), 1.0);
    assert_eq!(centreness([0.0, 5.0, 3.0, 5.0]).unwrap(), 0.0);
    // Equation 3: √(1/4 · 2/8).
    assert_eq!(centreness([1.0, 8.0, 4.0, 2.0]).unwrap(), 0.25);
    assert_eq!(centreness([4.0, 2.0, 1.0, 8.0]).unwrap(), 0.25);
}

#[test]
fn suppression_leaves_what_stays_as_it_is() {
    for mut random in cases() {
        let boxes = random_boxes(&mut random, 30);
        let scores: Vec<f32> = boxes.iter().map(|_| uniform(&mut random, 0.0, 1.0)).collect();
        let kept = nms(&boxes, &scores, 0.4).unwrap();
        let pick = |all: &[f32]| kept.iter().map(|&index| all[index]).collect::<Vec<_>>();
        let rest: Vec<_> = kept.iter().map(|&index| boxes[index]).collect();
        let again = nms(&rest, &pick(&scores), 0.4).unwrap();
        assert_eq!(again, (0..kept.len()).collect::<Vec<_>>());
        assert!(pick(&scores).is_sorted_by(|a, b| a >= b));
        // By definition: none that stays overlaps another, and each that went overlaps one of its score or more.
        let overlap = |a: usize, b: usize| boxes[a].iou(boxes[b]) > 0.4;
        assert!(kept.iter().all(|&a| kept.iter().all(|&b| a == b || !overlap(a, b))));
        let went = (0..boxes.len()).filter(|index| !kept.contains(index));
        let mut count = 0;
        for gone in went {
            count += 1;
            let stronger = |&stays: &usize| overlap(stays, gone) && scores[stays] >= scores[gone];
            assert!(kept.iter().any(stronger), "{gone} went for nothing");
        }
        assert!(count > 0 && count < boxes.len() - 1, "{count} of {} went", boxes.len());
    }
}

#[test]
fn suppression_does_not_depend_on_the_order() {
    for mut random in cases() {
        let boxes = random_boxes(&mut random, 30);
        let scores: Vec<f32> = (0..30).map(|i| (i * 7 % 30) as f32 / 30.0).collect();
        let classes: Vec<usize> = (0..30).map(|i| i % 3).collect();
        let shift = uniform(&mut random, 0.0, 30.0) as usize;
        let moved = |index: usize| (index * 11 + shift) % 30;
        let kept = batched_nms(&boxes, &scores, &classes, 0.5).unwrap();
        let (mut other, mut other_scores, mut other_classes) =
            (boxes.clone(), scores.clone(), classes.clone());
        for index in 0..30 {
            other[moved(index)] = boxes[index];
            other_scores[moved(index)] = scores[index];
            other_classes[moved(index)] = classes[index];
        }
        let other = batched_nms(&other, &other_scores, &other_classes, 0.5).unwrap();
        assert_eq!(other, kept.into_iter().map(moved).collect::<Vec<_>>());
    }
}

#[test]
fn of_equal_scores_the_first_stays() {
    let boxes = [BBox::new(0.0, 0.0, 10.0, 10.0); 3];
    assert_eq!(nms(&boxes, &[0.5, 0.5, 0.5], 0.5).unwrap(), [0]);
    assert_eq!(nms(&boxes, &[0.0, -0.0, 0.0], 0.5).unwrap(), [0]);
    assert_eq!(nms(&boxes, &[0.5, 0.5, 0.6], 0.5).unwrap(), [2]);
    assert_eq!(batched_nms(&boxes, &[0.5; 3], &[1, 0, 1], 0.5).unwrap(), [0, 1]);
}

#[test]
fn suppression_by_class_is_suppression_of_each_class() {
    for mut random in cases() {
        let boxes = random_boxes(&mut random, 40);
        // Some are equal.
        let scores: Vec<f32> =
            boxes.iter().map(|_| uniform(&mut random, 0.0, 20.0).round() / 20.0).collect();
        let class = |_| uniform(&mut random, 0.0, 4.0) as usize;
        let classes: Vec<usize> = boxes.iter().map(class).collect();
        let mut expected = vec![];
        for class in 0..4 {
            let members: Vec<_> = (0..boxes.len()).filter(|&i| classes[i] == class).collect();
            let own: Vec<_> = members.iter().map(|&index| boxes[index]).collect();
            let own_scores: Vec<_> = members.iter().map(|&index| scores[index]).collect();
            let kept = nms(&own, &own_scores, 0.5).unwrap();
            expected.extend(kept.into_iter().map(|index| members[index]));
        }
        expected.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        assert_eq!(batched_nms(&boxes, &scores, &classes, 0.5).unwrap(), expected);
    }
}

#[test]
fn every_object_has_an_anchor_by_low_quality() {
    let picture = Size { height: 256, width: 320 };
    let generator = AnchorGenerator::retinanet();
    let anchors = generator.anchors(picture, &pyramid(picture).unwrap()).unwrap();
    for mut random in cases().take(20) {
        let object = random_box(&mut random);
        let found = Matcher::retinanet().matches(&[object], anchors.boxes()).unwrap();
        let largest = anchors.boxes().iter().map(|one| one.iou(object)).fold(0.0, f32::max);
        for (one, found) in anchors.boxes().iter().zip(&found) {
            let iou = one.iou(object);
            let expected = match iou {
                iou if iou == largest || iou >= 0.5 => Match::Object(0),
                iou if iou >= 0.4 => Match::Ignored,
                _ => Match::Background,
            };
            assert_eq!(*found, expected, "{one} for {object}: {iou}");
        }
    }
}

#[test]
fn a_place_that_finds_an_object_is_inside_it() {
    let picture = Size { height: 352, width: 416 };
    let anchors = AnchorGenerator::fcos().anchors(picture, &pyramid(picture).unwrap()).unwrap();
    let coder = BoxLinearCoder::fcos();
    let mut some = 0;
    for mut random in cases().take(50) {
        let objects = random_boxes(&mut random, 6);
        let found = CentreSampling::fcos().assign(&objects, &anchors).unwrap();
        for (anchor, found) in anchors.boxes().iter().zip(found) {
            let Match::Object(index) = found else { continue };
            let distances = coder.encode(objects[index], *anchor).unwrap();
            assert!(centreness(distances).unwrap() > 0.0);
            some += 1;
        }
    }
    assert!(some > 500, "{some}");
}

/// An anchor may find several classes, but a class's boxes are suppressed across levels.
#[test]
fn one_anchor_may_find_two_classes() {
    let anchors = [BBox::new(2.0, 2.0, 10.0, 10.0)];
    let outputs = LevelOutputs {
        logits: &[2.0, f32::NEG_INFINITY, 1.0],
        codes: &[0.0; 4],
        centreness: None,
        anchors: &anchors,
    };
    let picture = Size { height: 8, width: 20 };
    let settings = PostProcess::retinanet();
    let found = settings.detect(&[outputs, outputs], 3, picture).unwrap();
    let classes: Vec<_> = found.iter().map(|one| one.class).collect();
    assert_eq!(classes, [0, 2]);
    assert_eq!(found[0].bbox, BBox::new(2.0, 2.0, 10.0, 8.0));
    let picky = PostProcess { min_side: 6.5, ..settings };
    assert!(picky.detect(&[outputs], 3, picture).unwrap().is_empty(), "6 pixels are left of it");
    assert!(settings.detect(&[], 3, picture).unwrap().is_empty());
    let certain = LevelOutputs { logits: &[f32::INFINITY; 3], ..outputs };
    assert_eq!(settings.detect(&[certain], 3, picture).unwrap()[2].score, 1.0);
    for (threshold, count) in [(-1.0, 3), (0.0, 2), (0.8, 1), (1.0, 0), (2.0, 0)] {
        let settings = PostProcess { score_threshold: threshold, ..settings };
        assert_eq!(settings.detect(&[outputs], 3, picture).unwrap().len(), count, "{threshold}");
    }
    for (candidates, detections, count) in [(0, 9, 0), (1, 9, 1), (9, 1, 1), (9, 0, 0)] {
        let settings = PostProcess { candidates, detections, ..settings };
        assert_eq!(settings.detect(&[outputs], 3, picture).unwrap().len(), count);
    }
}

/// The shortcut by logits must not change what is above a threshold.
#[test]
fn every_score_above_the_threshold_is_a_candidate() {
    for mut random in cases() {
        let anchors = [BBox::new(0.0, 0.0, 8.0, 8.0)];
        let logit = uniform(&mut random, -9.0, 9.0);
        let near = uniform(&mut random, -3.0, 20.0);
        let sigmoid = |x: f32| (1.0 / (1.0 + (-f64::from(x)).exp())) as f32;
        for centreness in [None, Some([near])] {
            let outputs = LevelOutputs {
                logits: &[logit],
                codes: &[0.5; 4],
                centreness: centreness.as_ref().map(<[f32; 1]>::as_slice),
                anchors: &anchors,
            };
            let score = match centreness {
                None => sigmoid(logit),
                Some(_) => (sigmoid(logit) * sigmoid(near)).sqrt(),
            };
            let coding = Coding::Distances(BoxLinearCoder::fcos());
            for (score_threshold, count) in [(score.next_down(), 1), (score, 0)] {
                let settings = PostProcess { score_threshold, coding, ..PostProcess::fcos() };
                let found = settings.detect(&[outputs], 1, Size { height: 9, width: 9 }).unwrap();
                assert_eq!(found.len(), count, "{logit}, {centreness:?} at {score_threshold}");
                assert!(found.iter().all(|one| one.score == score));
            }
        }
    }
}
