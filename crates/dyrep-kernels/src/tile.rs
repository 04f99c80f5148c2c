//! Tiles: which output pixels one matrix product computes.

use std::marker::PhantomData;
use std::ops::Range;

use crate::shape::ConvShape;

/// Values of a lowered tile: 1 MiB, which stays in the second-level cache.
const LOWERED: usize = 1 << 18;
/// Fewer pixels make thin products, more gain nothing.
const PIXELS: Range<usize> = 128..2048;

/// Some rows of one image's output, or all rows of several images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) images: Range<usize>,
    pub(crate) rows: Range<usize>,
}

impl Tile {
    /// Output pixels in the tile.
    pub(crate) fn pixels(&self, shape: &ConvShape) -> usize {
        self.images.len() * self.pixels_of_image(shape)
    }

    /// Output pixels of each of its images.
    pub(crate) fn pixels_of_image(&self, shape: &ConvShape) -> usize {
        self.rows.len() * shape.output()[1]
    }

    /// Where the tile starts within an image's output.
    pub(crate) fn start(&self, shape: &ConvShape) -> usize {
        self.rows.start * shape.output()[1]
    }
}

/// Tiles that cover the output, at least a few for each of `threads` where there is as much to do.
pub(crate) fn tiles(shape: &ConvShape, threads: usize) -> Vec<Tile> {
    let [height, width] = shape.output();
    let lowered_row = shape.per_group()[0] * shape.taps();
    let cache = (LOWERED / lowered_row).clamp(PIXELS.start, PIXELS.end);
    let share = (shape.batch * height * width).div_ceil(2 * threads).max(PIXELS.start / 2);
    let target = cache.min(share);
    let images = target / (height * width);
    if images > 0 {
        let starts = (0..shape.batch).step_by(images);
        let end = |start: usize| (start + images).min(shape.batch);
        return starts.map(|start| Tile { images: start..end(start), rows: 0..height }).collect();
    }
    let rows = (target / width).max(1);
    let of_image = |image: usize| {
        (0..height).step_by(rows).map(move |start| Tile {
            images: image..image + 1,
            rows: start..(start + rows).min(height),
        })
    };
    (0..shape.batch).flat_map(of_image).collect()
}

/// A slice that several threads write, each its own part.
pub(crate) struct Shared<'a> {
    start: *mut f32,
    len: usize,
    slice: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer is that of an exclusively borrowed slice; `part` leaves it to its callers that no two
// parts overlap, so threads never share a value.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(crate) fn new(slice: &'a mut [f32]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// A part of the slice.
    ///
    /// # Safety
    /// While it is in use, no other part that overlaps it may be.
    #[allow(clippy::mut_from_ref, reason = "parts do not overlap, by contract")]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [f32] {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {}", self.len);
        // SAFETY: within the slice, as asserted; not aliased, by contract.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_pixel_once() {
        for (batch, size, channels) in [(1, 224, 3), (16, 2, 512), (5, 7, 64), (3, 56, 64)] {
            let shape = ConvShape {
                batch,
                channels: [channels; 2],
                input: [size; 2],
                kernel: [3, 3],
                stride: [1, 1],
                dilation: [1, 1],
                padding: [(1, 1); 2],
                groups: 1,
            };
            for threads in [1, 2, 16] {
                let mut seen = vec![0; batch * size];
                for tile in tiles(&shape, threads) {
                    for image in tile.images.clone() {
                        tile.rows.clone().for_each(|row| seen[image * size + row] += 1);
                    }
                }
                assert!(seen.iter().all(|count| *count == 1), "{shape:?}");
            }
        }
    }
}
