//! What is not a number, empty or without size is refused or has a stated result; nothing panics.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use dyrep_boxes::{
    AnchorGenerator, Anchors, BBox, BoxCoder, BoxError, BoxLinearCoder, CentreSampling,
    LevelOutputs, Match, Matcher, PostProcess, ResizeRule, Size, batched_nms, centreness, nms,
    padded, pyramid, remove_small,
};

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;
const FINE: BBox = BBox::new(0.0, 0.0, 8.0, 8.0);
const POINT: BBox = BBox::new(3.0, 3.0, 3.0, 3.0);
/// What is no box: not finite, or turned inside out.
const NO_BOXES: [BBox; 8] = [
    BBox::new(NAN, 0.0, 8.0, 8.0),
    BBox::new(0.0, NAN, 8.0, 8.0),
    BBox::new(0.0, 0.0, NAN, 8.0),
    BBox::new(0.0, 0.0, 8.0, NAN),
    BBox::new(0.0, 0.0, INF, 8.0),
    BBox::new(-INF, 0.0, 8.0, 8.0),
    BBox::new(8.0, 8.0, 0.0, 0.0),
    BBox::new(8.0, 0.0, 0.0, 8.0),
];
/// No object, but a box all the same.
const FLAT: [BBox; 3] = [POINT, BBox::new(3.0, 3.0, 3.0, 8.0), BBox::new(3.0, 3.0, 8.0, 3.0)];
const PICTURE: Size = Size { height: 20, width: 30 };

fn check_refused<T: std::fmt::Debug>(found: Result<T, BoxError>, says: &str) {
    let text = found.unwrap_err().to_string();
    assert!(text.contains(says), "`{text}` does not say `{says}`");
}

#[test]
fn what_is_no_box_has_no_area() {
    for wrong in NO_BOXES {
        if wrong.x1.is_infinite() || wrong.x2.is_infinite() {
            assert_eq!(wrong.area(), INF);
            assert_eq!(wrong.iou(FINE), 0.0);
            assert!(wrong.iou(wrong).is_nan());
        } else {
            assert!(wrong.area().is_nan(), "{wrong}");
            assert!(wrong.iou(FINE).is_nan() && FINE.iou(wrong).is_nan(), "{wrong}");
        }
    }
    for flat in FLAT {
        assert_eq!((flat.area(), flat.iou(flat), flat.iou(FINE)), (0.0, 0.0, 0.0));
    }
    assert!(NO_BOXES[0].clipped(PICTURE).x1.is_nan());
    assert_eq!(BBox::new(-INF, 0.0, INF, 99.0).clipped(PICTURE), BBox::new(0.0, 0.0, 30.0, 20.0));
    assert_eq!(remove_small(&[NO_BOXES[0], FINE, POINT, NO_BOXES[6]], 0.0), [1, 2]);
    assert!(remove_small(&[FINE], NAN).is_empty());
}

#[test]
fn objects_and_anchors_must_be_solid() {
    let anchors = Anchors::from_levels(&[&[FINE]]).unwrap();
    let (offsets, distances) = (BoxCoder::retinanet(), BoxLinearCoder::fcos());
    for wrong in NO_BOXES.into_iter().chain(FLAT) {
        let matcher = Matcher::retinanet();
        check_refused(matcher.matches(&[FINE, wrong], &[FINE]), "object 1 is (");
        check_refused(matcher.matches(&[FINE], &[FINE, FINE, wrong]), "anchor 2 is (");
        check_refused(matcher.matches(&[], &[wrong]), "anchor 0 is (");
        check_refused(CentreSampling::fcos().assign(&[wrong], &anchors), "object 0 is (");
        check_refused(Anchors::from_levels(&[&[FINE], &[wrong]]), "level 1: anchor 0 is (");
        check_refused(offsets.encode(wrong, FINE), "object 0 is (");
        check_refused(offsets.encode(FINE, wrong), "anchor 0 is (");
        check_refused(offsets.decode([0.0; 4], wrong), "anchor 0 is (");
        check_refused(distances.encode(wrong, FINE), "object 0 is (");
        check_refused(distances.encode(FINE, wrong), "anchor 0 is (");
        check_refused(distances.decode([0.0; 4], wrong), "anchor 0 is (");
    }
}

#[test]
fn without_objects_all_is_background() {
    let anchors = Anchors::from_levels(&[&[FINE, FINE]]).unwrap();
    let nothing = [Match::Background; 2];
    assert_eq!(Matcher::retinanet().matches(&[], anchors.boxes()).unwrap(), nothing);
    assert_eq!(CentreSampling::fcos().assign(&[], &anchors).unwrap(), nothing);
    assert_eq!(Matcher::retinanet().matches(&[FINE], &[]).unwrap(), []);
    let anything = Matcher { high: -INF, low: -INF, allow_low_quality: true };
    assert_eq!(anything.matches(&[], anchors.boxes()).unwrap(), nothing);
    check_refused(Anchors::from_levels(&[]), "0 levels");
    check_refused(Anchors::from_levels(&[&[FINE], &[]]), "level 1: 0 anchors");
}

#[test]
fn thresholds_are_in_order() {
    for (high, low) in [(0.4, 0.5), (NAN, 0.5), (0.5, NAN)] {
        let matcher = Matcher { high, low, allow_low_quality: true };
        check_refused(matcher.matches(&[FINE], &[FINE]), "`low` is");
    }
}

#[test]
fn a_radius_is_above_0() {
    let anchors = Anchors::from_levels(&[&[FINE]]).unwrap();
    for radius in [0.0, -1.0, NAN] {
        check_refused(CentreSampling { radius }.assign(&[FINE], &anchors), "`radius` is");
    }
    let everywhere = CentreSampling { radius: INF }.assign(&[FINE], &anchors).unwrap();
    assert_eq!(everywhere, [Match::Object(0)]);
}

#[test]
fn codes_are_numbers() {
    let (offsets, distances) = (BoxCoder::retinanet(), BoxLinearCoder::fcos());
    for wrong in [NAN, INF, -INF] {
        for index in 0..4 {
            let mut codes = [0.0; 4];
            codes[index] = wrong;
            let says = format!("code {index} is");
            check_refused(offsets.decode(codes, FINE), &says);
            check_refused(distances.decode(codes, FINE), &says);
            check_refused(centreness(codes), &says);
        }
    }
    // What `f32` cannot hold is no box, either.
    check_refused(offsets.decode([f32::MAX, 0.0, 0.0, 0.0], FINE), "the decoded box");
    check_refused(distances.decode([f32::MAX; 4], FINE), "the decoded box");
    check_refused(distances.decode([-1.0, 0.0, 0.0, 0.0], FINE), "the decoded box");
    check_refused(centreness([-0.1, 1.0, 1.0, 1.0]), "code 0 is -0.1");
    check_refused(centreness([0.0, 1.0, 0.0, 1.0]), "opposite sides");
    let far = BBox::new(3e38, 0.0, 3.1e38, 1.0);
    check_refused(offsets.encode(far, BBox::new(0.0, 0.0, 1e-3, 1.0)), "code 0 is inf");
    for weights in [[0.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, NAN], [1.0, -1.0, 1.0, 1.0]] {
        let coder = BoxCoder { weights, ..offsets };
        check_refused(coder.encode(FINE, FINE), "`weights` is");
        check_refused(coder.decode([0.0; 4], FINE), "`weights` is");
    }
    let unclipped = BoxCoder { clip: NAN, ..offsets };
    check_refused(unclipped.decode([0.0; 4], FINE), "`clip` is NaN");
}

#[test]
fn suppression_needs_numbers() {
    assert_eq!(nms(&[], &[], 0.5).unwrap(), [0; 0]);
    for wrong in NO_BOXES {
        check_refused(nms(&[FINE, wrong], &[0.5, 0.5], 0.5), "box 1 is (");
    }
    // Boxes without area overlap nothing, not even themselves.
    assert_eq!(nms(&[POINT, POINT, FINE], &[0.5, 0.6, 0.7], 0.0).unwrap(), [2, 1, 0]);
    check_refused(nms(&[FINE, FINE], &[0.5, NAN], 0.5), "score 1 is NaN");
    check_refused(nms(&[FINE, FINE], &[0.5], 0.5), "1 scores; expected 2");
    check_refused(batched_nms(&[FINE], &[0.5], &[], 0.5), "0 classes; expected 1");
    check_refused(nms(&[FINE], &[0.5], f64::NAN), "`threshold` is NaN");
    assert_eq!(nms(&[FINE, FINE, FINE], &[-INF, INF, 0.0], 1.0).unwrap(), [1, 2, 0]);
}

fn detect(logits: &[f32], codes: &[f32], centreness: Option<&[f32]>) -> Result<usize, BoxError> {
    let anchors = [FINE, FINE];
    let outputs = LevelOutputs { logits, codes, centreness, anchors: &anchors };
    PostProcess::retinanet().detect(&[outputs], 2, PICTURE).map(|found| found.len())
}

#[test]
fn outputs_are_numbers_of_the_anchors_shape() {
    let codes = [0.0; 8];
    assert_eq!(detect(&[1.0; 4], &codes, None).unwrap(), 2);
    check_refused(detect(&[1.0; 3], &codes, None), "level 0: 3 logits; expected 4");
    check_refused(detect(&[1.0; 4], &codes[1..], None), "level 0: 7 codes; expected 8");
    let short = Some([1.0].as_slice());
    check_refused(detect(&[1.0; 4], &codes, short), "level 0: 1 centre-nesses; expected 2");
    check_refused(detect(&[-99.0, -99.0, NAN, 1.0], &codes, None), "level 0: logit 2 is NaN");
    let nearness = Some([1.0, NAN].as_slice());
    check_refused(detect(&[1.0; 4], &codes, nearness), "level 0: centre-ness 1 is NaN");
    let mut wrong = codes;
    wrong[6] = NAN;
    check_refused(detect(&[1.0; 4], &wrong, None), "level 0: code 6 is NaN");
    // Only candidates are decoded.
    assert_eq!(detect(&[1.0, 1.0, -9.0, -9.0], &wrong, None).unwrap(), 2);
}

#[test]
fn settings_are_numbers() {
    let settings = PostProcess::fcos();
    let anchors = [FINE];
    let outputs =
        LevelOutputs { logits: &[1.0], codes: &[1.0; 4], centreness: None, anchors: &anchors };
    let detect = |settings: PostProcess| settings.detect(&[outputs], 1, PICTURE);
    assert_eq!(detect(settings).unwrap().len(), 1);
    check_refused(detect(PostProcess { score_threshold: NAN, ..settings }), "`score_threshold`");
    check_refused(detect(PostProcess { nms_threshold: f64::NAN, ..settings }), "`nms_threshold`");
    check_refused(detect(PostProcess { min_side: NAN, ..settings }), "`min_side`");
    check_refused(settings.detect(&[outputs], 0, PICTURE), "0 classes");
    let nothing = Size { height: 0, width: 5 };
    check_refused(settings.detect(&[outputs], 1, nothing), "a picture of 0 × 5");
}

#[test]
fn pictures_and_grids_have_pixels() {
    let nothing = Size { height: 5, width: 0 };
    let generator = AnchorGenerator::fcos();
    let grids = pyramid(PICTURE).unwrap();
    check_refused(pyramid(nothing), "5 × 0");
    check_refused(generator.anchors(nothing, &grids), "5 × 0");
    check_refused(generator.anchors(PICTURE, &grids[..4]), "4 grids; expected 5");
    for wrong in [nothing, Size { height: 21, width: 1 }] {
        let mut grids = grids;
        grids[3] = wrong;
        check_refused(generator.anchors(PICTURE, &grids), "level 3: a grid of");
    }
    let huge = Size { height: 1 << 24, width: 1 << 24 };
    check_refused(generator.anchors(huge, &[huge; 5]), "level 0: a grid of");
    check_refused(pyramid(Size { height: u32::MAX, width: 1 }), "a padded picture of");
    check_refused(FINE.resized(nothing, PICTURE), "5 × 0");
    check_refused(FINE.resized(PICTURE, nothing), "5 × 0");
    let rule = ResizeRule::published();
    check_refused(rule.resized(nothing), "a picture of 5 × 0");
    check_refused(rule.resized(Size { height: 1, width: 9000 }), "a resized picture of 0 × 1333");
    let nowhere = ResizeRule { min_size: 0, max_size: 9 };
    check_refused(nowhere.resized(PICTURE), "a resized picture of 0 × 0");
    check_refused(padded(&[], 32), "0 pictures in a batch");
    check_refused(padded(&[PICTURE, nothing], 32), "5 × 0");
    check_refused(padded(&[PICTURE], 0), "`divisor` is 0");
    check_refused(padded(&[PICTURE], u32::MAX), "a padded picture of");
}

#[test]
fn shapes_have_sides() {
    fn check(sizes: &[&[f32]], ratios: &[&[f32]], says: &str) {
        check_refused(AnchorGenerator::new(sizes, ratios), says);
    }
    check(&[], &[], "0 lists of ratios; expected 1");
    check(&[&[8.0]], &[], "0 lists of ratios; expected 1");
    check(&[&[8.0], &[]], &[&[1.0], &[1.0]], "level 1: 0 sizes");
    check(&[&[8.0]], &[&[]], "level 0: 0 ratios");
    check(&[&[1.0]], &[&[1.0]], "level 0: the shape 0");
    check(&[&[8.0, -8.0]], &[&[1.0]], "level 0: the shape 1");
    for wrong in [NAN, INF, 0.0] {
        check(&[&[wrong]], &[&[1.0]], "level 0: the shape 0");
        check(&[&[8.0]], &[&[wrong]], "level 0: the shape 0");
    }
    check(&[&[8.0]], &[&[-1.0]], "level 0: the shape 0");
}
