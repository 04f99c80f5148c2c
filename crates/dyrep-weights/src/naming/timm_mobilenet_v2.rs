//! timm's MobileNetV2: stage by stage, each convolution by what it does, where torchvision numbers all layers.
//!
//! | timm | torchvision |
//! |---|---|
//! | `conv_stem`, `bn1` | `features.0.0`, `features.0.1` |
//! | `blocks.0.0.conv_dw`, `.bn1`, `.conv_pw`, `.bn2` | `features.1.conv.0.0`, `.conv.0.1`, `.conv.1`, `.conv.2` |
//! | `blocks.1.1.conv_pw`, `.bn1` | `features.3.conv.0.0`, `.conv.0.1` |
//! | `blocks.1.1.conv_dw`, `.bn2` | `features.3.conv.1.0`, `.conv.1.1` |
//! | `blocks.1.1.conv_pwl`, `.bn3` | `features.3.conv.2`, `.conv.3` |
//! | `conv_head`, `bn2`, `classifier` | `features.18.0`, `features.18.1`, `classifier.1` |

use super::{Dialect, Naming, Translated};

/// Blocks of each stage.
const STAGES: [usize; 7] = [1, 2, 3, 4, 3, 3, 1];

pub(super) const NETWORK: Dialect = Dialect {
    naming: Naming::TimmMobileNetV2,
    recognise: |parts| parts.all(&["conv_stem", "blocks", "conv_pwl", "conv_head"]),
    translate: |parts| {
        let (place, rest) = match parts {
            ["conv_stem", rest @ ..] => ("features.0.0".to_owned(), rest),
            ["bn1", rest @ ..] => ("features.0.1".to_owned(), rest),
            ["conv_head", rest @ ..] => ("features.18.0".to_owned(), rest),
            ["bn2", rest @ ..] => ("features.18.1".to_owned(), rest),
            ["classifier", rest @ ..] => ("classifier.1".to_owned(), rest),
            ["blocks", stage, block, layer, rest @ ..] => match place(stage, block, layer) {
                Some(place) => (place, rest),
                None => return Translated::new(parts),
            },
            _ => return Translated::new(parts),
        };
        Translated::new(&[&[place.as_str()], rest].concat())
    },
    ..Dialect::BASE
};

fn place(stage: &str, block: &str, layer: &str) -> Option<String> {
    let (stage, block) = (stage.parse::<usize>().ok()?, block.parse::<usize>().ok()?);
    if block >= *STAGES.get(stage)? {
        return None;
    }
    let number = 1 + STAGES[..stage].iter().sum::<usize>() + block;
    let layer = match (stage, layer) {
        (0, "conv_dw") | (1.., "conv_pw") => "0.0",
        (_, "bn1") => "0.1",
        (0, "conv_pw") => "1",
        (0, "bn2") | (1.., "conv_pwl") => "2",
        (1.., "conv_dw") => "1.0",
        (1.., "bn2") => "1.1",
        (1.., "bn3") => "3",
        _ => return None,
    };
    Some(format!("features.{number}.conv.{layer}"))
}
