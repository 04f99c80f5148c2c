//! How the outputs of a sum are shared out: by their number alone, never by that of the threads, so that results are the
//! same however many there are.

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::KernelSum;
use crate::product::on_workers;
use crate::scratch::zeroed;

/// Outputs of a chunk, at least, where there are so many.
const LEAST: usize = 32;
/// Chunks of a group, at most.
const MOST: usize = 16;

/// Outputs of one group.
pub(super) struct Piece {
    pub(super) group: usize,
    /// Among all.
    pub(super) outputs: Range<usize>,
}

impl<T> KernelSum<T> {
    /// Outputs that are computed together: a part of a group, or some whole groups.
    pub(super) fn chunks(&self) -> Vec<Range<usize>> {
        let each = self.outputs();
        if each <= LEAST {
            let size = LEAST / each.max(1) * each;
            return ranges(0..self.channels[1], size.max(1)).collect();
        }
        let size = each.div_ceil((each / LEAST).clamp(1, MOST));
        let of_group = |group: usize| ranges(group * each..(group + 1) * each, size);
        (0..self.groups).flat_map(of_group).collect()
    }

    /// A chunk, group by group.
    pub(super) fn pieces(&self, chunk: &Range<usize>) -> impl Iterator<Item = Piece> + use<T> {
        let each = self.outputs().max(1);
        let chunk = chunk.clone();
        (chunk.start / each..chunk.end.div_ceil(each)).map(move |group| {
            let start = chunk.start.max(group * each);
            Piece { group, outputs: start..chunk.end.min((group + 1) * each) }
        })
    }
}

fn ranges(all: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = all.end;
    all.step_by(size).map(move |start| start..(start + size).min(end))
}

/// Vectors of so many values an output each, made chunk by chunk side by side, and what comes of each chunk. `make` gets
/// the chunk's part of every vector, zeros; they are written first by who computes them, while they are near.
pub(super) fn made<R: Send>(
    chunks: &[Range<usize>],
    each: &[usize],
    make: impl Fn(&Range<usize>, Vec<&mut [f32]>) -> R + Sync,
) -> (Vec<Vec<f32>>, Vec<R>) {
    let outputs: usize = chunks.iter().map(Range::len).sum();
    let mut vectors: Vec<Vec<f32>> =
        each.iter().map(|each| Vec::with_capacity(each * outputs)).collect();
    let mut parts: Vec<Vec<&mut [MaybeUninit<f32>]>> = chunks.iter().map(|_| vec![]).collect();
    for (vector, each) in vectors.iter_mut().zip(each) {
        let mut rest = vector.spare_capacity_mut();
        for (chunk, parts) in chunks.iter().zip(&mut parts) {
            let (own, behind) = rest.split_at_mut(chunk.len() * each);
            parts.push(own);
            rest = behind;
        }
    }
    let results = on_workers(|| {
        let all = parts.into_par_iter().zip(chunks).with_max_len(1);
        all.map(|(parts, chunk)| make(chunk, parts.into_iter().map(zeroed).collect())).collect()
    });
    for (vector, each) in vectors.iter_mut().zip(each) {
        // SAFETY: there is room for so many, and they are the parts of all chunks, each of which was zeroed.
        unsafe { vector.set_len(each * outputs) };
    }
    (vectors, results)
}
