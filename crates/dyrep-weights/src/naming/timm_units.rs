//! timm's RepVGG and MobileOne: a unit's convolution is called `conv` here, where timm has its branches side by side.

use super::{Dialect, Naming, Translated};

pub(super) const NETWORK: Dialect = Dialect {
    naming: Naming::TimmUnits,
    recognise: |parts| parts.any(&["conv_kxk", "reparam_conv"]),
    translate: |parts| {
        let mut ours: Vec<&str> = vec![];
        let mut repeat = None;
        let mut parts = parts.iter().copied().peekable();
        while let Some(part) = parts.next() {
            match part {
                "conv_kxk" => {
                    ours.extend(["conv", "kxk"]);
                    // RepVGG has one, without a number.
                    if let Some(number) = parts.next_if(|part| part.parse::<usize>().is_ok()) {
                        repeat = repeated(number);
                    }
                    break;
                }
                "conv_1x1" | "conv_scale" => ours.extend(["conv", "1x1"]),
                "identity" => ours.extend(["conv", "identity", "bn"]),
                "reparam_conv" => ours.push("conv"),
                _ => ours.push(part),
            }
        }
        let ours = ours.into_iter().chain(repeat.as_deref()).chain(parts);
        Translated::new(&ours.collect::<Vec<_>>())
    },
    ..Dialect::BASE
};

/// What follows `kxk` in the name of the branch of that number, counted from 0: the first one is called as its kind. What is
/// no number is left as it is.
pub(super) fn repeated(number: &str) -> Option<String> {
    match number.parse::<usize>() {
        Ok(0) => None,
        Ok(number) => Some(number.saturating_add(1).to_string()),
        Err(_) => Some(number.to_owned()),
    }
}
