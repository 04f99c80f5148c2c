//! Pictures with the statistics of photographs: about as much contrast in each octave of sizes,
//! edges, some grain, and colours that vary slowly.
//!
//! ```text
//! noise_c(x, y)  values on a lattice of c×c cells, smoothly interpolated, periodic
//! light          Σ_k 0.85^k · noise_{2^k}   a step where a coarser sum changes its sign   grain
//! colour         two sums of the first few terms, weaker
//! ```
//!
//! Additions and multiplications of `f32` only, so the pixels are the same on every machine. The
//! pictures are periodic: shifted around, one gives others without a seam.

use crate::rng::SampleRng;

/// Values on a periodic lattice.
struct Lattice {
    cells: usize,
    values: Vec<f32>,
}

impl Lattice {
    fn new(cells: usize, rng: &mut SampleRng) -> Self {
        let values = (0..cells * cells).map(|_| rng.uniform(-1.0, 1.0) as f32).collect();
        Self { cells, values }
    }

    /// Adds `weight` times the interpolated values to a field.
    fn add(&self, weight: f32, field: &mut Field) {
        let columns: Vec<_> = (0..field.width).map(|x| self.place(x, field.width)).collect();
        for (y, row) in field.values.chunks_exact_mut(field.width).enumerate() {
            let (top, bottom, down) = self.place(y, field.height);
            let (top, bottom) = (self.row(top), self.row(bottom));
            for (value, &(left, right, along)) in row.iter_mut().zip(&columns) {
                let upper = top[left] + along * (top[right] - top[left]);
                let lower = bottom[left] + along * (bottom[right] - bottom[left]);
                *value += weight * (upper + down * (lower - upper));
            }
        }
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.cells..(row + 1) * self.cells]
    }

    /// The cells before and behind a pixel, and how far it is from the first, smoothed.
    fn place(&self, pixel: usize, pixels: usize) -> (usize, usize, f32) {
        let scaled = pixel * self.cells;
        let (cell, rest) = (scaled / pixels, (scaled % pixels) as f32 / pixels as f32);
        (cell, (cell + 1) % self.cells, rest * rest * (3.0 - 2.0 * rest))
    }
}

/// A value for each pixel.
struct Field {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Field {
    /// The sum of `octaves` lattices, from 2 cells a side on, each weaker than the one before by
    /// `decay`.
    fn new((width, height): (usize, usize), octaves: u32, decay: f32, rng: &mut SampleRng) -> Self {
        let mut field = Self { width, height, values: vec![0.0; width * height] };
        let mut weight = 1.0;
        for octave in 1..=octaves {
            Lattice::new(1 << octave, rng).add(weight, &mut field);
            weight *= decay;
        }
        field
    }
}

/// The pixels of a picture, interleaved.
pub(super) fn picture(width: u32, height: u32, channels: usize, mut rng: SampleRng) -> Vec<u8> {
    let size @ (width, height) = (width as usize, height as usize);
    // Down to details of about two pixels.
    let octaves = width.max(height).ilog2().clamp(1, 12);
    let light = Field::new(size, octaves, 0.85, &mut rng);
    let shapes = Field::new(size, octaves.min(4), 0.5, &mut rng);
    let warm = Field::new(size, octaves.min(3), 0.5, &mut rng);
    let green = Field::new(size, octaves.min(3), 0.5, &mut rng);
    let mut pixels = Vec::with_capacity(width * height * channels);
    for at in 0..width * height {
        let edge = if shapes.values[at] > 0.0 { 30.0 } else { -30.0 };
        let grain = rng.uniform(-10.0, 10.0) as f32;
        let grey = 120.0 + 35.0 * light.values[at] + edge + grain;
        let (warm, green) = (25.0 * warm.values[at], 20.0 * green.values[at]);
        // A cast from `f32` to `u8` saturates.
        match channels {
            1 => pixels.push(grey as u8),
            _ => pixels.extend([grey + warm, grey + green, grey - warm].map(|value| value as u8)),
        }
    }
    pixels
}

/// The picture shifted around by `(right, down)` pixels.
pub(super) fn shifted(pixels: &[u8], row: usize, (right, down): (usize, usize)) -> Vec<u8> {
    let mut shifted = Vec::with_capacity(pixels.len());
    let rows = pixels.len() / row;
    for y in 0..rows {
        let from = (y + down) % rows * row;
        let (head, tail) = pixels[from..from + row].split_at(right);
        shifted.extend_from_slice(tail);
        shifted.extend_from_slice(head);
    }
    shifted
}
