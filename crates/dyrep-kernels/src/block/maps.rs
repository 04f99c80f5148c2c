//! What the branches of a block read, and the maps that they make of it.

use super::affine::{AtBatch, image_of_zero};
use super::{Block, Branch, MiddleNorm, Moments, Norm, Window};
use crate::bundle::{Affine, Bundle, Kernel, Source};
use crate::finish::After;
use crate::moments::{self, Accumulator};
use crate::scratch::Buffer;
use crate::shape::ConvShape;
use crate::tile::Tile;

/// A map and its moments.
pub(super) type Measured = (Buffer, Moments);

/// A middle map as what follows sees it.
pub(super) struct Seen {
    norm: AtBatch,
    border: Vec<f32>,
}

impl Seen {
    pub(super) fn new(middle: &MiddleNorm<&[f32]>, moments: &Moments, shape: &ConvShape) -> Self {
        let count = shape.batch * shape.pixels_in();
        Self {
            norm: AtBatch::new(&middle.norm, moments),
            border: image_of_zero(middle, moments, count),
        }
    }

    pub(super) fn source<'a>(&'a self, values: &'a [f32]) -> Source<'a> {
        let AtBatch { scale, shift } = &self.norm;
        Source { values, affine: Some(Affine { scale, shift, border: &self.border }) }
    }
}

/// The convolutions that read the input with the block's geometry.
pub(super) fn linear<'a>(block: &Block<&'a [f32]>) -> Bundle<'a> {
    let outputs = block.shape.channels[1];
    let kernel = |branch: &Branch<&'a [f32]>| match branch {
        Branch::Conv { window, weight, .. } => Some(Kernel { window: *window, weight, outputs }),
        _ => None,
    };
    Bundle {
        shape: block.shape,
        source: Source { values: block.input, affine: None },
        kernels: block.branches.iter().filter_map(kernel).collect(),
    }
}

/// The 1×1 convolutions of stride 1 that start sequences and averages.
pub(super) fn pointwise<'a>(block: &Block<&'a [f32]>) -> Bundle<'a> {
    let shape = ConvShape {
        kernel: [1, 1],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [(0, 0); 2],
        ..block.shape
    };
    let window = Window { start: [0, 0], size: [1, 1] };
    let kernel = |branch: &Branch<&'a [f32]>| match branch {
        Branch::Sequence { pointwise: weight, middle, .. }
        | Branch::Average { first: Some((weight, middle)), .. } => {
            Some(Kernel { window, weight, outputs: middle.norm.gamma.len() })
        }
        _ => None,
    };
    Bundle {
        shape,
        source: Source { values: block.input, affine: None },
        kernels: block.branches.iter().filter_map(kernel).collect(),
    }
}

/// The k×k convolution of a sequence.
pub(super) fn second<'a>(
    shape: &ConvShape,
    source: Source<'a>,
    weight: &'a [f32],
    norm: &Norm<&[f32]>,
) -> Bundle<'a> {
    let outputs = norm.gamma.len();
    let middle = weight.len() / (outputs * shape.taps()) * shape.groups;
    let window = Window { start: [0, 0], size: shape.kernel };
    Bundle {
        shape: ConvShape { channels: [middle, outputs], ..*shape },
        source,
        kernels: vec![Kernel { window, weight, outputs }],
    }
}

/// The maps of a bundle's kernels.
pub(super) fn convolve(bundle: &Bundle<'_>) -> Vec<Measured> {
    let plane = bundle.shape.batch * bundle.shape.pixels_out();
    let mut maps: Vec<Buffer> =
        bundle.kernels.iter().map(|kernel| Buffer::any(kernel.outputs * plane)).collect();
    let mut seen: Vec<Vec<Accumulator>> =
        bundle.kernels.iter().map(|kernel| vec![Accumulator::default(); kernel.outputs]).collect();
    if !maps.is_empty() {
        let mut targets: Vec<&mut [f32]> = maps.iter_mut().map(|map| &mut map[..]).collect();
        bundle.forward(&mut targets, After::Measure(&mut seen));
    }
    maps.into_iter().zip(seen).map(|(map, seen)| (map, moments::finish(&seen))).collect()
}

/// The moments of a map that is there already.
pub(super) fn measure(shape: &ConvShape, norm: &Norm<&[f32]>, map: &[f32]) -> Moments {
    let mut seen = vec![Accumulator::default(); norm.gamma.len()];
    moments::add_tile(&mut seen, map, &Tile::whole(shape));
    moments::finish(&seen)
}
