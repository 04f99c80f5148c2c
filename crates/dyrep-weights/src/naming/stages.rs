//! The networks of the published RepVGG and MobileOne code: stages are `stage0` to `stage4` and the classifier is `linear`,
//! where timm says `stem`, `stages.0` to `stages.3` and `head.fc`.

/// Where a name leads in ours.
pub(super) enum Place {
    /// To a unit of that path.
    Unit(String),
    /// To the classifier.
    Classifier,
}

impl Place {
    /// The place and what follows; `None` for a name that is none of the network's.
    pub(super) fn of<'a, 'b>(parts: &'a [&'b str]) -> Option<(Self, &'a [&'b str])> {
        match parts {
            ["stage0", rest @ ..] => Some((Self::Unit("stem".to_owned()), rest)),
            ["linear", rest @ ..] => Some((Self::Classifier, rest)),
            [first, number, rest @ ..] => {
                let stage: usize = first.strip_prefix("stage")?.parse().ok()?;
                let stage = stage.checked_sub(1)?;
                Some((Self::Unit(format!("stages.{stage}.{number}")), rest))
            }
            _ => None,
        }
    }
}
