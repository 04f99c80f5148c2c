//! What can go wrong while a structure is adjusted.

use dyrep_config::BranchName;

use super::{BranchError, ControllerConfigError, StructureError};

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
    /// A branch of the block that it is in rests, which no change of structure takes into account.
    #[error(
        "a branch of the block at `{path}` rests: what is grown or cut there must be a block whose branches all run"
    )]
    Resting {
        /// The layer's path.
        path: String,
    },
    /// There is nothing to cut.
    #[error("the convolution at `{path}` has no branch `{branch}` that could be cut")]
    NoSuchBranch {
        /// Its path.
        path: String,
        /// The branch.
        branch: BranchName,
    },
    /// A cut without saying of what.
    #[error("no branch was named to be cut from the block at `{path}`")]
    NoBranchNamed {
        /// The block's path.
        path: String,
    },
    /// Branches that do not exist here.
    #[error("the convolution at `{path}`: {source}")]
    Branch {
        /// Its path.
        path: String,
        /// Why not.
        source: BranchError,
    },
    /// Arithmetic that a budget asks for and nobody measured.
    #[error(
        "the budget on multiply-adds cannot be held: the forward pass reaches no layer on the calling thread, so nothing \
         is known of their inputs' sizes"
    )]
    NothingMeasured,
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
