//! A block from its definition, in double precision: slow loops that the fast code is held against.
//!
//! Gradients are not derived a second time. [`gradient_error`] perturbs each tensor and compares the loss
//! `Σ output · g` with what the gradient promised, which also finds mistakes that two derivations would share.

use super::{Block, Branch, Core, End, First, Norm, Running, Window};
use crate::shape::ConvShape;

/// Mean and biased variance, each `[channels]`.
pub(crate) type Moments64 = (Vec<f64>, Vec<f64>);

/// What a block computes, and what it meets on the way.
pub(crate) struct Outcome {
    pub(crate) output: Vec<f64>,
    /// By branch, of the first norm and of the one at the end.
    pub(crate) moments: Vec<[Option<Moments64>; 2]>,
    /// What stands beyond the border behind the first norm, `[channels]`, by branch; empty without one.
    pub(crate) borders: Vec<Vec<f64>>,
}

/// Given `borders` replace the images of zero: they have no gradient, so a perturbation must not move them.
pub(crate) fn outcome(block: &Block<Vec<f64>>, borders: Option<&[Vec<f64>]>) -> Outcome {
    let shape = &block.shape;
    let output = vec![0.0; shape.output_len()];
    let mut outcome = Outcome { output, moments: Vec::new(), borders: Vec::new() };
    for (number, branch) in block.branches.iter().enumerate() {
        let mut moments = [None, None];
        let mut border = vec![0.0; shape.channels[0]];
        let mut seen = block.input.clone();
        if let Some(First { weight, norm }) = &branch.first {
            let map = pointwise_convolved(shape, &block.input, weight);
            let (map, first) = normalised(&map, norm, shape.batch);
            border = borders.map_or_else(
                || image_of_zero(norm, norm.running(), &first),
                |borders| borders[number].clone(),
            );
            (seen, moments[0]) = (map, Some(first));
        }
        let map = core_map(shape, branch, &seen, &border);
        let map = match &branch.end {
            End::Norm(norm) => {
                let (map, end) = normalised(&map, norm, shape.batch);
                moments[1] = Some(end);
                map
            }
            End::Scale(scale) => {
                let place = |place: usize| place / shape.pixels_out() % shape.channels[1];
                map.iter().enumerate().map(|(at, value)| value * scale[place(at)]).collect()
            }
            End::Nothing => map,
        };
        outcome.moments.push(moments);
        outcome.borders.push(if branch.first.is_some() { border } else { vec![] });
        outcome.output.iter_mut().zip(map).for_each(|(sum, value)| *sum += value);
    }
    outcome
}

/// What the branch's end sees, of what the taps see and its border.
fn core_map(
    shape: &ConvShape,
    branch: &Branch<Vec<f64>>,
    seen: &[f64],
    border: &[f64],
) -> Vec<f64> {
    match &branch.core {
        Core::Conv { window, weight, bias } => {
            convolved(shape, *window, seen, border, weight, bias.as_ref())
        }
        Core::Average => averaged(shape, seen, border),
        Core::Input => seen.to_vec(),
        Core::Given { map } => map.clone(),
    }
}

/// A 1×1 convolution of stride 1 without padding.
fn pointwise_convolved(shape: &ConvShape, input: &[f64], weight: &[f64]) -> Vec<f64> {
    let outputs = weight.len() / shape.per_group()[0];
    let shape = ConvShape {
        channels: [shape.channels[0], outputs],
        kernel: [1, 1],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [(0, 0); 2],
        ..*shape
    };
    let whole = Window::whole([1, 1]);
    convolved(&shape, whole, input, &vec![0.0; shape.channels[0]], weight, None)
}

/// The mean over all taps, each channel by itself.
fn averaged(shape: &ConvShape, map: &[f64], border: &[f64]) -> Vec<f64> {
    let channels = border.len();
    let shape = ConvShape { channels: [channels; 2], groups: channels, ..*shape };
    let whole = Window::whole(shape.kernel);
    let weight = vec![1.0 / shape.taps() as f64; channels * shape.taps()];
    convolved(&shape, whole, map, border, &weight, None)
}

/// A convolution with the taps of `window` out of `shape.kernel`. The input's channels are `border`'s, whose
/// values stand beyond the border; the output's are `shape.channels[1]`.
fn convolved(
    shape: &ConvShape,
    window: Window,
    input: &[f64],
    border: &[f64],
    weight: &[f64],
    bias: Option<&Vec<f64>>,
) -> Vec<f64> {
    let [height, width] = shape.output();
    let outputs = shape.channels[1];
    let (each_in, each_out) = (border.len() / shape.groups, outputs / shape.groups);
    let mut output = Vec::with_capacity(shape.output_len());
    for place in 0..shape.output_len() {
        let (row, column) = (place / width % height, place % width);
        let (image, channel) = (place / width / height / outputs, place / width / height % outputs);
        let mut sum = bias.map_or(0.0, |bias| bias[channel]);
        for input_of_group in 0..each_in {
            let from = channel / each_out * each_in + input_of_group;
            let plane = &input[(image * border.len() + from) * shape.pixels_in()..];
            for tap in 0..window.size[0] * window.size[1] {
                let [high, wide] = [tap / window.size[1], tap % window.size[1]];
                let read = |axis: usize, output: usize, tap: usize| {
                    (output * shape.stride[axis]
                        + (window.start[axis] + tap * window.step[axis]) * shape.dilation[axis])
                        .checked_sub(shape.padding[axis].0)
                        .filter(|place| *place < shape.input[axis])
                };
                let value = match (read(0, row, high), read(1, column, wide)) {
                    (Some(row), Some(column)) => plane[row * shape.input[1] + column],
                    _ => border[from],
                };
                let taps = window.size[0] * window.size[1];
                sum += value * weight[(channel * each_in + input_of_group) * taps + tap];
            }
        }
        output.push(sum);
    }
    output
}

/// A map `[batch, channels, pixels]` normalised by its own mean and biased variance.
fn normalised(map: &[f64], norm: &Norm<Vec<f64>>, batch: usize) -> (Vec<f64>, Moments64) {
    let channels = norm.gamma.len();
    let pixels = map.len() / batch / channels;
    let channel_of = |place: usize| place / pixels % channels;
    let count = (batch * pixels) as f64;
    let mut mean = vec![0.0; channels];
    for (place, value) in map.iter().enumerate() {
        mean[channel_of(place)] += value / count;
    }
    let mut variance = vec![0.0; channels];
    for (place, value) in map.iter().enumerate() {
        variance[channel_of(place)] += (value - mean[channel_of(place)]).powi(2) / count;
    }
    let values = map.iter().enumerate().map(|(place, value)| {
        let channel = channel_of(place);
        let deviation = (variance[channel] + norm.epsilon).sqrt();
        norm.gamma[channel] * (value - mean[channel]) / deviation + norm.beta[channel]
    });
    (values.collect(), (mean, variance))
}

/// What the norm makes of zero by the running statistics as this batch leaves them.
fn image_of_zero(
    norm: &Norm<Vec<f64>>,
    running: &Running<Vec<f64>>,
    moments: &Moments64,
) -> Vec<f64> {
    let momentum = running.momentum;
    let images = (0..moments.0.len()).map(|channel| {
        let mean = running.mean[channel] * (1.0 - momentum) + moments.0[channel] * momentum;
        let variance = running.variance[channel] * (1.0 - momentum)
            + moments.1[channel] * running.unbias * momentum;
        let deviation = (variance + norm.epsilon).sqrt();
        norm.beta[channel] - mean * norm.gamma[channel] / deviation
    });
    images.collect()
}
