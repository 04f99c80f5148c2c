//! The blocks of the field: which branches each has, a row a preset.

use super::kind::BranchKind;
use super::spec::{BranchSpec, End};
use crate::geometry::Geometry;
use crate::text::named;

/// A published choice of branches. Those that do not exist for a geometry are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preset {
    /// No block: a plain convolution.
    Plain,
    /// `kxk`, `1xk`, `kx1` (arXiv 1908.03930).
    AcNet,
    /// `kxk`, `1x1`, `identity` (arXiv 2101.03697).
    RepVgg,
    /// `kxk`, `1x1`, `1x1_kxk`, `1x1_avg` (arXiv 2103.13425).
    Dbb,
    /// `kxk`, `1x1`, `1x1_kxk`, `1x1_avg`, `1xk`, `kx1`, `identity` (arXiv 2203.12868).
    DyRep,
    /// `4*kxk`, `1x1` unless the kernel is that, `identity` (arXiv 2206.04040, the block of S0).
    MobileOne,
    /// `kxk`, `1x1` unless the kernel is that, `identity` (the same, the block of S1 to S4).
    MobileOneS1,
    /// `kxk`, `5x5`; for depthwise convolutions with large kernels (arXiv 2203.06717; FastViT, arXiv 2303.14189).
    RepLkNet,
    /// `kxk` and dilated smaller ones by kernel size; for depthwise convolutions with large kernels (arXiv 2311.15599).
    UniRepLkNet,
    /// `kxk`, `1x1:bias`, `identity:none`, a norm after the sum; for depthwise convolutions (arXiv 2307.09283).
    RepVit,
    /// `kxk`, `1x1:none`, `identity:none`, a norm after the sum (arXiv 2212.01593).
    QaRepVgg,
    /// The same and `avg:none`: its second version.
    QaRepVggV2,
    /// `kxk:constant`, `1x1:constant`, `identity:scale`, a norm after the sum (arXiv 2205.15242).
    Csla,
    /// `kxk`, `1x1`, `1x1_kxk`, at a stride a second `kxk` in its place, `1x1_avg`, `1xk`, `kx1`, `identity`: what a search
    /// chooses from (arXiv 2109.03508).
    RepNas,
}

named! { Preset, "preset", {
    Plain => "plain",
    AcNet => "acnet",
    RepVgg => "repvgg",
    Dbb => "dbb",
    DyRep => "dyrep",
    MobileOne => "mobileone",
    MobileOneS1 => "mobileone_s1",
    RepLkNet => "replknet",
    UniRepLkNet => "unireplknet",
    RepVit => "repvit",
    QaRepVgg => "qarepvgg",
    QaRepVggV2 => "qarepvgg_v2",
    Csla => "csla",
    RepNas => "repnas",
} }

impl Preset {
    /// Its branches in a block of `geometry`, whether they exist there or not; none for [`Preset::Plain`].
    #[must_use]
    pub fn branches(self, geometry: &impl Geometry) -> Vec<BranchSpec> {
        use BranchKind as Kind;
        let norm = |kinds: &[BranchKind]| kinds.iter().copied().map(BranchSpec::from).collect();
        let constant = |kind| BranchSpec::new(kind, End::Constant);
        let bare = |kind| BranchSpec::new(kind, End::Nothing);
        match self {
            Self::Plain => vec![],
            Self::AcNet => norm(&[Kind::KXK, Kind::ONE_BY_K, Kind::K_BY_ONE]),
            Self::RepVgg => norm(&[Kind::POINTWISE, Kind::KXK, Kind::IDENTITY]),
            Self::Dbb => {
                norm(&[Kind::POINTWISE, Kind::POINTWISE_KXK, Kind::POINTWISE_AVG, Kind::KXK])
            }
            Self::DyRep => norm(&[
                Kind::POINTWISE,
                Kind::POINTWISE_KXK,
                Kind::POINTWISE_AVG,
                Kind::KXK,
                Kind::ONE_BY_K,
                Kind::K_BY_ONE,
                Kind::IDENTITY,
            ]),
            Self::MobileOne | Self::MobileOneS1 => {
                let small = (geometry.kernel_size() != [1, 1]).then_some(Kind::POINTWISE.into());
                let times = if self == Self::MobileOne { 4 } else { 1 };
                let repeated = BranchSpec::from(Kind::KXK).times(times);
                small.into_iter().chain([repeated, Kind::IDENTITY.into()]).collect()
            }
            Self::RepLkNet => norm(&[Kind::KXK, small(5, 1)]),
            Self::UniRepLkNet => {
                let dilated =
                    dilated(geometry).iter().map(|&(size, step)| small(size, step).into());
                std::iter::once(Kind::KXK.into()).chain(dilated).collect()
            }
            Self::RepVit => {
                vec![Kind::KXK.into(), bare(Kind::POINTWISE).with_bias(), bare(Kind::IDENTITY)]
            }
            Self::QaRepVgg => {
                vec![Kind::KXK.into(), bare(Kind::POINTWISE), bare(Kind::IDENTITY)]
            }
            Self::QaRepVggV2 => {
                let first = Self::QaRepVgg.branches(geometry);
                first.into_iter().chain([bare(Kind::AVG)]).collect()
            }
            Self::Csla => vec![
                constant(Kind::KXK),
                constant(Kind::POINTWISE),
                BranchSpec::new(Kind::IDENTITY, End::Scale),
            ],
            Self::RepNas if geometry.stride() == [1, 1] => Self::DyRep.branches(geometry),
            Self::RepNas => {
                let others = Self::DyRep.branches(geometry).into_iter();
                let others =
                    others.filter(|spec| ![Kind::KXK, Kind::POINTWISE_KXK].contains(&spec.kind));
                others.chain([BranchSpec::from(Kind::KXK).times(2)]).collect()
            }
        }
    }

    /// Whether a batch norm follows the sum of its branches.
    #[must_use]
    pub const fn norm_after(self) -> bool {
        matches!(self, Self::RepVit | Self::QaRepVgg | Self::QaRepVggV2 | Self::Csla)
    }
}

fn small(size: usize, step: usize) -> BranchKind {
    BranchKind::smaller([size; 2], step)
        .unwrap_or_else(|error| unreachable!("the sizes of a table: {error}"))
}

/// Sizes and dilations of UniRepLKNet's smaller kernels: those of the largest kernel of its own that fits.
fn dilated(geometry: &impl Geometry) -> &'static [(usize, usize)] {
    match geometry.kernel_size().into_iter().min() {
        Some(17..) => &[(5, 1), (9, 2), (3, 4), (3, 5), (3, 7)],
        Some(15..) => &[(5, 1), (7, 2), (3, 3), (3, 5), (3, 7)],
        Some(13..) => &[(5, 1), (7, 2), (3, 3), (3, 4), (3, 5)],
        Some(11..) => &[(5, 1), (5, 2), (3, 3), (3, 4), (3, 5)],
        Some(9..) => &[(5, 1), (5, 2), (3, 3), (3, 4)],
        Some(7..) => &[(5, 1), (3, 2), (3, 3)],
        Some(5..) => &[(3, 1), (3, 2)],
        _ => &[],
    }
}
