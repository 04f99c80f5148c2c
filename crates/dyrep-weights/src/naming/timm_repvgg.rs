//! timm's RepVGG: a unit's convolution is called `conv` here, where timm has its branches side by side.

use super::{Dialect, Naming, Translated, nothing};

pub(super) const NETWORK: Dialect = Dialect {
    naming: Naming::TimmRepVgg,
    recognise: |parts| parts.any(&["conv_kxk", "reparam_conv"]),
    translate: |parts| {
        let mut ours = vec![];
        for &part in parts {
            match part {
                "conv_kxk" => ours.extend(["conv", "kxk"]),
                "conv_1x1" => ours.extend(["conv", "1x1"]),
                "identity" => ours.extend(["conv", "identity", "bn"]),
                "reparam_conv" => ours.push("conv"),
                _ => ours.push(part),
            }
        }
        Translated::new(&ours)
    },
    complete: nothing,
};
