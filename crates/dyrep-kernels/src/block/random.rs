//! Random blocks, and the two comparisons that every fast block has to pass.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::reference::{Moments64, outcome};
use super::{Block, Branch, BranchMoments, By, Core, End, First, Moments, Norm, Running, Window};
use crate::shape::ConvShape;

/// Which channels see each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All of them.
    Dense,
    /// All of them, and enough of them, of a 3×3, for Winograd's way.
    Wide,
    /// Those of a group; two or three groups.
    Grouped,
    /// None.
    Depthwise,
}

/// Step of the central differences: their error is about its square, 1e-10, and rounding adds 1e-16 / 1e-5.
const STEP: f64 = 1e-5;

/// A block of random geometry and branches; the same number draws the same block.
pub(crate) fn random_block(number: u64, kind: Kind) -> Block<Vec<f32>> {
    let draw = &mut ChaCha8Rng::seed_from_u64(number);
    let shape = random_shape(draw, kind);
    let count = draw.random_range(1..=7);
    let mut branches: Vec<Branch<Vec<f32>>> = Vec::new();
    while branches.len() < count {
        branches.push(random_branch(draw, &shape, kind));
        // Sometimes the same kernel again, with other weights and perhaps another end.
        let last = branches[branches.len() - 1].clone();
        if matches!(last.core, Core::Conv { .. }) && draw.random_range(0..6) == 0 {
            let mut again = Branch { end: random_end(draw, shape.channels[1]), ..last };
            if let Core::Conv { weight, .. } = &mut again.core {
                weight.iter_mut().for_each(|value| *value = 0.3 - *value);
            }
            branches.push(again);
        }
    }
    Block { shape, input: values(draw, shape.input_len(), -1.0..1.5), branches }
}

/// Values from -1 to 1; the same number draws the same values.
pub(crate) fn random_values(number: u64, count: usize) -> Vec<f32> {
    values(&mut ChaCha8Rng::seed_from_u64(number), count, -1.0..1.0)
}

fn values(draw: &mut ChaCha8Rng, count: usize, range: std::ops::Range<f32>) -> Vec<f32> {
    (0..count).map(|_| draw.random_range(range.clone())).collect()
}

fn random_shape(draw: &mut ChaCha8Rng, kind: Kind) -> ConvShape {
    if kind == Kind::Wide {
        let channels = draw.random_range(16..=20);
        let same = draw.random_range(0..2) == 0;
        let two = |draw: &mut ChaCha8Rng, least: usize, most: usize| {
            [0; 2].map(|_| draw.random_range(least..=most))
        };
        let padding = if same { [(1, 1); 2] } else { two(draw, 0, 2).map(|pad| (pad, 1)) };
        return ConvShape {
            batch: 3,
            channels: [channels, if same { channels } else { 17 }],
            input: two(draw, 8, 11),
            kernel: [3, 3],
            stride: [1, 1],
            dilation: [1, 1],
            padding,
            groups: 1,
        };
    }
    loop {
        let groups = match kind {
            Kind::Dense | Kind::Wide => 1,
            Kind::Grouped => draw.random_range(2..=3),
            Kind::Depthwise => draw.random_range(1..=4),
        };
        let [inputs, outputs] = match kind {
            Kind::Depthwise => [1, 1],
            _ => [0; 2].map(|_| draw.random_range(1..=3)),
        };
        let same = draw.random_range(0..2) == 0;
        let mut two = |most: usize| [0; 2].map(|_| draw.random_range(1..=most));
        let (input, kernel) = (two(11), two(5));
        let [stride, dilation] = if same { [[1, 1], two(2)] } else { [two(2), two(2)] };
        let padding = [0, 1].map(|axis| {
            // As often as not the padding that keeps the size, so that identities are possible.
            let needed = (kernel[axis] - 1) * dilation[axis];
            let before = draw.random_range(0..=needed.min(kernel[axis]));
            let any = draw.random_range(0..=kernel[axis]);
            if same { (before, needed - before) } else { (before, any) }
        });
        let shape = ConvShape {
            batch: draw.random_range(1..=3),
            channels: [groups * inputs, groups * outputs],
            input,
            kernel,
            stride,
            dilation,
            padding,
            groups,
        };
        // Of a handful of values the variance may be tiny: that is rounding blown up, not a mistake.
        let enough = |pixels: usize| shape.batch * pixels >= 8;
        if shape.check().is_ok() && enough(shape.pixels_in()) && enough(shape.pixels_out()) {
            return shape;
        }
    }
}

fn random_branch(draw: &mut ChaCha8Rng, shape: &ConvShape, kind: Kind) -> Branch<Vec<f32>> {
    let [inputs, outputs] = shape.channels;
    let [each, _] = shape.per_group();
    let square = inputs == outputs;
    loop {
        let end = random_end(draw, outputs);
        let starts = draw.random_range(0..3) == 0;
        let first = |draw: &mut ChaCha8Rng, middle: usize| First {
            weight: values(draw, middle * each, 0.3..1.0),
            norm: random_norm(draw, middle),
        };
        match draw.random_range(0..6) {
            0..3 => {
                let per_group = match kind {
                    _ if !starts => each,
                    Kind::Depthwise => 1,
                    Kind::Wide => 16,
                    _ => draw.random_range(1..=3),
                };
                let first = starts.then(|| first(draw, shape.groups * per_group));
                let window = random_window(draw, shape.kernel);
                let weight = values(draw, outputs * per_group * window.count(), -1.0..1.0);
                let bias = (draw.random_range(0..2) == 0).then(|| values(draw, outputs, -1.0..1.0));
                return Branch { first, core: Core::Conv { window, weight, bias }, end };
            }
            3 if square || starts => {
                let first = starts.then(|| first(draw, outputs));
                return Branch { first, core: Core::Average, end };
            }
            4 if square && shape.input == shape.output() => {
                return Branch { first: None, core: Core::Input, end };
            }
            5 => {
                let map = values(draw, shape.output_len(), -1.0..2.0);
                return Branch { first: None, core: Core::Given { map }, end };
            }
            _ => {}
        }
    }
}

/// The whole kernel, one tap, a row, a column, or taps that leave out others.
fn random_window(draw: &mut ChaCha8Rng, kernel: [usize; 2]) -> Window {
    let mut window = Window::whole(kernel);
    for (axis, kernel) in kernel.into_iter().enumerate() {
        match draw.random_range(0..5) {
            0 | 1 => window.size[axis] = 1,
            2 => {
                window.step[axis] = draw.random_range(1..=3);
                window.size[axis] = draw.random_range(1..=kernel.div_ceil(window.step[axis]));
            }
            _ => {}
        }
        let span = (window.size[axis] - 1) * window.step[axis] + 1;
        window.start[axis] = draw.random_range(0..=kernel - span);
    }
    window
}

/// A norm more often than not.
fn random_end(draw: &mut ChaCha8Rng, channels: usize) -> End<Vec<f32>> {
    match draw.random_range(0..5) {
        0 => End::Scale(values(draw, channels, -1.0..1.0)),
        1 => End::Nothing,
        _ => End::Norm(random_norm(draw, channels)),
    }
}

pub(crate) fn random_norm(draw: &mut ChaCha8Rng, channels: usize) -> Norm<Vec<f32>> {
    Norm {
        gamma: values(draw, channels, -1.5..1.5),
        beta: values(draw, channels, -1.0..1.0),
        epsilon: [1e-3, 1e-2, 0.1][draw.random_range(0..3)],
        by: By::Batch(Running {
            mean: values(draw, channels, -1.0..1.0),
            variance: values(draw, channels, 0.2..2.0),
            momentum: [0.1, 0.5, 1.0][draw.random_range(0..3)],
            unbias: [1.0, 1.05][draw.random_range(0..2)],
        }),
    }
}

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
                let deviation = (variances[channel] + f64::from(norm.epsilon)).sqrt();
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

    #[test]
    fn every_kind_draws_all_that_a_branch_can_be() {
        for (kind, blocks) in
            [(Kind::Dense, 60), (Kind::Grouped, 60), (Kind::Wide, 40), (Kind::Depthwise, 60)]
        {
            let mut seen = std::collections::BTreeMap::<&str, usize>::new();
            let mut count =
                |name, there: bool| *seen.entry(name).or_default() += usize::from(there);
            for number in 0..blocks {
                let block = random_block(number, kind);
                assert_eq!(block.shape.check(), Ok(()));
                let windows = |branch: &Branch<_>| match branch {
                    Branch { first: None, core: Core::Conv { window, .. }, .. } => Some(*window),
                    _ => None,
                };
                for (place, branch) in block.branches.iter().enumerate() {
                    let Branch { first, core, end } = branch;
                    let (starts, is_norm) = (first.is_some(), matches!(end, End::Norm(_)));
                    count("ends in a norm", is_norm);
                    count("ends in a scale", matches!(end, End::Scale(_)));
                    count("ends in nothing", matches!(end, End::Nothing));
                    count("average", !starts && matches!(core, Core::Average));
                    count("first, then average", starts && matches!(core, Core::Average));
                    count("input", matches!(core, Core::Input));
                    count("input without a norm", !is_norm && matches!(core, Core::Input));
                    count("given", matches!(core, Core::Given { .. }));
                    let Core::Conv { window, bias, .. } = core else { continue };
                    count(
                        "first, then a smaller kernel",
                        starts && window.size != block.shape.kernel,
                    );
                    count("first without a norm behind it", starts && !is_norm);
                    count("dilated", !starts && !window.is_dense());
                    count("first, then dilated", starts && !window.is_dense());
                    count("bias that counts", bias.is_some() && !is_norm);
                    let again = block.branches[..place].iter().filter_map(windows);
                    count("repeated", !starts && again.into_iter().any(|other| other == *window));
                }
            }
            assert!(seen.values().all(|count| *count > 0), "{kind:?}: {seen:?}");
        }
    }
}
