//! Convolution by columns (im2col): what each output pixel sees becomes a column of a matrix.
//!
//! A tile at a time, so that the matrix stays in cache; rows in the order of a weight's values,
//! `[group, channel, tap]`. A kernel with all taps is multiplied as it lies in memory; one with fewer takes, for each
//! of its taps, every so many rows. So kernels that read one input share its matrix.

use std::ops::Range;

use rayon::prelude::*;

use crate::bundle::{Bundle, Gradient, Gradients, Kernel, split};
use crate::finish::After;
use crate::lower::{Places, lower_row, raise_row};
use crate::product::{Matrix, MatrixMut, Product, multiply_all};
use crate::scratch::Scratch;
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

/// How a bundle's kernels lie in memory.
#[derive(Clone, Copy)]
struct Sizes {
    groups: usize,
    /// Input channels of a group.
    inputs: usize,
    /// Taps of the bundle.
    taps: usize,
    /// Taps side by side.
    wide: usize,
}

impl Sizes {
    fn of(bundle: &Bundle<'_>) -> Self {
        let shape = &bundle.shape;
        let [groups, inputs] = [shape.groups, shape.channels[0] / shape.groups];
        Self { groups, inputs, taps: shape.taps(), wide: shape.kernel[1] }
    }

    /// Output channels of a group.
    fn outputs(&self, kernel: &Kernel<'_>) -> usize {
        kernel.outputs / self.groups
    }

    /// A group's rows of a gradient.
    fn of_group<'a>(&self, gradient: &Matrix<'a>, kernel: &Kernel<'_>, group: usize) -> Matrix<'a> {
        let outputs = self.outputs(kernel);
        gradient.rows(&(group * outputs..(group + 1) * outputs))
    }

    fn is_full(&self, kernel: &Kernel<'_>) -> bool {
        kernel.taps() == self.taps
    }

    /// The rows that a kernel's products take, in the kernel's order.
    fn parts(&self, kernel: &Kernel<'_>) -> impl Iterator<Item = Rows> + use<> {
        let full = self.is_full(kernel);
        let taps = kernel.window.taps(self.wide).take(if full { 1 } else { kernel.taps() });
        taps.map(move |tap| if full { Rows::All } else { Rows::Tap(tap) })
    }

    /// The first of these rows of a group, how many there are, and how far apart.
    fn place(&self, rows: Rows) -> [usize; 3] {
        match rows {
            Rows::All => [0, self.inputs * self.taps, 1],
            Rows::Tap(tap) => [tap, self.inputs, self.taps],
        }
    }

    /// A group's weight for one of the kernel's [`Self::parts`], by their number: `[outputs, rows]`.
    fn weight<'a>(&self, kernel: &Kernel<'a>, group: usize, part: usize) -> Matrix<'a> {
        let (outputs, row) = (self.outputs(kernel), self.inputs * kernel.taps());
        let step = if self.is_full(kernel) { 1 } else { kernel.taps() };
        let values = &kernel.weight[group * outputs * row + part..];
        Matrix::strided(values, [outputs, row / step], [row, step])
    }
}

/// The rows of a group that one product takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// Of all taps.
    All,
    /// Of one of the bundle's taps.
    Tap(usize),
}

/// The columns of a tile.
enum Columns<'a> {
    /// The map itself, for a pointwise kernel and one image.
    Map(Matrix<'a>),
    /// `[group, channel, tap, pixels]`, and how many pixels.
    Lowered(&'a [f32], usize),
}

impl<'a> Columns<'a> {
    fn new(bundle: &Bundle<'a>, tile: &Tile, memory: &'a mut Scratch) -> Self {
        let shape = &bundle.shape;
        let channels = shape.channels[0];
        if shape.is_pointwise() && tile.images.len() == 1 && bundle.source.affine.is_none() {
            let values = &bundle.source.values[tile.place(tile.images.start, 0, channels).start..];
            return Self::Map(Matrix::new(values, channels, tile.pixels(), shape.pixels_in()));
        }
        let (pixels, taps) = (tile.pixels(), shape.taps());
        let places = Places::new(shape, tile);
        let lowered = memory.sized(channels * taps * pixels);
        lowered.par_chunks_exact_mut(pixels).enumerate().for_each(|(row, target)| {
            let (source, channel, tap) = (&bundle.source, row / taps, row % taps);
            match &places {
                Some(places) => places.lower_row(shape, source, channel, tap, tile, target),
                None => lower_row(shape, source, channel, tap, tile, target),
            }
        });
        Self::Lowered(lowered, pixels)
    }

    /// `[rows, pixels]` of a group.
    fn rows(&self, sizes: Sizes, group: usize, rows: Rows) -> Matrix<'_> {
        let [first, count, step] = sizes.place(rows);
        let first = group * sizes.inputs * sizes.taps + first;
        match self {
            // It has one tap.
            Self::Map(map) => map.rows(&(first..first + count)),
            Self::Lowered(lowered, pixels) => {
                Matrix::new(&lowered[first * pixels..], count, *pixels, step * pixels)
            }
        }
    }
}

pub(crate) fn forward(bundle: &Bundle<'_>, outputs: &mut [&mut [f32]], mut after: After<'_>) {
    let [mut lowered, mut product]: [Scratch; 2] = Default::default();
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
            multiply(bundle, &columns, parts, [pixels, plane]);
        } else {
            let product = product.sized(bundle.outputs() * pixels);
            let lens: Vec<usize> =
                bundle.kernels.iter().map(|kernel| kernel.outputs * pixels).collect();
            let parts = split(product, lens.iter().copied()).into_iter();
            multiply(bundle, &columns, parts, [pixels, pixels]);
            let parts = split(product, lens);
            for ((part, kernel), output) in parts.iter().zip(&bundle.kernels).zip(&mut *outputs) {
                scatter(part, kernel.outputs, &tile, output);
            }
        }
        after.tile(outputs, &tile);
    }
}

/// The products of every kernel with a tile's columns, each into its part, `[outputs, pixels]` with rows `stride`
/// apart.
fn multiply<'a>(
    bundle: &'a Bundle<'_>,
    columns: &'a Columns<'_>,
    parts: impl Iterator<Item = &'a mut [f32]>,
    [pixels, stride]: [usize; 2],
) {
    let sizes = Sizes::of(bundle);
    multiply_all(parts.zip(&bundle.kernels).flat_map(|(part, kernel)| {
        let outputs = sizes.outputs(kernel);
        let groups = part.chunks_mut(outputs * stride).enumerate();
        groups.map(move |(group, part)| {
            let terms = sizes.parts(kernel).enumerate().map(|(number, rows)| {
                [sizes.weight(kernel, group, number), columns.rows(sizes, group, rows)]
            });
            let target = MatrixMut::new(part, outputs, pixels, stride);
            Product { target, terms: terms.collect(), add: false }
        })
    }));
}

pub(crate) fn backward(bundle: &Bundle<'_>, gradients: &[Gradient<'_>], mut wanted: Gradients<'_>) {
    let sizes = Sizes::of(bundle);
    // Kernels with fewer taps: `[group, tap, output, channel]`, put in order at the end.
    let partial = |kernel: &Kernel<'_>| if sizes.is_full(kernel) { 0 } else { kernel.weight.len() };
    let mut sums: Vec<Vec<f32>> =
        bundle.kernels.iter().map(|kernel| vec![0.0; partial(kernel)]).collect();
    let [mut lowered, mut gathered, mut raised]: [Scratch; 3] = Default::default();
    for (number, tile) in plan(bundle).into_iter().enumerate() {
        let gradients = gather_all(bundle, gradients, &tile, &mut gathered);
        let any = wanted.weights.iter().any(Option::is_some);
        let columns = any.then(|| Columns::new(bundle, &tile, &mut lowered));
        let targets = wanted.weights.iter_mut().zip(&mut sums).zip(&bundle.kernels).zip(&gradients);
        let wanted_ones = targets.filter_map(|(((weight, sum), kernel), gradient)| {
            Some((weight.as_deref_mut()?, sum, kernel, gradient))
        });
        let products = wanted_ones.flat_map(|(weight, sum, kernel, gradient)| {
            let target: &mut [f32] = if sizes.is_full(kernel) { weight } else { sum };
            let (outputs, parts) = (sizes.outputs(kernel), sizes.parts(kernel).collect::<Vec<_>>());
            let width = sizes.inputs * kernel.taps() / parts.len();
            let columns = columns.as_ref();
            target.chunks_exact_mut(outputs * width).enumerate().filter_map(
                move |(place, target)| {
                    let (group, rows) = (place / parts.len(), parts[place % parts.len()]);
                    let seen = columns?.rows(sizes, group, rows).transposed();
                    let terms = vec![[sizes.of_group(gradient, kernel, group), seen]];
                    let target = MatrixMut::new(target, outputs, width, width);
                    Some(Product { target, terms, add: number > 0 })
                },
            )
        });
        multiply_all(products);
        if let Some(source) = &mut wanted.source {
            raise_tile(bundle, &gradients, &tile, &mut raised, source);
        }
    }
    for ((weight, sum), kernel) in wanted.weights.iter_mut().zip(&sums).zip(&bundle.kernels) {
        if let (Some(weight), false) = (weight, sizes.is_full(kernel)) {
            interleave(sizes, kernel, sum, weight);
        }
    }
}

/// From `[group, tap, output, channel]` to `[group, output, channel, tap]`.
fn interleave(sizes: Sizes, kernel: &Kernel<'_>, sum: &[f32], weight: &mut [f32]) {
    let (taps, outputs, inputs) = (kernel.taps(), sizes.outputs(kernel), sizes.inputs);
    weight.par_chunks_exact_mut(inputs * taps).enumerate().for_each(|(row, weight)| {
        let (group, output) = (row / outputs, row % outputs);
        for (place, value) in weight.iter_mut().enumerate() {
            let (channel, tap) = (place / taps, place % taps);
            *value = sum[((group * taps + tap) * outputs + output) * inputs + channel];
        }
    });
}

/// The gradients of every kernel's outputs, `[outputs, pixels]`.
fn gather_all<'a>(
    bundle: &Bundle<'_>,
    gradients: &[Gradient<'a>],
    tile: &Tile,
    memory: &'a mut Scratch,
) -> Vec<Matrix<'a>> {
    let pixels = tile.pixels();
    let gathered = memory.sized(bundle.outputs() * pixels);
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
fn raise_tile<'a>(
    bundle: &Bundle<'a>,
    gradients: &[Matrix<'a>],
    tile: &Tile,
    memory: &mut Scratch,
    source: &mut [f32],
) {
    let (shape, sizes) = (&bundle.shape, Sizes::of(bundle));
    let (pixels, taps) = (tile.pixels(), sizes.taps);
    let raised = memory.sized(shape.channels[0] * taps * pixels);
    // First the kernels with all taps, then what the others add to the rows of their taps.
    for rows in std::iter::once(Rows::All).chain((0..taps).map(Rows::Tap)) {
        let [first, count, step] = sizes.place(rows);
        let groups = raised.chunks_exact_mut(sizes.inputs * taps * pixels).enumerate();
        multiply_all(groups.filter_map(|(group, part)| {
            let term = |(gradient, kernel): (&Matrix<'a>, &Kernel<'a>)| {
                let number = sizes.parts(kernel).position(|part| part == rows)?;
                let weight = sizes.weight(kernel, group, number).transposed();
                Some([weight, sizes.of_group(gradient, kernel, group)])
            };
            let terms: Vec<_> = gradients.iter().zip(&bundle.kernels).filter_map(term).collect();
            if terms.is_empty() {
                if rows == Rows::All {
                    part.fill(0.0);
                }
                return None;
            }
            let target = MatrixMut::new(&mut part[first * pixels..], count, pixels, step * pixels);
            Some(Product { target, terms, add: rows != Rows::All })
        }));
    }
    let places = Places::new(shape, tile);
    let plane = shape.pixels_in();
    let planes = tile.planes(shape.channels[0]);
    let (first, each) = (tile.images.start, tile.pixels_of_image());
    let planes = source[planes.start * plane..planes.end * plane].par_chunks_exact_mut(plane);
    planes.enumerate().for_each(|(number, target)| {
        let (image, channel) = (number / shape.channels[0], number % shape.channels[0]);
        let one = tile.only(first + image);
        for tap in 0..taps {
            let row = &raised[(channel * taps + tap) * pixels + image * each..][..each];
            match &places {
                Some(places) => places.raise_row(row, tap, target),
                None => raise_row(shape, row, tap, &one, target),
            }
        }
    });
}
