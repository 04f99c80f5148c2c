//! What a channel's statistics and gradients are made of: sums of products of what its taps read.
//!
//! `x_t` is what tap `t` reads at every output, zero beyond the border, and `in_t` is 1 where it reads a pixel.
//! All branches read the same `x_t`, so a handful of sums serves all of them, forward and backward.

use std::ops::Range;

use crate::flat::{add_scaled, correlate};
use crate::frame::Layout;
use crate::shape::ConvShape;

use super::lags::Lags;

/// Outputs that read a pixel, by tap: they depend on sizes alone.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    pub(super) rows: Vec<Range<usize>>,
    pub(super) columns: Vec<Range<usize>>,
    /// `Σ in_t` over a batch.
    pub(super) inside: Vec<f64>,
    /// `Σ in_t in_s` over a batch, `[taps, taps]`; empty until [`Self::count_pairs`].
    pub(super) both_inside: Vec<f64>,
}

impl Geometry {
    pub(super) fn new(shape: &ConvShape) -> Self {
        let [rows, columns] = [0, 1].map(|axis| {
            (0..shape.kernel[axis]).map(|tap| shape.reach(axis, tap).0).collect::<Vec<_>>()
        });
        let mut geometry = Self { rows, columns, inside: Vec::new(), both_inside: Vec::new() };
        geometry.inside = (0..shape.taps()).map(|t| geometry.common(shape.batch, t, t)).collect();
        geometry
    }

    /// Counts for every two taps the outputs where both read a pixel.
    pub(super) fn count_pairs(&mut self, batch: usize) {
        let taps = self.inside.len();
        let count = |pair: usize| self.common(batch, pair / taps, pair % taps);
        self.both_inside = (0..taps * taps).map(count).collect();
    }

    /// Outputs where both taps read a pixel.
    fn common(&self, batch: usize, t: usize, s: usize) -> f64 {
        let wide = self.columns.len();
        let common = |a: &Range<usize>, b: &Range<usize>| {
            a.end.min(b.end).saturating_sub(a.start.max(b.start)) as f64
        };
        batch as f64
            * common(&self.rows[t / wide], &self.rows[s / wide])
            * common(&self.columns[t % wide], &self.columns[s % wide])
    }

    /// For every tap the sum of `map`, rows of outputs a pitch apart, over where the tap reads a pixel.
    pub(super) fn sums_inside(&self, map: &[f32], pitch: usize, add: Add) -> Vec<f64> {
        let wide = self.columns.len();
        let rows = self.rows.iter().map(|range| range.end).max().unwrap_or(0);
        let mut running = vec![0.0; wide * (rows + 1)];
        self.sum_rows(map, pitch, add, &mut running);
        let sum = |tap: usize| {
            let (rows, column) = (&self.rows[tap / wide], tap % wide);
            running[rows.end * wide + column] - running[rows.start * wide + column]
        };
        (0..self.rows.len() * wide).map(sum).collect()
    }

    /// For every two taps `t`, `s` the sum of what `t` reads in `frame`, where `s` reads a pixel.
    fn products_inside(&self, layout: &Layout, frame: &[f32], add: Add) -> Vec<f64> {
        let ConvShape { stride, dilation, .. } = layout.shape;
        let (high, wide, rows) = (self.rows.len(), self.columns.len(), layout.image_rows);
        // Sums over a frame's rows from the first on, for what each column of taps reads where another does.
        let mut running = vec![0.0; stride[0] * wide * (rows + 1) * wide];
        for (number, table) in running.chunks_exact_mut((rows + 1) * wide).enumerate() {
            let (phase, place) = (number / wide, number % wide * dilation[1]);
            let first = (phase * stride[1] + place % stride[1]) * layout.phase_len();
            self.sum_rows(&frame[first + place / stride[1]..], layout.pitch, add, table);
        }
        let taps = high * wide;
        let sum = |pair: usize| {
            let (t, s) = (pair / taps, pair % taps);
            let (rows_of_s, place) = (&self.rows[s / wide], t / wide * dilation[0]);
            let table = (place % stride[0] * wide + t % wide) * (rows + 1) * wide;
            let until = |row: usize| running[table + (place / stride[0] + row) * wide + s % wide];
            until(rows_of_s.end) - until(rows_of_s.start)
        };
        (0..taps * taps).map(sum).collect()
    }

    /// Writes sums over the rows of `map` from the first on, for each column of taps over where it reads a pixel.
    fn sum_rows(&self, map: &[f32], pitch: usize, add: Add, sums: &mut [f64]) {
        let wide = self.columns.len();
        for row in 0..sums.len() / wide - 1 {
            let (above, below) = sums.split_at_mut((row + 1) * wide);
            below[..wide].copy_from_slice(&above[row * wide..]);
            self.add_row(&map[row * pitch..], &mut below[..wide], add);
        }
    }

    /// Adds a row's sums over where each column of taps reads a pixel.
    fn add_row(&self, values: &[f32], sums: &mut [f64], add: Add) {
        // Columns that all taps read are summed once, the few others for each tap.
        let start = self.columns.iter().map(|range| range.start).max().unwrap_or(0);
        let end = self.columns.iter().map(|range| range.end).min().unwrap_or(0).max(start);
        let core = add.sum(values, start..end);
        for (range, total) in self.columns.iter().zip(sums) {
            let left = add.sum(values, range.start..range.end.min(start));
            let right = add.sum(values, range.start.max(end)..range.end);
            *total += left + core + right;
        }
    }
}

/// How the values of a row are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Add {
    /// In lanes of single precision.
    InLanes,
    /// In double precision: for what cancels against other sums of the same values.
    Exactly,
}

impl Add {
    /// For a channel of which `centre` is taken off.
    pub(super) fn around(centre: f32) -> Self {
        if centre == 0.0 { Self::InLanes } else { Self::Exactly }
    }

    fn sum(self, values: &[f32], range: Range<usize>) -> f64 {
        if range.start >= range.end {
            return 0.0;
        }
        let mut lanes = [0.0_f32; 8];
        let (chunks, rest) = values[range.clone()].as_chunks::<8>();
        if chunks.is_empty() || self == Self::Exactly {
            return values[range].iter().map(|value| f64::from(*value)).sum();
        }
        for chunk in chunks {
            lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane += value);
        }
        let [a, b, c, d, e, f, g, h] = lanes.map(f64::from);
        let lanes = ((a + b) + (c + d)) + ((e + f) + (g + h));
        lanes + rest.iter().map(|value| f64::from(*value)).sum::<f64>()
    }
}

/// Sums over one channel of the input.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    /// `Σ x_t`.
    pub(super) first: Vec<f64>,
    /// `Σ x_t x_s`, `[taps, taps]`.
    pub(super) second: Vec<f64>,
    /// `Σ x_t in_s`, `[taps, taps]`.
    pub(super) inside: Vec<f64>,
}

/// Adds up [`Sums`] while frames pass by.
pub(super) struct Collector {
    offsets: Vec<usize>,
    second: Vec<f64>,
    pub(super) lags: Option<Lags>,
    /// All frames so far.
    total: Vec<f32>,
    /// What one tap reads, without what lies between the rows.
    read: Vec<f32>,
}

impl Collector {
    pub(super) fn new(layout: &Layout, lags: Option<Lags>) -> Self {
        Self {
            offsets: layout.offsets(),
            second: Vec::new(),
            lags,
            total: Vec::new(),
            read: vec![0.0; layout.output_memory()],
        }
    }

    pub(super) fn start(&mut self, layout: &Layout) {
        let taps = self.offsets.len();
        self.second.clear();
        self.second.resize(taps * taps, 0.0);
        self.total.clear();
        self.total.resize(layout.frame_len() + layout.reach(), 0.0);
        if let Some(lags) = &mut self.lags {
            lags.start();
        }
    }

    /// Counts a frame in.
    pub(super) fn add(&mut self, layout: &Layout, frame: &[f32]) {
        add_scaled(&mut self.total, frame, 1.0, 0.0);
        if let Some(lags) = &mut self.lags {
            lags.add(layout, frame);
            return;
        }
        let taps = self.offsets.len();
        for (tap, &offset) in self.offsets.iter().enumerate() {
            let read = &frame[offset..offset + layout.phase_len()];
            self.read[layout.outputs()].copy_from_slice(read);
            layout.clear_gaps(&mut self.read);
            let row = tap * taps;
            let sums = &mut self.second[row + tap..row + taps];
            correlate(&self.read[layout.outputs()], frame, &self.offsets[tap..], sums);
        }
    }

    /// The sums of all frames since the start.
    pub(super) fn finish(&mut self, layout: &Layout, geometry: &Geometry, add: Add) -> Sums {
        let taps = self.offsets.len();
        if let Some(lags) = &self.lags {
            lags.finish(layout, &mut self.second);
        }
        for t in 0..taps {
            for s in 0..t {
                self.second[t * taps + s] = self.second[s * taps + t];
            }
        }
        // Images one below the other count alike.
        let len = layout.image_len();
        for phase in self.total.chunks_exact_mut(layout.phase_len()) {
            let (first, others) = phase.split_at_mut(len);
            others.chunks_exact(len).for_each(|image| add_scaled(first, image, 1.0, 0.0));
        }
        let inside = geometry.products_inside(layout, &self.total, add);
        // A tap reads zeros where it reads no pixel.
        let first = (0..taps).map(|tap| inside[tap * taps + tap]).collect();
        Sums { first, second: self.second.clone(), inside }
    }
}
