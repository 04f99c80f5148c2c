//! timm's RepVGG and MobileOne: a unit's convolution is called `conv` here, where timm has its branches side by side.

use super::{Dialect, Naming, Translated, nothing};

pub(super) const NETWORK: Dialect = Dialect {
    naming: Naming::TimmUnits,
    recognise: |parts| parts.any(&["conv_kxk", "reparam_conv"]),
    translate: |parts| {
        let mut ours: Vec<&str> = vec![];
        let mut parts = parts.iter().copied().peekable();
        let mut repeat = String::new();
        while let Some(part) = parts.next() {
            match part {
                "conv_kxk" => {
                    ours.extend(["conv", "kxk"]);
                    let number = parts.peek().and_then(|part| part.parse::<usize>().ok());
                    if let Some(number) = number {
                        parts.next();
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
        let rest = parts.collect::<Vec<_>>();
        let repeat = (!repeat.is_empty()).then_some(repeat.as_str());
        Translated::new(&[ours, repeat.into_iter().collect(), rest].concat())
    },
    complete: nothing,
};

/// What follows `kxk` in the name of the branch of that number, counted from 0: the first one is called as its kind.
pub(super) fn repeated(number: usize) -> String {
    match number {
        0 => String::new(),
        number => number.saturating_add(1).to_string(),
    }
}
