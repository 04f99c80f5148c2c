//! OpenMMLab's RepVGG (mmpretrain): stages are `stage_1` to `stage_4`, norms of branches are called `norm`. Its other
//! networks of this zoo have torchvision's names behind `backbone`, and their classifier behind `head`.

use super::{Dialect, Naming, Translated};

pub(super) const REPVGG: Dialect = Dialect {
    naming: Naming::OpenMmLab,
    recognise: |parts| parts.any(&["branch_3x3", "branch_reparam"]),
    translate: |parts| match parts {
        ["stem", rest @ ..] => unit("stem.conv", rest),
        [first, number, rest @ ..] => {
            let stage = first.strip_prefix("stage_").and_then(|stage| stage.parse::<usize>().ok());
            match stage.and_then(|stage| stage.checked_sub(1)) {
                Some(stage) => unit(&format!("stages.{stage}.{number}.conv"), rest),
                None => Translated::new(parts),
            }
        }
        _ => Translated::new(parts),
    },
    ..Dialect::BASE
};

fn unit(conv: &str, parts: &[&str]) -> Translated {
    let mut ours = vec![conv];
    match parts {
        ["branch_3x3", "norm", rest @ ..] => ours.extend(["kxk", "bn"].iter().chain(rest)),
        ["branch_3x3", rest @ ..] => ours.extend(["kxk"].iter().chain(rest)),
        ["branch_1x1", "norm", rest @ ..] => ours.extend(["1x1", "bn"].iter().chain(rest)),
        ["branch_1x1", rest @ ..] => ours.extend(["1x1"].iter().chain(rest)),
        ["branch_norm", rest @ ..] => ours.extend(["identity", "bn"].iter().chain(rest)),
        ["branch_reparam", rest @ ..] => ours.extend(rest),
        _ => ours.extend(parts),
    }
    Translated::new(&ours)
}
