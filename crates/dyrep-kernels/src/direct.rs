//! Convolution and its two gradients.

use rayon::prelude::*;

use crate::depthwise;
use crate::lower::{lower, raise};
use crate::product::{Matrix, multiply};
use crate::shape::{ConvShape, ShapeError};
use crate::tile::{Shared, Tile, tiles};

/// `output = weight ∗ input + bias`.
///
/// # Shapes
/// - input `[batch, in, height, width]`, output `[batch, out, height', width']`
/// - weight `[out, in / groups, kernel height, kernel width]`, bias `[out]`
///
/// # Errors
/// A shape that cannot be, or a slice of another length.
pub fn forward(
    shape: &ConvShape,
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    output: &mut [f32],
) -> Result<(), ShapeError> {
    check(shape, input, weight, output)?;
    if let Some(bias) = bias {
        ConvShape::check_len("the bias", shape.channels[1], bias.len())?;
    }
    if shape.is_depthwise() {
        depthwise::forward(shape, input, weight, bias, output);
        return Ok(());
    }
    let output = Shared::new(output);
    tiles(shape, rayon::current_num_threads()).par_iter().for_each_init(
        Scratch::default,
        |scratch, tile| {
            forward_tile(shape, input, weight, bias, &output, tile, scratch);
        },
    );
    Ok(())
}

/// Gradient of the input from that of the output.
///
/// # Errors
/// As [`forward`].
pub fn backward_input(
    shape: &ConvShape,
    output_gradient: &[f32],
    weight: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), ShapeError> {
    check(shape, input_gradient, weight, output_gradient)?;
    if shape.is_depthwise() {
        depthwise::backward_input(shape, output_gradient, weight, input_gradient);
        return Ok(());
    }
    if let Some(reverse) = reversed(shape) {
        let weight = reversed_weight(shape, weight);
        return forward(&reverse, output_gradient, &weight, None, input_gradient);
    }
    // Tiles of one image overlap in its gradient: images go side by side, their tiles one after the other.
    let image = shape.channels[0] * shape.pixels_in();
    let gradients = input_gradient.par_chunks_exact_mut(image).enumerate();
    gradients.for_each_init(Scratch::default, |scratch, (number, gradient)| {
        gradient.fill(0.0);
        let one = ConvShape { batch: 1, ..*shape };
        let outputs = shape.channels[1] * shape.pixels_out();
        let output_gradient = &output_gradient[number * outputs..][..outputs];
        for tile in tiles(&one, 1) {
            for group in 0..shape.groups {
                raise_group(&one, output_gradient, weight, gradient, (&tile, group), scratch);
            }
        }
    });
    Ok(())
}

/// Gradient of the weight from the input and the gradient of the output.
///
/// # Errors
/// As [`forward`].
pub fn backward_weight(
    shape: &ConvShape,
    input: &[f32],
    output_gradient: &[f32],
    weight_gradient: &mut [f32],
) -> Result<(), ShapeError> {
    check(shape, input, weight_gradient, output_gradient)?;
    if shape.is_depthwise() {
        depthwise::backward_weight(shape, input, output_gradient, weight_gradient);
        return Ok(());
    }
    let threads = rayon::current_num_threads();
    let tiles = tiles(shape, threads);
    // As many partial sums as threads, so that the result is the same in every run.
    let shares: Vec<&[Tile]> = tiles.chunks(tiles.len().div_ceil(threads)).collect();
    let partial = shares.into_par_iter().map(|share| {
        let mut sum = vec![0.0; shape.weight_len()];
        let mut scratch = Scratch::default();
        for tile in share {
            weight_gradient_of_tile(shape, input, output_gradient, &mut sum, tile, &mut scratch);
        }
        sum
    });
    let partial: Vec<Vec<f32>> = partial.collect();
    weight_gradient.fill(0.0);
    for sum in &partial {
        weight_gradient.iter_mut().zip(sum).for_each(|(total, value)| *total += value);
    }
    Ok(())
}

fn check(
    shape: &ConvShape,
    input: &[f32],
    weight: &[f32],
    output: &[f32],
) -> Result<(), ShapeError> {
    shape.check()?;
    ConvShape::check_len("the input", shape.input_len(), input.len())?;
    ConvShape::check_len("the weight", shape.weight_len(), weight.len())?;
    ConvShape::check_len("the output", shape.output_len(), output.len())
}

/// Memory that a thread uses again for each of its tiles.
#[derive(Default)]
struct Scratch {
    lowered: Vec<f32>,
    product: Vec<f32>,
}

/// A slice of `len` values out of `memory`, whatever they are.
fn sized(memory: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if memory.len() < len {
        memory.resize(len, 0.0);
    }
    &mut memory[..len]
}

fn forward_tile(
    shape: &ConvShape,
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    output: &Shared<'_>,
    tile: &Tile,
    scratch: &mut Scratch,
) {
    let [_, outputs] = shape.per_group();
    let pixels = tile.pixels(shape);
    let Scratch { lowered, product } = scratch;
    for group in 0..shape.groups {
        let seen = seen(shape, input, group, tile, lowered);
        let product = sized(product, outputs * pixels);
        multiply(product, weight_of(shape, weight, group), seen, false);
        let each = tile.pixels_of_image(shape);
        for (channel, row) in product.chunks_exact(pixels).enumerate() {
            let channel = group * outputs + channel;
            let bias = bias.map_or(0.0, |bias| bias[channel]);
            for (image, values) in tile.images.clone().zip(row.chunks_exact(each)) {
                let start = (image * shape.channels[1] + channel) * shape.pixels_out();
                let start = start + tile.start(shape);
                // SAFETY: tiles do not overlap, nor do their images, groups and channels.
                let target = unsafe { output.part(start..start + each) };
                target.iter_mut().zip(values).for_each(|(target, value)| *target = value + bias);
            }
        }
    }
}

/// A group's weight, `[out, in · taps]`.
fn weight_of<'a>(shape: &ConvShape, weight: &'a [f32], group: usize) -> Matrix<'a> {
    let [inputs, outputs] = shape.per_group();
    let columns = inputs * shape.taps();
    Matrix::new(&weight[group * outputs * columns..], outputs, columns, columns)
}

/// What a tile's pixels see, `[in · taps, pixels]`: the input itself for a pointwise convolution of one image.
fn seen<'a>(
    shape: &ConvShape,
    input: &'a [f32],
    group: usize,
    tile: &Tile,
    lowered: &'a mut Vec<f32>,
) -> Matrix<'a> {
    let [inputs, _] = shape.per_group();
    let (rows, pixels) = (inputs * shape.taps(), tile.pixels(shape));
    if shape.is_pointwise() && tile.images.len() == 1 {
        let plane = tile.images.start * shape.channels[0] + group * inputs;
        let start = plane * shape.pixels_in() + tile.start(shape);
        return Matrix::new(&input[start..], rows, pixels, shape.pixels_in());
    }
    let lowered = sized(lowered, rows * pixels);
    lower(shape, input, group, tile, lowered);
    Matrix::new(lowered, rows, pixels, pixels)
}

/// A tile of the output's gradient, `[out, pixels]`; gathered where it holds several images.
fn gradient_of<'a>(
    shape: &ConvShape,
    gradient: &'a [f32],
    group: usize,
    tile: &Tile,
    gathered: &'a mut Vec<f32>,
) -> Matrix<'a> {
    let [_, outputs] = shape.per_group();
    let (pixels, each) = (tile.pixels(shape), tile.pixels_of_image(shape));
    let start = |image: usize, channel: usize| {
        (image * shape.channels[1] + group * outputs + channel) * shape.pixels_out()
            + tile.start(shape)
    };
    if tile.images.len() == 1 {
        let start = start(tile.images.start, 0);
        return Matrix::new(&gradient[start..], outputs, pixels, shape.pixels_out());
    }
    let gathered = sized(gathered, outputs * pixels);
    for (channel, row) in gathered.chunks_exact_mut(pixels).enumerate() {
        for (image, values) in tile.images.clone().zip(row.chunks_exact_mut(each)) {
            values.copy_from_slice(&gradient[start(image, channel)..][..each]);
        }
    }
    Matrix::new(gathered, outputs, pixels, pixels)
}

fn weight_gradient_of_tile(
    shape: &ConvShape,
    input: &[f32],
    output_gradient: &[f32],
    sum: &mut [f32],
    tile: &Tile,
    scratch: &mut Scratch,
) {
    let [inputs, outputs] = shape.per_group();
    let weights = inputs * outputs * shape.taps();
    let Scratch { lowered, product } = scratch;
    for (group, sum) in sum.chunks_exact_mut(weights).enumerate() {
        let gradient = gradient_of(shape, output_gradient, group, tile, product);
        let seen = seen(shape, input, group, tile, lowered);
        multiply(sum, gradient, seen.transposed(), true);
    }
}

/// Adds one tile's share to the gradient of its image.
fn raise_group(
    shape: &ConvShape,
    output_gradient: &[f32],
    weight: &[f32],
    input_gradient: &mut [f32],
    (tile, group): (&Tile, usize),
    scratch: &mut Scratch,
) {
    let rows = shape.per_group()[0] * shape.taps();
    let Scratch { lowered, product } = scratch;
    let gradient = gradient_of(shape, output_gradient, group, tile, product);
    let lowered = sized(lowered, rows * tile.pixels(shape));
    multiply(lowered, weight_of(shape, weight, group).transposed(), gradient, false);
    raise(shape, lowered, group, tile, input_gradient);
}

/// The convolution that takes the output's gradient to the input's, where there is one: stride 1, and no more
/// padding than the kernel spans.
fn reversed(shape: &ConvShape) -> Option<ConvShape> {
    let mut padding = [(0, 0); 2];
    for (axis, padding) in padding.iter_mut().enumerate() {
        let span = (shape.kernel[axis] - 1) * shape.dilation[axis];
        let (before, after) = shape.padding[axis];
        *padding = (span.checked_sub(before)?, span.checked_sub(after)?);
    }
    let [inputs, outputs] = shape.channels;
    (shape.stride == [1, 1]).then(|| ConvShape {
        channels: [outputs, inputs],
        input: shape.output(),
        padding,
        ..*shape
    })
}

/// The weight of [`reversed`]: input and output channels of each group swapped, taps in reverse.
fn reversed_weight(shape: &ConvShape, weight: &[f32]) -> Vec<f32> {
    let [inputs, outputs] = shape.per_group();
    let taps = shape.taps();
    let mut reversed = vec![0.0; weight.len()];
    for (group, values) in reversed.chunks_exact_mut(inputs * outputs * taps).enumerate() {
        for (place, target) in values.chunks_exact_mut(taps).enumerate() {
            let (input, output) = (place / outputs, place % outputs);
            let source = ((group * outputs + output) * inputs + input) * taps;
            let source = weight[source..source + taps].iter().rev();
            target.iter_mut().zip(source).for_each(|(target, source)| *target = *source);
        }
    }
    reversed
}
