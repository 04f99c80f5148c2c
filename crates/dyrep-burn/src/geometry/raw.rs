//! A geometry as a file has it: parsed into one that is valid, or refused.

use burn::nn::PaddingConfig2d;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ConvGeometry;

/// What a file holds: it is read into a geometry that is yet to be checked.
#[derive(Serialize, Deserialize)]
#[serde(remote = "ConvGeometry", deny_unknown_fields)]
struct RawGeometry {
    channels: [usize; 2],
    kernel_size: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
    #[serde(with = "RawPadding")]
    padding: PaddingConfig2d,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PaddingConfig2d", rename_all = "snake_case")]
enum RawPadding {
    Same,
    Valid,
    /// `[top, left, bottom, right]`.
    Explicit(usize, usize, usize, usize),
}

impl Serialize for ConvGeometry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawGeometry::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for ConvGeometry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RawGeometry::deserialize(deserializer)?.validated().map_err(D::Error::custom)
    }
}
