//! What can go wrong, with the numbers.

mod adjust;
mod search;

use std::path::PathBuf;

pub use adjust::{AdjustError, StateError};
pub use dyrep_config::{BranchUnavailable, ControllerConfigError, PatternError, UnknownName};
pub use search::SearchError;

use dyrep_config::{BranchKind, BranchName};

use crate::geometry::ConvGeometry;

/// A choice of branches that a block cannot have.
pub type BranchError = dyrep_config::BranchError<ConvGeometry>;

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
    /// Middle channels that do not fit.
    #[error("the {mid_channels} middle channels of `{branch}` must be {expected}")]
    MidChannels {
        /// The branch.
        branch: BranchKind,
        /// The middle channels asked for.
        mid_channels: usize,
        /// What would do.
        expected: MidChannels,
    },
    /// A block without its `kxk`.
    #[error("a block's first branch must be `kxk`")]
    NoMain,
    /// A block of which nothing runs.
    #[error("a block needs a branch that does not rest")]
    AllRest,
    /// Parts that a branch of this kind does not have, or lacks.
    #[error("the branch `{branch}` cannot consist of these parts")]
    Parts {
        /// The branch.
        branch: BranchName,
    },
    /// A norm after the sum of a layer that has none.
    #[error("a norm after the sum needs branches: a plain convolution has no sum")]
    NormAfterPlain,
    /// Layers in sequence that are no one convolution.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// Blocks inside blocks inside blocks.
    #[error("blocks lie in each other at most {limit} deep")]
    TooDeep {
        /// The deepest that is taken.
        limit: usize,
    },
}

/// Why layers in sequence cannot stand for a convolution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// A kernel that no 3×3 layers in sequence have.
    #[error(
        "3×3 layers in sequence are a square kernel, odd and larger than 3×3, not {}×{}", kernel[0], kernel[1]
    )]
    Kernel {
        /// `[height, width]`.
        kernel: [usize; 2],
    },
    /// Too many layers, or too few.
    #[error("a kernel of {}×{} is {wanted} layers of 3×3 in sequence, not {found}", kernel[0], kernel[1])]
    Layers {
        /// `[height, width]`.
        kernel: [usize; 2],
        /// How many it takes.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// A norm in a layer, with which the stack is no convolution while it trains.
    #[error(
        "layer {layer} of a stack has a norm: only what is linear while it trains is one convolution with the others"
    )]
    Norm {
        /// Its number, from 0.
        layer: usize,
    },
    /// A stack inside a block or another stack.
    #[error("a stack of layers stands for a whole layer, and lies in no block and no other stack")]
    Inside,
}

/// The channels that a sequence can have between its convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MidChannels {
    /// A multiple of those that come in, of which each is taken as it is or read by itself.
    #[error("a positive multiple of the {0} input channels")]
    OfInputs(usize),
    /// A multiple of the groups.
    #[error("a positive multiple of the {0} groups")]
    OfGroups(usize),
}

/// A block that no multiplier of gradients stands for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MultiplierError {
    /// A branch of another kind.
    #[error(
        "the branch `{branch}`: expected a convolution times a constant, or the input times a learnt scale"
    )]
    Branch {
        /// The branch with its end.
        branch: String,
    },
    /// A norm that stands between the sum and what follows.
    #[error("a norm follows the sum: expected a block without one, whose norm is the network's")]
    NormAfter,
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
