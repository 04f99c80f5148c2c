//! What can go wrong, with the numbers.

use std::path::PathBuf;

use crate::branch::BranchKind;
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
    /// An identity between different numbers of channels.
    #[error("an identity needs as many output as input channels, got {inputs} → {outputs}")]
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
    #[error("the branch `{kind}` is named twice; a block has one of each kind")]
    Twice {
        /// The branch.
        kind: BranchKind,
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

impl UnknownName {
    /// The one of `all` that is called `wanted`.
    pub(crate) fn find<T: Copy, const N: usize>(
        what: &'static str,
        wanted: &str,
        all: [T; N],
        name: fn(T) -> &'static str,
    ) -> Result<T, Self> {
        let unknown = || Self { what, name: wanted.to_owned(), known: all.map(name).join(", ") };
        all.into_iter().find(|&one| name(one) == wanted).ok_or_else(unknown)
    }
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
        "the {mid_channels} middle channels of `1x1_kxk` must be a positive multiple of the {groups} groups"
    )]
    MidChannels {
        /// The middle channels asked for.
        mid_channels: usize,
        /// The groups.
        groups: usize,
    },
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
    #[error("{origin}: structure version {found}; this program reads version {expected}")]
    Version {
        /// The file, or "structure".
        origin: String,
        /// The version found.
        found: u64,
        /// The version that can be read.
        expected: u64,
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

/// Options of a [`Controller`](crate::Controller) that make no sense.
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

/// A saved [`ControllerState`](crate::ControllerState) that a controller cannot go on from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Options that make no sense.
    #[error(transparent)]
    Config(#[from] ControllerConfigError),
    /// The log's changes do not follow from each other.
    #[error(transparent)]
    Log(#[from] StructureError),
    /// What was summed up is another score.
    #[error("the controller ranks by `{expected}`, what was saved are sums of `{found}`")]
    Score {
        /// The controller's.
        expected: crate::Score,
        /// The saved one.
        found: crate::Score,
    },
    /// A sum that is of no convolution of the model.
    #[error("what was summed up for `{path}` is not of a convolution of this model")]
    Sum {
        /// The path saved.
        path: String,
    },
    /// The numbers are not those of the sums.
    #[error("the sums have {expected} numbers, {found} were saved")]
    Numbers {
        /// As the sums say.
        expected: usize,
        /// As many as there are.
        found: usize,
    },
}

/// A step of growing or cutting that cannot be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdjustError {
    /// No such convolution in the model.
    #[error("no re-parameterisable convolution at `{path}`; there are: {known}")]
    NoSuchLayer {
        /// The path asked for.
        path: String,
        /// Paths that exist.
        known: String,
    },
    /// The convolution has branches already.
    #[error("the convolution at `{path}` is a block already")]
    AlreadyGrown {
        /// Its path.
        path: String,
    },
    /// The convolution lies in as many blocks as it can.
    #[error("the convolution at `{path}` lies in {limit} blocks, more than {limit} do not nest")]
    TooDeep {
        /// Its path.
        path: String,
        /// The deepest that is taken.
        limit: usize,
    },
    /// There is nothing to cut.
    #[error("the convolution at `{path}` is plain; there is no `{kind}` branch to cut")]
    NoSuchBranch {
        /// Its path.
        path: String,
        /// The branch.
        kind: BranchKind,
    },
    /// A cut without saying of what.
    #[error("no branch was named to be cut from the block at `{path}`")]
    NoBranchNamed {
        /// The block's path.
        path: String,
    },
    /// Branches that do not exist here.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// No calibration batches.
    #[error(
        "growing `{path}` needs at least one calibration batch to measure the new batch norms; got none"
    )]
    NoCalibration {
        /// The convolution to grow.
        path: String,
    },
    /// A calibration batch did not pass through the convolution.
    #[error("the forward pass given for calibration never reaches the convolution at `{path}`")]
    NotReached {
        /// The convolution to grow.
        path: String,
    },
    /// The optimiser's state could not be rewritten.
    #[error("the optimiser's state could not be pruned: {reason}")]
    Optimizer {
        /// What Burn says.
        reason: String,
    },
}
