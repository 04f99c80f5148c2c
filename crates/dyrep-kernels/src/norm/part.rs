//! Parts of a batch: some channels of some images, walked in the order that suits the cache.
//!
//! Large planes are walked one by one, with one set of coefficients each. Planes of a few pixels would leave
//! most lanes empty: there, the planes of neighbouring channels form one row, and coefficients are laid out for
//! each place of it.

use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;

use super::NormShape;
use super::lanes::{self, Sums};
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
/// From so many channels on, threads share these alone.
const MANY: usize = 32;

/// Some channels of some images.
#[derive(Clone)]
pub(super) struct Part {
    shape: NormShape,
    pub(super) channels: Range<usize>,
    images: Range<usize>,
}

/// Channels of a part.
pub(super) fn channels_of_part(shape: &NormShape) -> usize {
    if shape.pixels < SMALL { (ROW / shape.pixels).min(shape.channels) } else { 1 }
}

/// All images of the channels of part `number`.
pub(super) fn part(shape: &NormShape, number: usize) -> Part {
    let each = channels_of_part(shape);
    let start = number * each;
    let channels = start..(start + each).min(shape.channels);
    Part { shape: *shape, channels, images: 0..shape.batch }
}

impl Part {
    /// The same channels of one image.
    pub(super) fn of_image(self, image: usize) -> Self {
        Self { images: image..image + 1, ..self }
    }

    /// Whether planes are walked in rows.
    fn in_rows(&self) -> bool {
        self.shape.pixels < SMALL
    }

    /// The rows, or the blocks of the only channel.
    fn spans(&self) -> impl ExactSizeIterator<Item = Range<usize>> + Clone + use<> {
        let NormShape { channels, pixels, .. } = self.shape;
        let (first, images) = (self.channels.start, self.images.start);
        let plane = self.channels.len() * pixels;
        let block = if self.in_rows() { plane } else { BLOCK };
        let each = plane.div_ceil(block);
        (0..self.images.len() * each).map(move |span| {
            let start = ((images + span / each) * channels + first) * pixels;
            let within = span % each * block;
            start + within..start + (within + block).min(plane)
        })
    }

    /// Calls `work` on runs of the spans, on several threads where channels are too few for them.
    ///
    /// The runs follow from the shape alone, and the results come in their order.
    fn runs<R: Send>(&self, work: impl Fn(Range<usize>) -> R + Sync, each: impl FnMut(R)) {
        let spans = self.spans().len();
        let block = BLOCK.min(self.shape.pixels);
        let length = if self.in_rows() { spans } else { (RUN / block).max(1) };
        let run = |number: usize| number * length..((number + 1) * length).min(spans);
        let runs = spans.div_ceil(length);
        if runs > 1 && self.shape.channels < MANY {
            let results: Vec<R> =
                (0..runs).into_par_iter().map(|number| work(run(number))).collect();
            results.into_iter().for_each(each);
        } else {
            (0..runs).map(|number| work(run(number))).for_each(each);
        }
    }

    /// Two sums of each channel, of terms made of its coefficients and the values of `slices`.
    pub(super) fn sums<const K: usize, const N: usize>(
        &self,
        slices: [&[f32]; N],
        coefficients: &[[f32; K]],
        term: impl Fn([f32; K], [f32; N]) -> [f32; 2] + Copy + Sync,
    ) -> Vec<[f64; 2]> {
        if self.in_rows() {
            let table = self.laid_out(coefficients);
            let mut totals = vec![[0.0; 2]; self.channels.len()];
            Arch::new().dispatch(
                #[inline(always)]
                || self.row_sums(slices, &table, term, &mut totals),
            );
            return totals;
        }
        let coefficients = coefficients[0];
        let mut total = [0.0; 2];
        let work = |run: Range<usize>| {
            let spans = self.spans().skip(run.start).take(run.len());
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    let mut sums = Sums::default();
                    for span in spans {
                        let slices = slices.map(|slice| &slice[span.clone()]);
                        sums.add(
                            slices,
                            #[inline(always)]
                            |values| term(coefficients, values),
                        );
                    }
                    sums.total()
                },
            )
        };
        self.runs(work, |[first, second]| total = [total[0] + first, total[1] + second]);
        vec![total]
    }

    #[inline(always)]
    fn row_sums<const K: usize, const N: usize>(
        &self,
        slices: [&[f32]; N],
        table: &[[f32; ROW]; K],
        term: impl Fn([f32; K], [f32; N]) -> [f32; 2],
        totals: &mut [[f64; 2]],
    ) {
        let table = table.each_ref().map(<[f32; ROW]>::as_slice);
        let (mut first, mut second) = ([0.0; ROW], [0.0; ROW]);
        let mut spans = self.spans();
        while spans.len() > 0 {
            for span in spans.by_ref().take(HELD) {
                let slices = slices.map(|slice| &slice[span.clone()]);
                let (first, second) = (&mut first[..span.len()], &mut second[..span.len()]);
                lanes::add_places(first, second, slices, table, &term);
            }
            let pixels = self.shape.pixels;
            let planes = first.chunks_exact(pixels).zip(second.chunks_exact(pixels));
            for (total, (first, second)) in totals.iter_mut().zip(planes) {
                total[0] += first.iter().map(|value| f64::from(*value)).sum::<f64>();
                total[1] += second.iter().map(|value| f64::from(*value)).sum::<f64>();
            }
            (first, second) = ([0.0; ROW], [0.0; ROW]);
        }
    }

    /// Writes what `value` makes of the coefficients, of what is there and of `slices`.
    pub(super) fn write<const K: usize, const N: usize>(
        &self,
        target: &Shared<'_>,
        slices: [&[f32]; N],
        coefficients: &[[f32; K]],
        value: impl Fn([f32; K], f32, [f32; N]) -> f32 + Copy + Sync,
    ) {
        let table = self.in_rows().then(|| self.laid_out(coefficients));
        let work = |run: Range<usize>| {
            let spans = self.spans().skip(run.start).take(run.len());
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    for span in spans {
                        let slices = slices.map(|slice| &slice[span.clone()]);
                        // SAFETY: spans of a part do not overlap, nor do parts at work at the same time.
                        let target = unsafe { target.part(span) };
                        match &table {
                            Some(table) => {
                                let table = table.each_ref().map(<[f32; ROW]>::as_slice);
                                lanes::write(target, slices, table, value);
                            }
                            None => lanes::write(target, slices, coefficients[0], value),
                        }
                    }
                },
            );
        };
        self.runs(work, |()| ());
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
        let work = |run: Range<usize>| {
            let spans = self.spans().skip(run.start).take(run.len());
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    for span in spans {
                        let slices = slices.map(|slice| &slice[span.clone()]);
                        // SAFETY: spans of a part do not overlap, nor do parts at work at the same time.
                        let [first, second] =
                            targets.map(|target| unsafe { target.part(span.clone()) });
                        match &table {
                            Some(table) => {
                                let table = table.each_ref().map(<[f32; ROW]>::as_slice);
                                lanes::write_two(first, second, slices, table, value);
                            }
                            None => lanes::write_two(first, second, slices, coefficients[0], value),
                        }
                    }
                },
            );
        };
        self.runs(work, |()| ());
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
