//! A geometry as a file has it: parsed into one that is valid, or refused.

use burn::nn::PaddingConfig2d;
use serde::{Deserialize, Serialize};

use super::ConvGeometry;
use crate::error::GeometryError;

/// What a file holds before it is checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGeometry {
    channels: [usize; 2],
    kernel_size: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
    padding: RawPadding,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawPadding {
    Same,
    Valid,
    /// `[top, left, bottom, right]`.
    Explicit([usize; 4]),
}

impl TryFrom<RawGeometry> for ConvGeometry {
    type Error = GeometryError;

    fn try_from(raw: RawGeometry) -> Result<Self, GeometryError> {
        let padding = match raw.padding {
            RawPadding::Same => PaddingConfig2d::Same,
            RawPadding::Valid => PaddingConfig2d::Valid,
            RawPadding::Explicit([top, left, bottom, right]) => {
                PaddingConfig2d::Explicit(top, left, bottom, right)
            }
        };
        Self {
            channels: raw.channels,
            kernel_size: raw.kernel_size,
            stride: raw.stride,
            dilation: raw.dilation,
            groups: raw.groups,
            padding,
        }
        .validated()
    }
}

impl From<ConvGeometry> for RawGeometry {
    fn from(geometry: ConvGeometry) -> Self {
        Self {
            channels: geometry.channels,
            kernel_size: geometry.kernel_size,
            stride: geometry.stride,
            dilation: geometry.dilation,
            groups: geometry.groups,
            padding: match geometry.padding {
                PaddingConfig2d::Same => RawPadding::Same,
                PaddingConfig2d::Valid => RawPadding::Valid,
                PaddingConfig2d::Explicit(top, left, bottom, right) => {
                    RawPadding::Explicit([top, left, bottom, right])
                }
            },
        }
    }
}
