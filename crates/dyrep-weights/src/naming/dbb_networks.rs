//! The networks of the published DBB code (arXiv 2103.13425), in this library's names.
//!
//! | theirs | ours |
//! |---|---|
//! | `stage0.conv1.conv`, `stage0.conv1.bn` | `conv1`, `bn1` |
//! | `stage2.0.conv1.conv`, `stage2.0.conv1.bn` | `layer2.0.conv1`, `layer2.0.bn1` |
//! | `stage2.0.conv1.dbb_origin.conv` | `layer2.0.conv1.kxk.conv` |
//! | `stage2.0.shortcut.conv`, `.bn` | `layer2.0.downsample.0`, `.1` |
//! | MobileNet's `stem.3.depthwise.conv`, `stem.3.pointwise.bn` | `blocks.2.0.conv_dw`, `blocks.2.0.bn2` |
//! | `linear` | `fc`, `classifier` |
//!
//! Their unit is a convolution with its norm, and a block stands for both: behind it, and behind what is deployed, there is
//! no norm. Ours then passes values through.

use std::collections::BTreeMap;

use super::{Dialect, Naming, Translated, dyrep, silent_norm};
use crate::tensor::{Edit, Stored};

/// Separable blocks in each stage of MobileNetV1.
const STAGES: [usize; 5] = [1, 2, 2, 6, 2];

pub(super) const RESNET: Dialect = Dialect {
    naming: Naming::Dbb,
    recognise: |parts| {
        parts.all(&["stage0", "stage1", "stage4", "conv1", "linear"]) && !parts.any_starts("rbr_")
    },
    translate: |parts| Family::ResNet.translate(parts, dyrep::block),
    complete,
    ..Dialect::BASE
};

pub(super) const MOBILENET: Dialect = Dialect {
    naming: Naming::Dbb,
    recognise: |parts| parts.all(&["stem", "12", "depthwise", "pointwise", "linear"]),
    translate: |parts| Family::MobileNet.translate(parts, dyrep::block),
    complete,
    ..Dialect::BASE
};

/// A network whose units are convolutions with their norms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    ResNet,
    MobileNet,
}

impl Family {
    /// A name in ours, where `block` says the parts of a block in ours.
    pub(super) fn translate(
        self,
        parts: &[&str],
        block: for<'a> fn(&[&'a str], &mut Edit) -> Vec<&'a str>,
    ) -> Translated {
        let mut edit = Edit::None;
        let (path, rest) = match self.unit(parts) {
            Some(([conv, _], ["conv", rest @ ..])) => (conv, rest.to_vec()),
            Some(([_, norm], ["bn", rest @ ..])) => (norm, rest.to_vec()),
            Some(([conv, _], rest)) => (conv, block(rest, &mut edit)),
            None => return Translated::new(&block(parts, &mut edit)),
        };
        Translated { name: [&[path.as_str()], &rest[..]].concat().join("."), edit }
    }

    /// The paths of the convolution and of its norm at the unit that a name begins with, the classifier's as both; and what
    /// follows in the name. `None` for a name that is none of the network's.
    fn unit<'a, 'b>(self, parts: &'a [&'b str]) -> Option<([String; 2], &'a [&'b str])> {
        let both = |conv: &str, norm: &str| [conv.to_owned(), norm.to_owned()];
        Some(match (self, parts) {
            (Self::ResNet, ["stage0", "conv1", rest @ ..]) => (both("conv1", "bn1"), rest),
            (Self::ResNet, ["linear", rest @ ..]) => (both("fc", "fc"), rest),
            (Self::ResNet, [stage, block, unit, rest @ ..]) => {
                let stage = stage.strip_prefix("stage")?;
                let (conv, norm) = match *unit {
                    "conv1" => ("conv1", "bn1"),
                    "conv2" => ("conv2", "bn2"),
                    "conv3" => ("conv3", "bn3"),
                    "shortcut" => ("downsample.0", "downsample.1"),
                    _ => return None,
                };
                ([conv, norm].map(|name| format!("layer{stage}.{block}.{name}")), rest)
            }
            (Self::MobileNet, ["conv1", rest @ ..]) => (both("conv_stem", "bn1"), rest),
            (Self::MobileNet, ["linear", rest @ ..]) => (both("classifier", "classifier"), rest),
            (Self::MobileNet, ["stem", number, unit, rest @ ..]) => {
                let block = block(number.parse().ok()?)?;
                let (conv, norm) = match *unit {
                    "depthwise" => ("conv_dw", "bn1"),
                    "pointwise" => ("conv_pw", "bn2"),
                    _ => return None,
                };
                ([conv, norm].map(|name| format!("blocks.{block}.{name}")), rest)
            }
            _ => return None,
        })
    }
}

fn complete(tensors: &mut BTreeMap<String, Stored>) {
    silence(tensors, |_| true);
}

/// Puts a norm that passes values through behind every convolution that has none and may have lost it; `tensors` have our
/// names.
pub(super) fn silence(tensors: &mut BTreeMap<String, Stored>, may: impl Fn(&str) -> bool) {
    let mut missing = vec![];
    for (name, tensor) in &*tensors {
        let path = name.strip_suffix(".kxk.conv.weight").or(name.strip_suffix(".weight"));
        let norm = path.filter(|path| may(path)).and_then(norm_behind).filter(|norm| {
            tensor.shape.len() == 4 && !tensors.contains_key(&format!("{norm}.weight"))
        });
        missing.extend(norm.zip(tensor.shape.first().copied()));
    }
    tensors.extend(missing.iter().flat_map(|(norm, channels)| silent_norm(norm, *channels)));
}

/// Stage and place of a separable block by its number in the network.
pub(super) fn block(mut number: usize) -> Option<String> {
    for (stage, blocks) in STAGES.iter().enumerate() {
        if number < *blocks {
            return Some(format!("{stage}.{number}"));
        }
        number -= blocks;
    }
    None
}

/// Of our paths, the norm behind the convolution.
fn norm_behind(conv: &str) -> Option<String> {
    let (parent, name) = conv.rsplit_once('.').map_or(("", conv), |(parent, name)| (parent, name));
    let inside = ["layer", "blocks."].iter().any(|start| parent.starts_with(start));
    let norm = match name {
        "conv1" | "conv_stem" if parent.is_empty() => return Some("bn1".to_owned()),
        "conv1" | "conv_dw" => "bn1",
        "conv2" | "conv_pw" => "bn2",
        "conv3" => "bn3",
        "0" if parent.ends_with("downsample") => "1",
        _ => return None,
    };
    // Not the convolutions inside blocks: `layer1.0.conv1.1x1_kxk.conv2`.
    let depth = parent.split('.').count();
    let outermost = depth == 2 + usize::from(parent.starts_with("blocks.") || norm == "1");
    (inside && outermost).then(|| format!("{parent}.{norm}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_stand_behind_units_only() {
        for (conv, norm) in [
            ("conv1", Some("bn1")),
            ("layer1.0.conv2", Some("layer1.0.bn2")),
            ("layer1.0.downsample.0", Some("layer1.0.downsample.1")),
            ("blocks.3.5.conv_pw", Some("blocks.3.5.bn2")),
            ("layer1.0.conv1.1x1_kxk.conv2", None),
            ("layer1.0.conv1.1x1.conv", None),
            ("fc", None),
        ] {
            assert_eq!(norm_behind(conv).as_deref(), norm, "{conv}");
        }
    }

    #[test]
    fn separable_blocks_are_counted_through_the_stages() {
        let names = [0, 1, 2, 3, 5, 10, 11, 12].map(|number| block(number).unwrap_or_default());
        assert_eq!(names, ["0.0", "1.0", "1.1", "2.0", "3.0", "3.5", "4.0", "4.1"]);
        assert_eq!(block(13), None);
    }
}
