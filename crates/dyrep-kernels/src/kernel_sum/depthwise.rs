//! A depthwise convolution and a 1×1 behind it, composed: for each input channel a small product, as deep as the channels
//! that read it are many.

use super::chunks::Piece;
use super::{Form, KernelSum, Term};
use crate::lanes::{F8, fast};
use crate::scratch::Buffer;

/// Inputs that are computed together for all outputs of a piece: what belongs to them stays in the nearest cache.
const INPUTS: usize = 32;
/// Of a vector.
const LANES: usize = 8;
/// Channels that read each input, and taps, of OREPA's as published: compiled for these numbers.
const PUBLISHED: [usize; 2] = [8, 9];

/// What the composition of a piece is made of.
pub(super) struct Depthwise<'a> {
    inputs: usize,
    /// Channels that read each input.
    times: usize,
    taps: usize,
    /// The group's, `[inputs, times, taps]`.
    depthwise: &'a [f32],
    /// The piece's, `[outputs, inputs, times]`.
    pointwise: &'a [f32],
    /// The piece's scales.
    scale: Option<&'a [f32]>,
}

impl<'a> KernelSum<&'a [f32]> {
    /// The composition of a piece by a term, if it is one.
    pub(super) fn depthwise(&self, term: &Term<&'a [f32]>, piece: &Piece) -> Option<Depthwise<'a>> {
        let Form::Depthwise { depthwise, pointwise } = &term.form else { return None };
        let (inputs, taps) = (self.inputs(), self.taps());
        let each = pointwise.len() / self.channels[1];
        let (outputs, own) = (piece.outputs.clone(), each * taps);
        Some(Depthwise {
            inputs,
            times: each / inputs,
            taps,
            depthwise: &depthwise[piece.group * own..][..own],
            pointwise: &pointwise[outputs.start * each..outputs.end * each],
            scale: term.scale.map(|scale| &scale[outputs]),
        })
    }
}

impl Depthwise<'_> {
    fn scale(&self, output: usize) -> f32 {
        self.scale.map_or(1.0, |scale| scale[output])
    }

    /// Adds it to the piece's rows of the sum, `[outputs, inputs, taps]`.
    pub(super) fn add_to(&self, rows: &mut [f32]) {
        let (times, taps) = (self.times, self.taps);
        let each = self.inputs * times;
        // The kernels of some inputs, `[inputs, taps / 8, times, 8]`, zeros behind the last tap.
        let mut kernels = Buffer::any(INPUTS * times * taps.next_multiple_of(LANES));
        for start in (0..self.inputs).step_by(INPUTS) {
            let count = INPUTS.min(self.inputs - start);
            let own = &self.depthwise[start * times * taps..][..count * times * taps];
            padded(own, &mut kernels, [times, taps], |channel, tap| channel * taps + tap);
            for (output, values) in self.pointwise.chunks_exact(each).enumerate() {
                let values = &values[start * times..][..count * times];
                let row = &mut rows[(output * self.inputs + start) * taps..][..count * taps];
                let by = self.scale(output);
                match [times, taps] {
                    PUBLISHED => fast!(add(row, values, &kernels, by, PUBLISHED)),
                    sizes => fast!(add(row, values, &kernels, by, sizes)),
                }
            }
        }
    }

    /// The gradients of the piece's 1×1 and scales, from its rows of the sum's, and what it adds to that of the group's
    /// depthwise convolution, unless there is no room for it.
    pub(super) fn backward(
        &self,
        gradient: &[f32],
        of_pointwise: &mut [f32],
        of_scale: &mut [f32],
        of_depthwise: &mut [f32],
    ) {
        let (times, taps) = (self.times, self.taps);
        let (each, wide) = (self.inputs * times, times.next_multiple_of(LANES));
        // Of some inputs, `[inputs, times / 8, taps, 8]`, zeros behind the last channel.
        let mut kernels = Buffer::any(INPUTS * wide * taps);
        let mut sums = Buffer::any(INPUTS * wide * taps);
        for start in (0..self.inputs).step_by(INPUTS) {
            let count = INPUTS.min(self.inputs - start);
            let own = start * times * taps..(start + count) * times * taps;
            let across = |tap, channel| channel * taps + tap;
            padded(&self.depthwise[own.clone()], &mut kernels, [taps, times], across);
            sums.fill(0.0);
            let all = self.pointwise.chunks_exact(each).zip(of_pointwise.chunks_exact_mut(each));
            for (output, (values, of_values)) in all.enumerate() {
                let part = start * times..(start + count) * times;
                let row = &gradient[(output * self.inputs + start) * taps..][..count * taps];
                let (values, of_values) = (&values[part.clone()], &mut of_values[part]);
                let by = self.scale(output);
                let own = [row, values, &kernels[..]];
                of_scale[output] += match [times, taps] {
                    PUBLISHED => fast!(back(own, of_values, &mut sums, by, PUBLISHED)),
                    sizes => fast!(back(own, of_values, &mut sums, by, sizes)),
                };
            }
            if of_depthwise.is_empty() {
                continue;
            }
            let of_inputs = of_depthwise[own].chunks_exact_mut(times * taps);
            for (own, sums) in of_inputs.zip(sums.chunks_exact(wide * taps)) {
                for (channel, own) in own.chunks_exact_mut(taps).enumerate() {
                    let sums = &sums[channel / LANES * taps * LANES + channel % LANES..];
                    let sums = sums.iter().step_by(LANES);
                    own.iter_mut().zip(sums).for_each(|(own, sum)| *own += sum);
                }
            }
        }
    }
}

/// Each input's kernels as `[lanes / 8, depth, 8]`, zeros behind the last lane; `place` tells where among the input's
/// values that of a depth and a lane is.
fn padded(
    values: &[f32],
    padded: &mut [f32],
    [depth, lanes]: [usize; 2],
    place: impl Fn(usize, usize) -> usize,
) {
    let wide = lanes.next_multiple_of(LANES);
    for (values, padded) in
        values.chunks_exact(depth * lanes).zip(padded.chunks_exact_mut(depth * wide))
    {
        for (vector, padded) in padded.chunks_exact_mut(depth * LANES).enumerate() {
            for (deep, padded) in padded.chunks_exact_mut(LANES).enumerate() {
                for (lane, padded) in (vector * LANES..).zip(padded) {
                    *padded = if lane < lanes { values[place(deep, lane)] } else { 0.0 };
                }
            }
        }
    }
}

/// Adds an output's row of some inputs.
#[inline(always)]
fn add(row: &mut [f32], values: &[f32], kernels: &[f32], by: f32, [times, taps]: [usize; 2]) {
    let by = F8::splat(by);
    let each = row.chunks_exact_mut(taps).zip(values.chunks_exact(times));
    let kernels = kernels.chunks_exact(times * taps.next_multiple_of(LANES));
    for ((row, values), kernels) in each.zip(kernels) {
        for (row, kernels) in row.chunks_mut(LANES).zip(kernels.chunks_exact(times * LANES)) {
            let mut sum = F8::ZERO;
            for (value, kernel) in values.iter().zip(kernels.chunks_exact(LANES)) {
                sum = sum + F8::splat(*value) * F8::load(kernel);
            }
            (F8::load_first(row) + by * sum).store_first(row);
        }
    }
}

/// The gradients of an output's 1×1 and, added, of the depthwise convolution; returned that of its scale.
#[inline(always)]
fn back(
    [row, values, kernels]: [&[f32]; 3],
    of_values: &mut [f32],
    sums: &mut [f32],
    by: f32,
    [times, taps]: [usize; 2],
) -> f32 {
    let by = F8::splat(by);
    let mut of_scale = F8::ZERO;
    let size = times.next_multiple_of(LANES) * taps;
    let each = row.chunks_exact(taps).zip(kernels.chunks_exact(size));
    let own = values.chunks_exact(times).zip(of_values.chunks_exact_mut(times));
    for (((row, kernels), sums), (values, of_values)) in
        each.zip(sums.chunks_exact_mut(size)).zip(own)
    {
        let vectors = values.chunks(LANES).zip(of_values.chunks_mut(LANES));
        let each = kernels.chunks_exact(taps * LANES).zip(sums.chunks_exact_mut(taps * LANES));
        for ((kernels, sums), (values, of_values)) in each.zip(vectors) {
            let values = F8::load_first(values);
            let scaled = by * values;
            let mut through = F8::ZERO;
            let each = kernels.chunks_exact(LANES).zip(sums.chunks_exact_mut(LANES));
            for (value, (kernel, sum)) in row.iter().zip(each) {
                let value = F8::splat(*value);
                through = through + value * F8::load(kernel);
                (scaled * value).add_to(sum);
            }
            of_scale = of_scale + values * through;
            (by * through).store_first(of_values);
        }
    }
    of_scale.sum() as f32
}
