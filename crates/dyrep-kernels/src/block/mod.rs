//! A block of branches as a value: what each branch is, and the tensors that it needs.
//!
//! [`Block`] is generic over what stands for a tensor: slices on the way in, gradients on the way out, tensors
//! of a library above, or `()` for the mere structure. [`Block::map`] visits them in one fixed order, so a
//! block is taken apart into a list and put together again without anybody having to name the parts.
//!
//! While it trains, a block is the sum of its branches, each ending in a batch norm over the batch:
//!
//! ```text
//! Σ_b  γ_b (y_b − mean y_b) / √(var y_b + ε) + β_b
//! ```

use crate::shape::ConvShape;

mod affine;
mod average;
mod dense;
#[cfg(test)]
mod dense_tests;
mod depthwise;
mod maps;
mod run;

pub use run::{backward, forward};

#[cfg(test)]
pub(crate) mod random;
#[cfg(test)]
pub(crate) mod reference;

/// Some of the taps of a block's kernel: those that a smaller convolution has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First tap, along height and width.
    pub start: [usize; 2],
    /// Taps, along height and width.
    pub size: [usize; 2],
}

impl Window {
    /// The places of its taps among those of `kernel`, row by row.
    pub(crate) fn taps(self, kernel: [usize; 2]) -> impl Iterator<Item = usize> {
        let [rows, columns] = self.size;
        (0..rows * columns).map(move |tap| {
            let (row, column) = (tap / columns, tap % columns);
            (self.start[0] + row) * kernel[1] + self.start[1] + column
        })
    }
}

/// A batch norm in training: normalises by the biased variance of the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm<T> {
    /// Scale, `[channels]`.
    pub gamma: T,
    /// Shift, `[channels]`.
    pub beta: T,
    /// Added to the variance.
    pub epsilon: f32,
}

/// The batch norm in the middle of a branch. What follows it sees, beyond the border, the norm's image of zero:
/// `β − mean γ / √(var + ε)` by the running statistics as this batch leaves them, without gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct MiddleNorm<T> {
    /// The norm itself.
    pub norm: Norm<T>,
    /// Running mean before this batch, `[channels]`; has no gradient.
    pub running_mean: T,
    /// Running variance before this batch, `[channels]`; has no gradient. Kept unbiased: n / (n − 1) times the
    /// batch's.
    pub running_variance: T,
    /// Weight of this batch in the running statistics.
    pub momentum: f32,
}

/// One branch. All kernels have the block's stride, dilation, padding and groups.
#[derive(Clone, Debug, PartialEq)]
pub enum Branch<T> {
    /// A convolution with some of the block's taps → norm.
    Conv {
        /// Which taps.
        window: Window,
        /// `[out, in / groups, window]`.
        weight: T,
        /// `[out]`; the norm takes it away again, but its mean shows it.
        bias: Option<T>,
        /// The norm.
        norm: Norm<T>,
    },
    /// 1×1 convolution of stride 1 → norm → convolution with all of the block's taps → norm.
    Sequence {
        /// `[mid, in / groups, 1, 1]`.
        pointwise: T,
        /// The norm between, over `mid` channels.
        middle: MiddleNorm<T>,
        /// `[out, mid / groups, kernel]`.
        weight: T,
        /// As a convolution's.
        bias: Option<T>,
        /// The last norm.
        norm: Norm<T>,
    },
    /// (1×1 convolution of stride 1 → norm →) average over the block's taps → norm.
    Average {
        /// The convolution, `[out, in / groups, 1, 1]`, and its norm; none in a depthwise block.
        first: Option<(T, MiddleNorm<T>)>,
        /// The last norm.
        norm: Norm<T>,
    },
    /// The input → norm.
    Identity {
        /// The norm.
        norm: Norm<T>,
    },
    /// What somebody else has computed, `[batch, out, height', width']` → norm.
    Given {
        /// The values.
        map: T,
        /// The norm.
        norm: Norm<T>,
    },
}

/// Branches that read one input and sum into one output.
#[derive(Clone, Debug, PartialEq)]
pub struct Block<T> {
    /// The block's convolution.
    pub shape: ConvShape,
    /// `[batch, in, height, width]`.
    pub input: T,
    /// The branches, at least one.
    pub branches: Vec<Branch<T>>,
}

/// Mean and biased variance over a batch, each `[channels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// The mean; of a convolution with a bias, with it.
    pub mean: Vec<f32>,
    /// The variance.
    pub variance: Vec<f32>,
}

impl<T> Norm<T> {
    fn as_ref(&self) -> Norm<&T> {
        Norm { gamma: &self.gamma, beta: &self.beta, epsilon: self.epsilon }
    }

    fn map<U>(self, f: &mut impl FnMut(T) -> U) -> Norm<U> {
        Norm { gamma: f(self.gamma), beta: f(self.beta), epsilon: self.epsilon }
    }
}

impl<T> MiddleNorm<T> {
    fn as_ref(&self) -> MiddleNorm<&T> {
        MiddleNorm {
            norm: self.norm.as_ref(),
            running_mean: &self.running_mean,
            running_variance: &self.running_variance,
            momentum: self.momentum,
        }
    }

    fn map<U>(self, f: &mut impl FnMut(T) -> U) -> MiddleNorm<U> {
        MiddleNorm {
            norm: self.norm.map(f),
            running_mean: f(self.running_mean),
            running_variance: f(self.running_variance),
            momentum: self.momentum,
        }
    }
}

impl<T> Branch<T> {
    fn as_ref(&self) -> Branch<&T> {
        match self {
            Self::Conv { window, weight, bias, norm } => {
                Branch::Conv { window: *window, weight, bias: bias.as_ref(), norm: norm.as_ref() }
            }
            Self::Sequence { pointwise, middle, weight, bias, norm } => Branch::Sequence {
                pointwise,
                middle: middle.as_ref(),
                weight,
                bias: bias.as_ref(),
                norm: norm.as_ref(),
            },
            Self::Average { first, norm } => Branch::Average {
                first: first.as_ref().map(|(pointwise, middle)| (pointwise, middle.as_ref())),
                norm: norm.as_ref(),
            },
            Self::Identity { norm } => Branch::Identity { norm: norm.as_ref() },
            Self::Given { map, norm } => Branch::Given { map, norm: norm.as_ref() },
        }
    }

    fn map<U>(self, f: &mut impl FnMut(T) -> U) -> Branch<U> {
        match self {
            Self::Conv { window, weight, bias, norm } => Branch::Conv {
                window,
                weight: f(weight),
                bias: bias.map(&mut *f),
                norm: norm.map(f),
            },
            Self::Sequence { pointwise, middle, weight, bias, norm } => Branch::Sequence {
                pointwise: f(pointwise),
                middle: middle.map(f),
                weight: f(weight),
                bias: bias.map(&mut *f),
                norm: norm.map(f),
            },
            Self::Average { first, norm } => Branch::Average {
                first: first.map(|(pointwise, middle)| (f(pointwise), middle.map(f))),
                norm: norm.map(f),
            },
            Self::Identity { norm } => Branch::Identity { norm: norm.map(f) },
            Self::Given { map, norm } => Branch::Given { map: f(map), norm: norm.map(f) },
        }
    }

    /// The norm in the middle of the branch, if it has one.
    pub fn middle(&self) -> Option<&MiddleNorm<T>> {
        match self {
            Self::Sequence { middle, .. } | Self::Average { first: Some((_, middle)), .. } => {
                Some(middle)
            }
            _ => None,
        }
    }

    /// The norm that ends the branch.
    pub fn last_norm(&self) -> &Norm<T> {
        match self {
            Self::Conv { norm, .. }
            | Self::Sequence { norm, .. }
            | Self::Average { norm, .. }
            | Self::Identity { norm }
            | Self::Given { norm, .. } => norm,
        }
    }
}

impl<T> Block<T> {
    /// The same block with another kind of tensors. Visits them in a fixed order: the input, then the branches'
    /// in the order of their fields.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> Block<U> {
        Block {
            shape: self.shape,
            input: f(self.input),
            branches: self.branches.into_iter().map(|branch| branch.map(&mut f)).collect(),
        }
    }

    /// The same block with references to its tensors.
    #[must_use]
    pub fn as_ref(&self) -> Block<&T> {
        Block {
            shape: self.shape,
            input: &self.input,
            branches: self.branches.iter().map(Branch::as_ref).collect(),
        }
    }

    /// Calls `f` with the tensors, in [`Block::map`]'s order.
    pub fn visit<'a>(&'a self, f: impl FnMut(&'a T)) {
        self.as_ref().map(f);
    }
}
