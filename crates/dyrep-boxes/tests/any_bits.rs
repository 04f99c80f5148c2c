//! Numbers of any bits: nothing panics, and what is not refused is a number.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use dyrep_boxes::{
    Anchors, BBox, BoxCoder, BoxLinearCoder, CentreSampling, Coding, LevelOutputs, Matcher,
    PostProcess, Size, batched_nms, centreness, nms,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Any bits, or one of the numbers that bits hardly ever are, or an ordinary one.
fn any(random: &mut ChaCha8Rng) -> f32 {
    const SPECIAL: [f32; 9] =
        [0.0, -0.0, 1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 1e-45];
    match random.random_range(0..8) {
        0 => f32::from_bits(random.random()),
        1 => SPECIAL[random.random_range(0..SPECIAL.len())],
        _ => random.random_range(-8.0..40.0),
    }
}

fn any_box(random: &mut ChaCha8Rng) -> BBox {
    let mut corners: [f32; 4] = std::array::from_fn(|_| any(random));
    // Mostly a box, so that something comes of it.
    if random.random_range(0..8) > 0 {
        corners.sort_by(f32::total_cmp);
    }
    let [x1, y1, x2, y2] = corners;
    BBox::new(x1, y1, x2, y2)
}

#[test]
fn what_is_not_refused_is_a_number() {
    let mut through = [0; 7];
    for seed in 0..5000 {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let boxes: Vec<_> = (0..random.random_range(0..4)).map(|_| any_box(random)).collect();
        let anchors: Vec<_> = (0..2).map(|_| any_box(random)).collect();
        let codes: [f32; 4] = std::array::from_fn(|_| any(random));
        let scores: Vec<_> = boxes.iter().map(|_| any(random)).collect();
        let (a, b) = (anchors[0], anchors[1]);
        let iou = a.iou(b);
        assert!(iou.is_nan() || (0.0..=1.0).contains(&iou), "{a} {b}: {iou}");
        let mut note = |which: usize, fine: Option<bool>| {
            assert_ne!(fine, Some(false), "seed {seed}, {which}");
            through[which] += usize::from(fine.is_some());
        };
        let finite = |codes: [f32; 4]| codes.into_iter().all(f32::is_finite);
        let ordered = |one: BBox| one.is_finite() && one.x1 <= one.x2 && one.y1 <= one.y2;
        let coders =
            [Coding::Offsets(BoxCoder::retinanet()), Coding::Distances(BoxLinearCoder::fcos())];
        note(0, BoxCoder::retinanet().encode(a, b).ok().map(finite));
        note(1, BoxLinearCoder::fcos().encode(a, b).ok().map(finite));
        for coding in coders {
            note(2, coding.decode(codes, a).ok().map(ordered));
        }
        note(3, centreness(codes).ok().map(|found| (0.0..=1.0).contains(&found)));
        let within = |kept: Vec<usize>| kept.into_iter().all(|index| index < boxes.len());
        note(4, nms(&boxes, &scores, 0.5).ok().map(within));
        note(4, batched_nms(&boxes, &scores, &vec![0; boxes.len()], 0.5).ok().map(within));
        let matches = Matcher::retinanet().matches(&boxes, &anchors);
        note(5, matches.ok().map(|found| found.len() == 2));
        let levels = Anchors::from_levels(&[&anchors[..1], &anchors[1..]]);
        let assigned = levels.and_then(|all| CentreSampling::fcos().assign(&boxes, &all));
        note(5, assigned.ok().map(|found| found.len() == 2));
        let logits = [any(random), any(random)];
        for coding in coders {
            let settings = PostProcess { score_threshold: 0.01, coding, ..PostProcess::fcos() };
            let outputs = LevelOutputs {
                logits: &logits,
                codes: &codes,
                centreness: Some(&[1.0]),
                anchors: &anchors[..1],
            };
            let found = settings.detect(&[outputs], 2, Size { height: 30, width: 40 });
            let inside =
                |one: &BBox| one.x1 >= 0.0 && one.y1 >= 0.0 && one.x2 <= 40.0 && one.y2 <= 30.0;
            note(
                6,
                found.ok().map(|found| {
                    found.iter().all(|one| {
                        ordered(one.bbox) && inside(&one.bbox) && (0.01..=1.0).contains(&one.score)
                    })
                }),
            );
        }
    }
    assert!(through.iter().all(|count| *count > 100), "{through:?}: little came through");
}
