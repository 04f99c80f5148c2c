//! Blocks of the published DyRep code (arXiv 2203.12868): a block's parts begin with `dbb_`.

use dyrep_burn::BranchKind;

use super::{Dialect, Naming, Translated};
use crate::tensor::Edit;

pub(super) const BLOCKS: Dialect = Dialect {
    naming: Naming::DyRep,
    recognise: |parts| parts.any_starts("dbb_"),
    translate: |parts| {
        let mut edit = Edit::None;
        let name = block(parts, &mut edit).join(".");
        Translated { name, edit }
    },
    ..Dialect::BASE
};

/// DyRep's and DBB's parts in ours: norms that pad are wrapped once more.
pub(super) fn block<'a>(parts: &[&'a str], edit: &mut Edit) -> Vec<&'a str> {
    let mut ours = vec![];
    for (i, &part) in parts.iter().enumerate() {
        let before = |steps: usize| i.checked_sub(steps).map_or("", |at| parts[at]);
        match part {
            "dbb_reparam" => {}
            "dbb_origin" => ours.push("kxk"),
            "dbb_avg" => ours.push("1x1_avg"),
            "dbb_id" => ours.extend(["identity", "bn"]),
            "idconv1" if before(1) == "dbb_1x1_kxk" => {
                ours.push("conv1");
                *edit = Edit::AddIdentity;
            }
            "bn" if before(1) == "bn1" && before(2) == "dbb_1x1_kxk" => {}
            "bn" if before(1) == "bn" && matches!(before(2), "dbb_avg" | "dbb_1x1_avg") => {}
            _ => match part.strip_prefix("dbb_") {
                Some(kind) if kind.parse::<BranchKind>().is_ok() => ours.push(kind),
                _ => ours.push(part),
            },
        }
    }
    ours
}
