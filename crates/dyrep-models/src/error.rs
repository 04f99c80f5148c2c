//! What can be wrong with a network's configuration.

/// A network that cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A size of zero.
    #[error("{name} must be at least 1, got 0")]
    Zero {
        /// The option.
        name: &'static str,
    },
    /// A size that is no multiple of what it must be one of.
    #[error("{name} must be a multiple of {of}, got {value}")]
    NoMultiple {
        /// The option.
        name: &'static str,
        /// What divides it.
        of: usize,
        /// What it is.
        value: usize,
    },
    /// Options or branches that a convolution cannot have.
    #[error(transparent)]
    Layer(#[from] dyrep_burn::ConfigError),
    /// Branches that a chosen convolution cannot have.
    #[error("{path}: {source}")]
    Branches {
        /// The convolution.
        path: String,
        /// Why not.
        source: dyrep_burn::ConfigError,
    },
    /// A convolution chosen by a name that none has.
    #[error("the network has no convolution `{name}`; it has {known}")]
    NoSuchLayer {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// An activation that the network has no option for.
    #[error("this network has no option for the activation {activation}")]
    Activation {
        /// The activation.
        activation: crate::Activation,
    },
    /// A convolution named to start with branches whose bias a prediction starts from.
    #[error("{path} starts plain: its bias is what a prediction starts from")]
    StaysPlain {
        /// The convolution.
        path: String,
    },
    /// A choice of convolutions that leaves none.
    #[error("no convolution of the network is chosen by {selection}; it has {known}")]
    NothingChosen {
        /// The choice.
        selection: String,
        /// The names of all convolutions.
        known: String,
    },
    /// A network that no graph describes: one that is not deployed, or was changed by hand.
    #[error("{layer}: {reason}")]
    NoGraph {
        /// The layer.
        layer: String,
        /// What is wrong.
        reason: String,
    },
    /// A name that no network has.
    #[error("unknown model `{name}`; known: {known}")]
    UnknownModel {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
}
