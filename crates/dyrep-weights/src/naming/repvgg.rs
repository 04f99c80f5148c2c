//! The published RepVGG code (arXiv 2101.03697): its blocks, and its networks, whose stages are `stage0` to `stage4` and
//! whose classifier is `linear`, where timm says `stem`, `stages.0` to `stages.3` and `head.fc`.

use super::{Dialect, Naming, Translated, nothing};

pub(super) const NETWORK: Dialect = Dialect {
    naming: Naming::RepVgg,
    recognise: |parts| parts.any_starts("rbr_") && parts.all(&["stage0", "stage1"]),
    translate: |parts| match stage(parts) {
        Some((place, rest)) => {
            let rest = block(rest);
            Translated::new(&[&[place.as_str()], &rest[..]].concat())
        }
        None => Translated::new(&block(parts)),
    },
    complete: nothing,
};

pub(super) const BLOCKS: Dialect = Dialect {
    naming: Naming::RepVgg,
    recognise: |parts| parts.any_starts("rbr_"),
    translate: |parts| Translated::new(&block(parts)),
    complete: nothing,
};

/// Where a name of the network leads in ours, and what follows.
fn stage<'a, 'b>(parts: &'a [&'b str]) -> Option<(String, &'a [&'b str])> {
    match parts {
        ["stage0", rest @ ..] => Some(("stem.conv".to_owned(), rest)),
        ["linear", rest @ ..] => Some(("head.fc".to_owned(), rest)),
        [first, number, rest @ ..] => {
            let stage: usize = first.strip_prefix("stage")?.parse().ok()?;
            Some((format!("stages.{}.{number}.conv", stage.checked_sub(1)?), rest))
        }
        _ => None,
    }
}

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
