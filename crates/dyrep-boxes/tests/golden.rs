//! torchvision's own anchors, codes, matches and detections: see `golden/detectors.py`.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

#[path = "golden/read.rs"]
mod read;

use dyrep_boxes::{
    AnchorGenerator, Anchors, BBox, BoxCoder, BoxLinearCoder, CentreSampling, Coding, LevelOutputs,
    Match, Matcher, PostProcess, ResizeRule, Size, batched_nms, nms, padded, pyramid, remove_small,
};
use read::{Golden, MatchingCase, PostCase, boxes, golden, matches, size};

/// Of a code's or corner's size, at least 1; measured: 1.8e-7.
const CODING: f32 = 1e-5;
/// Of a corner's size, at least 1; measured: 6.0e-8.
const DECODED: f32 = 1e-5;
/// Of a score; measured: 6.0e-8.
const SCORE: f32 = 1e-6;

fn check_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let off = (found - expected).abs() / expected.abs().max(1.0);
        assert!(off <= tolerance, "{what}: {found} instead of {expected}, off by {off:e}");
    }
}

fn corners(one: BBox) -> [f32; 4] {
    [one.x1, one.y1, one.x2, one.y2]
}

fn generator(name: &str) -> AnchorGenerator {
    match name {
        "retinanet" => AnchorGenerator::retinanet(),
        "fcos" => AnchorGenerator::fcos(),
        "odd" => AnchorGenerator::new(&[&[5.0, 9.3], &[17.0]], &[&[0.3, 1.0, 1.7], &[3.0, 0.11]])
            .unwrap(),
        other => panic!("no generator is called {other}"),
    }
}

fn halves(picture: Size) -> Vec<Size> {
    pyramid(picture).unwrap().to_vec()
}

#[test]
fn boxes_overlap_as_much() {
    let Golden { overlaps, .. } = golden();
    let all = boxes(&overlaps.boxes);
    let areas: Vec<f32> = all.iter().map(|one| one.area()).collect();
    assert_eq!(areas, overlaps.areas);
    for (a, expected) in all.iter().zip(&overlaps.overlaps) {
        // 0/0 in torchvision is 0 here.
        let expected: Vec<f32> = expected.iter().map(|iou| iou.unwrap_or(0.0)).collect();
        assert_eq!(all.iter().map(|b| a.iou(*b)).collect::<Vec<_>>(), expected, "{a}");
    }
    assert!(overlaps.overlaps.iter().flatten().any(Option::is_none), "none without an area");
    assert_eq!(remove_small(&all, overlaps.min_side), overlaps.large);
    let picture = size(overlaps.picture);
    let clipped: Vec<_> = all.iter().map(|one| one.clipped(picture)).collect();
    assert_eq!(clipped, boxes(&overlaps.clipped));
    let resized = all.iter().map(|one| one.resized(picture, size(overlaps.to)).unwrap());
    assert_eq!(resized.collect::<Vec<_>>(), boxes(&overlaps.resized));
}

#[test]
fn pictures_become_as_large() {
    let Golden { transforms, .. } = golden();
    for batch in &transforms.batches {
        let rule = ResizeRule { min_size: batch.min_size, max_size: batch.max_size };
        let resize = |one: &[u32; 2]| rule.resized(size(*one)).unwrap();
        let resized: Vec<_> = batch.batch.iter().map(resize).collect();
        let expected: Vec<_> = batch.resized.iter().map(|one| size(*one)).collect();
        assert_eq!(resized, expected, "{:?}", batch.batch);
        assert_eq!(padded(&resized, 32).unwrap(), size(batch.padded), "{:?}", batch.batch);
        let levels: Vec<_> = batch.levels.iter().map(|one| size(*one)).collect();
        assert_eq!(halves(size(batch.padded)), levels, "{:?}", batch.batch);
    }
    let rule = ResizeRule { min_size: 160, max_size: 266 };
    for [from, to] in transforms.sizes {
        assert_eq!(rule.resized(size(from)).unwrap(), size(to), "{from:?}");
    }
}

#[test]
fn anchors_are_the_same() {
    for case in golden().anchors {
        let name = format!("{} {:?}", case.generator, case.padded);
        let grids: Vec<_> = case.grids.iter().map(|grid| size(*grid)).collect();
        let anchors = generator(&case.generator).anchors(size(case.padded), &grids).unwrap();
        assert_eq!(anchors.levels(), case.counts, "{name}");
        for (index, expected) in case.some {
            assert_eq!(corners(anchors.boxes()[index]), expected, "{name}, anchor {index}");
        }
        let numbers = anchors.boxes().iter().flat_map(|one| corners(*one)).enumerate();
        let weighed = numbers.map(|(i, x)| (i as i64 % 65521 + 1) * x as i64);
        assert_eq!(weighed.sum::<i64>(), case.weighed, "{name}");
    }
}

#[test]
fn codes_are_the_same() {
    let Golden { coding, .. } = golden();
    let (objects, anchors) = (boxes(&coding.objects), boxes(&coding.anchors));
    let plain = BoxCoder::retinanet();
    let weighted = BoxCoder { weights: coding.weights, ..plain };
    let (linear, pixels) = (BoxLinearCoder::fcos(), BoxLinearCoder { normalize_by_size: false });
    for (i, (object, anchor)) in objects.into_iter().zip(anchors).enumerate() {
        let check = |found: [f32; 4], expected: &[[f32; 4]], what: &str| {
            check_close(&found, &expected[i], CODING, &format!("{what} {i}"));
        };
        check(plain.encode(object, anchor).unwrap(), &coding.encoded, "encoded");
        check(weighted.encode(object, anchor).unwrap(), &coding.weighted_encoded, "weighted");
        check(linear.encode(object, anchor).unwrap(), &coding.linear_encoded, "linear");
        check(pixels.encode(object, anchor).unwrap(), &coding.pixels_encoded, "pixels");
        let (codes, distances) = (coding.codes[i], coding.distances[i]);
        let decoded = |one: Result<BBox, _>| corners(one.unwrap());
        check(decoded(plain.decode(codes, anchor)), &coding.decoded, "decoded");
        check(decoded(weighted.decode(codes, anchor)), &coding.weighted_decoded, "weighted");
        check(decoded(linear.decode(distances, anchor)), &coding.linear_decoded, "linear");
        check(decoded(pixels.decode(distances, anchor)), &coding.pixels_decoded, "pixels");
    }
}

fn check_matching(case: &MatchingCase) {
    let name = format!("{} {:?} {}", case.generator, case.padded, case.case);
    let picture = size(case.padded);
    let anchors = generator(&case.generator).anchors(picture, &halves(picture)).unwrap();
    let objects = boxes(&case.objects);
    let found = match (case.high, case.low, case.radius) {
        (Some(high), Some(low), None) => {
            let matcher = Matcher { high, low, allow_low_quality: case.allow };
            matcher.matches(&objects, anchors.boxes()).unwrap()
        }
        (None, None, Some(radius)) => CentreSampling { radius }.assign(&objects, &anchors).unwrap(),
        other => panic!("{name}: {other:?}"),
    };
    let expected: Vec<Match> = case
        .matched
        .iter()
        .flat_map(|&(count, code)| std::iter::repeat_n(matches(code), count))
        .collect();
    assert_eq!(found.len(), expected.len(), "{name}");
    let wrong = found.iter().zip(&expected).position(|(found, expected)| found != expected);
    assert_eq!(wrong.map(|index| (index, found[index], expected[index])), None, "{name}");
}

#[test]
fn anchors_find_the_same_objects() {
    let cases = golden().matching;
    cases.iter().for_each(check_matching);
    assert_eq!(CentreSampling::fcos(), CentreSampling { radius: 1.5 });
    let retinanet = Matcher { high: 0.5, low: 0.4, allow_low_quality: true };
    assert_eq!(Matcher::retinanet(), retinanet);
    let codes = cases.iter().flat_map(|case| &case.matched).map(|(_, code)| *code);
    assert!(codes.clone().any(|code| code == -2) && codes.clone().any(|code| code > 3));
}

#[test]
fn thresholds_belong_to_the_upper_side() {
    let exact = golden().exact_matching;
    let (objects, anchors) = (boxes(&exact.objects), boxes(&exact.anchors));
    for case in exact.cases {
        let matcher = Matcher { high: case.high, low: case.low, allow_low_quality: case.allow };
        let found = matcher.matches(&objects, &anchors).unwrap();
        let expected: Vec<_> = case.matched.iter().map(|code| matches(*code)).collect();
        assert_eq!(found, expected, "{matcher:?}");
    }
}

#[test]
fn the_same_boxes_stay() {
    for case in golden().suppression {
        let (name, boxes) = (&case.case, boxes(&case.boxes));
        assert_eq!(nms(&boxes, &case.scores, case.threshold).unwrap(), case.kept, "{name}");
        let kept = batched_nms(&boxes, &case.scores, &case.classes, case.threshold).unwrap();
        assert_eq!(kept, case.kept_by_class, "{name}, by class");
    }
}

fn settings(case: &PostCase) -> PostProcess {
    let (start, levels) = match case.model.as_str() {
        "retinanet" => (PostProcess::retinanet(), Coding::Offsets(BoxCoder::retinanet())),
        _ => (PostProcess::fcos(), Coding::Distances(BoxLinearCoder::fcos())),
    };
    assert_eq!((start.coding, start.min_side), (levels, 0.0));
    PostProcess {
        score_threshold: case.score_thresh,
        candidates: case.topk_candidates,
        nms_threshold: case.nms_thresh,
        detections: case.detections_per_img,
        ..start
    }
}

fn check_post(case: &PostCase) {
    let name = format!("{} {}", case.model, case.case);
    let settings = settings(case);
    if case.case == "plain" {
        // What torchvision's constructors have.
        let start =
            if case.model == "fcos" { PostProcess::fcos() } else { PostProcess::retinanet() };
        assert_eq!(settings, start, "{name}");
    }
    let ratios: &[f32] = if case.model == "fcos" { &[1.0] } else { &[0.5, 1.0, 2.0] };
    let sizes: Vec<&[f32]> = case.sizes.iter().map(Vec::as_slice).collect();
    let generator = AnchorGenerator::new(&sizes, &vec![ratios; sizes.len()]).unwrap();
    let grids: Vec<_> = case.grids.iter().map(|grid| size(*grid)).collect();
    let anchors: Anchors = generator.anchors(size(case.padded), &grids).unwrap();
    let mut at = 0;
    let levels: Vec<_> = anchors
        .by_level()
        .map(|anchors| {
            let places = at..at + anchors.len();
            at = places.end;
            LevelOutputs {
                logits: &case.logits[places.start * case.classes..places.end * case.classes],
                codes: &case.codes[places.start * 4..places.end * 4],
                centreness: case.centreness.as_ref().map(|all| &all[places]),
                anchors,
            }
        })
        .collect();
    let found = settings.detect(&levels, case.classes, size(case.picture)).unwrap();
    let labels: Vec<_> = found.iter().map(|one| one.class).collect();
    assert_eq!(labels, case.labels, "{name}");
    for (one, (corner, score)) in found.iter().zip(case.boxes.iter().zip(&case.scores)) {
        check_close(&corners(one.bbox), corner, DECODED, &name);
        check_close(&[one.score], &[*score], SCORE, &name);
    }
}

#[test]
fn the_same_objects_are_detected() {
    let cases = golden().post;
    cases.iter().for_each(check_post);
    assert!(cases.iter().any(|case| case.tied) && cases.iter().any(|case| case.labels.is_empty()));
}
