//! Kernels in Winograd's domain, and their gradients on the way back.

use rayon::prelude::*;

use super::COMPONENTS;
use crate::block::Window;
use crate::bundle::Bundle;
use crate::product::Matrix;
use crate::tile::Shared;

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
            let taps = window.start[axis]..window.start[axis] + window.size[axis];
            taps.into_iter().any(|tap| G[component][tap] != 0.0)
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

/// All kernels of a bundle, `[component, kernel, output, channel]`.
pub(super) struct Transformed {
    values: Vec<f32>,
    channels: usize,
    /// By component and kernel: first row, if the kernel has the component.
    starts: Vec<[Option<usize>; COMPONENTS]>,
    /// By component: its first row, and that of the next.
    bounds: [usize; COMPONENTS + 1],
    outputs: Vec<usize>,
}

impl Transformed {
    /// All zeros.
    pub(super) fn empty(bundle: &Bundle<'_>, components: &[Components]) -> Self {
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
        Self { values: vec![0.0; row * channels], channels, starts, bounds, outputs }
    }

    pub(super) fn new(bundle: &Bundle<'_>, components: &[Components]) -> Self {
        let mut transformed = Self::empty(bundle, components);
        let channels = transformed.channels;
        let shared = Shared::new(&mut transformed.values);
        for (kernel, starts) in bundle.kernels.iter().zip(&transformed.starts) {
            let taps = kernel.window.size[0] * kernel.window.size[1];
            let rows = kernel.weight.par_chunks_exact(channels * taps).enumerate();
            rows.for_each(|(output, weight)| {
                let mut targets: [&mut [f32]; COMPONENTS] = starts.map(|start| {
                    let row = start.map_or(0..0, |start| {
                        let first = (start + output) * channels;
                        first..first + channels
                    });
                    // SAFETY: rows of different outputs, kernels and components do not overlap.
                    unsafe { shared.part(row) }
                });
                for (channel, weight) in weight.chunks_exact(taps).enumerate() {
                    let transformed = transform(kernel.window, weight);
                    for (target, value) in targets.iter_mut().zip(transformed) {
                        if let Some(target) = target.get_mut(channel) {
                            *target = value;
                        }
                    }
                }
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
        let values = &self.values[start * self.channels..];
        (end > start).then(|| Matrix::new(values, end - start, self.channels, self.channels))
    }

    /// `[outputs, channels]` of one kernel.
    pub(super) fn part(&self, component: usize, kernel: usize) -> Option<Matrix<'_>> {
        let start = self.starts[kernel][component]?;
        let values = &self.values[start * self.channels..];
        Some(Matrix::new(values, self.outputs[kernel], self.channels, self.channels))
    }

    /// Every part, with its component and kernel.
    pub(super) fn parts_mut(&mut self) -> Vec<(usize, usize, &mut [f32])> {
        let mut parts = vec![];
        let mut rest = self.values.as_mut_slice();
        for component in 0..COMPONENTS {
            for (kernel, starts) in self.starts.iter().enumerate() {
                if starts[component].is_some() {
                    let (part, behind) = rest.split_at_mut(self.outputs[kernel] * self.channels);
                    rest = behind;
                    parts.push((component, kernel, part));
                }
            }
        }
        parts
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
        let window = bundle.kernels[kernel].window;
        let taps = window.size[0] * window.size[1];
        let channels = self.channels;
        let rows = weight.par_chunks_exact_mut(channels * taps).enumerate();
        rows.for_each(|(output, weight)| {
            for (channel, weight) in weight.chunks_exact_mut(taps).enumerate() {
                let value = |start: usize| self.values[(start + output) * channels + channel];
                let components = self.starts[kernel].map(|start| start.map_or(0.0, value));
                restore(window, &components, weight);
            }
        });
    }
}

/// G g Gᵀ of a kernel that has the window's taps.
#[inline(always)]
fn transform(window: Window, weight: &[f32]) -> [f32; COMPONENTS] {
    let Window { start, size } = window;
    let mut taps = [[0.0; 3]; 3];
    for (row, values) in weight.chunks_exact(size[1]).enumerate() {
        taps[start[0] + row][start[1]..start[1] + size[1]].copy_from_slice(values);
    }
    let along = |[a, b, c]: [f32; 3]| {
        let (ends, middle) = (0.5 * (a + c), 0.5 * b);
        [a, ends + middle, ends - middle, c]
    };
    let columns: [[f32; 4]; 3] = std::array::from_fn(|column| along(taps.map(|row| row[column])));
    let rows: [[f32; 4]; 4] = std::array::from_fn(|row| along(columns.map(|column| column[row])));
    std::array::from_fn(|number| rows[number / 4][number % 4])
}

/// The transpose of [`transform`].
#[inline(always)]
fn restore(window: Window, components: &[f32; COMPONENTS], weight: &mut [f32]) {
    let Window { start, size } = window;
    let along = |[a, b, c, d]: [f32; 4]| {
        let both = 0.5 * (b + c);
        [a + both, 0.5 * (b - c), both + d]
    };
    let rows: [[f32; 3]; 4] =
        std::array::from_fn(|row| along(std::array::from_fn(|column| components[4 * row + column])));
    let columns: [[f32; 3]; 3] = std::array::from_fn(|column| along(rows.map(|row| row[column])));
    for (row, values) in weight.chunks_exact_mut(size[1]).enumerate() {
        for (column, value) in values.iter_mut().enumerate() {
            *value = columns[start[1] + column][start[0] + row];
        }
    }
}
