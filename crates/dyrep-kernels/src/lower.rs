//! Lowering (im2col): the pixels that each output pixel of a tile sees, as a matrix; and its transpose.

use std::ops::Range;

use crate::shape::{ConvShape, reach};
use crate::tile::Tile;

/// One row of the lowered matrix: a channel and a tap. Calls `visit` for each row of output pixels of the tile
/// with its place in the tile, the output columns that read inside the input, and where the first reads.
fn each_row(
    shape: &ConvShape,
    tile: &Tile,
    tap: [usize; 2],
    mut visit: impl FnMut(usize, Range<usize>, Option<(usize, usize)>),
) {
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
    let mut place = 0;
    for image in tile.images.clone() {
        for row in tile.rows.clone() {
            let sees = rows.contains(&row) && !columns.is_empty();
            let inside = sees.then(|| {
                let input_row = first_row + (row - rows.start) * shape.stride[0];
                (image, input_row * shape.input[1] + first_column)
            });
            visit(place, columns.clone(), inside);
            place += width;
        }
    }
}

/// Writes the lowered matrix of a tile and a group, `[channels of the group · taps, pixels of the tile]`, rows in
/// the order of a weight's values.
pub(crate) fn lower(
    shape: &ConvShape,
    input: &[f32],
    group: usize,
    tile: &Tile,
    lowered: &mut [f32],
) {
    let pixels = tile.pixels(shape);
    let (width, step) = (shape.output()[1], shape.stride[1]);
    let rows = lowered.chunks_exact_mut(pixels);
    for (index, row) in rows.enumerate() {
        let (plane, tap) = plane_and_tap(shape, group, index);
        each_row(shape, tile, tap, |place, columns, inside| {
            let target = &mut row[place..place + width];
            let Some((image, first)) = inside else {
                target.fill(0.0);
                return;
            };
            let first = (image * shape.channels[0] + plane) * shape.pixels_in() + first;
            target[..columns.start].fill(0.0);
            target[columns.end..].fill(0.0);
            let target = &mut target[columns];
            let source = &input[first..];
            if step == 1 {
                target.copy_from_slice(&source[..target.len()]);
            } else {
                let source = source.iter().step_by(step);
                target.iter_mut().zip(source).for_each(|(target, source)| *target = *source);
            }
        });
    }
}

/// Adds a lowered matrix back to where its values were read from: the transpose of [`lower`].
///
/// `gradient` is that of the tile's images alone.
pub(crate) fn raise(
    shape: &ConvShape,
    lowered: &[f32],
    group: usize,
    tile: &Tile,
    gradient: &mut [f32],
) {
    let pixels = tile.pixels(shape);
    let step = shape.stride[1];
    for (index, row) in lowered.chunks_exact(pixels).enumerate() {
        let (plane, tap) = plane_and_tap(shape, group, index);
        each_row(shape, tile, tap, |place, columns, inside| {
            let Some((image, first)) = inside else { return };
            let image = image - tile.images.start;
            let first = (image * shape.channels[0] + plane) * shape.pixels_in() + first;
            let source = &row[place + columns.start..place + columns.end];
            let target = gradient[first..].iter_mut().step_by(step);
            target.zip(source).for_each(|(target, source)| *target += source);
        });
    }
}

fn plane_and_tap(shape: &ConvShape, group: usize, index: usize) -> (usize, [usize; 2]) {
    let taps = shape.taps();
    let (channel, tap) = (index / taps, index % taps);
    let plane = group * shape.per_group()[0] + channel;
    (plane, [tap / shape.kernel[1], tap % shape.kernel[1]])
}
