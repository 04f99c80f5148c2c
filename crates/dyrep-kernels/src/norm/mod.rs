//! Batch normalisation in as few passes over memory as arithmetic allows, with what follows it in a network.
//!
//! ```text
//! y = relu?( γ · (x − μ) / √(σ² + ε) + β + residual? )
//! ```
//!
//! Values are `[batch, channels, pixels]`; γ, β, μ and σ² have one value a channel, σ² being the biased variance.
//! Each channel is read once for its sums and once more, from the cache where it fits, for what is written.
//! Sums are added in lanes of `f32` over short stretches and in `f64` beyond, in an order that follows from the
//! shape alone: results do not depend on the number of threads.

pub(crate) mod affine;
mod backward;
mod forward;
mod lanes;
mod part;

pub use backward::Gradients;

use crate::shape::{ConvShape, ShapeError};

/// The sizes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormShape {
    /// Images.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Pixels of a channel of an image.
    pub pixels: usize,
}

impl NormShape {
    /// Checks that nothing is zero.
    ///
    /// # Errors
    /// The first size that is.
    pub fn check(&self) -> Result<(), ShapeError> {
        let sizes = [("batch", self.batch), ("channels", self.channels), ("pixels", self.pixels)];
        match sizes.into_iter().find(|(_, size)| *size == 0) {
            Some((name, _)) => Err(ShapeError::Zero { name }),
            None => Ok(()),
        }
    }

    /// Values of the batch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch * self.channels * self.pixels
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values of a channel.
    fn per_channel(&self) -> f64 {
        (self.batch * self.pixels) as f64
    }

    fn check_batch(&self, name: &'static str, values: &[f32]) -> Result<(), ShapeError> {
        ConvShape::check_len(name, self.len(), values.len())
    }

    fn check_channels(&self, name: &'static str, values: &[f32]) -> Result<(), ShapeError> {
        ConvShape::check_len(name, self.channels, values.len())
    }
}

/// A batch norm, as branches of a block have them.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm<T> {
    /// Scale γ, `[channels]`.
    pub gamma: T,
    /// Shift β, `[channels]`.
    pub beta: T,
    /// Added to the variance, in single precision.
    pub epsilon: f64,
    /// What it normalises by.
    pub by: By<T>,
}

/// The mean and variance that a norm takes.
#[derive(Clone, Debug, PartialEq)]
pub enum By<T> {
    /// The batch's own, the variance biased.
    Batch(Running<T>),
    /// Given ones, `[channels]` each.
    Given {
        /// The mean.
        mean: T,
        /// The variance.
        variance: T,
    },
}

/// Running statistics before a batch, and how it changes them. They have no gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Running<T> {
    /// Running mean, `[channels]`.
    pub mean: T,
    /// Running variance, `[channels]`.
    pub variance: T,
    /// Weight of the batch.
    pub momentum: f64,
    /// What the batch's biased variance is multiplied by before it goes into the running one: n / (n − 1), or 1.
    pub unbias: f64,
}

/// Mean and biased variance over a batch, `[channels]` each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments<T = Vec<f32>> {
    /// μ; of a convolution with a bias, with it.
    pub mean: T,
    /// σ².
    pub variance: T,
}

impl<T> Running<T> {
    fn map<U>(self, f: &mut impl FnMut(T) -> U) -> Running<U> {
        let Self { mean, variance, momentum, unbias } = self;
        Running { mean: f(mean), variance: f(variance), momentum, unbias }
    }

    fn as_ref(&self) -> Running<&T> {
        let Self { mean, variance, momentum, unbias } = self;
        Running { mean, variance, momentum: *momentum, unbias: *unbias }
    }
}

impl<T> By<T> {
    pub(crate) fn map<U>(self, f: &mut impl FnMut(T) -> U) -> By<U> {
        match self {
            Self::Batch(running) => By::Batch(running.map(f)),
            Self::Given { mean, variance } => By::Given { mean: f(mean), variance: f(variance) },
        }
    }
}

impl<T> Norm<T> {
    /// The running statistics of a norm by the batch's own moments.
    pub(crate) fn running(&self) -> &Running<T> {
        match &self.by {
            By::Batch(running) => running,
            By::Given { .. } => unreachable!("norms by given statistics were refused"),
        }
    }

    pub(crate) fn map<U>(self, f: &mut impl FnMut(T) -> U) -> Norm<U> {
        Norm { gamma: f(self.gamma), beta: f(self.beta), epsilon: self.epsilon, by: self.by.map(f) }
    }

    pub(crate) fn as_ref(&self) -> Norm<&T> {
        let by = match &self.by {
            By::Batch(running) => By::Batch(running.as_ref()),
            By::Given { mean, variance } => By::Given { mean, variance },
        };
        Norm { gamma: &self.gamma, beta: &self.beta, epsilon: self.epsilon, by }
    }
}

/// One batch norm alone, over the sizes it meets.
#[derive(Clone, Copy, Debug)]
pub struct NormCall<'a> {
    /// The sizes.
    pub shape: NormShape,
    /// γ, `[channels]`.
    pub gamma: &'a [f32],
    /// β, `[channels]`.
    pub beta: &'a [f32],
    /// ε.
    pub epsilon: f64,
}

/// What follows the norm in the same pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tail<'a> {
    /// Added, `[batch, channels, pixels]`.
    pub residual: Option<&'a [f32]>,
    /// A ReLU at the end. As in PyTorch, not-a-number stays what it is.
    pub relu: bool,
}

/// Which values the ReLU let through: those above zero.
#[derive(Clone, Copy, Debug)]
pub enum Passed<'a> {
    /// All: there was no ReLU.
    All,
    /// Those that the norm itself made positive: there was no residual. Found again from the norm's input, which
    /// costs less than reading the output.
    OfNorm,
    /// Those above zero in the output, `[batch, channels, pixels]`.
    OfOutput(&'a [f32]),
}

/// What the line makes of a value. Forward and backward must agree to the last bit on what is positive.
#[inline(always)]
fn on_line([centre, scale, shift]: [f32; 3], value: f32) -> f32 {
    (value - centre) * scale + shift
}

impl NormCall<'_> {
    fn check(&self) -> Result<(), ShapeError> {
        self.shape.check()?;
        self.shape.check_channels("gamma", self.gamma)?;
        self.shape.check_channels("beta", self.beta)
    }

    fn check_moments(&self, mean: &[f32], variance: &[f32]) -> Result<(), ShapeError> {
        self.shape.check_channels("the mean", mean)?;
        self.shape.check_channels("the variance", variance)
    }

    /// A channel's norm as a line, `(x − centre) · scale + shift`.
    fn line(&self, channel: usize, mean: f32, variance: f32) -> [f32; 3] {
        let inverse = affine::inverse_deviation(f64::from(variance), self.epsilon);
        [mean, (f64::from(self.gamma[channel]) * inverse) as f32, self.beta[channel]]
    }
}
