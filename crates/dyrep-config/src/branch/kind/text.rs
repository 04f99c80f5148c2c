//! A kind as text: its chain, and nothing else means the same.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use super::{BranchKind, Core, First, LARGEST, Taps};
use crate::error::UnknownName;
use crate::text::as_text;

/// How what stands in front of a core is written.
const FIRSTS: [(&str, First); 3] =
    [("1x1_", First::Pointwise), ("id1x1_", First::Residual), ("dw_", First::Depthwise)];

impl BranchKind {
    /// Whether there is such a chain.
    fn is_one(self) -> bool {
        match self.first {
            First::None => self.core != Core::Prior,
            First::Pointwise => self.core != Core::Input,
            First::Residual => self.convolves(),
            First::Depthwise => self.core == Self::POINTWISE.core,
        }
    }
}

impl fmt::Display for BranchKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = match self.core {
            Core::Average => "avg".to_owned(),
            Core::Input => "identity".to_owned(),
            Core::Prior => "prior".to_owned(),
            Core::Conv(Taps { size, step }) => {
                let [height, width] =
                    size.map(|size| size.map_or("k".to_owned(), |size| size.to_string()));
                let dilated = if step == 1 { String::new() } else { format!("d{step}") };
                format!("{height}x{width}{dilated}")
            }
        };
        let first = FIRSTS.iter().find(|(_, first)| *first == self.first);
        f.pad(&format!("{}{core}", first.map_or("", |(prefix, _)| prefix)))
    }
}

impl FromStr for BranchKind {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let behind = |(prefix, first): &(&str, First)| Some((name.strip_prefix(prefix)?, *first));
        let (core, first) = FIRSTS.iter().find_map(behind).unwrap_or((name, First::None));
        let parsed = parse_core(core).map(|core| Self { first, core }).filter(|kind| kind.is_one());
        parsed.ok_or_else(|| {
            let known: Vec<_> = Self::NAMED.iter().map(Self::to_string).collect();
            let known = format!("{}, smaller ones such as 5x5 or 3x3d2", known.join(", "));
            UnknownName { what: "branch", name: name.to_owned(), known }
        })
    }
}

fn parse_core(name: &str) -> Option<Core> {
    match name {
        "avg" => return Some(Core::Average),
        "identity" => return Some(Core::Input),
        "prior" => return Some(Core::Prior),
        _ => {}
    }
    let (height, rest) = name.split_once('x')?;
    let (width, step) = match rest.split_once('d') {
        Some((width, step)) => (width, number(step).filter(|step| *step > 1)?),
        None => (rest, 1),
    };
    let size = |text: &str| if text == "k" { Some(None) } else { number(text).map(Some) };
    let taps = Taps { size: [size(height)?, size(width)?], step };
    taps.is_canonical().then_some(Core::Conv(taps))
}

/// A number as it is written here: no sign, no zeros in front.
fn number(text: &str) -> Option<u16> {
    let number: u16 = text.parse().ok()?;
    ((1..=LARGEST).contains(&number) && number.to_string() == text).then_some(number)
}

/// The names of [`BranchKind::NAMED`].
pub(in crate::branch) fn names() -> &'static [&'static str] {
    static TEXTS: LazyLock<[String; BranchKind::NAMED.len()]> =
        LazyLock::new(|| BranchKind::NAMED.map(|kind| kind.to_string()));
    static NAMES: LazyLock<Vec<&str>> =
        LazyLock::new(|| TEXTS.iter().map(String::as_str).collect());
    &NAMES
}

as_text!(BranchKind: names());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_all_and_is_the_only_one() {
        for kind in BranchKind::NAMED {
            assert_eq!(kind.to_string().parse::<BranchKind>().unwrap(), kind);
        }
        for name in ["5x5", "3x3d2", "kx3d4", "1x1_3x3d2", "7xk", "1x1_avg", "1x1_1x1"] {
            assert_eq!(name.parse::<BranchKind>().unwrap().to_string(), name);
        }
        let wrong = [
            "",
            "k",
            "0x3",
            "3x3d1",
            "3x3d",
            "kxkd2",
            "1x1d2",
            "03x3",
            "+3x3",
            "1x1_identity",
            "1x1_1x1_kxk",
            "3×3",
            "1000x3",
        ];
        for name in wrong {
            assert!(name.parse::<BranchKind>().is_err(), "{name}");
        }
    }
}
