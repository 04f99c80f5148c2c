//! What makes a network unfit for INT8, and what to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};

// Thresholds are from networks trained on the shipped digits (`docs/quantisation.md`): ResNet-18 and RepVGG-A0 as they
// come out, and the RepVGG with channels that died in front of identities whose norms multiply by 1 to 316.

/// The spread above which one scale for a layer's channels is too few: the median channel has 16 steps. Sound networks
/// had 5 at most and lost nothing by one scale; at 15 the provoked one lost 6 points of accuracy, at 44 nearly all.
pub(crate) const SPREAD: f64 = 8.0;
/// The crest above which a channel's own scale does not hold it: what is not its largest weight has one step. Sound
/// networks had 98 at most (RepVGG's identities, which ResNets lack, make it larger than their 9); the provoked one lost
/// nothing at 213, where a channel in 64 was so, 0.3 points at 642 and 16 at 2141.
pub(crate) const CREST: f64 = 128.0;
/// The ratio of signal to noise below which a layer's output is spoilt, in dB. Sound networks had 32 at least with a
/// scale for each channel and 24 with one; the provoked one lost 0.3 points at 18.6 and 6 at 12.9.
pub(crate) const NOISE: f64 = 20.0;

/// Something that costs accuracy, or will.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Warning {
    /// One channel of a layer has so large a range that the others have few steps of a common scale.
    Spread {
        /// The layer.
        layer: String,
        /// The channel.
        channel: usize,
        /// Its range over the median channel's.
        ratio: f64,
        /// Its largest weight.
        largest: f32,
        /// The median channel's.
        median: f32,
    },
    /// One weight of a channel is so large that the others have few steps, even of the channel's own scale.
    Crest {
        /// The layer.
        layer: String,
        /// The channel.
        channel: usize,
        /// Its largest weight over the others.
        ratio: f64,
        /// Its largest weight.
        largest: f32,
        /// The root of the mean square of its others.
        rest: f32,
    },
    /// The output of a layer alone, on the input that it has in `f32`, is far from what it should be.
    Noise {
        /// The layer.
        layer: String,
        /// Signal to noise, in dB.
        sqnr_db: f64,
    },
}

impl Warning {
    /// The layer.
    #[must_use]
    pub fn layer(&self) -> &str {
        match self {
            Self::Spread { layer, .. } | Self::Crest { layer, .. } | Self::Noise { layer, .. } => {
                layer
            }
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spread { layer, channel, ratio, largest, median } => write!(
                f,
                "{layer}: output channel {channel} reaches {largest:.3}, {ratio:.0} times the median channel's \
                 {median:.3}, which so has {:.1} steps of one common scale; use a scale for each channel",
                127.0 / ratio
            ),
            Self::Crest { layer, channel, ratio, largest, rest } => write!(
                f,
                "{layer}: in output channel {channel} one weight is {largest:.3}, {ratio:.0} times the others' {rest:.4}, \
                 which so have {:.1} steps of the channel's own scale; keep the layer in f32 by a pattern, or cut its \
                 identity and 1x1 branches before deploying, or train without a norm behind the identity",
                127.0 / ratio
            ),
            Self::Noise { layer, sqnr_db } => write!(
                f,
                "{layer}: its output has {sqnr_db:.1} dB of signal to noise; keep the layer in f32 by a pattern, use a \
                 scale for each channel, or calibrate by another method or on more pictures"
            ),
        }
    }
}
