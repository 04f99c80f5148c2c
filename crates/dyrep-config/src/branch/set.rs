//! Which branches a block has: any by name, or a published preset.

use dyrep_schema::each_once;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use super::kind::BranchKind;
use super::preset::Preset;
use super::spec::{BranchSpec, End};
use crate::error::BranchError;
use crate::geometry::Geometry;

/// The branches asked for: a preset, which adapts to the geometry, or exact ones, which must exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Branches {
    /// A preset; branches that do not exist are left out.
    Preset(Preset),
    /// A preset without norms inside: what ended in one ends in a scale, and one norm follows the sum. While it trains, too,
    /// such a block is one convolution, whose kernel is the sum of the branches' (OREPA, arXiv 2204.00826).
    Online(#[serde(deserialize_with = "not_plain")] Preset),
    /// These, each of which must exist; `kxk` is always there.
    Exactly(Vec<BranchSpec>),
}

/// Branches of which there are some: no preset without any, and by name each once.
#[derive(Deserialize)]
#[serde(remote = "Branches", rename_all = "lowercase")]
enum Grown {
    Preset(#[serde(deserialize_with = "grown")] Preset),
    Online(#[serde(deserialize_with = "grown")] Preset),
    Exactly(#[serde(deserialize_with = "each_once")] Vec<BranchSpec>),
}

fn not_plain<'de, D: Deserializer<'de>>(d: D) -> Result<Preset, D::Error> {
    one_of(d, const { Preset::NAMES.split_at(1).1 })
}

fn grown<'de, D: Deserializer<'de>>(d: D) -> Result<Preset, D::Error> {
    // The last ones only start.
    const KNOWN: &[&str] = {
        let mut count = Preset::ALL.len();
        while Preset::ALL[count - 1].only_starts() {
            count -= 1;
        }
        Preset::NAMES.split_at(count).0.split_at(1).1
    };
    one_of(d, KNOWN)
}

fn one_of<'de, D: Deserializer<'de>>(
    d: D,
    known: &'static [&'static str],
) -> Result<Preset, D::Error> {
    let name = String::deserialize(d)?;
    let found = name.parse().ok().filter(|_| known.contains(&name.as_str()));
    found.ok_or_else(|| D::Error::unknown_variant(&name, known))
}

impl Branches {
    /// The branches that a block of `geometry` gets, in canonical order; `None` for a plain convolution.
    ///
    /// # Errors
    /// A branch asked for by name that does not exist, with the reason, or one named twice.
    pub fn resolve<G: Geometry + Clone>(
        &self,
        geometry: &G,
    ) -> Result<Option<Vec<BranchSpec>>, BranchError<G>> {
        let mut specs = match self {
            Self::Preset(Preset::Plain) => return Ok(None),
            Self::Preset(preset) => {
                let mut specs = preset.branches(geometry);
                specs.retain(|spec| spec.kind.exists(geometry));
                specs
            }
            Self::Online(preset) => {
                let mut specs = preset.branches(geometry);
                specs.retain(|spec| spec.kind.exists(geometry));
                specs.into_iter().map(|spec| spec.without_norms(geometry)).collect()
            }
            Self::Exactly(specs) => {
                for BranchSpec { kind, end, .. } in specs {
                    BranchError::check(*kind, *end, geometry)?;
                }
                // A sequence of which nothing stands before the core has no norm to leave out.
                let sound = |spec: &BranchSpec| match spec.end {
                    End::Linear if !spec.kind.has_first(geometry) => {
                        BranchSpec { end: End::Scale, ..*spec }
                    }
                    _ => *spec,
                };
                specs.iter().map(sound).collect()
            }
        };
        if !specs.iter().any(|spec| spec.kind == BranchKind::KXK) {
            let main = BranchSpec::from(BranchKind::KXK);
            let online = matches!(self, Self::Online(_));
            specs.push(if online { main.without_norms(geometry) } else { main });
        }
        specs.sort_unstable();
        let same = |pair: &&[BranchSpec]| pair[0].times(1) == pair[1].times(1);
        match specs.windows(2).find(same) {
            Some(pair) => Err(BranchError::Twice { branch: pair[0].times(1) }),
            None => Ok(Some(specs)),
        }
    }

    /// Reads branches of which there are some: no preset without any, and those by name each once.
    ///
    /// # Errors
    /// What is no choice of branches, or none of a branch.
    pub fn read_some<'de, D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Grown::deserialize(d)
    }

    /// Whether a batch norm follows the sum.
    #[must_use]
    pub fn norm_after(&self) -> bool {
        match self {
            Self::Preset(preset) => preset.norm_after(),
            Self::Online(_) => true,
            Self::Exactly(_) => false,
        }
    }

    /// The preset asked for.
    #[must_use]
    pub const fn preset(&self) -> Option<Preset> {
        match self {
            Self::Preset(preset) | Self::Online(preset) => Some(*preset),
            Self::Exactly(_) => None,
        }
    }

    /// Whether nothing is asked for: a plain convolution.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::Preset(Preset::Plain)
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

impl<S: Into<BranchSpec>, const N: usize> From<[S; N]> for Branches {
    fn from(branches: [S; N]) -> Self {
        Self::Exactly(branches.into_iter().map(Into::into).collect())
    }
}

impl<S: Copy + Into<BranchSpec>> From<&[S]> for Branches {
    fn from(branches: &[S]) -> Self {
        Self::Exactly(branches.iter().copied().map(Into::into).collect())
    }
}

impl<S: Into<BranchSpec>> From<Vec<S>> for Branches {
    fn from(branches: Vec<S>) -> Self {
        Self::Exactly(branches.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_branches_are_no_plain_convolution() {
        let read = |text| Branches::read_some(&mut serde_json::Deserializer::from_str(text));
        assert_eq!(read(r#"{"preset":"dbb"}"#).unwrap(), Preset::Dbb.into());
        assert_eq!(read(r#"{"online":"dbb"}"#).unwrap(), Branches::Online(Preset::Dbb));
        let two = [BranchKind::KXK, BranchKind::POINTWISE];
        assert_eq!(read(r#"{"exactly":["kxk","1x1"]}"#).unwrap(), two.into());
        for (text, want) in [
            (r#"{"online":"plain"}"#, "unknown variant `plain`, expected one of `acnet`"),
            (r#"{"preset":"plain"}"#, "unknown variant `plain`, expected one of `acnet`"),
            (r#"{"preset":"orepa_repvgg"}"#, "unknown variant `orepa_repvgg`"),
            (r#"{"exactly":[]}"#, "at least one name"),
            (r#"{"exactly":["kxk","kxk"]}"#, "`kxk` twice"),
            (r#"{"exactly":["3x"]}"#, "unknown variant `3x`, expected one of `1x1`"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
        // A network may well start without any.
        let plain = serde_json::from_str::<Branches>(r#"{"preset":"plain"}"#).unwrap();
        assert!(plain.is_plain());
    }
}
