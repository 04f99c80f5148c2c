//! The two comparisons that every fast block has to pass.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::reference::{Moments64, outcome};
use super::{Block, BranchMoments, By, End, Moments, Norm};

/// Step of the central differences: their error is about its square, 1e-10, and rounding adds 1e-16 / 1e-5.
const STEP: f64 = 1e-5;

/// The block in double precision.
pub(crate) fn widened(block: &Block<Vec<f32>>) -> Block<Vec<f64>> {
    block.clone().map(|values| values.into_iter().map(f64::from).collect())
}

/// The block as slices.
pub(crate) fn borrowed(block: &Block<Vec<f32>>) -> Block<&[f32]> {
    block.as_ref().map(Vec::as_slice)
}

/// The largest difference, of the largest value.
pub(crate) fn relative_error(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len(), "lengths");
    let largest = want.iter().fold(1e-3, |most: f64, value| most.max(value.abs()));
    let off = got.iter().zip(want).map(|(got, want)| (f64::from(*got) - want).abs() / largest);
    off.fold(0.0, |most, off| if off.is_nan() { f64::INFINITY } else { off.max(most) })
}

/// The largest error of an output and its moments. A moment counts against the largest of its own vector.
pub(crate) fn forward_error(
    block: &Block<Vec<f32>>,
    output: &[f32],
    moments: &[BranchMoments],
) -> f64 {
    let want = outcome(&widened(block), None);
    let mut worst = relative_error(output, &want.output);
    assert_eq!(moments.len(), want.moments.len(), "branches");
    for (got, want) in moments.iter().zip(&want.moments) {
        for (got, want) in [&got.first, &got.end].into_iter().zip(want) {
            assert_eq!(got.is_some(), want.is_some(), "norms");
            let (Some(got), Some(want)) = (got, want) else { continue };
            worst = worst.max(moments_error(got, want));
        }
    }
    worst
}

fn moments_error(got: &Moments, want: &Moments64) -> f64 {
    let deviation = want.1.iter().fold(0.0, |most: f64, value| most.max(value.sqrt()));
    // A mean near zero is as wrong as its values are wide.
    let off = relative_error(&got.mean, &want.0);
    let largest = want.0.iter().fold(1e-3, |most: f64, value| most.max(value.abs()));
    let mean = off * largest / largest.max(deviation);
    mean.max(relative_error(&got.variance, &want.1))
}

/// The largest error of the gradients of `Σ output · output_gradient`, by central differences along a random
/// direction over each tensor and along single values of it.
///
/// An error counts against the largest value of its gradient, or of what the gradient is a small difference of:
/// a norm cancels most of what reaches it. Running statistics must have no gradient, everything else one.
pub(crate) fn gradient_error(
    block: &Block<Vec<f32>>,
    output_gradient: &[f32],
    gradient: &Block<Option<Vec<f32>>>,
) -> f64 {
    let wide = widened(block);
    let borders = outcome(&wide, None).borders;
    let loss = |block: &Block<Vec<f64>>| -> f64 {
        let output = outcome(block, Some(&borders)).output;
        output.iter().zip(output_gradient).map(|(value, g)| value * f64::from(*g)).sum()
    };
    let (mut tensors, mut gradients) = (Vec::new(), Vec::new());
    wide.visit(|values| tensors.push(values.len()));
    gradient.visit(|values| gradients.push(values.as_deref()));
    assert_eq!(tensors.len(), gradients.len(), "tensors");
    let has = with_gradient(block);
    let largest =
        |values: &[f32]| values.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
    // Parameters sum over the maps, maps do not: each is measured with its like.
    let is_map = |len: usize| len == block.input.len() || len == output_gradient.len();
    let parameters = gradients.iter().flatten().filter(|values| !is_map(values.len()));
    let parameters = parameters.map(|values| largest(values)).fold(0.0, f32::max);
    let maps = largest(output_gradient);

    let draw = &mut ChaCha8Rng::seed_from_u64(tensors.iter().sum::<usize>() as u64);
    let mut worst: f64 = 0.0;
    for (number, (&len, values)) in tensors.iter().zip(&gradients).enumerate() {
        assert_eq!(values.is_some(), has[number], "tensor {number} has a gradient");
        let Some(values) = values else { continue };
        assert_eq!(values.len(), len, "length of gradient {number}");
        let like = if is_map(len) { maps } else { parameters };
        let scale = f64::from(largest(values).max(like)).max(1e-3);
        let signs = (0..len).map(|_| if draw.random_range(0..2) == 0 { 1.0 } else { -1.0 });
        let mut directions: Vec<Vec<f64>> = vec![signs.collect()];
        for _ in 0..3 {
            let mut one = vec![0.0; len];
            one[draw.random_range(0..len)] = 1.0;
            directions.push(one);
        }
        for direction in directions {
            let promised = values.iter().zip(&direction).map(|(g, d)| f64::from(*g) * d);
            let promised: f64 = promised.sum();
            let moved = |step: f64| {
                let mut count = 0..;
                wide.clone().map(|mut values| {
                    if count.next() == Some(number) {
                        values.iter_mut().zip(&direction).for_each(|(v, d)| *v += step * d);
                    }
                    values
                })
            };
            let found = (loss(&moved(STEP)) - loss(&moved(-STEP))) / (2.0 * STEP);
            let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
            let error = (promised - found).abs() / (scale * length);
            worst = worst.max(if error.is_nan() { f64::INFINITY } else { error });
        }
    }
    worst
}

/// Which tensors have a gradient: all but running statistics, in [`Block::map`]'s order.
fn with_gradient<T: Clone>(block: &Block<T>) -> Vec<bool> {
    let mut named = block.clone().map(|_| true);
    let none = |norm: &mut Norm<bool>| {
        if let By::Batch(running) = &mut norm.by {
            (running.mean, running.variance) = (false, false);
        }
    };
    for branch in &mut named.branches {
        branch.first.iter_mut().for_each(|first| none(&mut first.norm));
        if let End::Norm(norm) = &mut branch.end {
            none(norm);
        }
    }
    let mut list = Vec::new();
    named.visit(|has| list.push(*has));
    list
}

#[cfg(test)]
mod tests {
    use super::super::random::{Kind, random_block, random_norm, random_values};
    use super::super::{Branch, Core};
    use super::*;

    /// Of maps alone: the gradient of a batch norm is known.
    #[test]
    fn the_comparison_accepts_a_right_gradient_and_refuses_a_wrong_one() {
        for (number, kind) in [(0, Kind::Dense), (1, Kind::Grouped), (2, Kind::Depthwise)] {
            let mut block = random_block(number, kind);
            let (channels, count) = (block.shape.channels[1], block.shape.output_len());
            let map = random_values(number, count);
            let norm = random_norm(&mut ChaCha8Rng::seed_from_u64(number), channels);
            let core = Core::Given { map: map.clone() };
            block.branches = vec![Branch { first: None, core, end: End::Norm(norm.clone()) }];
            let g = random_values(number + 10, count);

            let want = outcome(&widened(&block), None);
            let Some((means, variances)) = &want.moments[0][1] else { panic!("it has a norm") };
            let pixels = block.shape.pixels_out();
            let mut count_of = 0..;
            let has = with_gradient(&block);
            let mut gradient = block
                .clone()
                .map(|values| has[count_of.next().unwrap()].then(|| vec![0.0; values.len()]));
            let Branch { core: Core::Given { map: Some(d) }, end: End::Norm(dn), .. } =
                &mut gradient.branches[0]
            else {
                panic!("the branch that was put there")
            };
            let n = (count / channels) as f64;
            for channel in 0..channels {
                let places: Vec<usize> =
                    (0..count).filter(|i| i / pixels % channels == channel).collect();
                let deviation = (variances[channel] + norm.epsilon).sqrt();
                let y = |i: usize| (f64::from(map[i]) - means[channel]) / deviation;
                let sum: f64 = places.iter().map(|&i| f64::from(g[i])).sum();
                let dot: f64 = places.iter().map(|&i| f64::from(g[i]) * y(i)).sum();
                let scale = f64::from(norm.gamma[channel]) / deviation;
                for &i in &places {
                    d[i] = (scale * (f64::from(g[i]) - sum / n - y(i) * dot / n)) as f32;
                }
                if let (Some(gamma), Some(beta)) = (&mut dn.gamma, &mut dn.beta) {
                    (gamma[channel], beta[channel]) = (dot as f32, sum as f32);
                }
            }
            assert!(gradient_error(&block, &g, &gradient) < 1e-6);
            let narrow = |values: &[f64]| values.iter().map(|value| *value as f32).collect();
            let rounded: Vec<f32> = narrow(&want.output);
            let end = Some(Moments { mean: narrow(means), variance: narrow(variances) });
            let moments = [BranchMoments { first: None, end }];
            assert!(forward_error(&block, &rounded, &moments) < 1e-6);

            let Core::Given { map: Some(d) } = &mut gradient.branches[0].core else {
                panic!("the branch that was put there")
            };
            d.iter_mut().zip(&g).for_each(|(d, g)| *d += 1e-2 * g);
            assert!(gradient_error(&block, &g, &gradient) > 1e-4);
            assert!(relative_error(&[1.0, f32::NAN], &[1.0, 2.0]) > 1.0);
        }
    }
}
