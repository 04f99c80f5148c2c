//! The published MobileOne code (arXiv 2206.04040): stages are `stage0` to `stage4` and the classifier is `linear`, where
//! timm says `stem`, `stages.0` to `stages.3` and `head.fc`.

use super::timm_units::repeated;
use super::{Dialect, Naming, Translated, nothing};

pub(super) const NETWORK: Dialect = Dialect {
    naming: Naming::MobileOne,
    recognise: |parts| {
        parts.all(&["stage0", "stage1"]) && parts.any(&["rbr_conv", "rbr_scale", "reparam_conv"])
    },
    translate: |parts| {
        let (place, rest) = match parts {
            ["stage0", rest @ ..] => ("stem".to_owned(), rest),
            ["linear", rest @ ..] => ("head.fc".to_owned(), rest),
            [first, number, rest @ ..] => match stage(first) {
                Some(stage) => (format!("stages.{stage}.{number}"), rest),
                None => return Translated::new(parts),
            },
            _ => return Translated::new(parts),
        };
        let repeat;
        let (ours, rest): (Vec<&str>, _) = match rest {
            ["rbr_conv", number, rest @ ..] => {
                repeat = number.parse().map_or_else(|_| (*number).to_owned(), repeated);
                let named = (!repeat.is_empty()).then_some(repeat.as_str());
                (["conv", "kxk"].into_iter().chain(named).collect(), rest)
            }
            ["rbr_scale", rest @ ..] => (vec!["conv", "1x1"], rest),
            ["rbr_skip", rest @ ..] => (vec!["conv", "identity", "bn"], rest),
            ["reparam_conv", rest @ ..] => (vec!["conv"], rest),
            ["se", "reduce", rest @ ..] => (vec!["attn", "fc1"], rest),
            ["se", "expand", rest @ ..] => (vec!["attn", "fc2"], rest),
            rest => (vec![], rest),
        };
        Translated::new(&[&[place.as_str()], &ours[..], rest].concat())
    },
    complete: nothing,
};

/// Our number of a stage behind the first.
fn stage(name: &str) -> Option<usize> {
    name.strip_prefix("stage")?.parse::<usize>().ok()?.checked_sub(1)
}
