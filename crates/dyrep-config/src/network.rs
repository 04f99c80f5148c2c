//! What all networks have options for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How the first layers treat the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// As published: for pictures of about 224×224.
    Imagenet,
    /// For pictures of up to about 64×64: a first convolution of 3×3 and stride 1 without pooling behind it. VGG begins
    /// so in any case; there the classifier is one linear layer behind a global average.
    Small,
}

/// What follows a norm, element by element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// max(x, 0).
    #[default]
    Relu,
    /// min(max(x, 0), 6), as networks for small machines have it (arXiv 1704.04861 in its published code).
    Relu6,
    /// x · Φ(x), Φ being the normal distribution's (arXiv 1606.08415); no approximation.
    Gelu,
}

impl Activation {
    /// Its name, as in recipes and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::Gelu => "gelu",
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Activation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::Relu, Self::Relu6, Self::Gelu];
        let found = all.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| format!("`{name}` is no activation; expected relu, relu6 or gelu"))
    }
}
