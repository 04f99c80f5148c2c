//! Lowering (im2col): the pixels that each output pixel of a tile sees, as a matrix; and its transpose.

use std::ops::Range;

use crate::bundle::Source;
use crate::flat::add_every;
use crate::shape::ConvShape;
use crate::tile::Tile;

/// One row of the lowered matrix: a channel and a tap. Calls `visit` for each row of output pixels of the tile
/// with its place in the tile, the output columns that read inside the input, and where the first reads.
fn each_row(
    shape: &ConvShape,
    tile: &Tile,
    tap: usize,
    mut visit: impl FnMut(usize, Range<usize>, Option<(usize, usize)>),
) {
    let width = shape.output()[1];
    let (rows, first_row) = shape.reach(0, tap / shape.kernel[1]);
    let (columns, first_column) = shape.reach(1, tap % shape.kernel[1]);
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
        add_every(step, source, &mut plane[first..]);
    });
}

/// Where the taps of a narrow map read, written out: rows of a few pixels cost more to find than to copy.
pub(crate) struct Places {
    /// `[tap, pixel of one image]`: the place in a plane, or [`BEYOND`].
    table: Vec<u32>,
    pixels: usize,
}

/// Marks what lies beyond the border.
const BEYOND: u32 = u32::MAX;
/// Output columns from which copying rows is as fast.
const WIDE: usize = 12;

impl Places {
    /// The table of a tile's rows, if they are narrow.
    pub(crate) fn new(shape: &ConvShape, tile: &Tile) -> Option<Self> {
        let fits = u32::try_from(shape.pixels_in()).is_ok_and(|pixels| pixels < BEYOND);
        if shape.output()[1] >= WIDE || !fits {
            return None;
        }
        let one = tile.only(tile.images.start);
        let pixels = one.pixels();
        let mut table = vec![BEYOND; shape.taps() * pixels];
        for (tap, row) in table.chunks_exact_mut(pixels).enumerate() {
            each_row(shape, &one, tap, |place, columns, inside| {
                let Some((_, first)) = inside else { return };
                let reads = (first..).step_by(shape.stride[1]);
                let targets = &mut row[place + columns.start..place + columns.end];
                // A place in a plane, which fits as checked above.
                targets.iter_mut().zip(reads).for_each(|(target, place)| *target = place as u32);
            });
        }
        Some(Self { table, pixels })
    }

    fn of(&self, tap: usize) -> &[u32] {
        &self.table[tap * self.pixels..][..self.pixels]
    }

    /// As [`lower_row`].
    pub(crate) fn lower_row(
        &self,
        shape: &ConvShape,
        source: &Source<'_>,
        channel: usize,
        tap: usize,
        tile: &Tile,
        row: &mut [f32],
    ) {
        let border = source.border(channel);
        let [scale, shift] = source.change(channel);
        for (image, target) in tile.images.clone().zip(row.chunks_exact_mut(self.pixels)) {
            let plane = (image * shape.channels[0] + channel) * shape.pixels_in();
            let plane = &source.values[plane..][..shape.pixels_in()];
            for (target, place) in target.iter_mut().zip(self.of(tap)) {
                let value = plane.get(*place as usize);
                *target = value.map_or(border, |value| value * scale + shift);
            }
        }
    }

    /// As [`raise_row`].
    pub(crate) fn raise_row(&self, row: &[f32], tap: usize, plane: &mut [f32]) {
        for (value, place) in row.iter().zip(self.of(tap)) {
            if let Some(target) = plane.get_mut(*place as usize) {
                *target += value;
            }
        }
    }
}
