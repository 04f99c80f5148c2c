//! The published MobileOne code (arXiv 2206.04040).

use super::stages::Place;
use super::timm_units::repeated;
use super::{Dialect, Naming, Translated};

pub(super) const NETWORK: Dialect = Dialect {
    naming: Naming::MobileOne,
    recognise: |parts| {
        parts.all(&["stage0", "stage1"]) && parts.any(&["rbr_conv", "rbr_scale", "reparam_conv"])
    },
    translate: |parts| match Place::of(parts) {
        Some((Place::Unit(unit), rest)) => {
            let repeat = match rest {
                ["rbr_conv", number, ..] => repeated(number),
                _ => None,
            };
            let (ours, rest): (&[&str], &[&str]) = match rest {
                ["rbr_conv", _, rest @ ..] => (&["conv", "kxk"], rest),
                ["rbr_scale", rest @ ..] => (&["conv", "1x1"], rest),
                ["rbr_skip", rest @ ..] => (&["conv", "identity", "bn"], rest),
                ["reparam_conv", rest @ ..] => (&["conv"], rest),
                ["se", "reduce", rest @ ..] => (&["attn", "fc1"], rest),
                ["se", "expand", rest @ ..] => (&["attn", "fc2"], rest),
                rest => (&[], rest),
            };
            let parts = [unit.as_str()].into_iter().chain(ours.iter().copied());
            let parts = parts.chain(repeat.as_deref()).chain(rest.iter().copied());
            Translated::new(&parts.collect::<Vec<_>>())
        }
        Some((Place::Classifier, rest)) => Translated::new(&[&["head", "fc"], rest].concat()),
        None => Translated::new(parts),
    },
    ..Dialect::BASE
};
