//! Which branches a block has: any subset by name, or a published preset.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::BranchKind;
use crate::error::{BranchError, UnknownName};
use crate::geometry::ConvGeometry;

/// A published choice of branches. Those that do not exist for a geometry are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// No block: a plain convolution.
    Plain,
    /// `kxk`, `1xk`, `kx1` (arXiv 1908.03930).
    AcNet,
    /// `kxk`, `1x1`, `identity` (arXiv 2101.03697).
    RepVgg,
    /// `kxk`, `1x1`, `1x1_kxk`, `1x1_avg` (arXiv 2103.13425).
    Dbb,
    /// All seven (arXiv 2203.12868).
    DyRep,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 5] = [Self::Plain, Self::AcNet, Self::RepVgg, Self::Dbb, Self::DyRep];

    /// The preset's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::AcNet => "acnet",
            Self::RepVgg => "repvgg",
            Self::Dbb => "dbb",
            Self::DyRep => "dyrep",
        }
    }

    /// Its branches; none for [`Preset::Plain`].
    #[must_use]
    pub const fn branches(self) -> &'static [BranchKind] {
        match self {
            Self::Plain => &[],
            Self::AcNet => &[BranchKind::Kxk, BranchKind::OneByK, BranchKind::KByOne],
            Self::RepVgg => &[BranchKind::Pointwise, BranchKind::Kxk, BranchKind::Identity],
            Self::Dbb => &[
                BranchKind::Pointwise,
                BranchKind::PointwiseKxk,
                BranchKind::PointwiseAvg,
                BranchKind::Kxk,
            ],
            Self::DyRep => &BranchKind::ALL,
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Preset {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        UnknownName::find("preset", name, Self::ALL, Self::name)
    }
}

/// The branches asked for: a preset, which adapts to the geometry, or exact kinds, which must exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Branches {
    /// A preset; branches that do not exist are left out.
    Preset(Preset),
    /// These kinds, each of which must exist; `kxk` is always there.
    Exactly(Vec<BranchKind>),
}

impl Branches {
    /// The kinds that a block of `geometry` gets, in canonical order; `None` for a plain convolution.
    ///
    /// # Errors
    /// A branch asked for by name that does not exist, with the reason, or one named twice.
    pub fn resolve(&self, geometry: &ConvGeometry) -> Result<Option<Vec<BranchKind>>, BranchError> {
        let mut kinds = match self {
            Self::Preset(Preset::Plain) => return Ok(None),
            Self::Preset(preset) => {
                let exists = |kind: &BranchKind| kind.exists(geometry);
                preset.branches().iter().copied().filter(exists).collect()
            }
            Self::Exactly(kinds) => {
                for kind in kinds {
                    kind.require(geometry)?;
                }
                kinds.clone()
            }
        };
        if !kinds.contains(&BranchKind::Kxk) {
            kinds.push(BranchKind::Kxk);
        }
        kinds.sort_unstable();
        match kinds.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(BranchError::Twice { kind: pair[0] }),
            None => Ok(Some(kinds)),
        }
    }
}

impl Default for Branches {
    fn default() -> Self {
        Self::Preset(Preset::Plain)
    }
}

impl From<Preset> for Branches {
    fn from(preset: Preset) -> Self {
        Self::Preset(preset)
    }
}

impl<const N: usize> From<[BranchKind; N]> for Branches {
    fn from(kinds: [BranchKind; N]) -> Self {
        Self::Exactly(kinds.to_vec())
    }
}

impl From<&[BranchKind]> for Branches {
    fn from(kinds: &[BranchKind]) -> Self {
        Self::Exactly(kinds.to_vec())
    }
}

impl From<Vec<BranchKind>> for Branches {
    fn from(kinds: Vec<BranchKind>) -> Self {
        Self::Exactly(kinds)
    }
}
