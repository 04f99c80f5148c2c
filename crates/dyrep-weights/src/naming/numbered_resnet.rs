//! A torchvision ResNet whose parts were put into a sequence, `nn.Sequential(*model.children())`, with or without its
//! classifier: their numbers are those of `conv1`, `bn1`, a ReLU, a pooling, `layer1` to `layer4`, a pooling, `fc`.

use super::{Dialect, Naming, Translated};

pub(super) const NETWORK: Dialect = Dialect {
    naming: Naming::Numbered,
    recognise: |parts| {
        parts.all(&["0", "1", "4", "5", "6", "7", "conv1", "bn1"]) && !parts.any_starts("layer")
    },
    translate: |parts| match parts {
        ["0", rest @ ..] => Translated::new(&[&["conv1"], rest].concat()),
        ["1", rest @ ..] => Translated::new(&[&["bn1"], rest].concat()),
        ["4", rest @ ..] => Translated::new(&[&["layer1"], rest].concat()),
        ["5", rest @ ..] => Translated::new(&[&["layer2"], rest].concat()),
        ["6", rest @ ..] => Translated::new(&[&["layer3"], rest].concat()),
        ["7", rest @ ..] => Translated::new(&[&["layer4"], rest].concat()),
        ["9", rest @ ..] => Translated::new(&[&["fc"], rest].concat()),
        _ => Translated::new(parts),
    },
    ..Dialect::BASE
};
