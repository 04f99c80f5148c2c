//! Parts of a batch: some channels of some images, walked in the order that suits the cache.
//!
//! Large planes are walked one by one, with one set of coefficients each. Planes of a few pixels would leave
//! most lanes empty: there, the planes of neighbouring channels form one row, and coefficients are laid out for
//! each place of it.

use std::ops::Range;

use rayon::prelude::*;

use super::NormShape;
use super::lanes::{self, Sums};
use crate::lanes::fast;
use crate::tile::Shared;

/// Planes of fewer pixels are walked in rows.
const SMALL: usize = 128;
/// Values of a row: its coefficients and sums stay in the first-level cache.
const ROW: usize = 512;
/// Images whose rows are added in single precision before they go on in double precision.
const HELD: usize = 32;
/// Values of a block of a large plane.
const BLOCK: usize = 1 << 14;
/// Values of a run of blocks, the least that threads share out.
const RUN: usize = 1 << 15;
/// From so many parts on, threads share these alone.
const MANY: usize = 16;
/// Waking a second thread for so few values costs more than it saves.
const ALONE: usize = 1 << 16;

/// Some channels of some images.
pub(super) struct Part {
    shape: NormShape,
    pub(super) channels: Range<usize>,
    images: Range<usize>,
    /// Values of a span: of a row, or of a block of the only channel's plane.
    span: usize,
    /// Spans of an image.
    each: usize,
}

/// What `work` finds for each number, on several threads unless the values are too few for them.
fn share_out<R: Send>(
    shape: &NormShape,
    count: usize,
    work: impl Fn(usize) -> R + Sync + Send,
) -> Vec<R> {
    if shape.len() <= ALONE {
        return (0..count).map(work).collect();
    }
    let least = (RUN * count / shape.len()).max(1);
    (0..count).into_par_iter().with_min_len(least).map(work).collect()
}

/// What `work` finds for the channels of each part, all parts one after another.
///
/// Parts hold all images: what is summed over a channel is summed within one part.
pub(super) fn each_part<R: Send>(
    shape: &NormShape,
    work: impl Fn(Part) -> Vec<R> + Sync,
) -> impl Iterator<Item = R> {
    let each = if shape.pixels < SMALL { (ROW / shape.pixels).min(shape.channels) } else { 1 };
    let part = |number: usize| {
        let channels = number * each..((number + 1) * each).min(shape.channels);
        work(Part::new(*shape, channels, 0..shape.batch))
    };
    share_out(shape, shape.channels.div_ceil(each), part).into_iter().flatten()
}

/// Calls `work` with parts that cover the batch in the order of memory, where nothing is summed.
pub(super) fn each_piece(shape: &NormShape, work: impl Fn(Part) + Sync) {
    if shape.pixels < SMALL {
        each_part(shape, |part| -> Vec<()> {
            work(part);
            Vec::new()
        })
        .for_each(drop);
        return;
    }
    let piece = |plane: usize| {
        let (image, channel) = (plane / shape.channels, plane % shape.channels);
        work(Part::new(*shape, channel..channel + 1, image..image + 1));
    };
    share_out(shape, shape.batch * shape.channels, piece);
}

impl Part {
    fn new(shape: NormShape, channels: Range<usize>, images: Range<usize>) -> Self {
        let plane = channels.len() * shape.pixels;
        let span = if shape.pixels < SMALL { plane } else { plane.min(BLOCK) };
        let each = if span == plane { 1 } else { plane.div_ceil(span) };
        Self { shape, channels, images, span, each }
    }

    /// Whether planes are walked in rows.
    fn in_rows(&self) -> bool {
        self.shape.pixels < SMALL
    }

    /// Where span `number` lies.
    #[inline(always)]
    fn span(&self, number: usize) -> Range<usize> {
        let NormShape { channels, pixels, .. } = self.shape;
        // Most planes are one span, and divisions are slow.
        let (image, within) = match self.each {
            1 => (number, 0),
            each => (number / each, number % each * self.span),
        };
        let start = ((self.images.start + image) * channels + self.channels.start) * pixels;
        start + within..start + (within + self.span).min(self.channels.len() * pixels)
    }

    /// Calls `work` on runs of spans, on several threads where channels are too few for them.
    ///
    /// The runs follow from the shape alone, and the results come in their order.
    fn runs<R: Send>(&self, work: impl Fn(Range<usize>) -> R + Sync, mut each: impl FnMut(R)) {
        let spans = self.images.len() * self.each;
        if spans == 1 {
            return each(work(0..1));
        }
        let length = (RUN / self.span).max(1);
        let run = |number: usize| number * length..((number + 1) * length).min(spans);
        let runs = spans.div_ceil(length);
        if runs > 1 && self.shape.channels < MANY * self.channels.len() {
            let results: Vec<R> =
                (0..runs).into_par_iter().map(|number| work(run(number))).collect();
            results.into_iter().for_each(each);
        } else {
            (0..runs).for_each(|number| each(work(run(number))));
        }
    }

    /// Two sums of each channel, of terms made of its coefficients and the values of `slices`.
    pub(super) fn sums<const K: usize, const N: usize>(
        &self,
        slices: [&[f32]; N],
        coefficients: &[[f32; K]],
        term: impl Fn([f32; K], [f32; N]) -> [f32; 2] + Copy + Sync,
    ) -> Vec<[f64; 2]> {
        let mut totals = vec![[0.0; 2]; self.channels.len()];
        if self.in_rows() {
            let table = self.laid_out(coefficients);
            let work = |run| {
                let mut sums = vec![[0.0; 2]; self.channels.len()];
                let target = &mut sums;
                // Closures that give away what they capture are inlined into the chosen instructions.
                fast!(self.row_sums(run, slices, &table, term, target));
                sums
            };
            self.runs(work, |sums| {
                for (total, sum) in totals.iter_mut().zip(sums) {
                    *total = [total[0] + sum[0], total[1] + sum[1]];
                }
            });
            return totals;
        }
        let coefficients = coefficients[0];
        let work = |run: Range<usize>| {
            fast!({
                let mut sums = Sums::default();
                for number in run {
                    let span = self.span(number);
                    let slices = slices.map(|slice| &slice[span.clone()]);
                    sums.add(
                        slices,
                        #[inline(always)]
                        |values| term(coefficients, values),
                    );
                }
                sums.total()
            })
        };
        let total = &mut totals[0];
        self.runs(work, |sum| *total = [total[0] + sum[0], total[1] + sum[1]]);
        totals
    }

    #[inline(always)]
    fn row_sums<const K: usize, const N: usize>(
        &self,
        mut run: Range<usize>,
        slices: [&[f32]; N],
        table: &[[f32; ROW]; K],
        term: impl Fn([f32; K], [f32; N]) -> [f32; 2],
        totals: &mut [[f64; 2]],
    ) {
        let table = rows(table);
        let (pixels, len) = (self.shape.pixels, self.span);
        while !run.is_empty() {
            let (mut first, mut second) = ([0.0; ROW], [0.0; ROW]);
            for number in run.by_ref().take(HELD) {
                let span = self.span(number);
                let slices = slices.map(|slice| &slice[span.clone()]);
                lanes::add_places(&mut first[..len], &mut second[..len], slices, table, &term);
            }
            for (plane, total) in totals.iter_mut().enumerate() {
                let places = plane * pixels..(plane + 1) * pixels;
                total[0] += lanes::wide_sum(&first[places.clone()]);
                total[1] += lanes::wide_sum(&second[places]);
            }
        }
    }

    /// Writes what `value` makes of the coefficients and of `slices`.
    pub(super) fn write<const K: usize, const N: usize>(
        &self,
        target: &Shared<'_>,
        slices: [&[f32]; N],
        coefficients: &[[f32; K]],
        value: impl Fn([f32; K], [f32; N]) -> f32 + Copy + Sync,
    ) {
        let table = self.in_rows().then(|| self.laid_out(coefficients));
        self.each_span(
            #[inline(always)]
            |span| {
                let slices = slices.map(|slice| &slice[span.clone()]);
                // SAFETY: spans of a part do not overlap, nor do parts at work at the same time.
                let target = unsafe { target.part(span) };
                match &table {
                    Some(table) => lanes::write(target, slices, rows(table), value),
                    None => lanes::write(target, slices, coefficients[0], value),
                }
            },
        );
    }

    /// As [`write`](Self::write), two values into two targets.
    pub(super) fn write_two<const K: usize, const N: usize>(
        &self,
        targets: [&Shared<'_>; 2],
        slices: [&[f32]; N],
        coefficients: &[[f32; K]],
        value: impl Fn([f32; K], [f32; N]) -> [f32; 2] + Copy + Sync,
    ) {
        let table = self.in_rows().then(|| self.laid_out(coefficients));
        self.each_span(
            #[inline(always)]
            |span| {
                let slices = slices.map(|slice| &slice[span.clone()]);
                // SAFETY: spans of a part do not overlap, nor do parts at work at the same time.
                let first = unsafe { targets[0].part(span.clone()) };
                // SAFETY: as above, in another slice.
                let second = unsafe { targets[1].part(span) };
                match &table {
                    Some(table) => lanes::write_two(first, second, slices, rows(table), value),
                    None => lanes::write_two(first, second, slices, coefficients[0], value),
                }
            },
        );
    }

    /// Calls `work` with each span, on several threads where channels are too few for them.
    fn each_span(&self, work: impl Fn(Range<usize>) + Sync) {
        let run = |run: Range<usize>| {
            fast!(for number in run {
                work(self.span(number));
            });
        };
        self.runs(run, |()| ());
    }

    /// Each channel's coefficients, once for each of its places in a row.
    fn laid_out<const K: usize>(&self, coefficients: &[[f32; K]]) -> [[f32; ROW]; K] {
        let mut table = [[0.0; ROW]; K];
        for (which, row) in table.iter_mut().enumerate() {
            for (plane, values) in row.chunks_exact_mut(self.shape.pixels).zip(coefficients) {
                plane.fill(values[which]);
            }
        }
        table
    }
}

/// A table's rows as slices.
#[inline(always)]
fn rows<const K: usize>(table: &[[f32; ROW]; K]) -> [&[f32]; K] {
    table.each_ref().map(<[f32; ROW]>::as_slice)
}
