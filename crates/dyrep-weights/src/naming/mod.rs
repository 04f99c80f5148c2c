//! How others name the parts of blocks and networks, and the same in this library's names.
//!
//! | | k×k | branches | deployed |
//! |---|---|---|---|
//! | ours | `kxk.conv`, `kxk.bn` | `1x1.conv`, `1x1_kxk.conv2`, `identity.bn`, … | the layer itself |
//! | DyRep | `dbb_kxk.conv`, `dbb_kxk.bn` | `dbb_1x1.conv`, `dbb_1x1_kxk.bn1.bn`, `dbb_id`, … | `dbb_reparam` |
//! | DBB | `dbb_origin.conv`, `dbb_origin.bn` | `dbb_1x1`, `dbb_1x1_kxk.idconv1`, `dbb_avg.avgbn` | `dbb_reparam` |
//! | RepVGG | `rbr_dense.conv`, `rbr_dense.bn` | `rbr_1x1.conv`, `rbr_identity` | `rbr_reparam` |
//! | timm's RepVGG | `conv_kxk.conv`, `conv_kxk.bn` | `conv_1x1.conv`, `identity` | `reparam_conv` |
//!
//! Blocks nest: `conv1.dbb_kxk.conv.dbb_1x1.bn`. RepVGG's published network says `stage0`, `stage1.0`, `linear` for
//! timm's `stem`, `stages.0.0`, `head.fc`; a unit of timm's is a convolution called `conv` here. Everything else has
//! torchvision's names, but for the networks of the published DBB code (`dbb_networks.rs`).

mod dbb_networks;

use std::collections::BTreeMap;
use std::fmt;

use dyrep_burn::BranchKind;

use crate::tensor::{Edit, Stored};
use dbb_networks::Family;

/// Whose names a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Naming {
    /// torchvision's, or timm's where it has no such network: convolutions without branches.
    Plain,
    /// This library's, with blocks.
    Own,
    /// The published DyRep code's (arXiv 2203.12868).
    DyRep,
    /// The published DBB code's (arXiv 2103.13425).
    Dbb,
    /// The published RepVGG code's (arXiv 2101.03697).
    RepVgg,
    /// timm's for RepVGG.
    TimmRepVgg,
}

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plain => "names without blocks",
            Self::Own => "dyrep's own names",
            Self::DyRep => "names of the published DyRep code",
            Self::Dbb => "names of the published DBB code",
            Self::RepVgg => "names of the published RepVGG code",
            Self::TimmRepVgg => "timm's names for RepVGG",
        })
    }
}

/// The names of one file, and how to read them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    pub(crate) naming: Naming,
    /// Whether the stages are those of RepVGG's published network.
    repvgg_stages: bool,
    /// The network, if it is one of the published DBB code's.
    dbb_network: Option<Family>,
}

impl Dialect {
    /// Recognises the naming: what is found in most files of its kind and in no other.
    pub(crate) fn of(names: &[&str]) -> Self {
        let any =
            |wanted: fn(&str) -> bool| names.iter().flat_map(|name| name.split('.')).any(wanted);
        let dbb_network = Family::of(names);
        let naming = if dbb_network.is_some()
            || any(|part| matches!(part, "dbb_origin" | "dbb_avg" | "idconv1"))
        {
            Naming::Dbb
        } else if any(|part| part.starts_with("dbb_")) {
            Naming::DyRep
        } else if any(|part| part.starts_with("rbr_")) {
            Naming::RepVgg
        } else if any(|part| matches!(part, "conv_kxk" | "reparam_conv")) {
            Naming::TimmRepVgg
        } else if any(|part| part == "kxk") {
            Naming::Own
        } else {
            Naming::Plain
        };
        let repvgg_stages =
            naming == Naming::RepVgg && names.iter().any(|name| name.starts_with("stage0.rbr_"));
        Self { naming, repvgg_stages, dbb_network }
    }

    /// The name that this library has for `name`, and what is to be done to the values.
    pub(crate) fn translate(self, name: &str) -> (String, Edit) {
        let parts: Vec<&str> = name.split('.').collect();
        let mut edit = Edit::None;
        let unit = self.dbb_network.and_then(|network| network.unit(&parts));
        if let Some(([conv, norm], rest)) = unit {
            let (path, rest) = match rest {
                ["conv", rest @ ..] => (conv, rest.to_vec()),
                ["bn", rest @ ..] => (norm, rest.to_vec()),
                rest => (conv, diverse(rest, &mut edit)),
            };
            return ([&[path.as_str()], &rest[..]].concat().join("."), edit);
        }
        let ours: Vec<&str> = match self.naming {
            Naming::Plain | Naming::Own => return (name.to_owned(), edit),
            Naming::DyRep | Naming::Dbb => diverse(&parts, &mut edit),
            Naming::RepVgg => repvgg(&parts, self.repvgg_stages),
            Naming::TimmRepVgg => timm_repvgg(&parts),
        };
        (ours.join("."), edit)
    }
}

impl Dialect {
    /// Adds what the network has and a file of this naming need not: `tensors` have our names.
    pub(crate) fn complete(self, tensors: &mut BTreeMap<String, Stored>) {
        if let Some(network) = self.dbb_network {
            network.complete(tensors);
        }
    }
}

/// DyRep's and DBB's: a block's parts begin with `dbb_`, norms that pad are wrapped once more.
fn diverse<'a>(parts: &[&'a str], edit: &mut Edit) -> Vec<&'a str> {
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

fn repvgg<'a>(parts: &[&'a str], stages: bool) -> Vec<&'a str> {
    const STAGES: [(&str, &str); 4] =
        [("stage1", "0"), ("stage2", "1"), ("stage3", "2"), ("stage4", "3")];
    let stage = |part: &str| STAGES.into_iter().find(|(name, _)| *name == part);
    let (mut ours, rest) = match parts {
        ["stage0", rest @ ..] if stages => (vec!["stem", "conv"], rest),
        ["linear", rest @ ..] if stages => (vec!["head", "fc"], rest),
        [first, number, rest @ ..] if stages => match stage(first) {
            Some((_, place)) => (vec!["stages", place, number, "conv"], rest),
            None => (vec![], parts),
        },
        _ => (vec![], parts),
    };
    for &part in rest {
        match part {
            "rbr_dense" => ours.push("kxk"),
            "rbr_1x1" => ours.push("1x1"),
            "rbr_identity" => ours.extend(["identity", "bn"]),
            "rbr_reparam" => {}
            _ => ours.push(part),
        }
    }
    ours
}

fn timm_repvgg<'a>(parts: &[&'a str]) -> Vec<&'a str> {
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
    ours
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The naming found, and each name as ours.
    fn check(naming: Naming, names: &[(&str, &str)]) {
        let theirs: Vec<&str> = names.iter().map(|(theirs, _)| *theirs).collect();
        let dialect = Dialect::of(&theirs);
        assert_eq!(dialect.naming, naming);
        for (theirs, ours) in names {
            assert_eq!(dialect.translate(theirs).0, *ours, "{theirs}");
        }
    }

    #[test]
    fn published_names_become_ours() {
        check(Naming::Plain, &[("layer1.0.conv1.weight", "layer1.0.conv1.weight")]);
        check(Naming::Own, &[("conv1.kxk.conv.weight", "conv1.kxk.conv.weight")]);
        check(
            Naming::DyRep,
            &[
                ("conv1.dbb_kxk.conv.weight", "conv1.kxk.conv.weight"),
                ("conv1.dbb_1x1_kxk.bn1.bn.weight", "conv1.1x1_kxk.bn1.weight"),
                ("conv1.dbb_1x1_kxk.conv2.weight", "conv1.1x1_kxk.conv2.weight"),
                ("conv1.dbb_1x1_avg.bn.bn.bias", "conv1.1x1_avg.bn.bias"),
                ("conv1.dbb_1x1_avg.avgbn.bias", "conv1.1x1_avg.avgbn.bias"),
                ("conv1.dbb_1xk.bn.running_var", "conv1.1xk.bn.running_var"),
                ("conv1.dbb_id.running_mean", "conv1.identity.bn.running_mean"),
                ("conv1.dbb_kxk.conv.dbb_kx1.bn.bias", "conv1.kxk.conv.kx1.bn.bias"),
                ("conv2.dbb_reparam.bias", "conv2.bias"),
                ("bn.bn.weight", "bn.bn.weight"),
            ],
        );
        check(
            Naming::Dbb,
            &[
                ("conv1.dbb_origin.bn.weight", "conv1.kxk.bn.weight"),
                ("conv1.dbb_avg.conv.weight", "conv1.1x1_avg.conv.weight"),
                ("conv1.dbb_avg.bn.bn.weight", "conv1.1x1_avg.bn.weight"),
                ("conv1.dbb_1x1_kxk.idconv1.weight", "conv1.1x1_kxk.conv1.weight"),
                ("conv1.dbb_1x1.conv.weight", "conv1.1x1.conv.weight"),
            ],
        );
        check(
            Naming::Dbb,
            &[
                ("stage0.conv1.conv.weight", "conv1.weight"),
                ("stage0.conv1.bn.running_var", "bn1.running_var"),
                ("stage1.1.conv2.dbb_origin.conv.weight", "layer1.1.conv2.kxk.conv.weight"),
                ("stage1.1.conv2.dbb_avg.bn.bn.bias", "layer1.1.conv2.1x1_avg.bn.bias"),
                ("stage3.0.conv3.conv.bias", "layer3.0.conv3.bias"),
                ("stage3.0.conv2.dbb_reparam.bias", "layer3.0.conv2.bias"),
                ("stage3.0.shortcut.conv.weight", "layer3.0.downsample.0.weight"),
                ("stage3.0.shortcut.bn.bias", "layer3.0.downsample.1.bias"),
                ("stage4.0.conv1.conv.weight", "layer4.0.conv1.weight"),
                ("linear.weight", "fc.weight"),
            ],
        );
        check(
            Naming::Dbb,
            &[
                ("conv1.conv.weight", "conv_stem.weight"),
                ("conv1.bn.weight", "bn1.weight"),
                ("stem.0.depthwise.dbb_origin.bn.weight", "blocks.0.0.conv_dw.kxk.bn.weight"),
                ("stem.12.pointwise.conv.weight", "blocks.4.1.conv_pw.weight"),
                ("stem.12.pointwise.bn.weight", "blocks.4.1.bn2.weight"),
                ("linear.bias", "classifier.bias"),
            ],
        );
        check(
            Naming::RepVgg,
            &[
                ("stage0.rbr_dense.conv.weight", "stem.conv.kxk.conv.weight"),
                ("stage2.3.rbr_1x1.bn.bias", "stages.1.3.conv.1x1.bn.bias"),
                ("stage2.3.rbr_identity.weight", "stages.1.3.conv.identity.bn.weight"),
                ("stage4.0.rbr_reparam.bias", "stages.3.0.conv.bias"),
                ("linear.weight", "head.fc.weight"),
            ],
        );
        // A block of RepVGG's in somebody's own network.
        check(Naming::RepVgg, &[("a.rbr_1x1.bn.bias", "a.1x1.bn.bias"), ("linear.b", "linear.b")]);
        check(
            Naming::TimmRepVgg,
            &[
                ("stem.conv_kxk.conv.weight", "stem.conv.kxk.conv.weight"),
                ("stages.0.1.identity.bias", "stages.0.1.conv.identity.bn.bias"),
                ("stages.0.0.reparam_conv.bias", "stages.0.0.conv.bias"),
                ("head.fc.bias", "head.fc.bias"),
            ],
        );
    }

    #[test]
    fn only_the_identity_based_kernel_is_edited() {
        let dialect = Dialect::of(&["conv1.dbb_origin.conv.weight"]);
        let edit = |name| dialect.translate(name).1;
        assert_eq!(edit("conv1.dbb_1x1_kxk.idconv1.weight"), Edit::AddIdentity);
        assert_eq!(edit("conv1.dbb_1x1_kxk.conv1.weight"), Edit::None);
    }
}
