//! Convolutions that read the same input: what they have in common is done once.
//!
//! ```text
//! Source ─▶ Winograd's transform, or columns (im2col) ─▶ a product for each kernel ─▶ maps, finished or measured
//! ```

use crate::block::Window;
use crate::finish::After;
use crate::flat::copy_every;
use crate::product::on_workers;
use crate::shape::ConvShape;
use crate::{columns, winograd};

/// What is convolved: a map, and how it is seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// `[batch, in, height, width]`.
    pub(crate) values: &'a [f32],
    /// Seen as it is, with zeros beyond the border, if none.
    pub(crate) affine: Option<Affine<'a>>,
}

/// `scale · value + shift` inside, `border` beyond, by channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affine<'a> {
    pub(crate) scale: &'a [f32],
    pub(crate) shift: &'a [f32],
    pub(crate) border: &'a [f32],
}

impl<'a> Source<'a> {
    /// A map as it is.
    pub(crate) fn plain(values: &'a [f32]) -> Self {
        Self { values, affine: None }
    }

    /// What lies beyond the border.
    pub(crate) fn border(&self, channel: usize) -> f32 {
        self.affine.map_or(0.0, |affine| affine.border[channel])
    }

    /// Scale and shift of a channel.
    pub(crate) fn change(&self, channel: usize) -> [f32; 2] {
        self.affine.map_or([1.0, 0.0], |affine| [affine.scale[channel], affine.shift[channel]])
    }

    /// Copies values of a channel as they are seen; `step` apart in the map.
    #[inline(always)]
    pub(crate) fn read(&self, channel: usize, start: usize, step: usize, target: &mut [f32]) {
        let source = &self.values[start..];
        match self.affine {
            None => copy_every(step, source, target),
            Some(affine) => {
                let (scale, shift) = (affine.scale[channel], affine.shift[channel]);
                let source = source.iter().step_by(step);
                let pairs = target.iter_mut().zip(source);
                pairs.for_each(|(target, source)| *target = source * scale + shift);
            }
        }
    }
}

/// One kernel of a bundle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel<'a> {
    /// Its taps, of the bundle's.
    pub(crate) window: Window,
    /// `[outputs, in / groups, window]`.
    pub(crate) weight: &'a [f32],
    /// Output channels.
    pub(crate) outputs: usize,
}

impl Kernel<'_> {
    pub(crate) fn taps(&self) -> usize {
        self.window.count()
    }
}

/// Kernels of one geometry over one source. The shape's own output channels do not count.
#[derive(Clone, Debug)]
pub(crate) struct Bundle<'a> {
    pub(crate) shape: ConvShape,
    pub(crate) source: Source<'a>,
    pub(crate) kernels: Vec<Kernel<'a>>,
}

/// The gradient of one kernel's output: `values`, or by channel `a · values + b · map + c`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gradient<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) mix: Option<Mix<'a>>,
}

/// What a batch norm makes of the gradient behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix<'a> {
    pub(crate) map: &'a [f32],
    /// `[a, b, c]` by channel.
    pub(crate) weights: &'a [[f32; 3]],
}

impl Gradient<'_> {
    /// Copies values of a channel, the map's part mixed in.
    #[inline(always)]
    pub(crate) fn read(&self, channel: usize, start: usize, target: &mut [f32]) {
        let values = &self.values[start..start + target.len()];
        let Some(mix) = self.mix else {
            target.copy_from_slice(values);
            return;
        };
        let [a, b, c] = mix.weights[channel];
        let map = &mix.map[start..start + target.len()];
        let triples = target.iter_mut().zip(values).zip(map);
        triples.for_each(|((target, value), map)| *target = a * value + (b * map + c));
    }
}

/// Where gradients go.
pub(crate) struct Gradients<'a> {
    /// One for each kernel, overwritten, where it is wanted.
    pub(crate) weights: Vec<Option<&'a mut [f32]>>,
    /// Of the source as it is seen, inside the border; added to.
    pub(crate) source: Option<&'a mut [f32]>,
}

impl Bundle<'_> {
    /// Convolves with every kernel: one map each, `[batch, outputs, height', width']`.
    ///
    /// Each tile of the maps goes through what comes `after`.
    pub(crate) fn forward(&self, outputs: &mut [&mut [f32]], after: After<'_>) {
        if self.kernels.is_empty() {
            return;
        }
        on_workers(|| match winograd::pays(self) {
            true => winograd::forward(self, outputs, after),
            false => columns::forward(self, outputs, after),
        });
    }

    /// Gradients of kernels and source.
    pub(crate) fn backward(&self, gradients: &[Gradient<'_>], wanted: Gradients<'_>) {
        if self.kernels.is_empty() {
            return;
        }
        on_workers(|| match winograd::pays(self) {
            true => winograd::backward(self, gradients, wanted),
            false => columns::backward(self, gradients, wanted),
        });
    }

    /// Output channels of all kernels.
    pub(crate) fn outputs(&self) -> usize {
        self.kernels.iter().map(|kernel| kernel.outputs).sum()
    }
}

/// Takes consecutive parts of `lens` values off a slice.
pub(crate) fn split(
    mut values: &mut [f32],
    lens: impl IntoIterator<Item = usize>,
) -> Vec<&mut [f32]> {
    let take = |len: usize| {
        let (part, rest) = std::mem::take(&mut values).split_at_mut(len);
        values = rest;
        part
    };
    lens.into_iter().map(take).collect()
}
