//! The way back of a sum of kernels: chunk by chunk of its outputs, so that a row of the gradient is read once for all terms.

use std::ops::Range;

use rayon::prelude::*;

use super::chunks::made;
use super::rows::Own;
use super::{Form, KernelSum, Term};
use crate::lanes::fast;
use crate::product::on_workers;
use crate::scratch::Buffer;
use crate::shape::{ConvShape, ShapeError};

/// Values of a gradient that chunks share, added up together.
const BLOCK: usize = 1 << 14;

/// A chunk's part of a term's gradients.
struct Part<'a> {
    /// Of its kernel; of a sequence of what is read by outputs.
    weight: &'a mut [f32],
    filter: &'a mut [f32],
    scale: &'a mut [f32],
    /// What the chunk adds to the gradient of what stands in front of its groups' outputs: all outputs share it.
    shared: Buffer,
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
        let each: Vec<usize> = self.terms.iter().flat_map(|term| self.sizes(term)).collect();
        let (vectors, shared) = made(&chunks, &each, |chunk, parts| {
            let mut parts = parts.into_iter();
            let mut next = || parts.next().unwrap_or_default();
            let part = |(term, wanted): (&Term<_>, &Term<_>)| Part {
                weight: next(),
                filter: next(),
                scale: next(),
                shared: Buffer::zeros(self.pieces(chunk).count() * self.shared(term, wanted)),
            };
            let mut parts: Vec<_> = self.terms.iter().zip(&wanted.terms).map(part).collect();
            self.chunk_backward(gradient, chunk, &mut parts);
            parts.into_iter().map(|part| part.shared).collect::<Vec<_>>()
        });
        let mut vectors = vectors.into_iter();
        let mut next = || vectors.next();
        let terms = self.terms.iter().zip(&wanted.terms).enumerate();
        let terms = terms.map(|(number, (term, wanted))| {
            let (weight, filter, scale) = (next(), next(), next());
            let shared = || {
                let each = self.shared(term, wanted);
                let parts = shared.iter().map(|parts| &parts[number][..]);
                (each > 0).then(|| self.added(each, &chunks, &parts.collect::<Vec<_>>()))
            };
            let form = match term.form {
                Form::Kernel { window, .. } => Form::Kernel { window, weight },
                Form::Average { .. } => Form::Average { first: weight },
                Form::Filtered { .. } => Form::Filtered { first: weight, filter },
                Form::Depthwise { .. } => {
                    Form::Depthwise { depthwise: shared(), pointwise: weight }
                }
                Form::Product { window, .. } => Form::Product { window, first: shared(), weight },
                Form::Identity { tap } => Form::Identity { tap },
            };
            Term { form, scale: term.scale.map(|_| scale) }
        });
        let terms = terms.collect();
        Ok(KernelSum { channels: self.channels, groups: self.groups, kernel: self.kernel, terms })
    }

    /// Values of an output channel that a term's gradients have: of what is read by outputs, its filter and its scale.
    fn sizes(&self, term: &Term<&[f32]>) -> [usize; 3] {
        let outputs = self.channels[1];
        let [weight, filter] = match term.form {
            Form::Kernel { weight, .. } | Form::Product { weight, .. } => [weight.len(), 0],
            Form::Average { first } => [first.len(), 0],
            Form::Filtered { first, filter } => [first.len(), filter.len()],
            Form::Depthwise { pointwise, .. } => [pointwise.len(), 0],
            Form::Identity { .. } => [0, 0],
        };
        [weight / outputs, filter / outputs, 1]
    }

    /// Values of what stands in front of all outputs of a group, where its gradient is wanted.
    fn shared(&self, term: &Term<&[f32]>, wanted: &Term<bool>) -> usize {
        let shared = match (&term.form, &wanted.form) {
            (Form::Product { first, .. }, Form::Product { first: true, .. }) => first,
            (Form::Depthwise { depthwise, .. }, Form::Depthwise { depthwise: true, .. }) => {
                depthwise
            }
            _ => return 0,
        };
        shared.len() / self.groups
    }

    fn chunk_backward(&self, gradient: &[f32], chunk: &Range<usize>, parts: &mut [Part<'_>]) {
        let row = self.row();
        let gradient = &gradient[chunk.start * row..chunk.end * row];
        for (term, part) in self.terms.iter().zip(&mut *parts) {
            let [each, ..] = self.sizes(term);
            let of_group = part.shared.len() / self.pieces(chunk).count();
            for (number, piece) in self.pieces(chunk).enumerate() {
                let own = piece.outputs.start - chunk.start..piece.outputs.end - chunk.start;
                let gradient = &gradient[own.start * row..own.end * row];
                let weight = &mut part.weight[own.start * each..own.end * each];
                let scale = &mut part.scale[own];
                let shared = &mut part.shared[number * of_group..][..of_group];
                if let Some(composition) = self.composition(term, &piece) {
                    composition.backward(gradient, weight, scale, shared);
                } else if let Some(depthwise) = self.depthwise(term, &piece) {
                    depthwise.backward(gradient, weight, scale, shared);
                }
            }
        }
        for (number, row) in gradient.chunks_exact(row).enumerate() {
            let output = chunk.start + number;
            for (term, part) in self.terms.iter().zip(&mut *parts) {
                if term.form.is_sequence() {
                    continue;
                }
                let [weight, filter, _] = self.sizes(term);
                let own = Own {
                    weight: &mut part.weight[number * weight..][..weight],
                    filter: &mut part.filter[number * filter..][..filter],
                };
                let by = term.scale.map_or(1.0, |scale| scale[output]);
                part.scale[number] = fast!(self.back(row, output, &term.form, by, own));
            }
        }
    }

    /// What the chunks add to a gradient that the outputs of a group share, of so many values each, in their order.
    fn added(&self, each: usize, chunks: &[Range<usize>], parts: &[&[f32]]) -> Vec<f32> {
        let outputs = self.outputs().max(1);
        let mut sum = vec![0.0; each * self.groups];
        on_workers(|| {
            sum.par_chunks_mut(BLOCK).enumerate().for_each(|(block, sum)| {
                let block = block * BLOCK..block * BLOCK + sum.len();
                for (chunk, part) in chunks.iter().zip(parts) {
                    // A chunk's groups lie one behind the other.
                    let first = chunk.start / outputs * each;
                    let (start, end) = (block.start.max(first), block.end.min(first + part.len()));
                    if start < end {
                        let own = &mut sum[start - block.start..end - block.start];
                        let part = &part[start - first..end - first];
                        own.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
                    }
                }
            });
        });
        sum
    }
}
