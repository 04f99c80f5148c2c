//! Which convolutions start with branches: by name, by patterns of paths, by the size of the kernel.

use std::fmt;

use dyrep_burn::PathPatterns;
use serde::de::{Deserializer, Error, Unexpected};
use serde::{Deserialize, Serialize};

use super::bounds::{Pixels, Whole};

/// Some of a network's convolutions; all whose kernel is larger than 1×1 if nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelectionRecipe {
    /// Paths, such as `layer1.0.conv1`; the network must have each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<String>,
    /// Regular expressions on paths. With neither these nor `layers` all convolutions are meant.
    #[serde(deserialize_with = "patterns", skip_serializing_if = "Vec::is_empty")]
    pub matching: Vec<String>,
    /// Regular expressions on the paths of those that are left out.
    #[serde(deserialize_with = "patterns", skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// Sizes of kernels, `[height, width]`; none: all that are larger than 1×1.
    #[serde(deserialize_with = "kernels", skip_serializing_if = "Vec::is_empty")]
    pub kernels: Vec<[usize; 2]>,
}

impl SelectionRecipe {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A regular expression.
struct Pattern(String);

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match PathPatterns::new([&text]) {
            Ok(_) => Ok(Self(text)),
            Err(_) => Err(D::Error::invalid_value(Unexpected::Str(&text), &Expression)),
        }
    }
}

struct Expression;

impl serde::de::Expected for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a regular expression on paths")
    }
}

/// Regular expressions, each checked where it stands.
pub(super) fn patterns<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    let patterns = Vec::<Pattern>::deserialize(d)?;
    Ok(patterns.into_iter().map(|pattern| pattern.0).collect())
}

/// A kernel's height and width.
struct Kernel([usize; 2]);

impl<'de> Deserialize<'de> for Kernel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sizes = Vec::<Whole<Pixels>>::deserialize(deserializer)?;
        match sizes.as_slice() {
            [height, width] => Ok(Self([height.size(), width.size()])),
            sizes => Err(D::Error::invalid_length(sizes.len(), &"a height and a width")),
        }
    }
}

fn kernels<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<[usize; 2]>, D::Error> {
    let kernels = Vec::<Kernel>::deserialize(d)?;
    Ok(kernels.into_iter().map(|kernel| kernel.0).collect())
}
