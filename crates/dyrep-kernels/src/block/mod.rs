//! A block of branches as a value: what each branch does, and the tensors that it needs.
//!
//! [`Block`] is generic over what stands for a tensor: slices on the way in, gradients on the way out, tensors of a
//! library above, or `()` for the mere structure. [`Block::map`] changes one into another, so nobody has to name the parts
//! or count them.
//!
//! While it trains, a block is the sum of its branches, each a chain:
//!
//! ```text
//! input ─▶ (1×1 convolution ─▶ norm ─▶) convolution | average | input | given map ─▶ norm | scale | nothing ─▶ Σ
//! ```

use crate::scratch::Buffer;
use crate::shape::ConvShape;

mod average;
mod dense;
#[cfg(test)]
mod dense_tests;
mod depthwise;
mod ends;
mod maps;
mod passes;
mod run;
mod structure;
mod window;

pub use crate::norm::{By, Moments, Norm, Running};
pub use run::{backward, forward, keeps_maps, refuses};
pub use window::Window;

#[cfg(test)]
mod compare;
#[cfg(test)]
pub(crate) mod random;
#[cfg(test)]
pub(crate) mod reference;

/// Branches that read one input and sum into one output.
#[derive(Clone, Debug, PartialEq)]
pub struct Block<T> {
    /// The block's convolution: what all kernels have in common.
    pub shape: ConvShape,
    /// `[batch, in, height, width]`.
    pub input: T,
    /// The branches, at least one.
    pub branches: Vec<Branch<T>>,
}

/// One branch. All kernels have the block's stride, dilation, padding and groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch<T> {
    /// What the taps read instead of the input.
    pub first: Option<First<T>>,
    /// What is done with the taps.
    pub core: Core<T>,
    /// What follows.
    pub end: End<T>,
}

/// 1×1 convolution of stride 1 → norm. What follows sees, beyond the border, the norm's image of zero:
/// `β − mean γ / √(var + ε)` by the running statistics as this batch leaves them, without gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct First<T> {
    /// `[mid, in / groups, 1, 1]`; before an average `mid` is `out`.
    pub weight: T,
    /// The norm, over `mid` channels.
    pub norm: Norm<T>,
}

/// What a branch does over the taps of the block.
#[derive(Clone, Debug, PartialEq)]
pub enum Core<T> {
    /// A convolution with some of the block's taps.
    Conv {
        /// Which taps.
        window: Window,
        /// `[out, channels / groups, window]`, the channels being the input's or those of [`First`].
        weight: T,
        /// `[out]`. A norm takes it away again, but its mean shows it.
        bias: Option<T>,
    },
    /// The mean over the block's taps, each channel by itself; without [`First`], of as many channels as come out.
    Average,
    /// The input, which must have the output's shape.
    Input,
    /// What somebody else has computed, `[batch, out, height', width']`.
    Given {
        /// The values.
        map: T,
    },
}

/// How a branch ends.
#[derive(Clone, Debug, PartialEq)]
pub enum End<T> {
    /// In a norm, over `out` channels.
    Norm(Norm<T>),
    /// Multiplied by `[out]`.
    Scale(T),
    /// As it is.
    Nothing,
}

/// The moments of a branch's norms; none where there is no norm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BranchMoments {
    /// Of the norm in [`First`].
    pub first: Option<Moments>,
    /// Of the norm that ends the branch.
    pub end: Option<Moments>,
}

/// What a forward pass has found besides its output.
#[derive(Debug, PartialEq)]
pub struct Done {
    /// By branch.
    pub moments: Vec<BranchMoments>,
    /// By branch, for the way back.
    saved: Vec<Saved>,
}

/// The maps of a branch that the way back needs.
#[derive(Debug, Default, PartialEq)]
struct Saved {
    /// In front of the norm in [`First`].
    first: Option<Buffer>,
    /// In front of the end, without bias, unless it came from outside.
    core: Option<Buffer>,
}
