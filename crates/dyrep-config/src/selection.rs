//! Which convolutions have branches: by name, by pattern, by the size of the kernel.

use dyrep_schema::{Pixels, wholes};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::branch::Branches;
use crate::patterns::PathPatterns;

/// Some of a network's convolutions; by default all whose kernel is larger than 1×1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Paths, such as `layer1.0.conv1`. Each must exist.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<String>,
    /// Patterns of paths. With neither paths nor patterns all convolutions are meant.
    #[serde(skip_serializing_if = "PathPatterns::is_empty")]
    pub matching: PathPatterns,
    /// Patterns of paths that are left out.
    #[serde(skip_serializing_if = "PathPatterns::is_empty")]
    pub except: PathPatterns,
    /// Sizes `[height, width]` of kernels; none: all that are larger than 1×1.
    #[serde(deserialize_with = "sizes", skip_serializing_if = "Vec::is_empty")]
    pub kernels: Vec<[usize; 2]>,
}

/// Heights and widths, each checked where it stands.
fn sizes<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<[usize; 2]>, D::Error> {
    struct Size([usize; 2]);

    impl<'de> Deserialize<'de> for Size {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let sizes = wholes::<Pixels, D>(deserializer)?;
            let wrong =
                |sizes: Vec<usize>| D::Error::invalid_length(sizes.len(), &"a height and a width");
            sizes.try_into().map(Self).map_err(wrong)
        }
    }

    Ok(Vec::<Size>::deserialize(d)?.into_iter().map(|size| size.0).collect())
}

impl Selection {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the convolution at `path`, whose kernel has the size `[height, width]`, is one of them.
    #[must_use]
    pub fn holds(&self, path: &str, size: [usize; 2]) -> bool {
        let by_size = match self.kernels.is_empty() {
            true => size != [1, 1],
            false => self.kernels.contains(&size),
        };
        let everywhere = self.layers.is_empty() && self.matching.is_empty();
        let by_path = || self.layers.iter().any(|name| name == path) || self.matching.matches(path);
        by_size && (everywhere || by_path()) && !self.except.matches(path)
    }
}

/// The branches that a network's convolutions start with, and which of them do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Branching {
    /// The branches; none by default.
    pub branches: Branches,
    /// The convolutions that have them.
    pub only: Selection,
}

impl Branching {
    /// Leaves all other convolutions plain.
    #[must_use]
    pub fn only(mut self, selection: Selection) -> Self {
        self.only = selection;
        self
    }
}

impl<B: Into<Branches>> From<B> for Branching {
    fn from(branches: B) -> Self {
        Self { branches: branches.into(), only: Selection::default() }
    }
}
