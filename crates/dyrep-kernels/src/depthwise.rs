//! Depthwise convolution: each plane by itself, taps added row by row.
//!
//! A plane is copied into a frame of zeros first, so that no tap has to ask where the border is. The loops are
//! plain; `pulp` compiles them for each set of instructions and picks one when the program runs.

use pulp::Arch;
use rayon::prelude::*;

use crate::shape::ConvShape;

/// Partial sums of a scalar product, so that lanes do not wait for each other.
const LANES: usize = 8;

/// A plane in its frame of zeros.
#[derive(Default)]
struct Framed {
    values: Vec<f32>,
    width: usize,
}

impl Framed {
    /// Copies a plane of the input.
    fn fill(&mut self, shape: &ConvShape, plane: &[f32]) {
        let [(top, bottom), (left, right)] = shape.padding;
        let [height, width] = shape.input;
        self.width = left + width + right;
        self.values.clear();
        self.values.resize((top + height + bottom) * self.width, 0.0);
        let inside = self.values[top * self.width..].chunks_exact_mut(self.width);
        for (target, row) in inside.zip(plane.chunks_exact(width)) {
            target[left..left + width].copy_from_slice(row);
        }
    }

    /// What a tap reads for one row of the output, from its first column on.
    #[inline(always)]
    fn read(&self, shape: &ConvShape, row: usize, [high, wide]: [usize; 2]) -> &[f32] {
        let row = row * shape.stride[0] + high * shape.dilation[0];
        &self.values[row * self.width + wide * shape.dilation[1]..]
    }
}

/// One row of output from three rows of input by a 3×3 kernel of stride 1: all taps in one pass.
#[inline(always)]
fn row_3x3(target: &mut [f32], rows: [&[f32]; 3], weights: &[f32; 9]) {
    let len = target.len();
    let rows = rows.map(|row| &row[..len + 2]);
    for column in 0..len {
        let mut sum = target[column];
        for (row, weights) in rows.iter().zip(weights.as_chunks::<3>().0) {
            for (tap, weight) in weights.iter().enumerate() {
                sum += weight * row[column + tap];
            }
        }
        target[column] = sum;
    }
}

/// Adds the plane convolved with `weights` to `target`.
#[inline(always)]
fn add_plane(shape: &ConvShape, framed: &Framed, weights: &[f32], target: &mut [f32]) {
    let step = shape.stride[1];
    let rows = target.chunks_exact_mut(shape.output()[1]).enumerate();
    let fits: Option<&[f32; 9]> = match (shape.kernel, step, shape.dilation[1]) {
        ([3, 3], 1, 1) => weights.try_into().ok(),
        _ => None,
    };
    for (row, target) in rows {
        if let Some(weights) = fits {
            let rows = [0, 1, 2].map(|high| framed.read(shape, row, [high, 0]));
            row_3x3(target, rows, weights);
            continue;
        }
        for (tap, &weight) in taps(shape).zip(weights) {
            let source = framed.read(shape, row, tap);
            if step == 1 {
                let pairs = target.iter_mut().zip(source);
                pairs.for_each(|(target, source)| *target += weight * source);
            } else {
                let pairs = target.iter_mut().zip(source.iter().step_by(step));
                pairs.for_each(|(target, source)| *target += weight * source);
            }
        }
    }
}

fn taps(shape: &ConvShape) -> impl Iterator<Item = [usize; 2]> {
    let [height, width] = shape.kernel;
    (0..height).flat_map(move |row| (0..width).map(move |column| [row, column]))
}

pub(crate) fn forward(
    shape: &ConvShape,
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    output: &mut [f32],
) {
    let outputs = shape.channels[1];
    let planes = output.par_chunks_exact_mut(shape.pixels_out()).enumerate();
    planes.for_each_init(Framed::default, |framed, (plane, target)| {
        let (image, channel) = (plane / outputs, plane % outputs);
        target.fill(bias.map_or(0.0, |bias| bias[channel]));
        framed.fill(shape, input_plane(shape, input, image, channel));
        let weights = &weight[channel * shape.taps()..][..shape.taps()];
        Arch::new().dispatch(|| add_plane(shape, framed, weights, target));
    });
}

/// Adds one plane of the output's gradient to the framed gradient of the input.
#[inline(always)]
fn spread_plane(shape: &ConvShape, gradient: &[f32], weights: &[f32], framed: &mut Framed) {
    let step = shape.stride[1];
    for (row, source) in gradient.chunks_exact(shape.output()[1]).enumerate() {
        for ([high, wide], &weight) in taps(shape).zip(weights) {
            let row = row * shape.stride[0] + high * shape.dilation[0];
            let start = row * framed.width + wide * shape.dilation[1];
            let target = framed.values[start..].iter_mut();
            if step == 1 {
                let pairs = target.zip(source);
                pairs.for_each(|(target, source)| *target += weight * source);
            } else {
                let pairs = target.step_by(step).zip(source);
                pairs.for_each(|(target, source)| *target += weight * source);
            }
        }
    }
}

pub(crate) fn backward_input(
    shape: &ConvShape,
    output_gradient: &[f32],
    weight: &[f32],
    input_gradient: &mut [f32],
) {
    let [inputs, outputs] = shape.channels;
    let each = outputs / inputs;
    let zeros = vec![0.0; shape.pixels_in()];
    let planes = input_gradient.par_chunks_exact_mut(shape.pixels_in()).enumerate();
    planes.for_each_init(Framed::default, |framed, (plane, target)| {
        let (image, input) = (plane / inputs, plane % inputs);
        framed.fill(shape, &zeros);
        for channel in input * each..(input + 1) * each {
            let start = (image * outputs + channel) * shape.pixels_out();
            let gradient = &output_gradient[start..][..shape.pixels_out()];
            let weights = &weight[channel * shape.taps()..][..shape.taps()];
            Arch::new().dispatch(|| spread_plane(shape, gradient, weights, framed));
        }
        let [(top, _), (left, _)] = shape.padding;
        let width = shape.input[1];
        let rows = framed.values[top * framed.width..].chunks_exact(framed.width);
        for (target, row) in target.chunks_exact_mut(width).zip(rows) {
            target.copy_from_slice(&row[left..left + width]);
        }
    });
}

pub(crate) fn backward_weight(
    shape: &ConvShape,
    input: &[f32],
    output_gradient: &[f32],
    weight_gradient: &mut [f32],
) {
    let outputs = shape.channels[1];
    let channels = weight_gradient.par_chunks_exact_mut(shape.taps()).enumerate();
    channels.for_each_init(Framed::default, |framed, (channel, target)| {
        target.fill(0.0);
        for image in 0..shape.batch {
            framed.fill(shape, input_plane(shape, input, image, channel));
            let start = (image * outputs + channel) * shape.pixels_out();
            let gradient = &output_gradient[start..][..shape.pixels_out()];
            Arch::new().dispatch(|| correlate(shape, framed, gradient, target));
        }
    });
}

/// Adds each tap's scalar product of the output's gradient with what the tap reads.
#[inline(always)]
fn correlate(shape: &ConvShape, framed: &Framed, gradient: &[f32], target: &mut [f32]) {
    let step = shape.stride[1];
    for (tap, target) in taps(shape).zip(target) {
        let mut sums = [0.0; LANES];
        for (row, gradient) in gradient.chunks_exact(shape.output()[1]).enumerate() {
            let read = framed.read(shape, row, tap);
            if step == 1 {
                add_products(&mut sums, gradient, &read[..gradient.len()]);
            } else {
                let pairs = gradient.iter().zip(read.iter().step_by(step)).enumerate();
                pairs.for_each(|(i, (left, right))| sums[i % LANES] += left * right);
            }
        }
        *target += sums.iter().sum::<f32>();
    }
}

#[inline(always)]
fn add_products(sums: &mut [f32; LANES], left: &[f32], right: &[f32]) {
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            sums[lane] += left[lane] * right[lane];
        }
    }
    let rest = left_rest.iter().zip(right_rest).zip(sums);
    rest.for_each(|((left, right), sum)| *sum += left * right);
}

/// The input plane of an output channel.
fn input_plane<'a>(shape: &ConvShape, input: &'a [f32], image: usize, channel: usize) -> &'a [f32] {
    let [inputs, outputs] = shape.channels;
    let plane = image * inputs + channel * inputs / outputs;
    &input[plane * shape.pixels_in()..][..shape.pixels_in()]
}
