//! Depthwise convolution: each plane by itself, taps added row by row.

use rayon::prelude::*;

use crate::shape::{ConvShape, reach};

/// Calls `visit` for each row of one plane's output that a tap reads inside the input: the start of the row's
/// first such output, how many there are, and where the first reads.
fn each_segment(shape: &ConvShape, tap: [usize; 2], mut visit: impl FnMut(usize, usize, usize)) {
    let [height, width] = shape.output();
    let along = |axis: usize, output: usize| {
        let (before, _) = shape.padding[axis];
        reach(
            tap[axis],
            shape.dilation[axis],
            shape.stride[axis],
            before,
            shape.input[axis],
            output,
        )
    };
    let (rows, first_row) = along(0, height);
    let (columns, first_column) = along(1, width);
    if columns.is_empty() {
        return;
    }
    for (i, row) in rows.enumerate() {
        let read = (first_row + i * shape.stride[0]) * shape.input[1] + first_column;
        visit(row * width + columns.start, columns.len(), read);
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
    let (outputs, step) = (shape.channels[1], shape.stride[1]);
    let planes = output.par_chunks_exact_mut(shape.pixels_out()).enumerate();
    planes.for_each(|(plane, target)| {
        let (image, channel) = (plane / outputs, plane % outputs);
        target.fill(bias.map_or(0.0, |bias| bias[channel]));
        let source = &input[input_plane(shape, image, channel)..][..shape.pixels_in()];
        let weights = &weight[channel * shape.taps()..];
        for (tap, &weight) in taps(shape).zip(weights) {
            each_segment(shape, tap, |start, len, read| {
                let target = &mut target[start..start + len];
                let source = &source[read..];
                if step == 1 {
                    let pairs = target.iter_mut().zip(source);
                    pairs.for_each(|(target, source)| *target += weight * source);
                } else {
                    let pairs = target.iter_mut().zip(source.iter().step_by(step));
                    pairs.for_each(|(target, source)| *target += weight * source);
                }
            });
        }
    });
}

pub(crate) fn backward_input(
    shape: &ConvShape,
    output_gradient: &[f32],
    weight: &[f32],
    input_gradient: &mut [f32],
) {
    let [inputs, outputs] = shape.channels;
    let (each, step) = (outputs / inputs, shape.stride[1]);
    let planes = input_gradient.par_chunks_exact_mut(shape.pixels_in()).enumerate();
    planes.for_each(|(plane, target)| {
        let (image, input) = (plane / inputs, plane % inputs);
        target.fill(0.0);
        for channel in input * each..(input + 1) * each {
            let source = &output_gradient[(image * outputs + channel) * shape.pixels_out()..];
            for (tap, &weight) in taps(shape).zip(&weight[channel * shape.taps()..]) {
                each_segment(shape, tap, |start, len, read| {
                    let source = &source[start..start + len];
                    let target = target[read..].iter_mut();
                    if step == 1 {
                        let pairs = target.zip(source);
                        pairs.for_each(|(target, source)| *target += weight * source);
                    } else {
                        let pairs = target.step_by(step).zip(source);
                        pairs.for_each(|(target, source)| *target += weight * source);
                    }
                });
            }
        }
    });
}

pub(crate) fn backward_weight(
    shape: &ConvShape,
    input: &[f32],
    output_gradient: &[f32],
    weight_gradient: &mut [f32],
) {
    let (outputs, step) = (shape.channels[1], shape.stride[1]);
    let channels = weight_gradient.par_chunks_exact_mut(shape.taps()).enumerate();
    channels.for_each(|(channel, target)| {
        target.fill(0.0);
        for image in 0..shape.batch {
            let source = &input[input_plane(shape, image, channel)..][..shape.pixels_in()];
            let gradient = &output_gradient[(image * outputs + channel) * shape.pixels_out()..];
            for (tap, target) in taps(shape).zip(&mut *target) {
                each_segment(shape, tap, |start, len, read| {
                    *target += dot(&gradient[start..start + len], &source[read..], step);
                });
            }
        }
    });
}

/// Σ left · right, `right` read at every `step`-th value. Eight partial sums, so that lanes do not wait for
/// each other.
fn dot(left: &[f32], right: &[f32], step: usize) -> f32 {
    let mut sums = [0.0; 8];
    if step == 1 {
        let right = &right[..left.len()];
        let (left, left_rest) = left.as_chunks::<8>();
        let (right, right_rest) = right.as_chunks::<8>();
        for (left, right) in left.iter().zip(right) {
            for lane in 0..8 {
                sums[lane] += left[lane] * right[lane];
            }
        }
        let rest = left_rest.iter().zip(right_rest);
        return sums.iter().sum::<f32>() + rest.map(|(left, right)| left * right).sum::<f32>();
    }
    let pairs = left.iter().zip(right.iter().step_by(step));
    pairs.map(|(left, right)| left * right).sum()
}

/// Where the input plane of an output channel starts.
fn input_plane(shape: &ConvShape, image: usize, channel: usize) -> usize {
    let [inputs, outputs] = shape.channels;
    (image * inputs + channel * inputs / outputs) * shape.pixels_in()
}
