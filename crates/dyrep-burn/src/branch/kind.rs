//! The seven branch kinds, and when each exists.
//!
//! A branch exists where what it does at inference is a kernel of the block's own geometry:
//!
//! | kind | training form | exists when |
//! |---|---|---|
//! | `1x1` | 1×1 → BN | the padding puts a middle tap of the kernel on the output's own pixel |
//! | `1x1_kxk` | 1×1 → BN → k×k → BN | always |
//! | `1x1_avg` | 1×1 → BN → average pooling → BN (depthwise: without the 1×1) | always |
//! | `kxk` | k×k → BN | always |
//! | `1xk` | 1×k → BN | as `1x1`, along the height |
//! | `kx1` | k×1 → BN | as `1x1`, along the width |
//! | `identity` | BN | as `1x1`, with in = out, stride 1 and an output of the input's size |
//!
//! "A middle tap": padding `p` before the axis must be `dilation · t` with `t` = ⌊k/2⌋ or ⌊(k−1)/2⌋, the
//! one middle tap of an odd kernel or either of an even one. For odd kernels without dilation that is the
//! published condition, p = ⌊k/2⌋. Padding behind the axis is free: the small branches pad or crop to fit.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{BranchError, BranchUnavailable, UnknownName};
use crate::geometry::ConvGeometry;

/// A branch of a re-parameterised block, named as in DyRep's paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BranchKind {
    /// 1×1 convolution → BN.
    #[serde(rename = "1x1")]
    Pointwise,
    /// 1×1 convolution → BN → k×k convolution → BN.
    #[serde(rename = "1x1_kxk")]
    PointwiseKxk,
    /// 1×1 convolution → BN → average pooling → BN.
    #[serde(rename = "1x1_avg")]
    PointwiseAvg,
    /// k×k convolution → BN: the branch that every block has.
    #[serde(rename = "kxk")]
    Kxk,
    /// 1×k convolution → BN.
    #[serde(rename = "1xk")]
    OneByK,
    /// k×1 convolution → BN.
    #[serde(rename = "kx1")]
    KByOne,
    /// BN of the input.
    #[serde(rename = "identity")]
    Identity,
}

impl BranchKind {
    /// All kinds, in the order in which a block keeps and sums them.
    pub const ALL: [Self; 7] = [
        Self::Pointwise,
        Self::PointwiseKxk,
        Self::PointwiseAvg,
        Self::Kxk,
        Self::OneByK,
        Self::KByOne,
        Self::Identity,
    ];

    /// The name used in parameter paths, structure files and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pointwise => "1x1",
            Self::PointwiseKxk => "1x1_kxk",
            Self::PointwiseAvg => "1x1_avg",
            Self::Kxk => "kxk",
            Self::OneByK => "1xk",
            Self::KByOne => "kx1",
            Self::Identity => "identity",
        }
    }

    /// Whether a block of `geometry` can have this branch.
    ///
    /// # Errors
    /// The reason why it cannot.
    pub fn check(self, geometry: &ConvGeometry) -> Result<(), BranchUnavailable> {
        match self {
            Self::PointwiseKxk | Self::PointwiseAvg | Self::Kxk => Ok(()),
            Self::Pointwise => small_kernel_offset(geometry, [true, true]).map(drop),
            Self::OneByK => small_kernel_offset(geometry, [true, false]).map(drop),
            Self::KByOne => small_kernel_offset(geometry, [false, true]).map(drop),
            Self::Identity => check_identity(geometry),
        }
    }

    /// [`check`](Self::check) for a branch asked for by name.
    pub(crate) fn require(self, geometry: &ConvGeometry) -> Result<(), BranchError> {
        self.check(geometry).map_err(|reason| {
            let geometry = Box::new(geometry.clone());
            BranchError::Unavailable { kind: self, geometry, reason }
        })
    }

    /// Whether a block of `geometry` can have this branch.
    #[must_use]
    pub fn exists(self, geometry: &ConvGeometry) -> bool {
        self.check(geometry).is_ok()
    }
}

/// Where the first tap of a small kernel lies inside the block's: on axes that `shrink` (the small kernel
/// is 1 there) at a middle tap that reads the output's own pixel, on the others at the first tap.
fn small_kernel_offset(
    geometry: &ConvGeometry,
    shrink: [bool; 2],
) -> Result<[usize; 2], BranchUnavailable> {
    let mut offset = [0, 0];
    for axis in (0..2).filter(|&axis| shrink[axis]) {
        offset[axis] = middle_tap(geometry, axis)?;
    }
    Ok(offset)
}

/// [`small_kernel_offset`] for a branch that [`BranchKind::check`] has let through.
pub(crate) fn checked_offset(geometry: &ConvGeometry, shrink: [bool; 2]) -> [usize; 2] {
    small_kernel_offset(geometry, shrink)
        .unwrap_or_else(|reason| unreachable!("the form was checked: {reason}"))
}

fn middle_tap(geometry: &ConvGeometry, axis: usize) -> Result<usize, BranchUnavailable> {
    let name = ["height", "width"][axis];
    let Some((before, _)) = geometry.fixed_pad(axis) else {
        return Err(BranchUnavailable::PaddingFollowsInput {
            axis: name,
            stride: geometry.stride()[axis],
        });
    };
    let kernel = geometry.kernel_size()[axis];
    let dilation = geometry.dilation()[axis];
    let tap = before / dilation;
    if before % dilation == 0 && (tap == kernel / 2 || tap == (kernel - 1) / 2) {
        return Ok(tap);
    }
    Err(BranchUnavailable::OffCentre { axis: name, kernel, dilation, padding: before })
}

fn check_identity(geometry: &ConvGeometry) -> Result<(), BranchUnavailable> {
    if geometry.in_channels() != geometry.out_channels() {
        return Err(BranchUnavailable::ChannelsDiffer {
            inputs: geometry.in_channels(),
            outputs: geometry.out_channels(),
        });
    }
    if geometry.stride() != [1, 1] {
        return Err(BranchUnavailable::Strided { stride: geometry.stride() });
    }
    small_kernel_offset(geometry, [true, true])?;
    let span = geometry.span();
    for axis in 0..2 {
        let padding = geometry.fixed_pad(axis).unwrap_or((0, 0));
        if padding.0 + padding.1 + 1 != span[axis] {
            return Err(BranchUnavailable::SizeChanges {
                axis: ["height", "width"][axis],
                padding: padding.0 + padding.1,
                needed: span[axis] - 1,
            });
        }
    }
    Ok(())
}

impl fmt::Display for BranchKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for BranchKind {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        UnknownName::find("branch", name, Self::ALL, Self::name)
    }
}
