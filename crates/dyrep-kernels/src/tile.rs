//! Tiles: the output pixels that are computed together.

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

use crate::shape::ConvShape;

/// Some rows of one image's output, or all rows of several images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) images: Range<usize>,
    pub(crate) rows: Range<usize>,
    /// Columns, and pixels of a whole plane, of the output.
    width: usize,
    plane: usize,
}

impl Tile {
    /// All of the output.
    pub(crate) fn whole(shape: &ConvShape) -> Self {
        let [height, width] = shape.output();
        Self { images: 0..shape.batch, rows: 0..height, width, plane: height * width }
    }

    /// Output pixels in the tile.
    pub(crate) fn pixels(&self) -> usize {
        self.images.len() * self.pixels_of_image()
    }

    /// Output pixels of each of its images.
    pub(crate) fn pixels_of_image(&self) -> usize {
        self.rows.len() * self.width
    }

    /// Where the tile lies in the plane of one of its images, and one of `channels`.
    pub(crate) fn place(&self, image: usize, channel: usize, channels: usize) -> Range<usize> {
        let start = (image * channels + channel) * self.plane + self.rows.start * self.width;
        start..start + self.pixels_of_image()
    }

    /// What it has of one of its images.
    pub(crate) fn only(&self, image: usize) -> Self {
        Self { images: image..image + 1, ..self.clone() }
    }

    /// The images' planes, of `channels` each, in a list of all planes.
    pub(crate) fn planes(&self, channels: usize) -> Range<usize> {
        self.images.start * channels..self.images.end * channels
    }
}

/// Tiles that cover the output, of about `target` pixels; rows in multiples of `granule`, but for an image's last.
///
/// A function of the shape alone, so that sums over tiles are the same on every machine.
pub(crate) fn tiles(shape: &ConvShape, target: usize, granule: usize) -> Vec<Tile> {
    let [height, width] = shape.output();
    let whole = Tile::whole(shape);
    let images = (target / (height * width)).min(shape.batch);
    if images > 0 {
        let images = even(shape.batch, images);
        let starts = (0..shape.batch).step_by(images);
        let end = |start: usize| (start + images).min(shape.batch);
        return starts.map(|start| Tile { images: start..end(start), ..whole.clone() }).collect();
    }
    let rows = even(height, (target / width).max(1)).next_multiple_of(granule);
    let of_image = |image: usize| {
        let whole = whole.clone();
        (0..height).step_by(rows).map(move |start| Tile {
            images: image..image + 1,
            rows: start..(start + rows).min(height),
            ..whole.clone()
        })
    };
    (0..shape.batch).flat_map(of_image).collect()
}

/// The size of equal parts of `total` that are no larger than `part`.
fn even(total: usize, part: usize) -> usize {
    total.div_ceil(total.div_ceil(part))
}

/// Gathers a tile as `[channels, pixels of the tile]`; `read` gives values of a channel from a place on.
pub(crate) fn gather(
    channels: usize,
    tile: &Tile,
    gathered: &mut [f32],
    read: impl Fn(usize, usize, &mut [f32]) + Sync,
) {
    let each = tile.pixels_of_image();
    let rows = gathered.par_chunks_exact_mut(tile.pixels()).enumerate();
    rows.for_each(|(channel, row)| {
        for (image, target) in tile.images.clone().zip(row.chunks_exact_mut(each)) {
            read(channel, tile.place(image, channel, channels).start, target);
        }
    });
}

/// Writes `gathered` `[channels, pixels of the tile]` back to its tile of `map`.
pub(crate) fn scatter(gathered: &[f32], channels: usize, tile: &Tile, map: &mut [f32]) {
    let (pixels, each) = (tile.pixels(), tile.pixels_of_image());
    let plane = tile.plane;
    let planes = tile.planes(channels);
    let planes = map[planes.start * plane..planes.end * plane].par_chunks_exact_mut(plane);
    planes.enumerate().for_each(|(number, target)| {
        let (image, channel) = (number / channels, number % channels);
        let values = &gathered[channel * pixels + image * each..][..each];
        target[tile.rows.start * tile.width..][..each].copy_from_slice(values);
    });
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
    fn tiles_cover_every_row_once() {
        for (batch, size) in [(1, 224), (16, 2), (5, 7), (3, 56)] {
            let shape = ConvShape {
                batch,
                channels: [64; 2],
                input: [size; 2],
                kernel: [3, 3],
                stride: [1, 1],
                dilation: [1, 1],
                padding: [(1, 1); 2],
                groups: 1,
            };
            for (target, granule) in [(1, 1), (100, 2), (500, 2), (1 << 20, 1)] {
                let mut seen = vec![0; batch * size];
                for tile in tiles(&shape, target, granule) {
                    assert_eq!(tile.rows.start % granule, 0);
                    for image in tile.images.clone() {
                        tile.rows.clone().for_each(|row| seen[image * size + row] += 1);
                    }
                }
                assert!(seen.iter().all(|count| *count == 1), "{shape:?}");
            }
        }
    }
}
