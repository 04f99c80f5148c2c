//! Averages over a block's taps, each channel by itself, and their transpose.

use rayon::prelude::*;

use crate::bundle::{Gradient, Source};
use crate::lanes::fast;
use crate::lower::{lower_row, raise_row};
use crate::scratch::Buffer;
use crate::shape::ConvShape;
use crate::tile::Tile;

/// A convolution of every channel by itself, with the block's taps.
fn by_channel(shape: &ConvShape, channels: usize) -> ConvShape {
    ConvShape { channels: [channels; 2], groups: channels, ..*shape }
}

/// Whether rows and columns can be summed one after the other over whole lines.
fn is_dense(shape: &ConvShape) -> bool {
    shape.stride == [1, 1] && shape.dilation == [1, 1]
}

/// The mean over all taps.
pub(super) fn average(shape: &ConvShape, source: &Source<'_>, channels: usize) -> Buffer {
    let shape = by_channel(shape, channels);
    let mut map = Buffer::any(shape.output_len());
    let share = 1.0 / shape.taps() as f32;
    let whole = Tile::whole(&shape);
    let planes = map.par_chunks_exact_mut(shape.pixels_out()).enumerate();
    planes.for_each_init(Vec::new, |memory, (plane, target)| {
        if is_dense(&shape) {
            average_plane(&shape, source, plane, memory, target);
        } else {
            target.fill(0.0);
            memory.resize(shape.pixels_out(), 0.0);
            let tile = whole.only(plane / channels);
            for tap in 0..shape.taps() {
                lower_row(&shape, source, plane % channels, tap, &tile, memory);
                target.iter_mut().zip(&*memory).for_each(|(target, value)| *target += value);
            }
        }
        target.iter_mut().for_each(|value| *value *= share);
    });
    map
}

/// The sum over all taps of one plane: down the columns first, then along the rows.
fn average_plane(
    shape: &ConvShape,
    source: &Source<'_>,
    plane: usize,
    memory: &mut Vec<f32>,
    target: &mut [f32],
) {
    let [(top, _), (left, _)] = shape.padding;
    let ([height, width], [high, wide]) = (shape.input, shape.kernel);
    let channel = plane % shape.channels[0];
    let [rows, padded] = [0, 1].map(|axis| shape.padded(axis));
    // The padded plane, and behind it one line of sums.
    memory.clear();
    memory.resize((rows + 1) * padded, source.border(channel));
    let (frame, sums) = memory.split_at_mut(rows * padded);
    for row in 0..height {
        let start = plane * shape.pixels_in() + row * width;
        let place = (top + row) * padded + left;
        source.read(channel, start, 1, &mut frame[place..place + width]);
    }
    let out = shape.output()[1];
    fast!(for (row, target) in target.chunks_exact_mut(out).enumerate() {
        let lines = &frame[row * padded..(row + high) * padded];
        sums.copy_from_slice(&lines[..padded]);
        for line in lines[padded..].chunks_exact(padded) {
            add(line, sums);
        }
        target.copy_from_slice(&sums[..out]);
        for tap in 1..wide {
            add(&sums[tap..tap + out], target);
        }
    });
}

/// Adds a line to another.
#[inline(always)]
fn add(line: &[f32], target: &mut [f32]) {
    for (target, value) in target.iter_mut().zip(line) {
        *target += value;
    }
}

/// The transpose of [`average`]: adds to the gradient of its source.
pub(super) fn spread(
    shape: &ConvShape,
    gradient: &Gradient<'_>,
    channels: usize,
    target: &mut [f32],
) {
    let shape = by_channel(shape, channels);
    let share = 1.0 / shape.taps() as f32;
    let (pixels, whole) = (shape.pixels_out(), Tile::whole(&shape));
    let planes = target.par_chunks_exact_mut(shape.pixels_in()).enumerate();
    planes.for_each_init(
        || [vec![0.0; pixels], vec![]],
        |[map, memory], (plane, target)| {
            gradient.read(plane % channels, plane * pixels, map);
            map.iter_mut().for_each(|value| *value *= share);
            if is_dense(&shape) {
                spread_plane(&shape, map, memory, target);
                return;
            }
            let tile = whole.only(plane / channels);
            for tap in 0..shape.taps() {
                raise_row(&shape, map, tap, &tile, target);
            }
        },
    );
}

/// Adds every value of one plane to all that its taps have read.
fn spread_plane(shape: &ConvShape, map: &[f32], memory: &mut Vec<f32>, target: &mut [f32]) {
    let [(top, _), (left, _)] = shape.padding;
    let (width, [high, wide]) = (shape.input[1], shape.kernel);
    let [rows, padded] = [0, 1].map(|axis| shape.padded(axis));
    let out = shape.output()[1];
    memory.clear();
    memory.resize((rows + 1) * padded, 0.0);
    let (frame, sums) = memory.split_at_mut(rows * padded);
    fast!({
        for (row, map) in map.chunks_exact(out).enumerate() {
            sums.fill(0.0);
            for tap in 0..wide {
                add(map, &mut sums[tap..tap + out]);
            }
            for line in frame[row * padded..(row + high) * padded].chunks_exact_mut(padded) {
                add(sums, line);
            }
        }
        for (row, target) in target.chunks_exact_mut(width).enumerate() {
            let place = (top + row) * padded + left;
            add(&frame[place..place + width], target);
        }
    });
}
