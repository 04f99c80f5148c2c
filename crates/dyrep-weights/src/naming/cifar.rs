//! The ResNets and MobileNets that are usual for CIFAR's small pictures, as two much used collections name them.
//!
//! | theirs | ours |
//! |---|---|
//! | `layer2.0.shortcut.0`, `linear` | `layer2.0.downsample.0`, `fc` |
//! | `layers.3.conv1`, `.bn1`, `.conv2`, `.bn2`, `linear` | `blocks.2.0.conv_dw`, `.bn1`, `.conv_pw`, `.bn2`, `classifier` |
//! | `conv1.0`, `conv1.1`, `conv3_x.0.residual_function.3` | `conv1`, `bn1`, `layer2.0.conv2` |

use super::{Dialect, Naming, Translated, dbb_networks};

/// Shortcuts and linear classifiers by these names.
pub(super) const SHORTCUTS: Dialect = Dialect {
    naming: Naming::Cifar,
    recognise: |parts| parts.all(&["linear", "conv1", "bn1", "layer1"]),
    translate: |parts| match parts {
        ["linear", rest @ ..] => Translated::new(&[&["fc"], rest].concat()),
        _ => {
            let named = |part| if part == "shortcut" { "downsample" } else { part };
            Translated::new(&parts.iter().map(|part| named(*part)).collect::<Vec<_>>())
        }
    },
    ..Dialect::BASE
};

/// The MobileNet beside them.
pub(super) const SEPARABLE: Dialect = Dialect {
    naming: Naming::Cifar,
    recognise: |parts| parts.all(&["linear", "conv1", "bn1", "layers", "12"]),
    translate: |parts| match parts {
        ["conv1", rest @ ..] => Translated::new(&[&["conv_stem"], rest].concat()),
        ["linear", rest @ ..] => Translated::new(&[&["classifier"], rest].concat()),
        ["layers", number, unit, rest @ ..] => match separable(number, unit) {
            Some(path) => Translated::new(&[&[path.as_str()], rest].concat()),
            None => Translated::new(parts),
        },
        _ => Translated::new(parts),
    },
    ..Dialect::BASE
};

/// A layer of the MobileNet.
fn separable(number: &str, unit: &str) -> Option<String> {
    let block = dbb_networks::block(number.parse().ok()?)?;
    let ours = match unit {
        "conv1" => "conv_dw",
        "conv2" => "conv_pw",
        "bn1" | "bn2" => unit,
        _ => return None,
    };
    Some(format!("blocks.{block}.{ours}"))
}

/// Stages from `conv1` to `conv5_x`, whose blocks are sequences.
pub(super) const STAGES: Dialect = Dialect {
    naming: Naming::Cifar,
    recognise: |parts| parts.all(&["conv2_x", "conv5_x", "residual_function"]),
    translate: |parts| match parts {
        ["conv1", "0", rest @ ..] => Translated::new(&[&["conv1"], rest].concat()),
        ["conv1", "1", rest @ ..] => Translated::new(&[&["bn1"], rest].concat()),
        [stage, block, part, number, rest @ ..] => match place(stage, part, number) {
            Some((layer, place)) => {
                Translated::new(&[&[layer.as_str(), block, place.as_str()], rest].concat())
            }
            None => Translated::new(parts),
        },
        _ => Translated::new(parts),
    },
    ..Dialect::BASE
};

/// The stage, and the part of a block.
fn place(stage: &str, part: &str, number: &str) -> Option<(String, String)> {
    let stage: usize = stage.strip_prefix("conv")?.strip_suffix("_x")?.parse().ok()?;
    let number: usize = number.parse().ok()?;
    let ours = match (part, number % 3) {
        // A convolution, its norm, a ReLU.
        ("residual_function", 0) => format!("conv{}", number / 3 + 1),
        ("residual_function", 1) => format!("bn{}", number / 3 + 1),
        ("shortcut", _) => format!("downsample.{number}"),
        _ => return None,
    };
    Some((format!("layer{}", stage.checked_sub(1)?), ours))
}
