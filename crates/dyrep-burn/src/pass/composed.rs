//! A block's plan by tensor operations, branch by branch, on any device and for any float type, where no executor computes it whole.

use std::ops::Range;

use burn::backend::DispatchTensor;
use burn::tensor::Tensor;
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::{AvgPoolOptions, ConvOptions};
use dyrep_kernels::ConvShape;
use dyrep_kernels::block::{
    Block as Plan, Branch as Part, By, Core, End, First, Norm, Running, Window, refuses,
};

use super::Pass;
use super::merged::merge_all;
use crate::fuse::{NormAffine, options_of, wide};
use crate::ops::{self, BranchMoments, Done, Tail, conv2d, in_numbers_of, normalize, run, widely};

/// Mean and biased variance, `[channels]` each.
pub(super) type Moments = [Tensor<1>; 2];

/// The output of a plan and the moments of its norms, by branch.
pub(super) fn execute(
    plan: Plan<DispatchTensor>,
    pass: Pass,
) -> (Tensor<4>, Vec<BranchMoments<Tensor<1>>>) {
    // What a growth measures must stay what it was to the bit: runs go on from what earlier versions have written.
    if let Pass::Calibrate { .. } = pass {
        return compose_all(plan);
    }
    let mut parts = in_parts(plan).into_iter().map(execute_part);
    let (mut output, mut moments) = parts.next().unwrap_or_else(|| unreachable!("kxk is there"));
    for (other, more) in parts {
        output = output + other;
        moments.extend(more);
    }
    (output, moments)
}

fn execute_part(plan: Plan<DispatchTensor>) -> (Tensor<4>, Vec<BranchMoments<Tensor<1>>>) {
    #[cfg(test)]
    let parts = parts_of(&plan);
    if refuses(&plan).is_none()
        && let Some(Done { output, moments }) = run(ops::Plan::Block(plan.clone()))
    {
        #[cfg(test)]
        ops::launched::add(parts);
        let moments = moments.into_iter().map(|moments| moments.map(Tensor::from_dispatch));
        return (Tensor::from_dispatch(output), moments.collect());
    }
    if ops::merges() { merge_all(plan) } else { compose_all(plan) }
}

/// Convolutions, averages and norms of a plan.
#[cfg(test)]
fn parts_of(plan: &Plan<DispatchTensor>) -> usize {
    let of = |part: &Part<DispatchTensor>| {
        let first = if part.first.is_some() { 2 } else { 0 };
        let core = matches!(part.core, Core::Conv { .. } | Core::Average);
        first + usize::from(core) + usize::from(matches!(part.end, End::Norm(_)))
    };
    plan.branches.iter().map(of).sum()
}

fn compose_all(plan: Plan<DispatchTensor>) -> (Tensor<4>, Vec<BranchMoments<Tensor<1>>>) {
    let input = Tensor::<4>::from_dispatch(plan.input);
    let branches = plan.branches.into_iter();
    let (outputs, moments): (Vec<_>, Vec<_>) =
        branches.map(|part| compose(part, &plan.shape, input.clone())).unzip();
    let sum = outputs.into_iter().reduce(|sum, output| sum + output);
    (sum.unwrap_or_else(|| unreachable!("a plan has a branch")), moments)
}

/// The plan, or several of which the outputs sum up to its: what one operation can take is bounded.
fn in_parts(plan: Plan<DispatchTensor>) -> Vec<Plan<DispatchTensor>> {
    let tensors = |plan: &Plan<DispatchTensor>| {
        let mut count = 0;
        plan.visit(|_| count += 1);
        count
    };
    if tensors(&plan) <= ops::MOST {
        return vec![plan];
    }
    let Plan { shape, input, branches } = plan;
    let mut parts: Vec<Plan<DispatchTensor>> = vec![];
    for branch in branches {
        let alone = Plan { shape, input: input.clone(), branches: vec![branch] };
        match parts.last_mut() {
            // They share the input.
            Some(part) if tensors(part) + tensors(&alone) - 1 <= ops::MOST => {
                part.branches.extend(alone.branches);
            }
            _ => parts.push(alone),
        }
    }
    parts
}

fn compose(
    part: Part<DispatchTensor>,
    shape: &ConvShape,
    input: Tensor<4>,
) -> (Tensor<4>, BranchMoments<Tensor<1>>) {
    let mut moments = BranchMoments { first: None, end: None };
    let (seen, pads) = match part.first {
        Some(first) => {
            let (seen, found) = compose_first(first, shape, input);
            moments.first = found;
            (seen, [(0, 0); 2])
        }
        None => (input, shape.padding),
    };
    let output = compute(part.core, seen, pads, shape);
    let (output, found) = finish(part.end, output);
    moments.end = found;
    (output, moments)
}

/// What a branch's core makes of a map that `pads` would complete.
pub(super) fn compute(
    core: Core<DispatchTensor>,
    seen: Tensor<4>,
    pads: [(usize, usize); 2],
    shape: &ConvShape,
) -> Tensor<4> {
    match core {
        Core::Conv { window, weight, bias } => {
            let reading = by_taps(&seen, shape, window, pads);
            let (weight, bias) = (Tensor::from_dispatch(weight), bias.map(Tensor::from_dispatch));
            conv2d(crop(seen, &reading), weight, bias, reading.options)
        }
        Core::Average => pool(seen, shape, pads),
        Core::Input => seen,
        Core::Given { map } => Tensor::from_dispatch(map),
    }
}

/// A branch's end, and the moments of its norm.
pub(super) fn finish(end: End<DispatchTensor>, map: Tensor<4>) -> (Tensor<4>, Option<Moments>) {
    match end {
        End::Norm(norm) => by(norm, map),
        End::Scale(scale) => {
            let scale = Tensor::<1>::from_dispatch(scale);
            let [channels] = scale.dims();
            let scale = in_numbers_of(&map, scale.reshape([1, channels, 1, 1]));
            (map * scale, None)
        }
        End::Nothing => (map, None),
    }
}

/// Normalises as a plan's norm says; the batch's moments where it normalises by them.
pub(super) fn by(norm: Norm<DispatchTensor>, input: Tensor<4>) -> (Tensor<4>, Option<Moments>) {
    let affine = [norm.gamma, norm.beta].map(Tensor::from_dispatch);
    let given = match norm.by {
        By::Given { mean, variance } => Some([mean, variance].map(Tensor::from_dispatch)),
        By::Batch(_) => None,
    };
    normalize(input, affine, given, norm.epsilon, Tail::default())
}

/// The 1×1 convolution and its norm, padded with the norm's image of zero, so that what follows sees at the border what
/// it would see had the input been padded with zeros.
///
/// The image is by the running statistics as this batch leaves them, and carries no gradient: as in the published code.
pub(super) fn compose_first(
    First { weight, norm }: First<DispatchTensor>,
    shape: &ConvShape,
    input: Tensor<4>,
) -> (Tensor<4>, Option<Moments>) {
    let options = as_first(&input, shape).options;
    let output = conv2d(input, Tensor::from_dispatch(weight), None, options);
    let (output, moments) = by(norm.clone(), output);
    let image = image_of_zero(norm, moments.as_ref());
    (pad_with(output, image, shape.padding), moments)
}

pub(super) fn image_of_zero(norm: Norm<DispatchTensor>, batch: Option<&Moments>) -> Tensor<1> {
    let affine = [norm.gamma, norm.beta].map(|vector| wide(Tensor::from_dispatch(vector)));
    let like = affine[0].dtype();
    let tensor = |vector| Tensor::<1>::from_dispatch(vector).cast(like);
    let at = match (norm.by, batch) {
        (By::Batch(Running { mean, variance, momentum, unbias }), Some([batch, spread])) => {
            let moved = |running, batch: &Tensor<1>, weight: f64| {
                tensor(running) * (1.0 - momentum) + batch.clone() * weight
            };
            let spread = moved(variance, spread, momentum * unbias);
            [moved(mean, batch, momentum), spread]
        }
        (By::Batch(Running { mean, variance, .. }) | By::Given { mean, variance }, _) => {
            [tensor(mean), tensor(variance)]
        }
    };
    NormAffine::at(affine, at, norm.epsilon).shift.detach()
}

/// Pads with a value for each channel, `[channels]`.
pub(super) fn pad_with(input: Tensor<4>, image: Tensor<1>, pads: [(usize, usize); 2]) -> Tensor<4> {
    if pads == [(0, 0), (0, 0)] {
        return input;
    }
    let [_, channels, height, width] = input.dims();
    let inside = Tensor::<4>::ones([1, 1, height, width], options_of(&input));
    let border = 1.0 - inside.pad(pads, 0.0);
    let image = image.cast(input.dtype()).reshape([1, channels, 1, 1]);
    input.pad(pads, 0.0) + image * border
}

/// What a convolution reads of a map: a part of it, padded and stepped through.
#[derive(Clone, PartialEq)]
pub(super) struct Reading {
    /// Rows and columns.
    kept: [Range<usize>; 2],
    pub(super) options: ConvOptions<2>,
}

/// How a 1×1 convolution in front of another reads the block's input.
pub(super) fn as_first(input: &Tensor<4>, shape: &ConvShape) -> Reading {
    let [_, _, height, width] = input.dims();
    let options = ConvOptions::new_with_padding([1, 1], [(0, 0); 2], [1, 1], shape.groups);
    Reading { kept: [0..height, 0..width], options }
}

/// How a convolution with some of the block's taps reads an input that `pads` would complete for the block's own.
///
/// Where a smaller kernel would have to be padded by less than nothing, the input is cropped.
pub(super) fn by_taps(
    input: &Tensor<4>,
    shape: &ConvShape,
    window: Window,
    pads: [(usize, usize); 2],
) -> Reading {
    let [_, _, height, width] = input.dims();
    let mut kept = [0..height, 0..width];
    let mut own = [(0, 0); 2];
    for axis in 0..2 {
        let dilation = shape.dilation[axis];
        let last = window.start[axis] + window.step[axis] * (window.size[axis] - 1);
        let before = dilation * window.start[axis];
        let behind = dilation * (shape.kernel[axis] - 1 - last);
        own[axis] = (pads[axis].0.saturating_sub(before), pads[axis].1.saturating_sub(behind));
        let size = kept[axis].end;
        let first = before.saturating_sub(pads[axis].0).min(size);
        let end = size - behind.saturating_sub(pads[axis].1).min(size - first);
        kept[axis] = first..end;
    }
    // A single tap has no distance to the next.
    let dilation = [0, 1].map(|axis| match window.size[axis] {
        1 => 1,
        _ => shape.dilation[axis] * window.step[axis],
    });
    let options = ConvOptions::new_with_padding(shape.stride, own, dilation, shape.groups);
    Reading { kept, options }
}

/// The part that is read.
pub(super) fn crop(input: Tensor<4>, reading: &Reading) -> Tensor<4> {
    let [batch, channels, height, width] = input.dims();
    let [rows, columns] = reading.kept.clone();
    match [&rows, &columns] == [&(0..height), &(0..width)] {
        true => input,
        false => input.slice([0..batch, 0..channels, rows, columns]),
    }
}

/// The average over the block's taps, each channel by itself, the padding counted.
fn pool(input: Tensor<4>, shape: &ConvShape, pads: [(usize, usize); 2]) -> Tensor<4> {
    #[cfg(test)]
    ops::launched::add(1);
    let input = if pads == [(0, 0), (0, 0)] { input } else { input.pad(pads, 0.0) };
    if shape.dilation == [1, 1] {
        let options = AvgPoolOptions::new(shape.kernel).with_stride(shape.stride);
        return widely(input, |input| avg_pool2d(input, options));
    }
    // Pooling has no dilation in Burn; the equal convolution has.
    let [_, channels, _, _] = input.dims();
    let [height, width] = shape.kernel;
    let share = 1.0 / (height * width) as f64;
    let weight = Tensor::full([channels, 1, height, width], share, options_of(&input));
    let pads = [(0, 0); 2];
    let options = ConvOptions::new_with_padding(shape.stride, pads, shape.dilation, channels);
    conv2d(input, weight, None, options)
}
