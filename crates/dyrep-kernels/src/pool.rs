//! Max pooling and its gradient, plane by plane.
//!
//! As in PyTorch, padding counts as negative infinity, the first of equal maxima is taken, and not-a-number
//! beats every number (the last one, where a window holds several).

use std::ops::Range;

use rayon::prelude::*;

use crate::lanes::{F8, fast};
use crate::shape::{ConvShape, ShapeError, reach};

/// Values that one thread takes at least.
const SHARE: usize = 1 << 14;

/// A max pooling and the sizes it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolShape {
    /// Images times channels.
    pub planes: usize,
    /// Input height and width.
    pub input: [usize; 2],
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Along height and width.
    pub stride: [usize; 2],
    /// On both sides, along height and width: less than the window, which so never lies in padding alone.
    pub padding: [usize; 2],
}

impl PoolShape {
    /// Checks that the pooling can be.
    ///
    /// # Errors
    /// The first size that makes no sense.
    pub fn check(&self) -> Result<(), ShapeError> {
        let sizes = [
            ("planes", self.planes),
            ("input height", self.input[0]),
            ("input width", self.input[1]),
            ("window height", self.kernel[0]),
            ("window width", self.kernel[1]),
            ("stride along the height", self.stride[0]),
            ("stride along the width", self.stride[1]),
        ];
        if let Some((name, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(ShapeError::Zero { name });
        }
        for (axis, name) in ["height", "width"].into_iter().enumerate() {
            let (span, padding) = (self.kernel[axis], self.padding[axis]);
            let padded = self.input[axis] + 2 * padding;
            if padding >= span {
                return Err(ShapeError::Padding { axis: name, padding, kernel: span });
            }
            if span > padded {
                return Err(ShapeError::TooSmall { axis: name, span, padded });
            }
        }
        // Places within a plane are whole numbers in `f32`.
        let most = 1 << 24;
        if self.pixels_in() > most {
            let (expected, found) = (most, self.pixels_in());
            return Err(ShapeError::Length { name: "a plane", expected, found });
        }
        Ok(())
    }

    /// Output height and width.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            (self.input[axis] + 2 * self.padding[axis] - self.kernel[axis]) / self.stride[axis] + 1
        })
    }

    /// Values of the input.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.planes * self.pixels_in()
    }

    /// Values of the output.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.planes * self.pixels_out()
    }

    fn pixels_in(&self) -> usize {
        self.input[0] * self.input[1]
    }

    fn pixels_out(&self) -> usize {
        let [height, width] = self.output();
        height * width
    }

    /// Rows of the input, of `height`, that the windows of an output row see: at least one.
    fn rows(&self, row: usize, height: usize) -> Range<usize> {
        let first = row * self.stride[0];
        let end = (first + self.kernel[0] - self.padding[0]).min(height);
        first.saturating_sub(self.padding[0])..end
    }

    /// Planes that one thread takes at least.
    fn least(&self) -> usize {
        (SHARE / self.pixels_in()).max(1)
    }
}

/// The maximum of each window, and where they are asked for the maxima's places within their planes,
/// `row · width + column` as whole numbers: what [`max_pool_backward`] reads.
///
/// # Shapes
/// Input `[planes, height, width]`, output and places `[planes, height', width']`.
///
/// # Errors
/// A shape that cannot be, or a slice of another length.
pub fn max_pool(
    shape: &PoolShape,
    input: &[f32],
    output: &mut [f32],
    places: Option<&mut [f32]>,
) -> Result<(), ShapeError> {
    shape.check()?;
    ConvShape::check_len("the input", shape.input_len(), input.len())?;
    ConvShape::check_len("the output", shape.output_len(), output.len())?;
    let each = shape.pixels_out();
    let planes = input.par_chunks_exact(shape.pixels_in());
    let pairs = planes.zip(output.par_chunks_exact_mut(each)).with_min_len(shape.least());
    let Some(places) = places else {
        pairs.for_each_init(Default::default, |lines, (plane, output)| {
            fast!(maxima(shape, plane, lines, output));
        });
        return Ok(());
    };
    ConvShape::check_len("the places", shape.output_len(), places.len())?;
    let pairs = pairs.zip(places.par_chunks_exact_mut(each));
    pairs.for_each_init(Lines::default, |lines, ((plane, output), places)| {
        fast!(maxima_and_places(shape, plane, lines, output, places));
    });
    Ok(())
}

/// The greater of two, and not-a-number if either is.
#[inline(always)]
fn greater(best: f32, value: f32) -> bool {
    value > best || value.is_nan()
}

/// First along the height, whole rows at a time into a line, then along the width.
#[inline(always)]
fn maxima(
    shape: &PoolShape,
    plane: &[f32],
    [line, values]: &mut [Vec<f32>; 2],
    output: &mut [f32],
) {
    let [height, width] = shape.input;
    let (step, columns) = (shape.stride[1], shape.output()[1]);
    let half = width.div_ceil(step);
    line.resize(width, 0.0);
    values.resize(half * step, 0.0);
    for (row, output) in output.chunks_exact_mut(columns).enumerate() {
        let rows = shape.rows(row, height);
        line.copy_from_slice(&plane[rows.start * width..][..width]);
        for high in rows.skip(1) {
            let values = &plane[high * width..][..width];
            for (best, value) in line.iter_mut().zip(values) {
                *best = if greater(*best, *value) { *value } else { *best };
            }
        }
        apart(line, step, values);
        output.fill(f32::NEG_INFINITY);
        for tap in 0..shape.kernel[1] {
            let (range, start) = reach(tap, 1, step, shape.padding[1], width, columns);
            let from = start % step * half + start / step;
            let read = values.get(from..).unwrap_or_default();
            for (best, value) in output[range].iter_mut().zip(read) {
                *best = if greater(*best, *value) { *value } else { *best };
            }
        }
    }
}

/// Memory of [`maxima_and_places`].
#[derive(Default)]
struct Lines {
    /// By column of the input: the greatest value of some rows, and the first place of that row.
    best: Vec<f32>,
    rows: Vec<f32>,
    /// The columns, and by column of the output the first that a window sees.
    numbers: Vec<f32>,
    starts: Vec<f32>,
    /// The first two by the columns' remainders, so that what windows side by side read lies side by side: values and places.
    apart: [Vec<f32>; 2],
}

/// As [`maxima`]. Of equal ones the first in the window's order has the smallest place.
#[inline(always)]
fn maxima_and_places(
    shape: &PoolShape,
    plane: &[f32],
    lines: &mut Lines,
    output: &mut [f32],
    places: &mut [f32],
) {
    let [height, width] = shape.input;
    let step = shape.stride[1];
    let columns = shape.output()[1];
    let half = width.div_ceil(step);
    let Lines { best, rows: of_rows, numbers, starts, apart: [values, found] } = lines;
    if numbers.len() != width {
        *numbers = (0..width).map(|column| column as f32).collect();
        let start = |column: usize| (column * step).saturating_sub(shape.padding[1]) as f32;
        *starts = (0..columns).map(start).collect();
    }
    for line in [&mut *best, of_rows] {
        line.resize(width, 0.0);
    }
    for line in [&mut *values, found] {
        line.resize(half * step, 0.0);
    }
    let all = output.chunks_exact_mut(columns).zip(places.chunks_exact_mut(columns));
    for (row, (output, places)) in all.enumerate() {
        let rows = shape.rows(row, height);
        let first = rows.start * width;
        best.copy_from_slice(&plane[first..][..width]);
        of_rows.fill(first as f32);
        for high in rows.skip(1) {
            let at = (high * width) as f32;
            let line = best.iter_mut().zip(&mut *of_rows).zip(&plane[high * width..][..width]);
            for ((best, row), value) in line {
                let greater = greater(*best, *value);
                *best = if greater { *value } else { *best };
                *row = if greater { at } else { *row };
            }
        }
        of_rows.iter_mut().zip(&*numbers).for_each(|(row, column)| *row += column);
        apart(best, step, values);
        apart(of_rows, step, found);
        output.fill(f32::NEG_INFINITY);
        // Where all of a window is negative infinity, its first place is the maximum's.
        let first = first as f32;
        places.iter_mut().zip(&*starts).for_each(|(place, start)| *place = first + start);
        for tap in 0..shape.kernel[1] {
            let (range, start) = reach(tap, 1, step, shape.padding[1], width, columns);
            let from = start % step * half + start / step;
            let [read, found] =
                [&*values, &*found].map(|line| line.get(from..).unwrap_or_default());
            let best = output[range.clone()].iter_mut().zip(&mut places[range]);
            for ((best, at), (value, place)) in best.zip(read.iter().zip(found)) {
                let takes = comes_before(*best, *at, *value, *place);
                *best = if takes { *value } else { *best };
                *at = if takes { *place } else { *at };
            }
        }
    }
}

/// A line by its places' remainders: all that leave none, then all that leave one, and so on.
#[inline(always)]
fn apart(line: &[f32], step: usize, target: &mut [f32]) {
    let half = line.len().div_ceil(step);
    let mut done = 0;
    if step == 2 {
        let (even, odd) = target.split_at_mut(half);
        let each = even.chunks_exact_mut(8).zip(odd.chunks_exact_mut(8));
        for ((even, odd), line) in each.zip(line.chunks_exact(16)) {
            let [a, b] = F8::load_apart(line);
            a.store(even);
            b.store(odd);
            done += 16;
        }
    }
    for (place, value) in line.iter().enumerate().skip(done) {
        target[place % step * half + place / step] = *value;
    }
}

/// Whether a value at a place is a window's maximum rather than the best at another: the first of equal ones, the last that
/// is not a number.
#[inline(always)]
fn comes_before(best: f32, at: f32, value: f32, place: f32) -> bool {
    value > best
        || (value == best && place < at)
        || (value.is_nan() && (!best.is_nan() || place > at))
}

/// Gradient of the input from that of the output and the maxima's places.
///
/// # Errors
/// As [`max_pool`].
///
/// # Panics
/// Where a place lies outside its plane.
pub fn max_pool_backward(
    shape: &PoolShape,
    output_gradient: &[f32],
    places: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), ShapeError> {
    shape.check()?;
    ConvShape::check_len("the output's gradient", shape.output_len(), output_gradient.len())?;
    ConvShape::check_len("the places", shape.output_len(), places.len())?;
    ConvShape::check_len("the input's gradient", shape.input_len(), input_gradient.len())?;
    let each = shape.pixels_out();
    let sources = output_gradient.par_chunks_exact(each).zip(places.par_chunks_exact(each));
    let planes = input_gradient.par_chunks_exact_mut(shape.pixels_in());
    planes.zip(sources).with_min_len(shape.least()).for_each(|(plane, (gradients, places))| {
        plane.fill(0.0);
        for (gradient, place) in gradients.iter().zip(places) {
            plane[*place as usize] += gradient;
        }
    });
    Ok(())
}
