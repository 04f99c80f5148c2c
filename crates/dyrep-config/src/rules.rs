//! What a controller ranks by, and how it changes a network.

use crate::text::named;

/// A measure of a convolution's weight `w` with gradient `g`.
///
/// A trap: a convolution followed by a batch norm does the same whatever its scale, so its gradient is
/// orthogonal to its weight and Σ g·w, [`SynFlow`](Self::SynFlow), is zero but for the norm's ε. Among such
/// convolutions it ranks by rounding. The others do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Score {
    /// ‖g‖.
    GradNorm,
    /// Σ |g · w| (SNIP, arXiv 1810.02340).
    #[default]
    Snip,
    /// Σ g · w with its sign, on the real loss: the published default (after arXiv 2006.05467).
    SynFlow,
    /// The squared gradient norm that the new branches would get at birth, from the mean gradient since the
    /// last adjustment (after GradMax, arXiv 2201.05125). Needs the calibration batches once more.
    BranchGain,
    /// A number drawn from (seed, path, adjustment): the control.
    Random,
}

named! { Score, "score", {
    GradNorm => "grad_norm",
    Snip => "snip",
    SynFlow => "synflow",
    BranchGain => "branch_gain",
    Random => "random",
} }

/// How the batch norm of `kxk` is set after a change. The inference function is the same with both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NormRule {
    /// γ = 1, β = 0, mean 0, variance 1: the published rule. In training mode the branch is then
    /// normalised by the batch's statistics, so its scale jumps unless a batch norm follows the layer.
    #[default]
    Published,
    /// The branch's own measured mean and variance, and γ, β that undo them: in training mode too the
    /// function stays as it is, up to the difference between a batch and the calibration batches.
    Neutral,
}

named! { NormRule, "norm rule", {
    Published => "published",
    Neutral => "neutral",
} }

/// Whether faults of the published code are mended, or kept so that its runs can be repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fidelity {
    /// The weight of a growing convolution keeps its momentum; a block inside one that is cut keeps its
    /// branches, scaled.
    #[default]
    Mended,
    /// As in the published code: the weight of a growing convolution is a new parameter to the optimiser,
    /// and a block at the `kxk.conv` of one that is cut is drawn anew, with statistics not yet measured.
    Published,
}

named! { Fidelity, "fidelity", {
    Mended => "mended",
    Published => "published",
} }
