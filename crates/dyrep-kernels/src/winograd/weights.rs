//! Kernels in Winograd's domain, and their gradients on the way back.

use rayon::prelude::*;

use super::COMPONENTS;
use crate::block::Window;
use crate::bundle::Bundle;
use crate::lanes::{F8, fast};
use crate::product::Matrix;
use crate::scratch::Buffer;
use crate::tile::Shared;

/// Channels at a time.
const LANES: usize = 8;

/// G: what each of three taps adds to four components.
const G: [[f32; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

/// Which of the components a kernel has, and in which order.
#[derive(Clone, Debug)]
pub(super) struct Components {
    places: [Option<usize>; COMPONENTS],
    count: usize,
}

impl Components {
    pub(super) fn of(window: Window) -> Self {
        let along = |axis: usize, component: usize| {
            let taps = (window.start[axis]..).step_by(window.step[axis]).take(window.size[axis]);
            taps.map(|tap| G[component][tap]).any(|value| value != 0.0)
        };
        let mut count = 0;
        let places = std::array::from_fn(|number| {
            let has = along(0, number / 4) && along(1, number % 4);
            has.then(|| {
                count += 1;
                count - 1
            })
        });
        Self { places, count }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn place(&self, component: usize) -> Option<usize> {
        self.places[component]
    }
}

/// Values between one component and the next, so that one channel's sixteen do not share their places in a cache where sizes
/// are powers of two.
const APART: usize = 80;

/// All kernels of a bundle, `[component, kernel, output, channel]`, [`APART`] from each other.
pub(super) struct Transformed {
    values: Buffer,
    channels: usize,
    /// By component and kernel: first row, if the kernel has the component.
    starts: Vec<[Option<usize>; COMPONENTS]>,
    /// By component: its first row, and that of the next.
    bounds: [usize; COMPONENTS + 1],
    outputs: Vec<usize>,
}

impl Transformed {
    /// Any values.
    pub(super) fn any(bundle: &Bundle<'_>, components: &[Components]) -> Self {
        let outputs: Vec<usize> = bundle.kernels.iter().map(|kernel| kernel.outputs).collect();
        let mut starts = vec![[None; COMPONENTS]; outputs.len()];
        let mut bounds = [0; COMPONENTS + 1];
        let mut row = 0;
        for component in 0..COMPONENTS {
            for (kernel, own) in components.iter().enumerate() {
                if own.place(component).is_some() {
                    starts[kernel][component] = Some(row);
                    row += outputs[kernel];
                }
            }
            bounds[component + 1] = row;
        }
        let channels = bundle.shape.channels[0];
        let values = Buffer::any(row * channels + COMPONENTS * APART);
        Self { values, channels, starts, bounds, outputs }
    }

    pub(super) fn new(bundle: &Bundle<'_>, components: &[Components]) -> Self {
        let mut transformed = Self::any(bundle, components);
        let channels = transformed.channels;
        let shared = Shared::new(&mut transformed.values);
        for (kernel, starts) in bundle.kernels.iter().zip(&transformed.starts) {
            let row = channels * kernel.taps();
            let rows = kernel.weight.par_chunks_exact(row).enumerate();
            rows.for_each(|(output, weight)| {
                let mut targets: [&mut [f32]; COMPONENTS] = std::array::from_fn(|component| {
                    let row = starts[component].map_or(0..0, |start| {
                        let first = place(component, start + output, channels);
                        first..first + channels
                    });
                    // SAFETY: rows of different outputs, kernels and components do not overlap.
                    unsafe { shared.part(row) }
                });
                fast!(for first in (0..channels).step_by(LANES) {
                    transform(kernel.window, weight, first, &mut targets);
                });
            });
        }
        transformed
    }

    /// Rows of all components together.
    pub(super) fn rows(&self) -> usize {
        self.bounds[COMPONENTS]
    }

    /// `[rows of all kernels that have it, channels]`.
    pub(super) fn component(&self, component: usize) -> Option<Matrix<'_>> {
        let [start, end] = [self.bounds[component], self.bounds[component + 1]];
        let values = &self.values[place(component, start, self.channels)..];
        (end > start).then(|| Matrix::new(values, end - start, self.channels, self.channels))
    }

    /// `[outputs, channels]` of one kernel.
    pub(super) fn part(&self, component: usize, kernel: usize) -> Option<Matrix<'_>> {
        let start = self.starts[kernel][component]?;
        let values = &self.values[place(component, start, self.channels)..];
        Some(Matrix::new(values, self.outputs[kernel], self.channels, self.channels))
    }

    /// Every part, with its component and kernel.
    pub(super) fn parts_mut(&mut self) -> impl Iterator<Item = (usize, usize, &mut [f32])> {
        let Self { values, channels, starts, outputs, .. } = self;
        let kernels = outputs.len();
        let places = (0..COMPONENTS * kernels).map(move |place| (place / kernels, place % kernels));
        let places = places.filter(|(component, kernel)| starts[*kernel][*component].is_some());
        let mut values = &mut values[..];
        let mut before = 0;
        places.map(move |(component, kernel)| {
            let skipped = component * APART - before;
            before = component * APART;
            let (_, rest) = std::mem::take(&mut values).split_at_mut(skipped);
            let (part, rest) = rest.split_at_mut(outputs[kernel] * *channels);
            values = rest;
            (component, kernel, part)
        })
    }

    /// Where the products of an output channel lie, rows `pitch` apart, by component.
    pub(super) fn places(
        &self,
        kernel: usize,
        output: usize,
        pitch: usize,
    ) -> [Option<usize>; COMPONENTS] {
        self.starts[kernel].map(|start| start.map(|start| (start + output) * pitch))
    }

    /// The gradient of a kernel's weight from that of its transform: Gᵀ · G.
    pub(super) fn restore(&self, bundle: &Bundle<'_>, kernel: usize, weight: &mut [f32]) {
        let kernel_of = &bundle.kernels[kernel];
        let channels = self.channels;
        let rows = weight.par_chunks_exact_mut(channels * kernel_of.taps()).enumerate();
        rows.for_each(|(output, weight)| {
            let components: [&[f32]; COMPONENTS] = std::array::from_fn(|component| {
                let Some(start) = self.starts[kernel][component] else { return &[][..] };
                &self.values[place(component, start + output, channels)..][..channels]
            });
            fast!(for first in (0..channels).step_by(LANES) {
                restore(kernel_of.window, &components, first, weight);
            });
        });
    }
}

/// Where a row of all lies.
fn place(component: usize, row: usize, channels: usize) -> usize {
    row * channels + component * APART
}

/// G along one side.
#[inline(always)]
fn side([a, b, c]: [F8; 3]) -> [F8; 4] {
    let half = F8::splat(0.5);
    let (ends, middle) = (half * (a + c), half * b);
    [a, ends + middle, ends - middle, c]
}

/// Gᵀ along one side.
#[inline(always)]
fn side_back([a, b, c, d]: [F8; 4]) -> [F8; 3] {
    let half = F8::splat(0.5);
    let both = half * (b + c);
    [a + both, half * (b - c), both + d]
}

/// G g Gᵀ of a kernel that has the window's taps, which lie side by side, for eight channels.
#[inline(always)]
fn transform(window: Window, weight: &[f32], first: usize, targets: &mut [&mut [f32]; COMPONENTS]) {
    let Window { start, size, .. } = window;
    let taps = size[0] * size[1];
    let weight = &weight[first * taps..];
    // By column: its rows.
    let mut columns = [[F8::ZERO; 3]; 3];
    for row in 0..size[0] {
        for column in 0..size[1] {
            let values = F8::load_every(&weight[row * size[1] + column..], taps);
            columns[start[1] + column][start[0] + row] = values;
        }
    }
    let columns = [side(columns[0]), side(columns[1]), side(columns[2])];
    for row in 0..4 {
        let values = side([columns[0][row], columns[1][row], columns[2][row]]);
        for (column, value) in values.into_iter().enumerate() {
            if let Some(target) = targets[4 * row + column].get_mut(first..) {
                value.store_first(target);
            }
        }
    }
}

/// The transpose of [`transform`].
#[inline(always)]
fn restore(window: Window, components: &[&[f32]; COMPONENTS], first: usize, weight: &mut [f32]) {
    let Window { start, size, .. } = window;
    let taps = size[0] * size[1];
    let mut rows = [[F8::ZERO; 3]; 4];
    for (row, target) in rows.iter_mut().enumerate() {
        let mut values = [F8::ZERO; 4];
        for (column, value) in values.iter_mut().enumerate() {
            if let Some(component) = components[4 * row + column].get(first..) {
                *value = F8::load_every(component, 1);
            }
        }
        *target = side_back(values);
    }
    let weight = &mut weight[first * taps..];
    let [a, b, c, d] = rows;
    for (column, (((a, b), c), d)) in a.into_iter().zip(b).zip(c).zip(d).enumerate() {
        let values = side_back([a, b, c, d]);
        for (row, value) in values.into_iter().enumerate() {
            let inside = |place: usize, axis: usize| {
                place.checked_sub(start[axis]).filter(|place| *place < size[axis])
            };
            if let (Some(row), Some(column)) = (inside(row, 0), inside(column, 1)) {
                value.store_every(&mut weight[row * size[1] + column..], taps);
            }
        }
    }
}
