//! Winograd's convolution F(2×2, 3×3) (arXiv 1509.09308): 16 products for four outputs of a 3×3 kernel instead of 36.
//!
//! ```text
//! V = Bᵀ d B   (4×4 input tile)      U = G g Gᵀ   (kernel)
//! Y = Aᵀ (U ⊙ V) A                   ⊙ summed over input channels: one matrix product for each of 16 components
//! ```
//!
//! The backward pass is the adjoint of each step, so it shares V with the forward pass' definition and one
//! transformed gradient serves kernel and input. Kernels that have only some of the nine taps need only some of the
//! components: 4 for a 1×1 in the middle, 8 for 1×3 and 3×1. All of them read the same V.
//!
//! Only additions and halves are involved, so rounding is hardly worse than a direct convolution's.

mod transform;
mod weights;

use rayon::prelude::*;

use crate::bundle::{Bundle, Gradient, Gradients, split};
use crate::finish::After;
use crate::product::{Matrix, MatrixMut, Product, multiply_all};
use crate::scratch::Scratch;
use crate::tile::{Shared, Tile, tiles};
use transform::Grid;
use weights::{Components, Transformed};

/// Components of a 4×4 tile.
const COMPONENTS: usize = 16;
/// Values of a chunk's transforms: 2 MiB, of which most stays in the cores' own caches.
const CHUNK: usize = 1 << 19;
/// Channels below which the transforms cost more than they save.
const CHANNELS: usize = 16;
/// Tiles below which the kernel's transform costs more than it saves.
const TILES: usize = 48;

/// Whether a bundle is a 3×3 of stride 1 and large enough, and no kernel leaves out taps between others.
pub(crate) fn pays(bundle: &Bundle<'_>) -> bool {
    let shape = &bundle.shape;
    let [height, width] = shape.output().map(|size| size.div_ceil(2));
    shape.kernel == [3, 3]
        && shape.stride == [1, 1]
        && shape.dilation == [1, 1]
        && shape.groups == 1
        && shape.channels[0] >= CHANNELS
        && bundle
            .kernels
            .iter()
            .all(|kernel| kernel.outputs >= CHANNELS && kernel.window.is_dense())
        && shape.batch * height * width >= TILES
}

/// Which components each kernel has.
fn components(bundle: &Bundle<'_>) -> Vec<Components> {
    bundle.kernels.iter().map(|kernel| Components::of(kernel.window)).collect()
}

/// Tiles of output pixels whose transforms fit into a chunk.
fn plan(bundle: &Bundle<'_>, components: &[Components]) -> Vec<Tile> {
    let transformed =
        bundle.kernels.iter().zip(components).map(|(kernel, own)| kernel.outputs * own.count());
    let rows = COMPONENTS * bundle.shape.channels[0] + transformed.sum::<usize>();
    tiles(&bundle.shape, 4 * (CHUNK / rows).clamp(128, 1024), 2)
}

/// V of a tile: `[channel, component, place]`.
fn transform_source<'a>(bundle: &Bundle<'_>, grid: &Grid, memory: &'a mut Scratch) -> &'a [f32] {
    let values = memory.sized(bundle.shape.channels[0] * COMPONENTS * grid.pitch);
    let channels = values.par_chunks_exact_mut(COMPONENTS * grid.pitch).enumerate();
    channels.for_each_init(Vec::new, |frame, (channel, target)| {
        transform::source(bundle, grid, channel, frame, target);
    });
    values
}

/// One component of V, `[channels, places]`.
fn component<'a>(values: &'a [f32], component: usize, channels: usize, grid: &Grid) -> Matrix<'a> {
    let start = component * grid.pitch;
    Matrix::new(&values[start..], channels, grid.places, COMPONENTS * grid.pitch)
}

pub(crate) fn forward(bundle: &Bundle<'_>, outputs: &mut [&mut [f32]], mut after: After<'_>) {
    let components = components(bundle);
    let weights = Transformed::new(bundle, &components);
    let channels = bundle.shape.channels[0];
    let [mut seen, mut products]: [Scratch; 2] = Default::default();
    for tile in plan(bundle, &components) {
        let grid = Grid::new(&bundle.shape, &tile);
        let seen = transform_source(bundle, &grid, &mut seen);
        // `[component, kernel, output, place]`; a vector read at the end may reach beyond.
        let memory = products.sized(weights.rows() * grid.pitch + grid.pitch);
        let factors = (0..COMPONENTS).filter_map(|number| {
            Some([weights.component(number)?, component(seen, number, channels, &grid)])
        });
        let parts =
            split(memory, factors.clone().map(|[weight, _]| weight.row_count() * grid.pitch));
        multiply_all(factors.zip(parts).map(|([weight, seen], part)| {
            let target = MatrixMut::new(part, weight.row_count(), grid.places, grid.pitch);
            Product::new(target, weight, seen)
        }));
        let memory = &*memory;
        for (number, output) in outputs.iter_mut().enumerate() {
            let count = bundle.kernels[number].outputs;
            let shared = Shared::new(output);
            (0..count).into_par_iter().for_each(|channel| {
                let rows = weights.places(number, channel, grid.pitch);
                for image in tile.images.clone() {
                    // SAFETY: channels and images do not overlap.
                    let target = unsafe { shared.part(tile.place(image, channel, count)) };
                    transform::output(memory, &rows, &grid, image - tile.images.start, target);
                }
            });
        }
        after.tile(outputs, &tile);
    }
}

pub(crate) fn backward(bundle: &Bundle<'_>, gradients: &[Gradient<'_>], mut wanted: Gradients<'_>) {
    let components = components(bundle);
    let weights = wanted.source.is_some().then(|| Transformed::new(bundle, &components));
    let any = wanted.weights.iter().any(Option::is_some);
    let mut sums = any.then(|| Transformed::any(bundle, &components));
    let channels = bundle.shape.channels[0];
    let [mut seen, mut given, mut raised]: [Scratch; 3] = Default::default();
    for (turn, tile) in plan(bundle, &components).into_iter().enumerate() {
        let grid = Grid::new(&bundle.shape, &tile);
        // `[kernel, output, component, place]`.
        let given = transform_gradients(bundle, gradients, &components, &tile, &grid, &mut given);
        let gradient = |kernel: usize, number: usize| {
            let (own, outputs) = (&components[kernel], bundle.kernels[kernel].outputs);
            let place = own.place(number)?;
            let values = &given[kernel][place * grid.pitch..];
            Some(Matrix::new(values, outputs, grid.places, own.count() * grid.pitch))
        };
        if let Some(sums) = &mut sums {
            let seen = transform_source(bundle, &grid, &mut seen);
            let parts = sums.parts_mut().filter(|(_, kernel, _)| wanted.weights[*kernel].is_some());
            multiply_all(parts.filter_map(|(number, kernel, part)| {
                let rows = bundle.kernels[kernel].outputs;
                let target = MatrixMut::new(part, rows, channels, channels);
                let seen = component(seen, number, channels, &grid).transposed();
                let gradient = gradient(kernel, number)?;
                Some(Product { add: turn > 0, ..Product::new(target, gradient, seen) })
            }));
        }
        let (Some(source), Some(weights)) = (&mut wanted.source, &weights) else { continue };
        // `[component, channel, place]`; a vector read at the end may reach beyond.
        let raised = raised.sized(COMPONENTS * channels * grid.pitch + grid.pitch);
        let parts = raised.chunks_exact_mut(channels * grid.pitch).enumerate();
        let tasks = parts.take(COMPONENTS).filter_map(|(number, part)| {
            let term = |kernel: usize| {
                Some([weights.part(number, kernel)?.transposed(), gradient(kernel, number)?])
            };
            let terms: Vec<_> = (0..bundle.kernels.len()).filter_map(term).collect();
            if terms.is_empty() {
                part.fill(0.0);
                return None;
            }
            let target = MatrixMut::new(part, channels, grid.places, grid.pitch);
            Some(Product { target, terms, add: false })
        });
        multiply_all(tasks);
        let raised = &*raised;
        let plane = bundle.shape.pixels_in();
        let planes = tile.planes(channels);
        let planes = source[planes.start * plane..planes.end * plane].par_chunks_exact_mut(plane);
        planes.enumerate().for_each_init(Vec::new, |frame, (number, target)| {
            let (image, channel) = (number / channels, number % channels);
            transform::raise(raised, channel, channels, &bundle.shape, &grid, image, frame, target);
        });
    }
    for (number, weight) in wanted.weights.iter_mut().enumerate() {
        if let (Some(weight), Some(sums)) = (weight, &sums) {
            sums.restore(bundle, number, weight);
        }
    }
}

/// A g Aᵀ of every kernel's gradient, each `[output, component, place]`.
fn transform_gradients<'a>(
    bundle: &Bundle<'_>,
    gradients: &[Gradient<'_>],
    components: &[Components],
    tile: &Tile,
    grid: &Grid,
    memory: &'a mut Scratch,
) -> Vec<&'a [f32]> {
    let len =
        |number: usize| bundle.kernels[number].outputs * components[number].count() * grid.pitch;
    let lens: Vec<usize> = (0..bundle.kernels.len()).map(len).collect();
    let memory = memory.sized(lens.iter().sum());
    let parts = split(memory, lens);
    let each = parts.into_iter().zip(gradients).zip(components).zip(&bundle.kernels);
    let transformed = each.map(|(((part, gradient), own), kernel)| {
        let outputs = part.par_chunks_exact_mut(own.count() * grid.pitch).enumerate();
        outputs.for_each_init(Vec::new, |rows, (channel, target)| {
            for (index, image) in tile.images.clone().enumerate() {
                let start = tile.place(image, channel, kernel.outputs).start;
                transform::gradient(gradient, channel, start, own, grid, index, rows, target);
            }
        });
        &*part
    });
    transformed.collect()
}
