//! The published RepVGG code (arXiv 2101.03697): its blocks, and its networks.

use super::stages::Place;
use super::{Dialect, Naming, Translated};

pub(super) const NETWORK: Dialect = Dialect {
    naming: Naming::RepVgg,
    recognise: |parts| parts.any_starts("rbr_") && parts.all(&["stage0", "stage1"]),
    translate: |parts| match Place::of(parts) {
        Some((Place::Unit(unit), rest)) => {
            Translated::new(&[&[unit.as_str(), "conv"], &block(rest)[..]].concat())
        }
        Some((Place::Classifier, rest)) => Translated::new(&[&["head", "fc"], rest].concat()),
        None => Translated::new(&block(parts)),
    },
    ..Dialect::BASE
};

pub(super) const BLOCKS: Dialect = Dialect {
    naming: Naming::RepVgg,
    recognise: |parts| parts.any_starts("rbr_"),
    translate: |parts| Translated::new(&block(parts)),
    ..Dialect::BASE
};

fn block<'a>(parts: &[&'a str]) -> Vec<&'a str> {
    let mut ours = vec![];
    let mut before = "";
    for &part in parts {
        match part {
            // QARepVGG's (arXiv 2212.01593) has no norm of its own.
            "weight" if before == "rbr_1x1" => ours.extend(["conv", "weight"]),
            "rbr_dense" => ours.push("kxk"),
            "rbr_1x1" => ours.push("1x1"),
            "rbr_identity" => ours.extend(["identity", "bn"]),
            "rbr_reparam" => {}
            _ => ours.push(part),
        }
        before = part;
    }
    ours
}
