//! Products of taps without a stride: they depend on the taps' distance, but for the border.
//!
//! If the outputs went on in all directions, `Σ x_t x_s` would depend on the lag `s − t` alone, and so would
//! what flows from the input through a branch and back: k² taps have k⁴ pairs, but fewer than 2 k² lags up to
//! their sign. The outputs beyond the real ones, whose taps still read a pixel, form a *ring*. It is thin: its
//! products are taken off again one by one.

use crate::flat::{Rows, SLACK, Start, add_every, copy_every, correlate, slide};
use crate::frame::Layout;
use crate::shape::ConvShape;

use super::sums::Geometry;

/// What one tap reads along a line of the ring: pixels that follow each other by a step.
#[derive(Clone, Copy, Debug)]
struct Read {
    tap: usize,
    /// Pixels, the first of them, and its place along the line.
    count: usize,
    pixel: [usize; 2],
    place: usize,
}

/// A row or a column of the ring.
#[derive(Clone, Debug)]
struct Line {
    len: usize,
    /// 0 if it goes down, 1 if it goes right.
    axis: usize,
    reads: Vec<Read>,
    /// Where the values of each read start, once they are gathered.
    offsets: Vec<usize>,
}

/// The ring of a shape, and the memory for its lines.
#[derive(Clone, Debug)]
pub(super) struct Lags {
    lines: Vec<Line>,
    values: Vec<f32>,
    result: Vec<f32>,
    weights: Vec<(usize, f32)>,
    /// Offsets of lags, which are not negative.
    offsets: Vec<usize>,
    /// Sums over all pixels, by lag.
    by_lag: Vec<f64>,
    /// Sums over the ring, `[taps, taps]`.
    on_ring: Vec<f64>,
}

/// Lags along height and width from one tap to another.
fn lag(shape: &ConvShape, from: usize, to: usize) -> [isize; 2] {
    let wide = shape.kernel[1];
    let apart = |from: usize, to: usize| to as isize - from as isize;
    [apart(from / wide, to / wide), apart(from % wide, to % wide)]
}

impl Lags {
    /// None with a stride, or if a tap reads less than half of the pixels: what the ring takes off would leave
    /// little but rounding.
    pub(super) fn new(layout: &Layout, geometry: &Geometry) -> Option<Self> {
        let shape = &layout.shape;
        let half_of_all = (shape.batch * shape.pixels_in()) as f64 / 2.0;
        let enough = geometry.inside.iter().all(|read| *read >= half_of_all);
        if shape.stride != [1, 1] || !enough {
            return None;
        }
        let taps = shape.taps();
        Some(Self {
            lines: lines(shape, layout.images),
            values: Vec::new(),
            result: Vec::new(),
            weights: Vec::new(),
            offsets: half(shape).map(|lag| offset(layout, lag)).map(isize::unsigned_abs).collect(),
            by_lag: vec![0.0; half(shape).count()],
            on_ring: vec![0.0; taps * taps],
        })
    }

    /// What a frame costs, in products of long rows of values.
    pub(super) fn cost(&self, layout: &Layout) -> usize {
        // Sums along a line are short: by measurement a product costs three.
        let of_line = |line: &Line| 3 * line.reads.len() * (line.reads.len() + 1) / 2 * line.len;
        let on_ring = self.lines.iter().map(of_line).sum::<usize>() * layout.images;
        self.offsets.len() * layout.phase_len() + on_ring
    }

    pub(super) fn start(&mut self) {
        self.by_lag.fill(0.0);
        self.on_ring.fill(0.0);
    }

    /// Counts a frame in.
    pub(super) fn add(&mut self, layout: &Layout, frame: &[f32]) {
        correlate(&frame[..layout.phase_len()], frame, &self.offsets, &mut self.by_lag);
        let taps = layout.shape.taps();
        for line in &self.lines {
            let len = line.gather(layout, frame, &mut self.values);
            for (number, read) in line.reads.iter().enumerate() {
                let left = &self.values[number * len..][..len];
                let others = line.reads[number..].chunks(MOST);
                for (offsets, others) in line.offsets[number..].chunks(MOST).zip(others) {
                    let mut sums = [0.0; MOST];
                    let sums = &mut sums[..offsets.len()];
                    correlate(left, &self.values, offsets, sums);
                    for (other, sum) in others.iter().zip(sums) {
                        self.on_ring[read.tap * taps + other.tap] += *sum;
                    }
                }
            }
        }
    }

    /// Writes `Σ x_t x_s` for `s ≥ t`.
    pub(super) fn finish(&self, layout: &Layout, second: &mut [f64]) {
        let shape = &layout.shape;
        let taps = shape.taps();
        for t in 0..taps {
            for s in t..taps {
                let all = self.by_lag[place(shape, lag(shape, t, s))];
                second[t * taps + s] = all - self.on_ring[t * taps + s];
            }
        }
    }

    /// The taps, from one reach before a pixel on, that add `Σ_ts pairs_ts x_{s − t}` to it.
    pub(super) fn taps(layout: &Layout, pairs: &[f64]) -> Vec<(usize, f32)> {
        let shape = &layout.shape;
        let taps = shape.taps();
        let [high, wide] = shape.kernel.map(|size| 2 * size - 1);
        let mut weights = vec![0.0; high * wide];
        for (pair, value) in pairs.iter().enumerate() {
            let [down, right] = lag(shape, pair / taps, pair % taps);
            let row = down.wrapping_add_unsigned(shape.kernel[0] - 1).unsigned_abs();
            let column = right.wrapping_add_unsigned(shape.kernel[1] - 1).unsigned_abs();
            weights[row * wide + column] += value;
        }
        let places = (0..high * wide).map(|place| {
            let (row, column) = (place / wide, place % wide);
            row * shape.dilation[0] * layout.pitch + column * shape.dilation[1]
        });
        places.zip(weights.into_iter().map(|weight| weight as f32)).collect()
    }

    /// Takes the ring's share of [`Self::taps`] off the planes that they were slid over.
    pub(super) fn take_off(
        &mut self,
        layout: &Layout,
        frame: &[f32],
        pairs: &[f64],
        planes: &mut [&mut [f32]],
    ) {
        let taps = layout.shape.taps();
        for line in &self.lines {
            let len = line.gather(layout, frame, &mut self.values);
            self.result.resize(len, 0.0);
            for read in &line.reads {
                let row = &pairs[read.tap * taps..][..taps];
                let weights = line.offsets.iter().zip(&line.reads);
                let weights = weights.map(|(offset, read)| (*offset, -row[read.tap] as f32));
                self.weights.clear();
                self.weights.extend(weights);
                let start = Start::Value(0.0);
                slide(&self.values, &self.weights, Rows::one(len), start, &mut self.result);
                for (values, plane) in self.result.chunks_exact(line.len).zip(&mut *planes) {
                    line.scatter(&layout.shape, read, values, plane);
                }
            }
        }
    }
}

/// Sums that are asked for at once.
const MOST: usize = 32;

/// Lags that are zero or point forwards: the others are the same with both taps swapped.
fn half(shape: &ConvShape) -> impl Iterator<Item = [isize; 2]> + use<> {
    let [high, wide] = shape.kernel.map(|size| size as isize);
    let columns = move |down| if down == 0 { 0..wide } else { 1 - wide..wide };
    (0..high).flat_map(move |down| columns(down).map(move |right| [down, right]))
}

/// Where a lag stands among [`half`].
fn place(shape: &ConvShape, [down, right]: [isize; 2]) -> usize {
    let wide = shape.kernel[1] as isize;
    (down * (2 * wide - 1) + right).unsigned_abs()
}

fn offset(layout: &Layout, [down, right]: [isize; 2]) -> isize {
    let [high, wide] = layout.shape.dilation.map(|dilation| dilation as isize);
    down * high * layout.pitch as isize + right * wide
}

/// The ring's lines: rows above and below the outputs, which go on to both sides, and columns beside them.
fn lines(shape: &ConvShape, images: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for axis in [0, 1] {
        let other = 1 - axis;
        let span = |axis: usize| ((shape.kernel[axis] - 1) * shape.dilation[axis]) as isize;
        let outputs = shape.output().map(|size| size as isize);
        let ends = [0, 1].map(|axis| (shape.input[axis] + shape.padding[axis].0) as isize);
        // Where lines start and end: rows include the corners, columns do not.
        let along = if axis == 0 { -span(other)..ends[other] } else { 0..outputs[other] };
        let outside = (-span(axis)..0).chain(outputs[axis]..ends[axis]);
        for output in outside {
            let reads = (0..shape.taps()).filter_map(|tap| {
                let tap_at = [tap / shape.kernel[1], tap % shape.kernel[1]];
                let place = |axis: usize, output: isize| {
                    output + (tap_at[axis] * shape.dilation[axis]) as isize
                        - shape.padding[axis].0 as isize
                };
                let across = place(axis, output);
                let first = place(other, along.start).max(0);
                let end = place(other, along.end).min(shape.input[other] as isize);
                let inside = (0..shape.input[axis] as isize).contains(&across) && first < end;
                let mut pixel = [0; 2];
                (pixel[axis], pixel[other]) = (across.unsigned_abs(), first.unsigned_abs());
                inside.then(|| Read {
                    tap,
                    count: (end - first).unsigned_abs(),
                    pixel,
                    place: (first - place(other, along.start)).unsigned_abs(),
                })
            });
            let reads: Vec<Read> = reads.collect();
            if !reads.is_empty() {
                let len = along.end.abs_diff(along.start);
                let offsets = (0..reads.len()).map(|number| number * len * images).collect();
                lines.push(Line { len, axis: other, reads, offsets });
            }
        }
    }
    lines
}

impl Line {
    /// Writes what each tap reads along the line, image after image; the length of each tap's part.
    fn gather(&self, layout: &Layout, frame: &[f32], values: &mut Vec<f32>) -> usize {
        let len = self.len * layout.images;
        values.clear();
        values.resize(self.reads.len() * len + SLACK, 0.0);
        let [top, left] = layout.shape.padding.map(|(before, _)| before);
        for (read, values) in self.reads.iter().zip(values.chunks_exact_mut(len)) {
            let first = (read.pixel[0] + top) * layout.pitch + read.pixel[1] + left;
            for (image, values) in values.chunks_exact_mut(self.len).enumerate() {
                let source = &frame[image * layout.image_len() + first..];
                let target = &mut values[read.place..read.place + read.count];
                copy_every(if self.axis == 1 { 1 } else { layout.pitch }, source, target);
            }
        }
        len
    }

    /// Adds values along the line to the pixels that a tap reads there.
    fn scatter(&self, shape: &ConvShape, read: &Read, values: &[f32], plane: &mut [f32]) {
        let width = shape.input[1];
        let target = &mut plane[read.pixel[0] * width + read.pixel[1]..];
        let values = &values[read.place..read.place + read.count];
        add_every(if self.axis == 1 { 1 } else { width }, values, target);
    }
}
