//! What can go wrong, with the numbers.

mod adjust;

use std::path::PathBuf;

pub use adjust::{AdjustError, ControllerConfigError, StateError};

use crate::branch::{BranchKind, BranchName, BranchSpec};
use crate::geometry::ConvGeometry;

/// A convolution that cannot exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// A size of zero.
    #[error("{name} must be at least 1, got {value:?}")]
    Zero {
        /// The option.
        name: &'static str,
        /// Its value.
        value: Vec<usize>,
    },
    /// A size that no convolution needs.
    #[error("{name} must be at most {limit}, got {value:?}")]
    TooLarge {
        /// The option; for the weight the limit is on the product.
        name: &'static str,
        /// Its value.
        value: Vec<usize>,
        /// The largest that is taken.
        limit: usize,
    },
    /// Groups that do not divide the channels.
    #[error("{groups} groups must divide both the {} input and the {} output channels", channels[0], channels[1])]
    Groups {
        /// `[in, out]`.
        channels: [usize; 2],
        /// The groups asked for.
        groups: usize,
    },
}

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
pub enum BranchError {
    /// The branch does not exist for this geometry.
    #[error("no `{kind}` branch for the convolution {geometry}: {reason}")]
    Unavailable {
        /// The branch.
        kind: BranchKind,
        /// The convolution.
        geometry: Box<ConvGeometry>,
        /// Why not.
        #[source]
        reason: BranchUnavailable,
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

/// A layer's configuration that cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Options of the convolution that make no sense.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// Branches that do not exist.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// Middle channels that the groups do not divide.
    #[error(
        "the {mid_channels} middle channels of `{branch}` must be a positive multiple of the {groups} groups"
    )]
    MidChannels {
        /// The branch.
        branch: BranchKind,
        /// The middle channels asked for.
        mid_channels: usize,
        /// The groups.
        groups: usize,
    },
    /// A block without its `kxk`.
    #[error("a block's first branch must be `kxk`")]
    NoMain,
    /// Parts that a branch of this kind does not have, or lacks.
    #[error("the branch `{branch}` cannot consist of these parts")]
    Parts {
        /// The branch.
        branch: BranchName,
    },
    /// A norm after the sum of a layer that has none.
    #[error("a norm after the sum needs branches: a plain convolution has no sum")]
    NormAfterPlain,
    /// Blocks inside blocks inside blocks.
    #[error("blocks lie in each other at most {limit} deep")]
    TooDeep {
        /// The deepest that is taken.
        limit: usize,
    },
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

/// A structure that cannot be read, written or applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StructureError {
    /// The file cannot be read or written.
    #[error("structure file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The text is not a structure.
    #[error("{origin}: not a whole structure: {source}")]
    Malformed {
        /// The file, or "structure".
        origin: String,
        /// Where parsing stopped, and what was expected.
        source: serde_json::Error,
    },
    /// Written by another version.
    #[error("{origin}: version {found}; this program reads versions up to {newest}{needs}")]
    Version {
        /// The file, or "structure".
        origin: String,
        /// The version found.
        found: u64,
        /// The newest that can be read.
        newest: u64,
        /// Which program it needs, if it says so.
        needs: String,
    },
    /// A layer with branches that it cannot have.
    #[error("{origin}: layer `{layer}`: {source}")]
    Layer {
        /// The file, or "structure".
        origin: String,
        /// The layer's path.
        layer: String,
        /// What is wrong.
        source: ConfigError,
    },
    /// A change that cannot be made to this structure.
    #[error("the convolution at `{path}` cannot be changed so: {reason}")]
    Change {
        /// Its path.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The structure was taken from another network.
    #[error("the structure is for another network: {difference}")]
    OtherNetwork {
        /// The first difference found.
        difference: String,
    },
}
