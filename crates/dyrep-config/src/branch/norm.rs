//! Where the norms of a block are.

use super::preset::Preset;
use super::set::Branches;
use super::spec::BranchSpec;
use crate::text::named;

/// Where the norms of a block are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BranchNorm {
    /// Where its branches say, or its preset.
    #[default]
    Each,
    /// One after the sum and none inside: while it trains, too, the block is one convolution (OREPA, arXiv 2204.00826).
    Online,
}

named!(BranchNorm, "place of norms", {
    Each => "each",
    Online => "online",
});

impl BranchNorm {
    /// The branches with their norms there.
    #[must_use]
    pub fn of(self, branches: Branches) -> Branches {
        match (self, branches) {
            (Self::Online, Branches::Preset(preset)) if preset != Preset::Plain => {
                Branches::Online(preset)
            }
            (Self::Online, Branches::Exactly(specs)) => {
                let end = |spec: &BranchSpec| spec.end.without_norm(spec.kind.is_sequence());
                Branches::Exactly(
                    specs.iter().map(|it| BranchSpec { end: end(it), ..*it }).collect(),
                )
            }
            (_, branches) => branches,
        }
    }
}
