//! A branch as it is asked for: its chain, how it ends, and how often it stands. And its name once it is there.
//!
//! ```text
//! kxk   1x1:scale   identity:none   1x1:bias   4*kxk       asked for
//! kxk   kxk.2   1x1                                        there
//! ```

use std::fmt;
use std::str::FromStr;

use super::kind::{BranchKind, names};
use crate::error::UnknownName;
use crate::geometry::Geometry;
use crate::text::{as_text, named};

/// What a branch's chain ends in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// A batch norm.
    #[default]
    Norm,
    /// A scale for each channel, learnt.
    Scale,
    /// A scale for each channel, not learnt.
    Constant,
    /// Nothing.
    Nothing,
    /// A scale for each channel, learnt, of a sequence in which no norm stands behind the 1×1 either: all of it is linear
    /// while it trains, too (OREPA, arXiv 2204.00826).
    Linear,
}

named! { End, "end of a branch", {
    Norm => "norm",
    Scale => "scale",
    Constant => "constant",
    Nothing => "none",
    Linear => "linear",
} }

impl End {
    /// What a branch without norms ends in, of a sequence or of a single step.
    pub(super) const fn without_norm(self, sequence: bool) -> Self {
        match self {
            _ if sequence => Self::Linear,
            Self::Norm => Self::Scale,
            end => end,
        }
    }
}

/// A branch as it is asked for, once or several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchSpec {
    /// The chain.
    pub kind: BranchKind,
    /// What ends it.
    pub end: End,
    /// Whether its convolution has a bias, behind which nothing follows. That of `kxk` is the layer's own.
    pub bias: bool,
    /// How often it stands, at least once.
    pub times: usize,
}

/// The most that a branch may stand in a block.
const MOST: usize = 64;

impl BranchSpec {
    /// A branch that ends in `end`.
    #[must_use]
    pub const fn new(kind: BranchKind, end: End) -> Self {
        Self { kind, end, bias: false, times: 1 }
    }

    /// The same, `times` over.
    #[must_use]
    pub const fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// The same with a bias.
    #[must_use]
    pub const fn with_bias(self) -> Self {
        Self { bias: true, ..self }
    }

    /// The same without norms, in a block of `geometry`: what ended in one, or has one inside, ends in a scale.
    #[must_use]
    pub fn without_norms(self, geometry: &impl Geometry) -> Self {
        Self { end: self.end.without_norm(self.kind.has_first(geometry)), ..self }
    }

    /// What else than a chain makes sense.
    fn is_sound(self) -> bool {
        let bias = !self.bias || (self.end == End::Nothing && self.kind.convolves());
        let linear = match self.end {
            End::Linear => self.kind.is_sequence(),
            _ => !self.kind.is_always_linear(),
        };
        bias && linear && (1..=MOST).contains(&self.times)
    }
}

impl From<BranchKind> for BranchSpec {
    fn from(kind: BranchKind) -> Self {
        Self::new(kind, if kind.is_always_linear() { End::Linear } else { End::Norm })
    }
}

impl fmt::Display for BranchSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = if self.times == 1 { String::new() } else { format!("{}*", self.times) };
        f.pad(&format!("{times}{}{}", self.kind, suffix(self.end, self.bias)))
    }
}

impl FromStr for BranchSpec {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let (times, rest) = match text.split_once('*') {
            Some((times, rest)) => (times.trim().parse().unwrap_or(0), rest.trim()),
            None => (1, text),
        };
        let (kind, end, bias) = split_end(rest)?;
        let spec = Self { kind: kind.parse()?, end, bias, times };
        spec.is_sound().then_some(spec).ok_or_else(|| UnknownName {
            what: "branch",
            name: text.to_owned(),
            known: format!(
                "kxk, 4*kxk (1 to {MOST} times), 1x1:bias (a convolution's), 1x1_kxk:linear (a sequence's), \
                 1x1_prior:linear, dw_1x1:linear (never anything else)"
            ),
        })
    }
}

/// How an end is written behind a name.
fn suffix(end: End, bias: bool) -> String {
    match (end, bias) {
        (_, true) => ":bias".to_owned(),
        (End::Norm, false) => String::new(),
        (end, false) => format!(":{end}"),
    }
}

/// A name, the end written behind it, and whether that is a bias.
fn split_end(text: &str) -> Result<(&str, End, bool), UnknownName> {
    let Some((name, end)) = text.split_once(':') else {
        return Ok((text, End::Norm, false));
    };
    if end == "bias" {
        return Ok((name, End::Nothing, true));
    }
    let end = end.parse().map_err(|error: UnknownName| UnknownName {
        known: format!("{}, bias", error.known),
        ..error
    });
    Ok((name, end?, false))
}

/// A branch of a block: its kind, and which of that kind. `kxk`, `kxk.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchName {
    /// The kind.
    pub kind: BranchKind,
    /// From 1; the first is called as its kind.
    pub nth: usize,
}

impl BranchName {
    /// The branch that every block has, which carries the layer's identity.
    pub const MAIN: Self = Self { kind: BranchKind::KXK, nth: 1 };

    /// The name with its end, as in `kxk.2:scale`.
    #[must_use]
    pub fn with_end(self, end: End, bias: bool) -> String {
        format!("{self}{}", suffix(end, bias))
    }

    /// Reads what [`with_end`](Self::with_end) wrote: the name, the end, whether there is a bias.
    ///
    /// # Errors
    /// A name or an end that is not known.
    pub fn parse_with_end(text: &str) -> Result<(Self, End, bool), UnknownName> {
        let (name, end, bias) = split_end(text)?;
        Ok((name.parse()?, end, bias))
    }
}

impl From<BranchKind> for BranchName {
    fn from(kind: BranchKind) -> Self {
        Self { kind, nth: 1 }
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nth {
            1 => self.kind.fmt(f),
            nth => f.pad(&format!("{}.{nth}", self.kind)),
        }
    }
}

impl FromStr for BranchName {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let Some((kind, nth)) = text.split_once('.') else {
            return Ok(text.parse::<BranchKind>()?.into());
        };
        let number =
            nth.parse().ok().filter(|number: &usize| *number > 1 && number.to_string() == nth);
        let nth = number.ok_or_else(|| UnknownName {
            what: "branch",
            name: text.to_owned(),
            known: "kxk, its repeats kxk.2, kxk.3, …".to_owned(),
        })?;
        Ok(Self { kind: kind.parse()?, nth })
    }
}

as_text!(BranchSpec: names(), BranchName: names());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_are_written() {
        for text in [
            "kxk",
            "4*kxk",
            "1x1:scale",
            "identity:none",
            "1x1:bias",
            "2*3x3d2:constant",
            "1x1_kxk:linear",
            "id1x1_kxk",
            "2*dw_1x1:linear",
            "1x1_prior:linear",
        ] {
            assert_eq!(text.parse::<BranchSpec>().unwrap().to_string(), text);
        }
        for text in [
            "0*kxk",
            "65*kxk",
            "x*kxk",
            "identity:bias",
            "kxk:",
            "kxk:bn",
            "kxk.2",
            "kxk:linear",
            "dw_1x1",
            "1x1_prior:scale",
            "dw_kxk:linear",
            "prior",
            "id1x1_avg",
            "1x1_identity",
        ] {
            assert!(text.parse::<BranchSpec>().is_err(), "{text}");
        }
        for text in ["kxk", "kxk.2", "1x1_kxk.17"] {
            assert_eq!(text.parse::<BranchName>().unwrap().to_string(), text);
        }
        for text in ["kxk.1", "kxk.0", "kxk.02", "kxk.", "kxk.2.3", "4*kxk"] {
            assert!(text.parse::<BranchName>().is_err(), "{text}");
        }
    }
}
