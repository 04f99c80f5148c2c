//! How others name the parts of blocks and networks, and the same in this library's names: a dialect a file.
//!
//! | | k×k | branches | deployed |
//! |---|---|---|---|
//! | ours | `kxk.conv`, `kxk.bn` | `1x1.conv`, `1x1_kxk.conv2`, `identity.bn`, … | the layer itself |
//! | DyRep | `dbb_kxk.conv`, `dbb_kxk.bn` | `dbb_1x1.conv`, `dbb_1x1_kxk.bn1.bn`, `dbb_id`, … | `dbb_reparam` |
//! | DBB | `dbb_origin.conv`, `dbb_origin.bn` | `dbb_1x1`, `dbb_1x1_kxk.idconv1`, `dbb_avg.avgbn` | `dbb_reparam` |
//! | RepVGG | `rbr_dense.conv`, `rbr_dense.bn` | `rbr_1x1.conv`, `rbr_identity` | `rbr_reparam` |
//! | timm's RepVGG | `conv_kxk.conv`, `conv_kxk.bn` | `conv_1x1.conv`, `identity` | `reparam_conv` |
//! | timm's MobileOne | `conv_kxk.0.conv`, `conv_kxk.0.bn` | `conv_scale.conv`, `identity` | `reparam_conv` |
//! | MobileOne | `rbr_conv.0.conv`, `rbr_conv.0.bn` | `rbr_scale.conv`, `rbr_skip` | `reparam_conv` |
//! | OREPA | `weight_orepa_origin`, `vector` | `weight_orepa_1x1`, `weight_orepa_gconv_dw`, … | `orepa_reparam` |
//! | OREPA's RepVGG | `rbr_dense.weight_rbr_origin`, `rbr_dense.bn` | `rbr_1x1.conv`, `rbr_identity` | `rbr_reparam` |
//! | RepNAS | `_ops.2.conv`, `_ops.2.bn` | `_ops.0.conv`, `skip_connect.bn`, … | `conv` |
//! | OpenMMLab's RepVGG | `branch_3x3.conv`, `branch_3x3.norm` | `branch_1x1.conv`, `branch_norm` | `branch_reparam` |
//!
//! Blocks nest: `conv1.dbb_kxk.conv.dbb_1x1.bn`. Networks have torchvision's names, or timm's where torchvision has no
//! such network; the other dialects say what they call differently. What stands around a network's names is not looked
//! at here: a dialect gets what follows it.

mod cifar;
mod dbb;
mod dbb_networks;
mod dyrep;
mod mobileone;
mod numbered_resnet;
mod openmmlab;
mod orepa;
mod repnas;
mod repvgg;
mod repvit;
mod stages;
mod timm_mobilenet_v2;
mod timm_units;
mod timm_vgg;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::reading::Reading;
use crate::tensor::{Edit, Stored};

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
    /// The published MobileOne code's (arXiv 2206.04040).
    MobileOne,
    /// The published OREPA code's (arXiv 2204.00826).
    Orepa,
    /// The published RepNAS code's (arXiv 2109.03508).
    RepNas,
    /// torchvision's for MobileNetV2.
    MobileNetV2,
    /// timm's for MobileNetV2.
    TimmMobileNetV2,
    /// timm's for RepVGG and MobileOne.
    TimmUnits,
    /// timm's for RepViT.
    TimmRepVit,
    /// timm's for VGG.
    TimmVgg,
    /// OpenMMLab's (mmpretrain, mmcls).
    OpenMmLab,
    /// Those of the ResNets and MobileNets that are usual for CIFAR.
    Cifar,
    /// A torchvision ResNet's parts by their numbers.
    Numbered,
}

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plain => "names without blocks",
            Self::Own => "dyrep's own names",
            Self::DyRep => "names of the published DyRep code",
            Self::Dbb => "names of the published DBB code",
            Self::RepVgg => "names of the published RepVGG code",
            Self::MobileOne => "names of the published MobileOne code",
            Self::Orepa => "names of the published OREPA code",
            Self::RepNas => "names of the published RepNAS code",
            Self::MobileNetV2 => "torchvision's names for MobileNetV2",
            Self::TimmMobileNetV2 => "timm's names for MobileNetV2",
            Self::TimmUnits => "timm's names for RepVGG and MobileOne",
            Self::TimmRepVit => "timm's names for RepViT",
            Self::TimmVgg => "timm's names for VGG",
            Self::OpenMmLab => "OpenMMLab's names",
            Self::Cifar => "names of common networks for CIFAR",
            Self::Numbered => "parts by their numbers",
        })
    }
}

/// All parts of all names in a file: what a dialect is recognised by.
pub(crate) struct Parts<'a>(BTreeSet<&'a str>);

impl<'a> FromIterator<&'a str> for Parts<'a> {
    fn from_iter<I: IntoIterator<Item = &'a str>>(parts: I) -> Self {
        Self(parts.into_iter().collect())
    }
}

impl Parts<'_> {
    fn any(&self, some: &[&str]) -> bool {
        some.iter().any(|part| self.0.contains(part))
    }

    fn all(&self, all: &[&str]) -> bool {
        all.iter().all(|part| self.0.contains(part))
    }

    fn any_starts(&self, start: &str) -> bool {
        self.0.range(start..).next().is_some_and(|part| part.starts_with(start))
    }
}

/// A name as this library says it, and what is to be done to the values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Translated {
    pub(crate) name: String,
    pub(crate) edit: Edit,
}

impl Translated {
    fn new(parts: &[&str]) -> Self {
        Self { name: parts.join("."), edit: Edit::None }
    }
}

/// Somebody's names.
pub(crate) struct Dialect {
    pub(crate) naming: Naming,
    /// Whether a file may have them.
    recognise: fn(&Parts<'_>) -> bool,
    /// A name, taken apart, in this library's names; what is not the dialect's own comes back as it is.
    translate: fn(&[&str]) -> Translated,
    /// Makes our tensors of those that stand for several, and leaves out those that count for nothing, where that takes more
    /// than one name.
    resolve: fn(&mut Reading) -> Result<(), Unfit>,
    /// Adds what the network has and a file of this naming need not; the tensors have our names.
    complete: fn(&mut BTreeMap<String, Stored>),
    /// What lies beside the weights, under these keys, and says something of them.
    pub(crate) beside: &'static [&'static str],
    /// Whether no other code has such names: a file with them has no other published dialect's, whatever the rest of its
    /// names looks like.
    sole: bool,
}

/// A tensor that is not what the names around it ask for.
#[derive(Debug)]
pub(crate) struct Unfit {
    /// What the file calls it, or would.
    pub(crate) tensor: String,
    /// What it is, and what was expected.
    pub(crate) reason: String,
}

impl Dialect {
    /// A dialect of every file, with our names.
    const BASE: Self = Self {
        naming: Naming::Plain,
        recognise: |_| true,
        translate: Translated::new,
        resolve: |_| Ok(()),
        complete: |_| {},
        beside: &[],
        sole: false,
    };

    pub(crate) fn translate(&self, parts: &[&str]) -> Translated {
        (self.translate)(parts)
    }

    /// Makes this library's tensors of those that were renamed.
    ///
    /// # Errors
    /// A tensor that is not what the names around it ask for.
    pub(crate) fn finish(&self, reading: &mut Reading) -> Result<(), Unfit> {
        (self.resolve)(reading)?;
        (self.complete)(&mut reading.tensors);
        Ok(())
    }

    /// Whether it has names that are many people's.
    fn is_anybodys(&self) -> bool {
        matches!(self.naming, Naming::Own | Naming::Plain)
    }
}

/// What norms add to the variance.
const EPSILON: f32 = 1e-5;

/// The parameters of a norm that passes values through, for a file that has folded it away.
fn silent_norm(norm: &str, channels: usize) -> [(String, Stored); 4] {
    let values =
        [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0 - EPSILON)];
    values.map(|(name, value)| {
        let name = format!("{norm}.{name}");
        (name.clone(), Stored::constant(name, value, channels))
    })
}

/// Names that are ours already.
const fn as_it_is(naming: Naming, recognise: fn(&Parts<'_>) -> bool) -> Dialect {
    Dialect { naming, recognise, ..Dialect::BASE }
}

/// All dialects, those that know most of their network first. The last one is for every file.
static DIALECTS: [Dialect; 23] = [
    orepa::RESNET,
    orepa::REPVGG,
    orepa::BLOCKS,
    repnas::NETWORK,
    dbb_networks::RESNET,
    dbb_networks::MOBILENET,
    dbb::BLOCKS,
    dyrep::BLOCKS,
    mobileone::NETWORK,
    repvgg::NETWORK,
    repvgg::BLOCKS,
    timm_units::NETWORK,
    repvit::NETWORK,
    openmmlab::REPVGG,
    timm_vgg::NETWORK,
    timm_mobilenet_v2::NETWORK,
    cifar::SHORTCUTS,
    cifar::SEPARABLE,
    cifar::STAGES,
    numbered_resnet::NETWORK,
    as_it_is(Naming::Own, |parts| parts.any(&["kxk"])),
    // The number is that of its last layer.
    as_it_is(Naming::MobileNetV2, |parts| parts.all(&["features", "conv", "18"])),
    as_it_is(Naming::Plain, |_| true),
];

/// Whether some dialect reads what lies under this key beside the weights.
pub(crate) fn is_read_beside(key: &str) -> bool {
    DIALECTS.iter().any(|dialect| dialect.beside.contains(&key))
}

/// The dialects that a file with such names may have, the likeliest first.
pub(crate) fn dialects(parts: &Parts<'_>) -> Vec<&'static Dialect> {
    let mut found: Vec<&Dialect> =
        DIALECTS.iter().filter(|dialect| (dialect.recognise)(parts)).collect();
    if let Some(naming) = found.iter().find(|dialect| dialect.sole).map(|dialect| dialect.naming) {
        found.retain(|dialect| dialect.naming == naming || dialect.is_anybodys());
    }
    found
}

#[cfg(test)]
mod tests;
