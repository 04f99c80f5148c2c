//! Random blocks.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{Block, Branch, By, Core, End, First, Norm, Running, Window};
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

#[cfg(test)]
mod tests {
    use super::*;

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
