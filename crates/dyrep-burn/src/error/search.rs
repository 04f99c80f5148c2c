//! What can go wrong while branches are searched.

use dyrep_config::{BranchName, SearchConfigError};

/// A search that cannot be begun or gone on with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// Options that make no sense.
    #[error(transparent)]
    Config(#[from] SearchConfigError),
    /// There is nothing to choose from.
    #[error("a search needs a block whose branches it can choose from; the model has none")]
    NoBlock,
    /// Less than one branch would run.
    #[error("a share of {share} of the {number} branches is none: at least one must run")]
    TooFew {
        /// The share.
        share: f64,
        /// All gated branches.
        number: usize,
    },
    /// A branch that ends in what has no gain.
    #[error(
        "the branch `{branch}` of `{path}` must end in a batch norm or a learnt scale to be searched"
    )]
    NoGain {
        /// The layer.
        path: String,
        /// The branch.
        branch: BranchName,
    },
    /// A branch whose gate would have no gradient.
    #[error("the branch `{branch}` of `{path}` is frozen; what is searched must learn")]
    Frozen {
        /// The layer.
        path: String,
        /// The branch.
        branch: BranchName,
    },
    /// A saved state that is not this search's.
    #[error("the saved state of the search: {reason}")]
    State {
        /// What is wrong.
        reason: &'static str,
    },
}
