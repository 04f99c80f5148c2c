//! The way back of a sum of kernels: chunk by chunk of its outputs, so that a row of the gradient is read once for all terms.

use std::ops::Range;

use rayon::prelude::*;

use super::chunks::split;
use super::rows::{Own, add_kernels, by_taps};
use super::{Form, KernelSum, Term};
use crate::lanes::fast;
use crate::product::on_workers;
use crate::shape::{ConvShape, ShapeError};

/// The gradients of a term, of all outputs.
struct Found {
    /// Of its kernel; of a sequence of what is read by outputs.
    weight: Vec<f32>,
    filter: Vec<f32>,
    scale: Vec<f32>,
}

/// The same of a chunk.
struct Part<'a> {
    weight: &'a mut [f32],
    filter: &'a mut [f32],
    scale: &'a mut [f32],
    /// What the chunk adds to the gradient of its groups' 1×1 in front of a kernel.
    first: Vec<f32>,
}

impl KernelSum<&[f32]> {
    /// The gradients of all that is `wanted`, from that of the sum.
    ///
    /// # Errors
    /// As [`sum`](Self::sum); a gradient of another length.
    pub fn backward(
        &self,
        gradient: &[f32],
        wanted: &KernelSum<bool>,
    ) -> Result<KernelSum<Option<Vec<f32>>>, ShapeError> {
        self.check()?;
        ConvShape::check_len("the sum's gradient", self.len(), gradient.len())?;
        let chunks = self.chunks();
        let mut found: Vec<Found> = self.terms.iter().map(|term| self.zeros(term)).collect();
        let firsts = {
            let mut parts: Vec<Vec<Part<'_>>> = chunks.iter().map(|_| vec![]).collect();
            for ((term, found), wanted) in self.terms.iter().zip(&mut found).zip(&wanted.terms) {
                let [weight, filter] = self.sizes(term);
                let split = split(&mut found.weight, &chunks, weight)
                    .into_iter()
                    .zip(split(&mut found.filter, &chunks, filter))
                    .zip(split(&mut found.scale, &chunks, 1));
                for ((parts, chunk), ((weight, filter), scale)) in
                    parts.iter_mut().zip(&chunks).zip(split)
                {
                    let first = vec![0.0; self.first_of(term, wanted, chunk)];
                    parts.push(Part { weight, filter, scale, first });
                }
            }
            on_workers(|| {
                let all = parts.par_iter_mut().zip(&chunks).with_max_len(1);
                all.for_each(|(parts, chunk)| self.chunk_backward(gradient, chunk, parts));
            });
            let firsts = parts.into_iter().map(|parts| parts.into_iter().map(|part| part.first));
            firsts.map(Iterator::collect).collect::<Vec<Vec<_>>>()
        };
        let terms = self.terms.iter().zip(found).enumerate().map(|(number, (term, found))| {
            let Found { weight, filter, scale } = found;
            let form = match term.form {
                Form::Kernel { window, .. } => Form::Kernel { window, weight: Some(weight) },
                Form::Average { .. } => Form::Average { first: Some(weight) },
                Form::Filtered { .. } => {
                    Form::Filtered { first: Some(weight), filter: Some(filter) }
                }
                Form::Depthwise { depthwise, pointwise } => {
                    let depthwise = self.depthwise_backward(term, gradient, depthwise, pointwise);
                    Form::Depthwise { depthwise: Some(depthwise), pointwise: Some(weight) }
                }
                Form::Product { window, first, .. } => {
                    let parts = firsts.iter().map(|firsts| &firsts[number][..]);
                    let first = self.added(first.len(), &chunks, parts);
                    Form::Product { window, first, weight: Some(weight) }
                }
                Form::Identity { tap } => Form::Identity { tap },
            };
            Term { form, scale: term.scale.map(|_| Some(scale)) }
        });
        let terms = terms.collect();
        Ok(KernelSum { channels: self.channels, groups: self.groups, kernel: self.kernel, terms })
    }

    /// Values of an output channel that a term's gradients have.
    fn sizes(&self, term: &Term<&[f32]>) -> [usize; 2] {
        let outputs = self.channels[1];
        match term.form {
            Form::Kernel { weight, .. } | Form::Product { weight, .. } => {
                [weight.len() / outputs, 0]
            }
            Form::Average { first } => [first.len() / outputs, 0],
            Form::Filtered { first, filter } => [first.len() / outputs, filter.len() / outputs],
            Form::Depthwise { pointwise, .. } => [pointwise.len() / outputs, 0],
            Form::Identity { .. } => [0, 0],
        }
    }

    fn zeros(&self, term: &Term<&[f32]>) -> Found {
        let outputs = self.channels[1];
        let [weight, filter] = self.sizes(term).map(|each| vec![0.0; each * outputs]);
        Found { weight, filter, scale: vec![0.0; outputs] }
    }

    /// Values of the 1×1 of the groups that a chunk belongs to, in front of a kernel, where its gradient is wanted.
    fn first_of(&self, term: &Term<&[f32]>, wanted: &Term<bool>, chunk: &Range<usize>) -> usize {
        match (&term.form, &wanted.form) {
            (Form::Product { first, .. }, Form::Product { first: true, .. }) => {
                self.pieces(chunk).count() * (first.len() / self.groups)
            }
            _ => 0,
        }
    }

    fn chunk_backward(&self, gradient: &[f32], chunk: &Range<usize>, parts: &mut [Part<'_>]) {
        let row = self.row();
        let gradient = &gradient[chunk.start * row..chunk.end * row];
        for (term, part) in self.terms.iter().zip(&mut *parts) {
            let Form::Product { first, .. } = &term.form else { continue };
            let (each, of_first) = (part.weight.len() / chunk.len(), first.len() / self.groups);
            for (number, piece) in self.pieces(chunk).enumerate() {
                let Some(composition) = self.composition(term, &piece) else { continue };
                let own = piece.outputs.start - chunk.start..piece.outputs.end - chunk.start;
                let first = match part.first.is_empty() {
                    true => None,
                    false => Some(&mut part.first[number * of_first..][..of_first]),
                };
                composition.backward(
                    &gradient[own.start * row..own.end * row],
                    &mut part.weight[own.start * each..own.end * each],
                    &mut part.scale[own],
                    first,
                );
            }
        }
        for (number, row) in gradient.chunks_exact(row).enumerate() {
            let output = chunk.start + number;
            for (term, part) in self.terms.iter().zip(&mut *parts) {
                if matches!(term.form, Form::Product { .. }) {
                    continue;
                }
                let [weight, filter] = self.sizes(term);
                let own = Own {
                    weight: &mut part.weight[number * weight..][..weight],
                    filter: &mut part.filter[number * filter..][..filter],
                };
                let by = term.scale.map_or(1.0, |scale| scale[output]);
                part.scale[number] = fast!(self.back(row, output, &term.form, by, own));
            }
        }
    }

    /// The gradient of a 1×1 in front of a kernel: what its groups' chunks add, in their order; none if none was wanted.
    fn added<'a>(
        &self,
        len: usize,
        chunks: &[Range<usize>],
        parts: impl Iterator<Item = &'a [f32]>,
    ) -> Option<Vec<f32>> {
        let (mut sum, each, mut is_wanted) = (vec![0.0; len], len / self.groups, true);
        for (chunk, part) in chunks.iter().zip(parts) {
            is_wanted &= !part.is_empty();
            for (piece, part) in self.pieces(chunk).zip(part.chunks_exact(each)) {
                let own = &mut sum[piece.group * each..][..each];
                own.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
            }
        }
        is_wanted.then_some(sum)
    }

    /// The gradient of a depthwise convolution in front of a 1×1. An input's kernels lie together, and so do its taps in
    /// every output channel of its group.
    fn depthwise_backward(
        &self,
        term: &Term<&[f32]>,
        gradient: &[f32],
        depthwise: &[f32],
        pointwise: &[f32],
    ) -> Vec<f32> {
        let (taps, inputs, outputs) = (self.taps(), self.inputs(), self.outputs());
        let times = pointwise.len() / self.channels[1] / inputs;
        // Inputs side by side: of each output they are one stretch of memory.
        let size = inputs.min(INPUTS);
        let mut found = vec![0.0; depthwise.len()];
        let tasks: Vec<(usize, &mut [f32])> = found
            .chunks_exact_mut(inputs * times * taps)
            .enumerate()
            .flat_map(|(group, own)| {
                own.chunks_mut(size * times * taps)
                    .enumerate()
                    .map(move |(number, own)| (group * inputs + number * size, own))
            })
            .collect();
        on_workers(|| {
            tasks.into_par_iter().with_max_len(1).for_each(|(start, own)| {
                let (group, start) = (start / inputs, start % inputs);
                for output in group * outputs..(group + 1) * outputs {
                    let by = term.scale.map_or(1.0, |scale| scale[output]);
                    let count = own.len() / (times * taps);
                    let rows = &gradient[output * self.row() + start * taps..][..count * taps];
                    let values = &pointwise[(output * inputs + start) * times..][..count * times];
                    fast!(by_taps!(taps, add_kernels(own, rows, values, by)));
                }
            });
        });
        found
    }
}

/// Inputs of which the gradient of a depthwise convolution is computed together: their kernels stay in the nearest cache.
const INPUTS: usize = 32;
