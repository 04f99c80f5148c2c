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

    /// Rows of a group.
    fn rows(&self) -> usize {
        self.inputs * self.taps
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

    /// Which of the bundle's taps a kernel has, in the kernel's order.
    fn taps_of(&self, kernel: &Kernel<'_>) -> impl Iterator<Item = usize> + use<> {
        kernel.window.taps(self.wide)
    }

    /// A group's weight with all its taps, `[outputs, channels · taps]`.
    fn weight<'a>(&self, kernel: &Kernel<'a>, group: usize) -> Matrix<'a> {
        let outputs = self.outputs(kernel);
        let rows = self.rows();
        Matrix::new(&kernel.weight[group * outputs * rows..], outputs, rows, rows)
    }

    /// One tap, by the kernel's own count, of a group's weight: `[outputs, channels]`.
    fn tap<'a>(&self, kernel: &Kernel<'a>, group: usize, tap: usize) -> Matrix<'a> {
        let (outputs, taps) = (self.outputs(kernel), kernel.taps());
        let row = self.inputs * taps;
        let values = &kernel.weight[group * outputs * row + tap..];
        Matrix::strided(values, [outputs, self.inputs], [row, taps])
    }
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

    /// `[channels · taps, pixels]` of a group.
    fn all(&self, sizes: Sizes, group: usize) -> Matrix<'_> {
        let rows = group * sizes.rows()..(group + 1) * sizes.rows();
        match self {
            Self::Map(map) => map.rows(&rows),
            Self::Lowered(lowered, pixels) => {
                Matrix::new(&lowered[rows.start * pixels..], rows.len(), *pixels, *pixels)
            }
        }
    }

    /// `[channels, pixels]` of one of the bundle's taps of a group.
    fn tap(&self, sizes: Sizes, group: usize, tap: usize) -> Matrix<'_> {
        match self {
            Self::Map(_) => self.all(sizes, group),
            Self::Lowered(lowered, pixels) => {
                let first = group * sizes.rows() + tap;
                let values = &lowered[first * pixels..];
                Matrix::new(values, sizes.inputs, *pixels, sizes.taps * pixels)
            }
        }
    }
}

pub(crate) fn forward(bundle: &Bundle<'_>, outputs: &mut [&mut [f32]], mut after: After<'_>) {
    let (mut lowered, mut product) = (Scratch::new(), Scratch::new());
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
            let terms = if sizes.is_full(kernel) {
                vec![[sizes.weight(kernel, group), columns.all(sizes, group)]]
            } else {
                let taps = sizes.taps_of(kernel).enumerate();
                let term =
                    |(own, tap)| [sizes.tap(kernel, group, own), columns.tap(sizes, group, tap)];
                taps.map(term).collect()
            };
            Product { target: MatrixMut::new(part, outputs, pixels, stride), terms, add: false }
        })
    }));
}

pub(crate) fn backward(bundle: &Bundle<'_>, gradients: &[Gradient<'_>], mut wanted: Gradients<'_>) {
    let sizes = Sizes::of(bundle);
    // Kernels with fewer taps: `[group, tap, output, channel]`, put in order at the end.
    let partial = |kernel: &Kernel<'_>| if sizes.is_full(kernel) { 0 } else { kernel.weight.len() };
    let mut sums: Vec<Vec<f32>> =
        bundle.kernels.iter().map(|kernel| vec![0.0; partial(kernel)]).collect();
    let [mut lowered, mut gathered, mut raised] = [(); 3].map(|()| Scratch::new());
    for (number, tile) in plan(bundle).into_iter().enumerate() {
        let gradients = gather_all(bundle, gradients, &tile, &mut gathered);
        let any = wanted.weights.iter().any(Option::is_some);
        let columns = any.then(|| Columns::new(bundle, &tile, &mut lowered));
        let targets = wanted.weights.iter_mut().zip(&mut sums).zip(&bundle.kernels).zip(&gradients);
        let wanted_ones = targets.filter_map(|(((weight, sum), kernel), gradient)| {
            Some((weight.as_deref_mut()?, sum, kernel, gradient))
        });
        let products = wanted_ones.flat_map(|(weight, sum, kernel, gradient)| {
            let rows = sizes.outputs(kernel);
            let full = sizes.is_full(kernel);
            let width = if full { sizes.rows() } else { sizes.inputs };
            let target: &mut [f32] = if full { weight } else { sum };
            let each = if full { 1 } else { kernel.taps() };
            let taps: Vec<usize> = sizes.taps_of(kernel).collect();
            let columns = columns.as_ref();
            target.chunks_exact_mut(rows * width).enumerate().filter_map(move |(part, target)| {
                let columns = columns?;
                let (group, tap) = (part / each, taps[part % each]);
                let seen =
                    if full { columns.all(sizes, group) } else { columns.tap(sizes, group, tap) };
                let gradient = sizes.of_group(gradient, kernel, group);
                let target = MatrixMut::new(target, rows, width, width);
                let terms = vec![[gradient, seen.transposed()]];
                Some(Product { target, terms, add: number > 0 })
            })
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
fn raise_tile(
    bundle: &Bundle<'_>,
    gradients: &[Matrix<'_>],
    tile: &Tile,
    memory: &mut Scratch,
    source: &mut [f32],
) {
    let (shape, sizes) = (&bundle.shape, Sizes::of(bundle));
    let (pixels, taps) = (tile.pixels(), sizes.taps);
    let raised = memory.sized(shape.channels[0] * taps * pixels);
    // First the kernels with all taps, in one product a group.
    let pairs = || gradients.iter().zip(&bundle.kernels);
    let groups = raised.chunks_exact_mut(sizes.rows() * pixels).enumerate();
    multiply_all(groups.filter_map(|(group, part)| {
        let full = pairs().filter(|(_, kernel)| sizes.is_full(kernel));
        let terms = full.map(|(gradient, kernel)| {
            [sizes.weight(kernel, group).transposed(), sizes.of_group(gradient, kernel, group)]
        });
        let terms: Vec<_> = terms.collect();
        if terms.is_empty() {
            part.fill(0.0);
            return None;
        }
        let target = MatrixMut::new(part, sizes.rows(), pixels, pixels);
        Some(Product { target, terms, add: false })
    }));
    // Then what the others add to the rows of their taps.
    for tap in 0..taps {
        let groups = raised.chunks_exact_mut(sizes.rows() * pixels).enumerate();
        multiply_all(groups.filter_map(|(group, part)| {
            let terms = pairs().filter(|(_, kernel)| !sizes.is_full(kernel));
            let terms = terms.filter_map(|(gradient, kernel)| {
                let own = sizes.taps_of(kernel).position(|own| own == tap)?;
                let weight = sizes.tap(kernel, group, own).transposed();
                Some([weight, sizes.of_group(gradient, kernel, group)])
            });
            let terms: Vec<_> = terms.collect();
            let part = &mut part[tap * pixels..];
            let target = MatrixMut::new(part, sizes.inputs, pixels, taps * pixels);
            (!terms.is_empty()).then_some(Product { target, terms, add: true })
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
