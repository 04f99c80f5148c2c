//! What a channel's statistics and gradients are made of: sums of products of what its taps read.
//!
//! `x_t` is what tap `t` reads at every output, zero beyond the border, and `in_t` is 1 where it reads a pixel.
//! All branches read the same `x_t`, so a handful of sums serves all of them, forward and backward.

use std::ops::Range;

use crate::flat::{add_scaled, correlate};
use crate::frame::Layout;
use crate::shape::{ConvShape, reach};

use super::lags::Lags;

/// Outputs that read a pixel, by tap: they depend on sizes alone.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    rows: Vec<Range<usize>>,
    columns: Vec<Range<usize>>,
    /// `Σ in_t` over a batch.
    pub(super) inside: Vec<f64>,
    /// `Σ in_t in_s` over a batch, `[taps, taps]`.
    pub(super) both_inside: Vec<f64>,
}

impl Geometry {
    pub(super) fn new(shape: &ConvShape) -> Self {
        let [rows, columns] = [0, 1].map(|axis| {
            let range = |tap| {
                let (dilation, stride) = (shape.dilation[axis], shape.stride[axis]);
                let (before, input) = (shape.padding[axis].0, shape.input[axis]);
                reach(tap, dilation, stride, before, input, shape.output()[axis]).0
            };
            (0..shape.kernel[axis]).map(range).collect::<Vec<_>>()
        });
        let wide = shape.kernel[1];
        let common = |a: &Range<usize>, b: &Range<usize>| {
            a.end.min(b.end).saturating_sub(a.start.max(b.start)) as f64
        };
        let count = |t: usize, s: usize| {
            shape.batch as f64
                * common(&rows[t / wide], &rows[s / wide])
                * common(&columns[t % wide], &columns[s % wide])
        };
        let taps = shape.taps();
        let inside = (0..taps).map(|t| count(t, t)).collect();
        let both_inside = (0..taps * taps).map(|pair| count(pair / taps, pair % taps)).collect();
        Self { rows, columns, inside, both_inside }
    }

    /// For every tap the sum of `map`, rows of outputs a pitch apart, over where the tap reads a pixel.
    pub(super) fn sums_inside(&self, map: &[f32], pitch: usize) -> Vec<f64> {
        let wide = self.columns.len();
        let mut sums = vec![0.0; self.rows.len() * wide];
        // Columns that all taps read are summed once, the few others for each tap.
        let start = self.columns.iter().map(|range| range.start).max().unwrap_or(0);
        let end = self.columns.iter().map(|range| range.end).min().unwrap_or(0).max(start);
        let rows = self.rows.iter().map(|range| range.end).max().unwrap_or(0);
        for row in 0..rows {
            let values = &map[row * pitch..];
            let core = sum(values, start..end);
            for (column, range) in self.columns.iter().enumerate() {
                let left = sum(values, range.start..range.end.min(start));
                let right = sum(values, range.start.max(end)..range.end);
                for (tap, rows) in self.rows.iter().enumerate() {
                    if rows.contains(&row) {
                        sums[tap * wide + column] += left + core + right;
                    }
                }
            }
        }
        sums
    }
}

fn sum(values: &[f32], range: Range<usize>) -> f64 {
    if range.start >= range.end {
        return 0.0;
    }
    let mut lanes = [0.0_f32; 8];
    let (chunks, rest) = values[range].as_chunks::<8>();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane += value);
    }
    lanes.iter().chain(rest).map(|value| f64::from(*value)).sum()
}

/// Sums over one channel of the input.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    /// `Σ x_t`.
    pub(super) first: Vec<f64>,
    /// `Σ x_t x_s`, `[taps, taps]`.
    pub(super) second: Vec<f64>,
    /// `Σ x_t in_s`, `[taps, taps]`; empty if no branch has a middle norm.
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
    pub(super) fn new(layout: &Layout, geometry: &Geometry) -> Self {
        Self {
            offsets: layout.offsets(),
            second: Vec::new(),
            lags: Lags::new(layout, geometry),
            total: Vec::new(),
            read: vec![0.0; layout.output_memory()],
        }
    }

    pub(super) fn start(&mut self, layout: &Layout) {
        let taps = self.offsets.len();
        self.second.clear();
        self.second.resize(taps * taps, 0.0);
        self.total.clear();
        self.total.resize(layout.frame_len(), 0.0);
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
    pub(super) fn finish(&mut self, layout: &Layout, geometry: &Geometry, inside: bool) -> Sums {
        let taps = self.offsets.len();
        if let Some(lags) = &self.lags {
            lags.finish(layout, &mut self.second);
        }
        for t in 0..taps {
            for s in 0..t {
                self.second[t * taps + s] = self.second[s * taps + t];
            }
        }
        let len = layout.image_len();
        let everywhere = Geometry::everywhere(&layout.shape);
        let (mut first, mut sums_inside) = (Vec::new(), Vec::new());
        let mut images = vec![0.0; len];
        for &offset in &self.offsets {
            // Images one below the other count alike.
            images.fill(0.0);
            for image in 0..layout.images {
                let values = &self.total[offset + image * len..];
                images.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
            first.extend(everywhere.sums_inside(&images, layout.pitch));
            if inside {
                sums_inside.extend(geometry.sums_inside(&images, layout.pitch));
            }
        }
        Sums { first, second: self.second.clone(), inside: sums_inside }
    }
}

impl Geometry {
    /// Of a single tap that reads a pixel everywhere: its sums are those over all outputs.
    fn everywhere(shape: &ConvShape) -> Self {
        let [height, width] = shape.output();
        let (rows, columns) = (std::iter::once(0..height), std::iter::once(0..width));
        Self {
            rows: rows.collect(),
            columns: columns.collect(),
            inside: Vec::new(),
            both_inside: Vec::new(),
        }
    }
}
