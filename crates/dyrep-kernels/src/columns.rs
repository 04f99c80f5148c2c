//! Convolution by columns (im2col): what each output pixel sees becomes a column of a matrix.
//!
//! A tile at a time, so that the matrix stays in cache; rows in the order `[group, tap, channel]`, so that what a
//! smaller kernel sees is some of the rows of what the largest sees: kernels that read one input share the matrix.

use std::ops::Range;

use rayon::prelude::*;

use crate::block::Window;
use crate::bundle::{Bundle, Gradient, Gradients, Kernel, split};
use crate::lower::{lower_row, raise_row};
use crate::moments::{self, Accumulator};
use crate::product::{Matrix, MatrixMut, Product, multiply_all};
use crate::tile::{Tile, gather, scatter, tiles};

/// Values of a tile's matrices: 3 MiB, which stays in the last cache.
const TILE: usize = 3 << 18;
/// Fewer pixels make thin products, more gain nothing.
const PIXELS: Range<usize> = 256..4096;

/// The tiles of a bundle.
fn plan(bundle: &Bundle<'_>) -> Vec<Tile> {
    let rows = bundle.shape.channels[0] * bundle.shape.taps() + bundle.outputs();
    tiles(&bundle.shape, (TILE / rows).clamp(PIXELS.start, PIXELS.end), 1)
}

/// Taps that follow each other in a kernel and in a bundle's: first taps, and how many.
#[derive(Clone, Copy)]
struct Run {
    /// In the bundle's kernel.
    tap: usize,
    /// In the window.
    inside: usize,
    taps: usize,
}

fn runs(window: Window, kernel: [usize; 2]) -> Vec<Run> {
    let Window { start, size } = window;
    if size[1] == kernel[1] {
        return vec![Run { tap: start[0] * kernel[1], inside: 0, taps: size[0] * size[1] }];
    }
    let row = |row: usize| Run {
        tap: (start[0] + row) * kernel[1] + start[1],
        inside: row * size[1],
        taps: size[1],
    };
    (0..size[0]).map(row).collect()
}

/// A kernel's weight with its values in the order `[run, group, out, tap, channel]`.
struct Arranged {
    runs: Vec<Run>,
    values: Vec<f32>,
    /// Output and input channels of a group, and groups.
    outputs: usize,
    inputs: usize,
    groups: usize,
    taps: usize,
}

impl Arranged {
    /// All zeros.
    fn empty(bundle: &Bundle<'_>, kernel: &Kernel<'_>) -> Self {
        let groups = bundle.shape.groups;
        Self {
            runs: runs(kernel.window, bundle.shape.kernel),
            values: vec![0.0; kernel.weight.len()],
            outputs: kernel.outputs / groups,
            inputs: bundle.shape.channels[0] / groups,
            groups,
            taps: kernel.window.size[0] * kernel.window.size[1],
        }
    }

    fn new(bundle: &Bundle<'_>, kernel: &Kernel<'_>) -> Self {
        let mut arranged = Self::empty(bundle, kernel);
        let row = arranged.inputs * arranged.taps;
        let mut rest = arranged.values.as_mut_slice();
        for run in &arranged.runs {
            let len = run.taps * arranged.inputs;
            let (part, behind) = rest.split_at_mut(len * kernel.outputs);
            rest = behind;
            let weights = kernel.weight.par_chunks_exact(row);
            part.par_chunks_exact_mut(len).zip(weights).for_each(|(target, weight)| {
                for (place, target) in target.iter_mut().enumerate() {
                    let (tap, channel) = (place / arranged.inputs, place % arranged.inputs);
                    *target = weight[channel * arranged.taps + run.inside + tap];
                }
            });
        }
        arranged
    }

    /// Back in the order of a weight.
    fn restore(&self, weight: &mut [f32]) {
        let row = self.inputs * self.taps;
        let mut rest = self.values.as_slice();
        for run in &self.runs {
            let len = run.taps * self.inputs;
            let (part, behind) = rest.split_at(len * self.outputs * self.groups);
            rest = behind;
            let rows = weight.par_chunks_exact_mut(row).zip(part.par_chunks_exact(len));
            rows.for_each(|(weight, values)| {
                for (place, value) in values.iter().enumerate() {
                    let (tap, channel) = (place / self.inputs, place % self.inputs);
                    weight[channel * self.taps + run.inside + tap] = *value;
                }
            });
        }
    }

    /// Values of one run of one group.
    fn part_lens(&self) -> impl Iterator<Item = usize> + '_ {
        self.runs.iter().flat_map(|run| {
            std::iter::repeat_n(run.taps * self.inputs * self.outputs, self.groups)
        })
    }

    /// `[out, taps · channels]` of a run of a group.
    fn matrix(&self, run: usize, group: usize) -> Matrix<'_> {
        let before: usize = self.runs[..run].iter().map(|run| run.taps).sum();
        let columns = self.runs[run].taps * self.inputs;
        let start = self.outputs * (before * self.inputs * self.groups + group * columns);
        Matrix::new(&self.values[start..], self.outputs, columns, columns)
    }

    /// `[channels, out]` of one of the bundle's taps, if the kernel has it.
    fn tap_transposed(&self, tap: usize, group: usize) -> Option<Matrix<'_>> {
        let has = |run: &Run| (run.tap..run.tap + run.taps).contains(&tap);
        let run = self.runs.iter().position(has)?;
        let first = (tap - self.runs[run].tap) * self.inputs;
        let columns = first..first + self.inputs;
        Some(self.matrix(run, group).columns(&columns).transposed())
    }
}

/// The columns of a tile.
enum Columns<'a> {
    /// The map itself, for a pointwise kernel and one image.
    Map(Matrix<'a>),
    /// `[group, tap, channel, pixels]`.
    Lowered(&'a [f32]),
}

impl<'a> Columns<'a> {
    fn new(bundle: &Bundle<'a>, tile: &Tile, memory: &'a mut Vec<f32>) -> Self {
        let shape = &bundle.shape;
        let channels = shape.channels[0];
        if shape.is_pointwise() && tile.images.len() == 1 && bundle.source.affine.is_none() {
            let values = &bundle.source.values[tile.place(tile.images.start, 0, channels).start..];
            return Self::Map(Matrix::new(values, channels, tile.pixels(), shape.pixels_in()));
        }
        let (pixels, taps, inputs) = (tile.pixels(), shape.taps(), shape.per_group()[0]);
        let lowered = sized(memory, channels * taps * pixels);
        lowered.par_chunks_exact_mut(pixels).enumerate().for_each(|(row, target)| {
            let (group, tap, channel) =
                (row / (inputs * taps), row / inputs % taps, row % inputs);
            lower_row(shape, &bundle.source, group * inputs + channel, tap, tile, target);
        });
        Self::Lowered(lowered)
    }

    /// `[taps · channels, pixels]` of a run of a group.
    fn rows(&self, bundle: &Bundle<'_>, group: usize, run: Run, pixels: usize) -> Matrix<'_> {
        let (taps, inputs) = (bundle.shape.taps(), bundle.shape.per_group()[0]);
        match self {
            Self::Map(map) => map.rows(&(group * inputs..(group + 1) * inputs)),
            Self::Lowered(lowered) => {
                let first = (group * taps + run.tap) * inputs;
                Matrix::new(&lowered[first * pixels..], run.taps * inputs, pixels, pixels)
            }
        }
    }
}

/// A slice of `len` values out of `memory`, whatever they are.
pub(crate) fn sized(memory: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if memory.len() < len {
        memory.resize(len, 0.0);
    }
    &mut memory[..len]
}

pub(crate) fn forward(
    bundle: &Bundle<'_>,
    outputs: &mut [&mut [f32]],
    mut moments: Option<&mut [Vec<Accumulator>]>,
) {
    let weights: Vec<_> = bundle.kernels.iter().map(|kernel| Arranged::new(bundle, kernel)).collect();
    let (mut lowered, mut product) = (vec![], vec![]);
    for tile in plan(bundle) {
        let pixels = tile.pixels();
        let columns = Columns::new(bundle, &tile, &mut lowered);
        // One image's rows lie in its map as they come; those of several are put there afterwards.
        if tile.images.len() == 1 {
            let plane = bundle.shape.pixels_out();
            let parts = outputs.iter_mut().zip(&bundle.kernels).map(|(output, kernel)| {
                let start = tile.place(tile.images.start, 0, kernel.outputs).start;
                &mut output[start..tile.images.end * kernel.outputs * plane]
            });
            multiply(bundle, &weights, &columns, parts, [pixels, plane]);
        } else {
            let product = sized(&mut product, bundle.outputs() * pixels);
            let lens: Vec<usize> =
                bundle.kernels.iter().map(|kernel| kernel.outputs * pixels).collect();
            let parts = split(product, lens.iter().copied()).into_iter();
            multiply(bundle, &weights, &columns, parts, [pixels, pixels]);
            let parts = split(product, lens);
            for ((part, kernel), output) in parts.iter().zip(&bundle.kernels).zip(&mut *outputs) {
                scatter(part, kernel.outputs, &tile, output);
            }
        }
        for (moments, output) in moments.iter_mut().flat_map(|all| all.iter_mut()).zip(&*outputs) {
            moments::add_tile(moments, output, &tile);
        }
    }
}

/// The products of every kernel with a tile's columns, each into its part, `[outputs, pixels]` with rows `stride`
/// apart.
fn multiply<'a>(
    bundle: &Bundle<'_>,
    weights: &'a [Arranged],
    columns: &'a Columns<'_>,
    parts: impl Iterator<Item = &'a mut [f32]>,
    [pixels, stride]: [usize; 2],
) {
    multiply_all(parts.zip(weights).flat_map(|(part, weight)| {
        let groups = part.chunks_mut(weight.outputs * stride).enumerate();
        groups.map(move |(group, part)| {
            let term = |(run, place): (usize, &Run)| {
                [weight.matrix(run, group), columns.rows(bundle, group, *place, pixels)]
            };
            Product {
                target: MatrixMut::new(part, weight.outputs, pixels, stride),
                terms: weight.runs.iter().enumerate().map(term).collect(),
                add: false,
            }
        })
    }));
}

pub(crate) fn backward(bundle: &Bundle<'_>, gradients: &[Gradient<'_>], mut wanted: Gradients<'_>) {
    let weights: Vec<_> = bundle.kernels.iter().map(|kernel| Arranged::new(bundle, kernel)).collect();
    let mut sums: Vec<_> = bundle.kernels.iter().map(|kernel| Arranged::empty(bundle, kernel)).collect();
    let (mut lowered, mut gathered, mut raised) = (vec![], vec![], vec![]);
    for tile in plan(bundle) {
        let pixels = tile.pixels();
        let gradients = gather_all(bundle, gradients, &tile, &mut gathered);
        let columns = Columns::new(bundle, &tile, &mut lowered);
        let products = sums.iter_mut().zip(&gradients).flat_map(|(sum, gradient)| {
            let (groups, rows, inputs) = (sum.groups, sum.outputs, sum.inputs);
            let runs = sum.runs.clone();
            let lens: Vec<usize> = sum.part_lens().collect();
            let parts = split(&mut sum.values, lens).into_iter().enumerate();
            let columns = &columns;
            parts.map(move |(number, part)| {
                let (run, group) = (runs[number / groups], number % groups);
                let width = run.taps * inputs;
                let seen = columns.rows(bundle, group, run, pixels);
                let gradient = gradient.rows(&(group * rows..(group + 1) * rows));
                let target = MatrixMut::new(part, rows, width, width);
                Product::new(target, gradient, seen.transposed()).adding()
            })
        });
        multiply_all(products);
        if let Some(source) = &mut wanted.source {
            raise_tile(bundle, &weights, &gradients, &tile, &mut raised, source);
        }
    }
    for (sum, weight) in sums.iter().zip(&mut wanted.weights) {
        sum.restore(weight);
    }
}

/// The gradients of every kernel's outputs, `[outputs, pixels]`.
fn gather_all<'a>(
    bundle: &Bundle<'_>,
    gradients: &[Gradient<'a>],
    tile: &Tile,
    memory: &'a mut Vec<f32>,
) -> Vec<Matrix<'a>> {
    let pixels = tile.pixels();
    let gathered = sized(memory, bundle.outputs() * pixels);
    let parts = split(gathered, bundle.kernels.iter().map(|kernel| kernel.outputs * pixels));
    let each = parts.into_iter().zip(gradients).zip(&bundle.kernels);
    let matrix = |((part, gradient), kernel): ((&'a mut [f32], &Gradient<'a>), &Kernel<'_>)| {
        let outputs = kernel.outputs;
        if gradient.mix.is_none() && tile.images.len() == 1 {
            let values = &gradient.values[tile.place(tile.images.start, 0, outputs).start..];
            return Matrix::new(values, outputs, pixels, bundle.shape.pixels_out());
        }
        gather(outputs, tile, part, |channel, start, target| gradient.read(channel, start, target));
        Matrix::new(part, outputs, pixels, pixels)
    };
    each.map(matrix).collect()
}

/// Adds a tile's share to the gradient of the source.
fn raise_tile(
    bundle: &Bundle<'_>,
    weights: &[Arranged],
    gradients: &[Matrix<'_>],
    tile: &Tile,
    memory: &mut Vec<f32>,
    source: &mut [f32],
) {
    let shape = &bundle.shape;
    let (pixels, taps, inputs) = (tile.pixels(), shape.taps(), shape.per_group()[0]);
    let raised = sized(memory, shape.channels[0] * taps * pixels);
    let parts = raised.chunks_mut(inputs * pixels).enumerate();
    let products = parts.filter_map(|(number, part)| {
        let (group, tap) = (number / taps, number % taps);
        let pairs = weights.iter().zip(gradients);
        let terms = pairs.filter_map(|(weight, gradient)| {
            let rows = group * weight.outputs..(group + 1) * weight.outputs;
            Some([weight.tap_transposed(tap, group)?, gradient.rows(&rows)])
        });
        let terms: Vec<_> = terms.collect();
        if terms.is_empty() {
            part.fill(0.0);
            return None;
        }
        Some(Product { target: MatrixMut::new(part, inputs, pixels, pixels), terms, add: false })
    });
    multiply_all(products);
    let plane = shape.pixels_in();
    let planes = tile.planes(shape.channels[0]);
    let (first, each) = (tile.images.start, tile.pixels_of_image());
    let planes = source[planes.start * plane..planes.end * plane].par_chunks_exact_mut(plane);
    planes.enumerate().for_each(|(number, target)| {
        let (image, channel) = (number / shape.channels[0], number % shape.channels[0]);
        let (group, channel) = (channel / inputs, channel % inputs);
        let one = tile.only(first + image);
        for tap in 0..taps {
            let row = (group * taps + tap) * inputs + channel;
            let row = &raised[row * pixels + image * each..][..each];
            raise_row(shape, row, tap, &one, target);
        }
    });
}
