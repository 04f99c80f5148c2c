//! The blocks of the field: which branches each has, a row a preset.

use super::kind::{BranchKind, First};
use super::spec::{BranchSpec, End};
use super::stack::stacked_layers;
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
    /// `kxk:scale`, `1x1_avg:linear`, `1x1_prior:linear`, `id1x1_kxk:linear`, `1x1:scale`, `dw_1x1:linear`, a norm after
    /// the sum: one convolution while it trains, too. Of a 1×1 `kxk:scale` and `1x1_kxk:linear` (arXiv 2204.00826 and its
    /// published code).
    Orepa,
    /// RepVGG's branches, whose `kxk` is an [`Orepa`](Self::Orepa) block without `1x1` (the same, section 4.4).
    OrepaRepVgg,
    /// [`Orepa`](Self::Orepa), and odd square kernels larger than 3×3 as 3×3 layers in sequence, each such a block: the
    /// published networks' first convolution (the same, section 3.3).
    OrepaStem,
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
    Orepa => "orepa",
    OrepaRepVgg => "orepa_repvgg",
    OrepaStem => "orepa_stem",
} }

impl Preset {
    /// Its branches in a block of `geometry`, whether they exist there or not; none for [`Preset::Plain`].
    #[must_use]
    pub fn branches(self, geometry: &impl Geometry) -> Vec<BranchSpec> {
        use BranchKind as Kind;
        let norm = |kinds: &[BranchKind]| kinds.iter().copied().map(BranchSpec::from).collect();
        let constant = |kind| BranchSpec::new(kind, End::Constant);
        let bare = |kind| BranchSpec::new(kind, End::Nothing);
        let linear = |kind| BranchSpec::new(kind, End::Linear);
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
            Self::Orepa | Self::OrepaStem if geometry.kernel_size() == [1, 1] => {
                vec![BranchSpec::new(Kind::KXK, End::Scale), linear(Kind::POINTWISE_KXK)]
            }
            Self::Orepa | Self::OrepaStem => {
                let rest = Self::online_kxk(geometry);
                rest.into_iter().chain([BranchSpec::new(Kind::POINTWISE, End::Scale)]).collect()
            }
            Self::OrepaRepVgg => Self::RepVgg.branches(geometry),
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
        matches!(
            self,
            Self::RepVit
                | Self::QaRepVgg
                | Self::QaRepVggV2
                | Self::Csla
                | Self::Orepa
                | Self::OrepaStem
        )
    }

    /// The branches of OREPA in a block with more than one tap, but `1x1`.
    fn online_kxk(geometry: &impl Geometry) -> Vec<BranchSpec> {
        let linear = [
            BranchKind::POINTWISE_AVG,
            BranchKind::POINTWISE_PRIOR,
            BranchKind::RESIDUAL_KXK,
            BranchKind::DEPTHWISE_POINTWISE,
        ];
        let linear = linear.map(|kind| BranchSpec::from(kind).without_norms(geometry));
        std::iter::once(BranchSpec::new(BranchKind::KXK, End::Scale)).chain(linear).collect()
    }

    /// Whether a network can start with it, and no convolution grow into it: it has a block, or layers in sequence, where
    /// the convolution would be.
    #[must_use]
    pub const fn only_starts(self) -> bool {
        matches!(self, Self::OrepaRepVgg | Self::OrepaStem)
    }

    /// Whether a convolution of `geometry` starts as a stack: so many 3×3 layers in sequence as [`stacked_layers`] says, each
    /// with the preset's branches.
    #[must_use]
    pub fn stacks(self, geometry: &impl Geometry) -> bool {
        self == Self::OrepaStem && geometry.groups() == 1 && stacked_layers(geometry).is_some()
    }

    /// The branches, in canonical order, of the block that the convolution of `kxk` is in a block of `geometry`; none: it
    /// is plain.
    #[must_use]
    pub fn inside_kxk(self, geometry: &impl Geometry) -> Option<Vec<BranchSpec>> {
        // Of a 1×1 it would be its own product.
        let nests = self == Self::OrepaRepVgg && geometry.kernel_size() != [1, 1];
        nests.then(|| {
            let mut specs = Self::online_kxk(geometry);
            specs.sort_unstable();
            specs
        })
    }

    /// The channels between the two convolutions of `kind` in a block of `geometry`.
    #[must_use]
    pub fn mid_channels(self, kind: BranchKind, geometry: &impl Geometry) -> usize {
        let usual = kind.mid_channels(geometry);
        match (self, kind.first()) {
            (Self::Dbb, First::Pointwise) if geometry.is_depthwise() => 2 * usual,
            (Self::Orepa | Self::OrepaRepVgg | Self::OrepaStem, First::Residual)
                if geometry.groups() > 4 =>
            {
                2 * usual
            }
            // Of a 1×1: the product of two.
            (Self::Orepa | Self::OrepaStem, First::Pointwise) => {
                geometry.channels().into_iter().fold(usual, usize::min)
            }
            _ => usual,
        }
    }

    /// Which of the two convolutions of `kind` starts as the identity, where it keeps the number of channels: DBB's first,
    /// and of OREPA's two 1×1 the one with fewer channels.
    #[must_use]
    pub fn starts_as_identity(self, kind: BranchKind, geometry: &impl Geometry) -> [bool; 2] {
        let [inputs, outputs] = geometry.channels();
        match (self, kind.first()) {
            (Self::Dbb, First::Pointwise) if kind.has_middle() => [true, false],
            (Self::Orepa | Self::OrepaStem, First::Pointwise) if kind.has_middle() => {
                [outputs > inputs, outputs <= inputs]
            }
            _ => [false; 2],
        }
    }

    /// The scale that a branch of `kind` starts with, where it ends in one; the norm's gain likewise.
    #[must_use]
    pub fn initial_scale(self, kind: BranchKind, geometry: &impl Geometry) -> f32 {
        let taps: usize = geometry.kernel_size().iter().product();
        if !matches!(self, Self::Orepa | Self::OrepaRepVgg | Self::OrepaStem) {
            return 1.0;
        }
        match kind {
            BranchKind::POINTWISE_PRIOR => 0.0,
            BranchKind::KXK if taps == 1 && self != Self::OrepaRepVgg => 1.0,
            BranchKind::KXK | BranchKind::POINTWISE_AVG => 0.25,
            kind if kind.is_sequence() => 0.5,
            _ => 1.0,
        }
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
