//! The form of a layer: plain, or a block with these branches. No tensors.
//!
//! A [`Form`] says all that is needed to rebuild a layer's tree of modules for a given geometry. It is what
//! a [`Structure`](crate::Structure) records for each layer.

use serde::{Deserialize, Serialize};

use crate::branch::BranchKind;
use crate::error::{BranchError, ConfigError};
use crate::geometry::ConvGeometry;

/// How deep blocks may lie in each other: what is written can then be read, since parsers of JSON bound the depth, and
/// walking down needs no more of the stack than there is.
pub(crate) const DEEPEST: usize = 16;

/// What a [`RepConv2d`](crate::RepConv2d) consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Form {
    /// One convolution.
    Plain {
        /// Whether it has a bias.
        bias: bool,
    },
    /// A block of branches.
    Block(BlockForm),
}

/// What a block consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockForm {
    /// The convolution of the `kxk` branch.
    pub kxk: Box<Form>,
    /// The other branches, in the order of [`BranchKind::ALL`], one of each kind at most.
    pub branches: Vec<BranchForm>,
}

/// One optional branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum BranchForm {
    /// 1×1 → BN.
    #[serde(rename = "1x1")]
    Pointwise,
    /// 1×1 → BN → k×k → BN.
    #[serde(rename = "1x1_kxk")]
    PointwiseKxk {
        /// Channels between the two convolutions.
        mid_channels: usize,
        /// The k×k convolution.
        conv: Box<Form>,
    },
    /// 1×1 → BN → average pooling → BN.
    #[serde(rename = "1x1_avg")]
    PointwiseAvg,
    /// 1×k → BN.
    #[serde(rename = "1xk")]
    OneByK,
    /// k×1 → BN.
    #[serde(rename = "kx1")]
    KByOne,
    /// BN.
    #[serde(rename = "identity")]
    Identity,
}

impl BranchForm {
    /// The branch's kind.
    #[must_use]
    pub fn kind(&self) -> BranchKind {
        match self {
            Self::Pointwise => BranchKind::Pointwise,
            Self::PointwiseKxk { .. } => BranchKind::PointwiseKxk,
            Self::PointwiseAvg => BranchKind::PointwiseAvg,
            Self::OneByK => BranchKind::OneByK,
            Self::KByOne => BranchKind::KByOne,
            Self::Identity => BranchKind::Identity,
        }
    }

    /// The form of a branch of `kind` with plain convolutions; none for `kxk`, which is not optional.
    pub(crate) fn plain(kind: BranchKind, mid_channels: usize) -> Option<Self> {
        Some(match kind {
            BranchKind::Kxk => return None,
            BranchKind::Pointwise => Self::Pointwise,
            BranchKind::PointwiseKxk => {
                let conv = Box::new(Form::Plain { bias: false });
                Self::PointwiseKxk { mid_channels, conv }
            }
            BranchKind::PointwiseAvg => Self::PointwiseAvg,
            BranchKind::OneByK => Self::OneByK,
            BranchKind::KByOne => Self::KByOne,
            BranchKind::Identity => Self::Identity,
        })
    }
}

impl BlockForm {
    /// A block with branches of the given `kinds` and plain convolutions.
    pub(crate) fn of_kinds(kinds: &[BranchKind], bias: bool, mid_channels: usize) -> Self {
        Self {
            kxk: Box::new(Form::Plain { bias }),
            branches: kinds
                .iter()
                .filter_map(|&kind| BranchForm::plain(kind, mid_channels))
                .collect(),
        }
    }

    /// All kinds of branches in the block, `kxk` included, in canonical order.
    #[must_use]
    pub fn kinds(&self) -> Vec<BranchKind> {
        let mut kinds: Vec<_> = self.branches.iter().map(BranchForm::kind).collect();
        kinds.push(BranchKind::Kxk);
        kinds.sort_unstable();
        kinds
    }
}

impl Form {
    /// Checks that every branch exists for a layer of `geometry`, at every depth.
    ///
    /// # Errors
    /// The first branch that does not, channels that do not fit, or blocks that lie too deep.
    pub fn check(&self, geometry: &ConvGeometry) -> Result<(), ConfigError> {
        self.check_at(0, geometry)
    }

    fn check_at(&self, depth: usize, geometry: &ConvGeometry) -> Result<(), ConfigError> {
        let Self::Block(block) = self else {
            return Ok(());
        };
        if depth == DEEPEST {
            return Err(ConfigError::TooDeep { limit: DEEPEST });
        }
        for pair in block.branches.windows(2) {
            if pair[0].kind() >= pair[1].kind() {
                return Err(BranchError::Twice { kind: pair[1].kind() }.into());
            }
        }
        for branch in &block.branches {
            branch.kind().require(geometry)?;
            if let BranchForm::PointwiseKxk { mid_channels, conv } = branch {
                let (mid_channels, groups) = (*mid_channels, geometry.groups());
                if mid_channels == 0 || mid_channels % groups != 0 {
                    return Err(ConfigError::MidChannels { mid_channels, groups });
                }
                let second = second_geometry(geometry, mid_channels).validated()?;
                conv.check_at(depth + 1, &second)?;
            }
        }
        block.kxk.check_at(depth + 1, geometry)
    }

    /// The form after deployment: a block becomes a plain convolution with a bias.
    #[must_use]
    pub fn deployed(&self) -> Self {
        match self {
            Self::Plain { bias } => Self::Plain { bias: *bias },
            Self::Block(_) => Self::Plain { bias: true },
        }
    }

    /// The form of the `kxk` convolution after a cut: its norm is folded in, and what the cut branches did
    /// goes into the convolution at the end of the chain, which so gets a bias.
    pub(crate) fn give_bias_to_innermost(&mut self) {
        match self {
            Self::Plain { bias } => *bias = true,
            Self::Block(block) => block.kxk.give_bias_to_innermost(),
        }
    }

    /// Number of branches in all blocks, `kxk` included; 1 for a plain convolution.
    #[must_use]
    pub fn branch_count(&self) -> usize {
        let Self::Block(block) = self else { return 1 };
        let others = block.branches.iter().map(|branch| match branch {
            BranchForm::PointwiseKxk { conv, .. } => conv.branch_count(),
            _ => 1,
        });
        block.kxk.branch_count() + others.sum::<usize>()
    }
}

fn second_geometry(geometry: &ConvGeometry, mid_channels: usize) -> ConvGeometry {
    crate::branch::PointwiseKxk::second_geometry(geometry, mid_channels)
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Block(block) = self else {
            return f.write_str("conv");
        };
        write!(f, "kxk")?;
        if let Self::Block(_) = *block.kxk {
            write!(f, "({})", block.kxk)?;
        }
        for branch in &block.branches {
            write!(f, " + {}", branch.kind())?;
            if let BranchForm::PointwiseKxk { conv, .. } = branch
                && let Self::Block(_) = **conv
            {
                write!(f, "({conv})")?;
            }
        }
        Ok(())
    }
}
