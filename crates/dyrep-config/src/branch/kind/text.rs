//! A kind as text: its chain, and nothing else means the same.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use super::{BranchKind, Core, LARGEST, Taps};
use crate::error::UnknownName;
use crate::text::as_text;

impl fmt::Display for BranchKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = match self.core {
            Core::Average => "avg".to_owned(),
            Core::Input => "identity".to_owned(),
            Core::Conv(Taps { size, step }) => {
                let [height, width] =
                    size.map(|size| size.map_or("k".to_owned(), |size| size.to_string()));
                let dilated = if step == 1 { String::new() } else { format!("d{step}") };
                format!("{height}x{width}{dilated}")
            }
        };
        f.pad(&if self.first { format!("1x1_{core}") } else { core })
    }
}

impl FromStr for BranchKind {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let parsed = match name.strip_prefix("1x1_") {
            Some(core) => parse_core(core)
                .filter(|core| *core != Core::Input)
                .map(|core| Self { first: true, core }),
            None => parse_core(name).map(|core| Self { first: false, core }),
        };
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
