//! What can be wrong with quantising: each error names the layer where it is about one.

/// A network that cannot be quantised, or scales that are not a network's.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantError {
    /// An option's text that says nothing known.
    #[error("unknown option `{found}`: expected {expected}")]
    Option {
        /// The text.
        found: String,
        /// What is known.
        expected: &'static str,
    },
    /// A share that is none.
    #[error("the percentile must be above 0 and up to 100, got {found}")]
    Percentile {
        /// The share, in percent.
        found: f64,
    },
    /// A pattern for layers that matches none.
    #[error("no layer is matched by `{pattern}`; the network has {known}")]
    NothingMatched {
        /// The pattern.
        pattern: String,
        /// The paths of all layers that can be quantised.
        known: String,
    },
    /// A network without a convolution or a linear layer.
    #[error("the network has no convolution and no linear layer to quantise")]
    NoLayers,
    /// Nothing to measure inputs on.
    #[error("no batch was given: the inputs of convolutions are measured on some")]
    NoBatches,
    /// A convolution that the forward pass did not call.
    #[error(
        "no batch reached the convolution `{layer}`: its input has no range; keep it in f32 by a pattern or pass batches \
         that reach it"
    )]
    NotReached {
        /// The convolution.
        layer: String,
    },
    /// A weight that is no finite number.
    #[error(
        "`{layer}`: the weight of output channel {channel} is {value}, expected finite numbers"
    )]
    Weight {
        /// The layer.
        layer: String,
        /// The channel.
        channel: usize,
        /// The first such value.
        value: f32,
    },
    /// An input that is no finite number.
    #[error("`{layer}`: its input in batch {batch} holds {value}, expected finite numbers")]
    Input {
        /// The convolution.
        layer: String,
        /// The batch, counted from 0.
        batch: usize,
        /// The first such value.
        value: f32,
    },
    /// A norm that changes what passes through it.
    #[error(
        "the norm `{norm}` is not folded into its convolution: a quantised network has none that does anything"
    )]
    Norm {
        /// The norm.
        norm: String,
    },
    /// Scales for a layer that the network does not have, or has as a block.
    #[error(
        "scales for `{layer}`, which is no plain convolution and no linear layer of the network"
    )]
    NoSuchLayer {
        /// The name.
        layer: String,
    },
    /// Scales of weights that are neither one nor one for each channel.
    #[error(
        "`{layer}`: {found} scales for its weight, expected 1 or {channels}, one for each output channel"
    )]
    ScaleCount {
        /// The layer.
        layer: String,
        /// How many there are.
        found: usize,
        /// Output channels.
        channels: usize,
    },
    /// A scale that is no positive finite number.
    #[error("`{layer}`: scale {index} of its {of} is {value}, expected a positive finite number")]
    Scale {
        /// The layer.
        layer: String,
        /// Its weight or its input.
        of: &'static str,
        /// Which.
        index: usize,
        /// The scale.
        value: f32,
    },
    /// A zero point that no input has.
    #[error("`{layer}`: the zero point of its input is {found}, expected 0 or -128")]
    ZeroPoint {
        /// The convolution.
        layer: String,
        /// The zero point.
        found: i8,
    },
    /// A convolution without a scale for its input, or a linear layer with one.
    #[error("`{layer}`: {}", if *.wanted {
        "a convolution needs a scale for its input, and has none"
    } else {
        "a linear layer's input stays f32, but it has a scale"
    })]
    InputScale {
        /// The layer.
        layer: String,
        /// Whether there should be one.
        wanted: bool,
    },
    /// A weight that is no multiple of its scale, or more than 127 of them.
    #[error(
        "`{layer}`: the weight {value} of output channel {channel} is not on the grid of its scale {scale}"
    )]
    OffGrid {
        /// The layer.
        layer: String,
        /// The channel.
        channel: usize,
        /// The weight.
        value: f32,
        /// The channel's scale.
        scale: f32,
    },
}
