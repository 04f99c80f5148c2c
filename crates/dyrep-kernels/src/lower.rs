//! Lowering (im2col): the pixels that each output pixel of a tile sees, as a matrix; and its transpose.

use std::ops::Range;

use crate::bundle::Source;
use crate::shape::{ConvShape, reach};
use crate::tile::Tile;

/// One row of the lowered matrix: a channel and a tap. Calls `visit` for each row of output pixels of the tile
/// with its place in the tile, the output columns that read inside the input, and where the first reads.
fn each_row(
    shape: &ConvShape,
    tile: &Tile,
    tap: usize,
    mut visit: impl FnMut(usize, Range<usize>, Option<(usize, usize)>),
) {
    let tap = [tap / shape.kernel[1], tap % shape.kernel[1]];
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

/// Writes one row of the lowered matrix of a tile: what one tap sees of one channel.
pub(crate) fn lower_row(
    shape: &ConvShape,
    source: &Source<'_>,
    channel: usize,
    tap: usize,
    tile: &Tile,
    row: &mut [f32],
) {
    let (width, step) = (shape.output()[1], shape.stride[1]);
    let border = source.border(channel);
    each_row(shape, tile, tap, |place, columns, inside| {
        let target = &mut row[place..place + width];
        let Some((image, first)) = inside else {
            target.fill(border);
            return;
        };
        let start = (image * shape.channels[0] + channel) * shape.pixels_in() + first;
        target[..columns.start].fill(border);
        target[columns.end..].fill(border);
        source.read(channel, start, step, &mut target[columns]);
    });
}

/// Adds one row of a lowered matrix, of a tile of one image, back to the plane that its values were read from: the
/// transpose of [`lower_row`].
pub(crate) fn raise_row(
    shape: &ConvShape,
    row: &[f32],
    tap: usize,
    tile: &Tile,
    plane: &mut [f32],
) {
    let step = shape.stride[1];
    each_row(shape, tile, tap, |place, columns, inside| {
        let Some((_, first)) = inside else { return };
        let source = &row[place + columns.start..place + columns.end];
        let target = plane[first..].iter_mut();
        if step == 1 {
            target.zip(source).for_each(|(target, source)| *target += source);
        } else {
            target.step_by(step).zip(source).for_each(|(target, source)| *target += source);
        }
    });
}
