//! What can be wrong with what is asked for, with the numbers.

use crate::branch::{BranchKind, BranchName, BranchSpec, End, Preset};
use crate::geometry::Geometry;

/// Why a branch does not exist for a geometry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BranchUnavailable {
    /// No middle tap of the kernel reads the output's own pixel.
    #[error(
        "along the {axis} a kernel of {kernel} with dilation {dilation} must be padded by {} before its \
         first row or column so that its middle lies on the output's own pixel, not by {padding}",
        centred_paddings(*kernel, *dilation)
    )]
    OffCentre {
        /// `height` or `width`.
        axis: &'static str,
        /// Kernel size along it.
        kernel: usize,
        /// Dilation along it.
        dilation: usize,
        /// Padding before it.
        padding: usize,
    },
    /// `Same` padding with a stride depends on the input's size.
    #[error(
        "`Same` padding with stride {stride} along the {axis} depends on the input's size, so no tap of \
         the kernel always lies on the output's own pixel"
    )]
    PaddingFollowsInput {
        /// `height` or `width`.
        axis: &'static str,
        /// Stride along it.
        stride: usize,
    },
    /// Taps that lie too far apart.
    #[error(
        "along the {axis} {size} taps that lie {step} apart do not fit around the middle of a kernel of {kernel}"
    )]
    TooWide {
        /// `height` or `width`.
        axis: &'static str,
        /// Taps of the smaller kernel.
        size: usize,
        /// From one to the next.
        step: usize,
        /// Kernel size.
        kernel: usize,
    },
    /// An identity between different numbers of channels.
    #[error(
        "a branch that mixes no channels needs as many output as input channels, got {inputs} → {outputs}"
    )]
    ChannelsDiffer {
        /// Input channels.
        inputs: usize,
        /// Output channels.
        outputs: usize,
    },
    /// An identity with a stride.
    #[error("an identity needs stride 1, got {stride:?}")]
    Strided {
        /// The stride.
        stride: [usize; 2],
    },
    /// An identity where the output has another size than the input.
    #[error(
        "an identity needs an output of the input's size: padding of {needed} in all along the {axis}, \
         got {padding}"
    )]
    SizeChanges {
        /// `height` or `width`.
        axis: &'static str,
        /// Padding before and after, together.
        padding: usize,
        /// What would keep the size.
        needed: usize,
    },
}

fn centred_paddings(kernel: usize, dilation: usize) -> String {
    let (low, high) = ((kernel - 1) / 2 * dilation, kernel / 2 * dilation);
    if low == high { low.to_string() } else { format!("{low} or {high}") }
}

/// A choice of branches that a block cannot have.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BranchError<G> {
    /// The branch does not exist for this geometry.
    #[error("no `{kind}` branch for the convolution {geometry}: {reason}")]
    Unavailable {
        /// The branch.
        kind: BranchKind,
        /// The convolution.
        geometry: Box<G>,
        /// Why not.
        #[source]
        reason: BranchUnavailable,
    },
    /// The branch exists without norms alone.
    #[error("the branch `{kind}` exists as `{kind}:linear` alone, not ending in {end}")]
    NeverNormed {
        /// The branch.
        kind: BranchKind,
        /// What it was to end in.
        end: End,
    },
    /// A preset with a block inside `kxk`, where there is a convolution already.
    #[error(
        "no convolution grows into `{preset}`, which has a block inside `kxk`: let a network start with it"
    )]
    StartsOnly {
        /// The preset.
        preset: Preset,
    },
    /// The branch is named twice.
    #[error("the branch `{branch}` is named twice; `2*{branch}` asks for two")]
    Twice {
        /// The branch.
        branch: BranchSpec,
    },
    /// Branches in another order than blocks keep them, or twice.
    #[error("the branch `{before}` cannot stand before `{behind}`: each has its place, once")]
    Order {
        /// The first.
        before: BranchName,
        /// The one after it.
        behind: BranchName,
    },
}

impl<G: Geometry + Clone> BranchError<G> {
    /// Whether a block of `geometry` can have a branch of `kind` that ends so.
    ///
    /// # Errors
    /// [`Unavailable`](Self::Unavailable), with the reason, or [`NeverNormed`](Self::NeverNormed).
    pub fn check(kind: BranchKind, end: End, geometry: &G) -> Result<(), Self> {
        if kind.is_always_linear() && end != End::Linear {
            return Err(Self::NeverNormed { kind, end });
        }
        let refused = |reason| {
            let geometry = Box::new(geometry.clone());
            Self::Unavailable { kind, geometry, reason }
        };
        kind.window(geometry).map(|_| ()).map_err(refused)
    }
}

/// A name that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{name}`; known: {known}")]
pub struct UnknownName {
    /// What kind of thing was named.
    pub what: &'static str,
    /// The name.
    pub name: String,
    /// The names there are.
    pub known: String,
}

/// A text that is not a regular expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pattern `{pattern}` is not a regular expression: {reason}")]
pub struct PatternError {
    /// The text.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Options of a controller that make no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("controller: {option} must be {expected}, got {found}")]
pub struct ControllerConfigError {
    /// The option.
    pub option: &'static str,
    /// What would do.
    pub expected: &'static str,
    /// What was given.
    pub found: String,
}

/// Options of a search that make no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("search: {option} must be {expected}, got {found}")]
pub struct SearchConfigError {
    /// The option.
    pub option: &'static str,
    /// What would do.
    pub expected: &'static str,
    /// What was given.
    pub found: String,
}
