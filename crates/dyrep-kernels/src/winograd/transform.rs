//! The transforms of input, output and their gradients: eight 4×4 tiles of a row at a time.
//!
//! Tiles overlap by two pixels, so a row of the input is kept as its even and its odd values: then what eight tiles
//! that follow each other read lies one after the other.

use super::{COMPONENTS, Components};
use crate::bundle::{Bundle, Gradient};
use crate::lanes::{F8, fast};
use crate::shape::ConvShape;
use crate::tile::Tile;

/// Tiles side by side in one vector.
const LANES: usize = 8;

/// The 4×4 tiles of a part of the output: `[image, high, wide]`, one place each.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    tile: Tile,
    high: usize,
    wide: usize,
    /// All tiles.
    pub(super) places: usize,
    /// Values from one list of places to the next: the last vector may write beyond the last place.
    pub(super) pitch: usize,
    width: usize,
}

impl Grid {
    pub(super) fn new(shape: &ConvShape, tile: &Tile) -> Self {
        let width = shape.output()[1];
        let (high, wide) = (tile.rows.len().div_ceil(2), width.div_ceil(2));
        let places = tile.images.len() * high * wide;
        Self { tile: tile.clone(), high, wide, places, pitch: places + LANES, width }
    }

    /// The place of the first tile of a row.
    fn place(&self, image: usize, row: usize) -> usize {
        (image * self.high + row) * self.wide
    }

    /// Rows of the padded input.
    fn frame_rows(&self) -> usize {
        2 * self.high + 2
    }

    /// Even, or odd, values of a row of the padded input, and zeros for vectors that reach beyond.
    fn half(&self) -> usize {
        (self.wide + 1).next_multiple_of(LANES) + LANES
    }

    /// The input's row that a row of the padded input is, unless it lies beyond the border.
    fn input_row(&self, shape: &ConvShape, row: usize) -> Option<usize> {
        let row = (self.tile.rows.start + row).checked_sub(shape.padding[0].0)?;
        (row < shape.input[0]).then_some(row)
    }
}

/// Bᵀ d B of one channel: `target` is `[component, place]`.
pub(super) fn source(
    bundle: &Bundle<'_>,
    grid: &Grid,
    channel: usize,
    frame: &mut Vec<f32>,
    target: &mut [f32],
) {
    let half = grid.half();
    frame.resize((grid.frame_rows() + 1) * 2 * half, 0.0);
    fast!(for image in 0..grid.tile.images.len() {
        fill_frame(bundle, grid, channel, image, frame);
        for row in 0..grid.high {
            let place = grid.place(image, row);
            let rows = &frame[2 * row * 2 * half..][..4 * 2 * half];
            for first in (0..grid.wide).step_by(LANES) {
                source_lanes(rows, half, first, &mut target[place + first..], grid.pitch);
            }
        }
    });
}

/// Writes the padded input of one image's part: each row's even values, then its odd ones.
#[inline(always)]
fn fill_frame(bundle: &Bundle<'_>, grid: &Grid, channel: usize, image: usize, frame: &mut [f32]) {
    let shape = &bundle.shape;
    let half = grid.half();
    let border = bundle.source.border(channel);
    let (frame, padded) = frame.split_at_mut(grid.frame_rows() * 2 * half);
    padded.fill(border);
    let left = shape.padding[1].0.min(2 * half);
    let width = shape.input[1].min(2 * half - left);
    let plane = (grid.tile.images.start + image) * shape.channels[0] + channel;
    for (number, row) in frame.chunks_exact_mut(2 * half).enumerate() {
        let Some(input) = grid.input_row(shape, number) else {
            row.fill(border);
            continue;
        };
        let start = plane * shape.pixels_in() + input * shape.input[1];
        bundle.source.read(channel, start, 1, &mut padded[left..left + width]);
        let (even, odd) = row.split_at_mut(half);
        for first in (0..half).step_by(LANES) {
            let [a, b] = F8::load_apart(&padded[2 * first..]);
            a.store(&mut even[first..]);
            b.store(&mut odd[first..]);
        }
    }
}

/// [`source`] of eight tiles, from four rows of a frame.
#[inline(always)]
fn source_lanes(rows: &[f32], half: usize, first: usize, target: &mut [f32], pitch: usize) {
    // By column of the tile: even and odd values, then those of the next tile.
    let columns = [
        source_side(load_rows(rows, first, 2 * half)),
        source_side(load_rows(rows, half + first, 2 * half)),
        source_side(load_rows(rows, first + 1, 2 * half)),
        source_side(load_rows(rows, half + first + 1, 2 * half)),
    ];
    for row in 0..4 {
        let [a, b, c, d] = source_side(across(&columns, row));
        let target = &mut target[4 * row * pitch..];
        a.store(target);
        b.store(&mut target[pitch..]);
        c.store(&mut target[2 * pitch..]);
        d.store(&mut target[3 * pitch..]);
    }
}

/// Bᵀ along one side.
#[inline(always)]
fn source_side([a, b, c, d]: [F8; 4]) -> [F8; 4] {
    [a - c, b + c, c - b, b - d]
}

/// B along one side.
#[inline(always)]
fn raise_side([a, b, c, d]: [F8; 4]) -> [F8; 4] {
    [a, b - c + d, b + c - a, F8::ZERO - d]
}

/// Aᵀ along one side.
#[inline(always)]
fn output_side([a, b, c, d]: [F8; 4]) -> [F8; 2] {
    [a + b + c, b - c - d]
}

/// A along one side.
#[inline(always)]
fn gradient_side([a, b]: [F8; 2]) -> [F8; 4] {
    [a, a + b, a - b, F8::ZERO - b]
}

/// Eight values from each of four places, `pitch` apart.
#[inline(always)]
fn load_rows(values: &[f32], first: usize, pitch: usize) -> [F8; 4] {
    [
        F8::load(&values[first..]),
        F8::load(&values[first + pitch..]),
        F8::load(&values[first + 2 * pitch..]),
        F8::load(&values[first + 3 * pitch..]),
    ]
}

/// One row of four columns.
#[inline(always)]
fn across<const N: usize>(columns: &[[F8; N]; 4], row: usize) -> [F8; 4] {
    [columns[0][row], columns[1][row], columns[2][row], columns[3][row]]
}

/// Aᵀ m A of one channel and image: `starts` says where in `products` each component's places are; `target` is the
/// output's rows.
pub(super) fn output(
    products: &[f32],
    starts: &[Option<usize>; COMPONENTS],
    grid: &Grid,
    image: usize,
    target: &mut [f32],
) {
    fast!(for (row, lines) in target.chunks_mut(2 * grid.width).enumerate() {
        let place = grid.place(image, row);
        let (upper, lower) = lines.split_at_mut(grid.width);
        for first in (0..grid.wide).step_by(LANES) {
            let mut columns = [[F8::ZERO; 2]; 4];
            for (column, target) in columns.iter_mut().enumerate() {
                let mut values = [F8::ZERO; 4];
                for (row, value) in values.iter_mut().enumerate() {
                    if let Some(start) = starts[4 * row + column] {
                        *value = F8::load(&products[start + place + first..]);
                    }
                }
                *target = output_side(values);
            }
            let [even, odd] = output_side(across(&columns, 0));
            put_in_turns(even, odd, 2 * first, upper);
            let [even, odd] = output_side(across(&columns, 1));
            put_in_turns(even, odd, 2 * first, lower);
        }
    });
}

/// Writes two in turns from a place on, as far as the line goes; an empty line takes nothing.
#[inline(always)]
fn put_in_turns(even: F8, odd: F8, first: usize, line: &mut [f32]) {
    let Some(rest) = line.get_mut(first..) else { return };
    if rest.len() >= 2 * LANES {
        F8::store_in_turns(even, odd, rest);
    } else {
        let mut whole = [0.0; 2 * LANES];
        F8::store_in_turns(even, odd, &mut whole);
        rest.copy_from_slice(&whole[..rest.len()]);
    }
}

/// A g Aᵀ of one channel and image, whose part of the gradient starts at `start`: `target` is
/// `[own component, place]`.
#[allow(clippy::too_many_arguments, reason = "one place calls it")]
pub(super) fn gradient(
    gradient: &Gradient<'_>,
    channel: usize,
    start: usize,
    own: &Components,
    grid: &Grid,
    image: usize,
    rows: &mut Vec<f32>,
    target: &mut [f32],
) {
    let line = 2 * grid.wide.next_multiple_of(LANES);
    rows.clear();
    rows.resize(2 * line, 0.0);
    fast!(for row in 0..grid.high {
        let place = grid.place(image, row);
        for below in 0..2 {
            let line = &mut rows[below * line..][..grid.width];
            match 2 * row + below {
                inside if inside < grid.tile.rows.len() => {
                    gradient.read(channel, start + inside * grid.width, line);
                }
                _ => line.fill(0.0),
            }
        }
        for first in (0..grid.wide).step_by(LANES) {
            let [upper_even, upper_odd] = F8::load_apart(&rows[2 * first..]);
            let [lower_even, lower_odd] = F8::load_apart(&rows[line + 2 * first..]);
            let even = gradient_side([upper_even, lower_even]);
            let odd = gradient_side([upper_odd, lower_odd]);
            for row in 0..4 {
                let values = gradient_side([even[row], odd[row]]);
                for (column, value) in values.into_iter().enumerate() {
                    if let Some(own) = own.place(4 * row + column) {
                        value.store(&mut target[own * grid.pitch + place + first..]);
                    }
                }
            }
        }
    });
}

/// Adds B v Bᵀ of one channel and image to the plane of the input's gradient: `raised` is
/// `[component, channel, place]`.
#[allow(clippy::too_many_arguments, reason = "one place calls it")]
pub(super) fn raise(
    raised: &[f32],
    channel: usize,
    channels: usize,
    shape: &ConvShape,
    grid: &Grid,
    image: usize,
    frame: &mut Vec<f32>,
    plane: &mut [f32],
) {
    let half = grid.half();
    frame.clear();
    frame.resize((grid.frame_rows() + 1) * 2 * half, 0.0);
    fast!({
        for row in 0..grid.high {
            let place = grid.place(image, row);
            let rows = &mut frame[2 * row * 2 * half..][..4 * 2 * half];
            for first in (0..grid.wide).step_by(LANES) {
                let count = grid.wide - first;
                let start = channel * grid.pitch + place + first;
                let component = channels * grid.pitch;
                let mut columns = [[F8::ZERO; 4]; 4];
                for (column, target) in columns.iter_mut().enumerate() {
                    let values = load_rows(raised, start + column * component, 4 * component);
                    *target = raise_side(values);
                    if count < LANES {
                        // What lies behind a row of tiles is not its own.
                        for value in target {
                            *value = value.first(count);
                        }
                    }
                }
                for row in 0..4 {
                    // Even and odd values, then those of the next tile.
                    let [a, b, c, d] = raise_side(across(&columns, row));
                    let (even, odd) = rows[row * 2 * half..][..2 * half].split_at_mut(half);
                    a.add_to(&mut even[first..]);
                    c.add_to(&mut even[first + 1..]);
                    b.add_to(&mut odd[first..]);
                    d.add_to(&mut odd[first + 1..]);
                }
            }
        }
        add_frame(shape, grid, frame, plane);
    });
}

/// Adds what a frame has inside the border.
#[inline(always)]
fn add_frame(shape: &ConvShape, grid: &Grid, frame: &mut [f32], plane: &mut [f32]) {
    let half = grid.half();
    let (frame, line) = frame.split_at_mut(grid.frame_rows() * 2 * half);
    let left = shape.padding[1].0.min(2 * half);
    for (number, row) in frame.chunks_exact(2 * half).enumerate() {
        let Some(input) = grid.input_row(shape, number) else { continue };
        let (even, odd) = row.split_at(half);
        for first in (0..half).step_by(LANES) {
            let [even, odd] = [even, odd].map(|side| F8::load(&side[first..]));
            F8::store_in_turns(even, odd, &mut line[2 * first..]);
        }
        let target = &mut plane[input * shape.input[1]..][..shape.input[1]];
        target.iter_mut().zip(&line[left..]).for_each(|(target, value)| *target += value);
    }
}
