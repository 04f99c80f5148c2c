//! timm's VGG: the linear layers in front of the classifier are convolutions, over the whole of their input, called
//! `pre_logits.fc1` and `pre_logits.fc2`; torchvision has `classifier.0`, `classifier.3`, and the classifier itself as
//! `classifier.6`.

use super::{Dialect, Naming, Translated};
use crate::tensor::Edit;

pub(super) const NETWORK: Dialect = Dialect {
    naming: Naming::TimmVgg,
    recognise: |parts| parts.all(&["pre_logits", "fc1", "fc2"]),
    translate: |parts| {
        let (layer, rest) = match parts {
            ["pre_logits", "fc1", rest @ ..] => ("classifier.0", rest),
            ["pre_logits", "fc2", rest @ ..] => ("classifier.3", rest),
            ["head", "fc", rest @ ..] => ("classifier.6", rest),
            _ => return Translated::new(parts),
        };
        let Translated { name, .. } = Translated::new(&[&[layer], rest].concat());
        Translated { name, edit: Edit::Flatten }
    },
    ..Dialect::BASE
};
