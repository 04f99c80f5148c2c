//! How the outputs of a sum are shared out: by their number alone, never by that of the threads, so that results are the
//! same however many there are.

use std::ops::Range;

use super::KernelSum;

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

/// The values of each chunk, of which an output has so many.
pub(super) fn split<'a>(
    mut values: &'a mut [f32],
    chunks: &[Range<usize>],
    each: usize,
) -> Vec<&'a mut [f32]> {
    let take = |chunk: &Range<usize>| {
        let (taken, behind) = std::mem::take(&mut values).split_at_mut(chunk.len() * each);
        values = behind;
        taken
    };
    chunks.iter().map(take).collect()
}
