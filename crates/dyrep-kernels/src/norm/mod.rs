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

/// A batch norm and the sizes it meets.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// The sizes.
    pub shape: NormShape,
    /// γ, `[channels]`.
    pub gamma: &'a [f32],
    /// β, `[channels]`.
    pub beta: &'a [f32],
    /// ε.
    pub epsilon: f32,
}

/// Mean and biased variance, `[channels]` each.
#[derive(Clone, Copy, Debug)]
pub struct Moments<'a> {
    /// μ.
    pub mean: &'a [f32],
    /// σ².
    pub variance: &'a [f32],
}

/// Where mean and biased variance are written, `[channels]` each.
#[derive(Debug)]
pub struct MomentsMut<'a> {
    /// μ.
    pub mean: &'a mut [f32],
    /// σ².
    pub variance: &'a mut [f32],
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

/// A channel's norm as a line: `(x − centre) · scale + shift`.
#[derive(Clone, Copy)]
struct Line {
    centre: f32,
    scale: f32,
    shift: f32,
}

impl Line {
    fn values(self) -> [f32; 3] {
        [self.centre, self.scale, self.shift]
    }
}

/// What the line makes of a value. Forward and backward must agree to the last bit on what is positive.
#[inline(always)]
fn on_line([centre, scale, shift]: [f32; 3], value: f32) -> f32 {
    (value - centre) * scale + shift
}

/// What a ReLU raises values to: nothing is below negative infinity.
fn floor(relu: bool) -> f32 {
    if relu { 0.0 } else { f32::NEG_INFINITY }
}

impl Norm<'_> {
    fn check(&self) -> Result<(), ShapeError> {
        self.shape.check()?;
        self.shape.check_channels("gamma", self.gamma)?;
        self.shape.check_channels("beta", self.beta)
    }

    fn check_moments(&self, mean: &[f32], variance: &[f32]) -> Result<(), ShapeError> {
        self.shape.check_channels("the mean", mean)?;
        self.shape.check_channels("the variance", variance)
    }

    /// `1 / √(σ² + ε)`.
    fn inverse_deviation(&self, variance: f32) -> f64 {
        (f64::from(variance) + f64::from(self.epsilon)).sqrt().recip()
    }

    fn line(&self, channel: usize, mean: f32, variance: f32) -> Line {
        let scale = f64::from(self.gamma[channel]) * self.inverse_deviation(variance);
        Line { centre: mean, scale: scale as f32, shift: self.beta[channel] }
    }
}
