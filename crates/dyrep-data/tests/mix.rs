//! MixUp and CutMix against their papers: what is decided, and what becomes of bytes and labels.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::collections::HashSet;

use dyrep_data::{Batch, Mix, MixConfig, MixSpec, Mixer, Pairing};
use rstest::rstest;

const SHAPE: [usize; 4] = [8, 3, 24, 32];
const DRAWS: u64 = 10_000;

/// All batches are mixed, half of them by CutMix where both alphas are above 0.
fn mixer(mixup: f64, cutmix: f64) -> Mixer {
    let probability = if mixup > 0.0 && cutmix > 0.0 { 0.5 } else { 1.0 };
    let way = |alpha| (alpha > 0.0).then_some(MixSpec { alpha, probability });
    let config = MixConfig { mixup: way(mixup), cutmix: way(cutmix), ..MixConfig::default() };
    Mixer::new(config).unwrap()
}

fn plans(mixer: Mixer, shape: [usize; 4]) -> impl Iterator<Item = Option<Mix>> {
    (0..DRAWS).map(move |batch| mixer.plan(0, 0, batch, shape))
}

fn batch(shape: [usize; 4]) -> Batch {
    let bytes = (0..shape.iter().product()).map(|i: usize| (i * 37 % 251) as u8);
    let pixels = bytes.collect::<Vec<u8>>().into();
    let labels = (0..shape[0] as i64).collect();
    Batch { pixels, labels, samples: (0..shape[0]).collect(), shape, start: 0 }
}

#[test]
fn a_plan_is_a_function_of_seed_epoch_and_batch() {
    let plan = |seed, epoch, batch| mixer(0.8, 1.0).plan(seed, epoch, batch, SHAPE);
    let base = plan(1, 1, 1);
    assert_eq!(base, plan(1, 1, 1));
    for other in [plan(2, 1, 1), plan(1, 2, 1), plan(1, 1, 2)] {
        assert_ne!(base, other);
    }
}

#[test]
fn partners_are_a_permutation_of_the_batch() {
    let mut seen = HashSet::new();
    for mix in plans(mixer(0.2, 0.0), [3, 1, 4, 4]).flatten() {
        let mut sorted = mix.partner.clone();
        seen.insert(mix.partner);
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2]);
    }
    assert_eq!(seen.len(), 6);
    let mixup = Some(MixSpec { alpha: 0.2, probability: 1.0 });
    let config = MixConfig { mixup, pairing: Pairing::Reversed, ..MixConfig::default() };
    for mix in plans(Mixer::new(config).unwrap(), [3, 1, 4, 4]).flatten() {
        assert_eq!(mix.partner, [2, 1, 0]);
    }
}

/// Beta(α, α): mean ½, variance 1 / (4·(2α + 1)).
#[rstest]
fn mixup_draws_lambda_from_a_beta(#[values(0.2, 1.0, 4.0)] alpha: f64) {
    let lambdas: Vec<f64> = plans(mixer(alpha, 0.0), SHAPE)
        .map(|mix| mix.unwrap())
        .inspect(|mix| assert_eq!(mix.region, None))
        .map(|mix| mix.lambda)
        .collect();
    let count = DRAWS as f64;
    let mean = lambdas.iter().sum::<f64>() / count;
    let square = lambdas.iter().map(|lambda| (lambda - mean).powi(2)).sum::<f64>() / count;
    let variance = 0.25 / (2.0 * alpha + 1.0);
    // Five standard errors of the mean, and at least as many of the variance.
    assert!((mean - 0.5).abs() < 5.0 * (variance / count).sqrt(), "{mean}");
    assert!((square - variance).abs() < 5.0 * (variance / 4.0 / count).sqrt(), "{square}");
}

#[test]
fn as_many_batches_are_mixed_and_cut_as_was_asked_for() {
    let config = MixConfig {
        mixup: Some(MixSpec { alpha: 0.8, probability: 0.42 }),
        cutmix: Some(MixSpec { alpha: 1.0, probability: 0.18 }),
        ..MixConfig::default()
    };
    let mixed: Vec<Mix> = plans(Mixer::new(config).unwrap(), SHAPE).flatten().collect();
    let cut = mixed.iter().filter(|mix| mix.region.is_some()).count();
    // 6000 with a deviation of 49, and 1800 with one of 38.4; five of them.
    assert!((5755..=6245).contains(&mixed.len()), "{}", mixed.len());
    assert!((1608..=1992).contains(&cut), "{cut}");
}

/// The share that is left is the box's complement, and the box has the image's proportions as long
/// as it is not cut off.
#[test]
fn lambda_is_the_area_outside_of_the_box() {
    let [_, _, height, width] = SHAPE;
    let mut whole = 0;
    for mix in plans(mixer(0.0, 1.0), SHAPE).flatten() {
        let [top, bottom, left, right] = mix.region.unwrap();
        assert!(top <= bottom && bottom <= height && left <= right && right <= width);
        let inside = (bottom - top) * (right - left);
        assert_eq!(mix.lambda, 1.0 - inside as f64 / (height * width) as f64);
        if top > 0 && bottom < height && left > 0 && right < width {
            whole += 1;
            let proportion = (right - left) as f64 - (bottom - top) as f64 * 32.0 / 24.0;
            assert!(proportion.abs() < 2.7, "rounded down to even sides: {mix:?}");
        }
    }
    assert!(whole > 1000, "{whole}");
}

/// With λ uniform, `r = √(1 − λ)` and a uniform centre, a side of length 1 covers
/// `E[r − r²/4]` of itself, which is 2/3 − 1/8 = 0.5417, and both sides together `E[(r − r²/4)²]`
/// = 1/2 − 1/5 + 1/48 = 0.3208. Measured on an image large enough for rounding not to count.
#[test]
fn boxes_cover_as_much_as_the_paper_says() {
    let side = 10_000;
    let mut sums = [0.0; 3];
    for mix in plans(mixer(0.0, 1.0), [2, 1, side, side]).flatten() {
        let [top, bottom, left, right] = mix.region.unwrap();
        let values = [(bottom - top) as f64, (right - left) as f64].map(|span| span / side as f64);
        for (sum, value) in sums.iter_mut().zip([values[0], values[1], 1.0 - mix.lambda]) {
            *sum += value / DRAWS as f64;
        }
    }
    for (found, want) in sums.into_iter().zip([0.5417, 0.5417, 0.3208]) {
        // The deviations are below 0.25: five standard errors.
        assert!((found - want).abs() < 0.0125, "{sums:?}");
    }
}

#[test]
fn cutmix_copies_the_partners_box_exactly() {
    let shape = [3, 2, 5, 4];
    let (before, mut after) = (batch(shape), batch(shape));
    let mix = Mix { lambda: 0.7, partner: vec![2, 0, 1], region: Some([1, 4, 2, 4]) };
    mix.apply(&mut after);
    let at =
        |image: usize, channel: usize, y: usize, x: usize| ((image * 2 + channel) * 5 + y) * 4 + x;
    for image in 0..3 {
        for (channel, y, x) in (0..2).flat_map(|c| (0..20).map(move |i| (c, i / 4, i % 4))) {
            let inside = (1..4).contains(&y) && (2..4).contains(&x);
            let from = if inside { mix.partner[image] } else { image };
            assert_eq!(
                after.pixels[at(image, channel, y, x)],
                before.pixels[at(from, channel, y, x)]
            );
        }
    }
    assert_eq!(after.labels, before.labels);
}

#[test]
fn mixup_rounds_to_the_nearest_level() {
    let mut batch = Batch {
        pixels: vec![0, 100, 255, 10, 101, 0].into(),
        labels: vec![4, 7],
        samples: vec![0, 1],
        shape: [2, 1, 1, 3],
        start: 0,
    };
    let mix = Mix { lambda: 0.75, partner: vec![1, 0], region: None };
    mix.apply(&mut batch);
    // 2.5, 100.25, 191.25, and 7.5, 100.75, 63.75; halves up.
    assert_eq!(batch.pixels[..], [3, 100, 191, 8, 101, 64]);
}

#[rstest]
#[case::all_own(Mix { lambda: 1.0, partner: vec![1, 0], region: None })]
#[case::empty_box(Mix { lambda: 1.0, partner: vec![1, 0], region: Some([2, 2, 0, 3]) })]
#[case::itself(Mix { lambda: 0.3, partner: vec![0, 1], region: None })]
fn a_mix_without_effect_leaves_every_byte(#[case] mix: Mix) {
    let shape = [2, 3, 4, 3];
    let mut mixed = batch(shape);
    mix.apply(&mut mixed);
    assert_eq!(mixed, batch(shape));
}

#[test]
fn a_batch_of_one_meets_itself() {
    for shape in [[1, 3, 8, 8], [1, 1, 1, 1]] {
        for mix in plans(mixer(1.0, 1.0), shape).flatten().take(100) {
            let mut mixed = batch(shape);
            mix.apply(&mut mixed);
            assert_eq!(mixed, batch(shape));
        }
    }
}

#[test]
fn labels_come_in_pairs() {
    let mix = Mix { lambda: 0.7, partner: vec![2, 0, 1], region: None };
    let labels = mix.labels(&[5, 6, 7]);
    assert_eq!((labels.first, labels.second, labels.lambda), (vec![5, 6, 7], vec![7, 5, 6], 0.7));
}

#[test]
#[should_panic(expected = "another number of images")]
fn a_mix_for_another_batch_is_a_mistake() {
    Mix { lambda: 0.5, partner: vec![0], region: None }.apply(&mut batch([2, 1, 2, 2]));
}

#[test]
#[should_panic(expected = "row 3")]
fn a_box_outside_of_the_image_is_a_mistake() {
    Mix { lambda: 0.5, partner: vec![0], region: Some([0, 3, 0, 1]) }
        .apply(&mut batch([1, 1, 2, 2]));
}
