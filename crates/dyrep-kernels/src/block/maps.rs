//! What the branches of a block read, and the maps that they make of it.

use super::{Block, Branch, Core, First, Moments, Window};
use crate::bundle::{Affine, Bundle, Kernel, Source};
use crate::finish::After;
use crate::moments::{self, Accumulator};
use crate::norm::affine::{AtBatch, image_of_zero};
use crate::scratch::Buffer;
use crate::shape::ConvShape;
use crate::tile::Tile;

/// A map and, where they were asked for, its moments.
pub(super) type Measured = (Buffer, Option<Moments>);

/// The map of a branch's first convolution as what follows sees it.
pub(super) struct Seen<'a> {
    values: &'a [f32],
    norm: AtBatch,
    border: Vec<f32>,
}

impl<'a> Seen<'a> {
    pub(super) fn new(first: &First<&[f32]>, values: &'a [f32], moments: &Moments) -> Self {
        let norm = &first.norm;
        let border = image_of_zero(norm, norm.running(), moments);
        Self { values, norm: AtBatch::new(norm, moments), border }
    }

    pub(super) fn source(&self) -> Source<'_> {
        let AtBatch { scale, shift } = &self.norm;
        Source { values: self.values, affine: Some(Affine { scale, shift, border: &self.border }) }
    }
}

/// Whether a branch is a convolution that reads the input with the block's geometry.
pub(super) fn is_linear<T>(branch: &Branch<T>) -> bool {
    branch.first.is_none() && matches!(branch.core, Core::Conv { .. })
}

/// A list with one value for each branch that is `among` them, as one for every branch.
pub(super) fn by_branch<T, R>(
    block: &Block<T>,
    among: impl Fn(&Branch<T>) -> bool,
    values: Vec<R>,
) -> impl Iterator<Item = Option<R>> {
    let mut values = values.into_iter();
    block.branches.iter().map(move |branch| among(branch).then(|| values.next()).flatten())
}

/// Of values by branch those of branches that are `among` them: the way back from [`by_branch`].
pub(super) fn of_some<T, R>(
    block: &Block<T>,
    among: impl Fn(&Branch<T>) -> bool,
    values: impl IntoIterator<Item = R>,
) -> Vec<R> {
    let pairs = block.branches.iter().zip(values).filter(|(branch, _)| among(branch));
    pairs.map(|(_, value)| value).collect()
}

/// The convolutions that read the input with the block's geometry.
pub(super) fn linear<'a>(block: &Block<&'a [f32]>) -> Bundle<'a> {
    let outputs = block.shape.channels[1];
    let kernel = |branch: &Branch<&'a [f32]>| match branch {
        Branch { first: None, core: Core::Conv { window, weight, .. }, .. } => {
            Some(Kernel { window: *window, weight, outputs })
        }
        _ => None,
    };
    Bundle {
        shape: block.shape,
        source: Source::plain(block.input),
        kernels: block.branches.iter().filter_map(kernel).collect(),
    }
}

/// The 1×1 convolutions of stride 1 that start branches.
pub(super) fn pointwise<'a>(block: &Block<&'a [f32]>) -> Bundle<'a> {
    let shape = ConvShape {
        kernel: [1, 1],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [(0, 0); 2],
        ..block.shape
    };
    let window = Window::whole([1, 1]);
    let firsts = block.branches.iter().filter_map(|branch| branch.first.as_ref());
    let kernel = |first: &First<&'a [f32]>| Kernel {
        window,
        weight: first.weight,
        outputs: first.channels(),
    };
    Bundle { shape, source: Source::plain(block.input), kernels: firsts.map(kernel).collect() }
}

impl First<&[f32]> {
    /// Channels between it and what follows.
    pub(super) fn channels(&self) -> usize {
        self.norm.gamma.len()
    }
}

/// The convolution that follows a first one.
pub(super) fn second<'a>(
    shape: &ConvShape,
    source: Source<'a>,
    channels: usize,
    (window, weight): (Window, &'a [f32]),
) -> Bundle<'a> {
    let outputs = shape.channels[1];
    Bundle {
        shape: ConvShape { channels: [channels, outputs], ..*shape },
        source,
        kernels: vec![Kernel { window, weight, outputs }],
    }
}

/// The maps of a bundle's kernels, measured where `asked` says so, kernel by kernel.
pub(super) fn convolve(bundle: &Bundle<'_>, asked: impl Iterator<Item = bool>) -> Vec<Measured> {
    let plane = bundle.shape.batch * bundle.shape.pixels_out();
    let mut maps: Vec<Buffer> =
        bundle.kernels.iter().map(|kernel| Buffer::any(kernel.outputs * plane)).collect();
    // What is not asked for has no accumulators.
    let counts = bundle.kernels.iter().zip(asked);
    let counts = counts.map(|(kernel, asked)| if asked { kernel.outputs } else { 0 });
    let mut seen: Vec<Vec<Accumulator>> =
        counts.map(|count| vec![Accumulator::default(); count]).collect();
    let mut targets: Vec<&mut [f32]> = maps.iter_mut().map(|map| &mut map[..]).collect();
    bundle.forward(&mut targets, After::Measure(&mut seen));
    let moments = seen.iter().map(|seen| (!seen.is_empty()).then(|| moments::finish(seen)));
    maps.into_iter().zip(moments).collect()
}

/// The moments of a map of the output's shape that is there already.
pub(super) fn measure(shape: &ConvShape, map: &[f32]) -> Moments {
    let mut seen = vec![Accumulator::default(); shape.channels[1]];
    moments::add_tile(&mut seen, map, &Tile::whole(shape));
    moments::finish(&seen)
}
