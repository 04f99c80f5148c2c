//! What a branch is: a chain of linear steps, told by its name.
//!
//! ```text
//! [first → norm →]  core        core = a convolution with some of the block's taps | an average over them | the input
//! ```
//!
//! | name | core | exists when |
//! |---|---|---|
//! | `kxk` | a convolution with all of the block's taps | always |
//! | `1x1`, `1xk`, `kx1`, `5x5`, … | a smaller one, `k` standing for the block's own size | its middle tap lies on the output's own pixel |
//! | `3x3d2`, … | one whose taps lie so many of the block's apart | likewise |
//! | `avg` | the average over the block's taps | in = out |
//! | `identity` | the input | likewise, with in = out, stride 1 and an output of the input's size |
//! | `1x1_kxk`, `1x1_avg`, `1x1_3x3`, … | behind a 1×1 convolution and a norm; a depthwise `1x1_avg` has no 1×1 | as its core, for any channels |
//! | `id1x1_kxk`, … | behind the identity plus a 1×1 convolution, and a norm | as its core |
//! | `1x1_prior` | behind a 1×1 convolution, a cosine over the block's taps for each output channel; no norm | as `1x1_avg` |
//! | `dw_1x1` | a depthwise convolution with all of the block's taps, then a 1×1; no norm | always |
//!
//! So a branch exists where what it does at inference is a kernel of the block's own geometry. "Its middle tap": padding
//! `p` before the axis must be `dilation · m` with `m` = ⌊k/2⌋ or ⌊(k−1)/2⌋, the one middle tap of an odd kernel or either
//! of an even one; tap ⌊s/2⌋ of a kernel of size s lies there, and all its taps inside the block's kernel. For odd kernels
//! without dilation that is the published condition, p = ⌊k/2⌋. Padding behind the axis is free: smaller convolutions pad
//! or crop to fit.

mod exists;
mod text;

use std::cmp::Ordering;

use crate::error::{BranchUnavailable, UnknownName};
use crate::geometry::Geometry;
pub use exists::Window;
use exists::{check_channels, check_input};
pub(super) use text::names;

/// A kind of branch, by its chain of steps. Its text is its name in parameter paths, files and messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BranchKind {
    first: First,
    core: Core,
}

/// The convolution in front of the core, and a norm unless the branch is linear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum First {
    /// None.
    None,
    /// A 1×1.
    Pointwise,
    /// The identity plus a 1×1: what is learnt, and decays, is the difference.
    Residual,
    /// A depthwise convolution with all of the block's taps, its stride and its padding; the core is a 1×1.
    Depthwise,
}

/// The step that sees more than one pixel, or could.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Core {
    /// A convolution with these of the block's taps.
    Conv(Taps),
    /// The average over the block's taps, each channel by itself, the padding counted.
    Average,
    /// A cosine over the block's taps, for each output channel its own: up and down in the first half of them, across in
    /// the second (OREPA, arXiv 2204.00826, section 3.2). Nothing is learnt.
    Prior,
    /// Nothing: the input.
    Input,
}

/// Some of the taps of a block's kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Taps {
    /// Along height and width; none: all of the block's.
    size: [Option<u16>; 2],
    /// From one tap to the next, in the block's taps, where a size is given.
    step: u16,
}

/// Channels that a depthwise convolution in front of a 1×1 makes of each (OREPA).
const MULTIPLIER: usize = 8;

/// Larger kernels than any block of the field has.
const LARGEST: u16 = 999;

impl BranchKind {
    /// `kxk`: the branch that every block has.
    pub const KXK: Self = Self::conv([None, None]);
    /// `1x1`.
    pub const POINTWISE: Self = Self::conv([Some(1), Some(1)]);
    /// `1x1_kxk`.
    pub const POINTWISE_KXK: Self = Self { first: First::Pointwise, ..Self::KXK };
    /// `1x1_avg`.
    pub const POINTWISE_AVG: Self = Self { first: First::Pointwise, ..Self::AVG };
    /// `1xk`.
    pub const ONE_BY_K: Self = Self::conv([Some(1), None]);
    /// `kx1`.
    pub const K_BY_ONE: Self = Self::conv([None, Some(1)]);
    /// `identity`.
    pub const IDENTITY: Self = Self { first: First::None, core: Core::Input };
    /// `avg`.
    pub const AVG: Self = Self { first: First::None, core: Core::Average };

    /// `id1x1_kxk`.
    pub const RESIDUAL_KXK: Self = Self { first: First::Residual, ..Self::KXK };
    /// `1x1_prior`.
    pub const POINTWISE_PRIOR: Self = Self { first: First::Pointwise, core: Core::Prior };
    /// `dw_1x1`.
    pub const DEPTHWISE_POINTWISE: Self = Self { first: First::Depthwise, ..Self::POINTWISE };

    /// The kinds of any block, in the order in which blocks keep them; those with a size of their own come behind.
    pub const NAMED: [Self; 11] = [
        Self::POINTWISE,
        Self::POINTWISE_KXK,
        Self::POINTWISE_AVG,
        Self::KXK,
        Self::ONE_BY_K,
        Self::K_BY_ONE,
        Self::IDENTITY,
        Self::AVG,
        Self::RESIDUAL_KXK,
        Self::POINTWISE_PRIOR,
        Self::DEPTHWISE_POINTWISE,
    ];

    const fn conv(size: [Option<u16>; 2]) -> Self {
        Self { first: First::None, core: Core::Conv(Taps { size, step: 1 }) }
    }

    /// A convolution of `size` `[height, width]`, smaller than the block's, whose taps lie `step` of the block's apart:
    /// `3x3d2`.
    ///
    /// # Errors
    /// A size or a step of zero, or above 999.
    pub fn smaller(size: [usize; 2], step: usize) -> Result<Self, UnknownName> {
        let [height, width] = size;
        // A step between taps of which there is one is none.
        let step = if size == [1, 1] { 1 } else { step };
        let dilated = if step == 1 { String::new() } else { format!("d{step}") };
        format!("{height}x{width}{dilated}").parse()
    }

    /// Every kind that a block of `geometry` can have.
    #[must_use]
    pub fn existing(geometry: &impl Geometry) -> Vec<Self> {
        let [heights, widths] = geometry.kernel_size().map(|size| {
            let sizes = 1..=u16::try_from(size).unwrap_or(LARGEST).min(LARGEST);
            std::iter::once(None).chain(sizes.clone().map(Some)).collect::<Vec<_>>()
        });
        let [height, width] = geometry.kernel_size();
        let steps = 1..=u16::try_from(height.max(width)).unwrap_or(LARGEST).min(LARGEST);
        let mut found = vec![
            Self::IDENTITY,
            Self::AVG,
            Self::POINTWISE_AVG,
            Self::POINTWISE_PRIOR,
            Self::DEPTHWISE_POINTWISE,
        ];
        let firsts = [First::None, First::Pointwise, First::Residual];
        for height in heights {
            for width in &widths {
                let taps = steps.clone().map(|step| Taps { size: [height, *width], step });
                let cores = taps.filter(|taps| taps.is_canonical()).map(Core::Conv);
                found.extend(cores.flat_map(|core| firsts.map(|first| Self { first, core })));
            }
        }
        found.retain(|kind| kind.exists(geometry));
        found.sort_unstable();
        found
    }

    /// The step that sees more than one pixel, or could.
    #[must_use]
    pub fn core(self) -> Core {
        self.core
    }

    /// The convolution in front of the core.
    #[must_use]
    pub fn first(self) -> First {
        self.first
    }

    /// Whether a block of `geometry` has a convolution at the start of this branch. The average of a depthwise block has
    /// none: it would only scale.
    #[must_use]
    pub fn has_first(self, geometry: &impl Geometry) -> bool {
        self.is_sequence() && !(self.core == Core::Average && geometry.is_depthwise())
    }

    /// Whether it starts with a convolution, wherever there is a point in one.
    pub(super) const fn is_sequence(self) -> bool {
        !matches!(self.first, First::None)
    }

    /// Whether it exists without norms alone, ending in [`End::Linear`](super::spec::End).
    #[must_use]
    pub const fn is_always_linear(self) -> bool {
        matches!(self.first, First::Depthwise) || matches!(self.core, Core::Prior)
    }

    /// Whether it has a convolution with all of the block's taps, which may itself be a block.
    #[must_use]
    pub fn nests(self) -> bool {
        matches!(self.core, Core::Conv(taps) if taps.size == [None, None])
    }

    /// Whether a convolution is its core.
    #[must_use]
    pub fn convolves(self) -> bool {
        matches!(self.core, Core::Conv(_))
    }

    /// Whether it has two convolutions, the channels between which are chosen.
    #[must_use]
    pub fn has_middle(self) -> bool {
        self.is_sequence() && self.convolves()
    }

    /// The channels between its two convolutions where nothing else is said, in a block of `geometry`.
    #[must_use]
    pub fn mid_channels(self, geometry: &impl Geometry) -> usize {
        let [inputs, _] = geometry.channels();
        if self.first == First::Depthwise { MULTIPLIER * inputs } else { inputs }
    }

    /// The block's taps that the core reads, or a depthwise convolution before it: of an average all, of the input the one
    /// on the output's own pixel.
    ///
    /// # Errors
    /// The reason why a block of `geometry` cannot have this branch.
    pub fn window(self, geometry: &impl Geometry) -> Result<Window, BranchUnavailable> {
        let all = Taps { size: [None, None], step: 1 };
        let taps = match self.core {
            Core::Conv(_) if self.first == First::Depthwise => all,
            Core::Conv(taps) => taps,
            Core::Prior => all,
            Core::Average => {
                if !self.is_sequence() {
                    check_channels(geometry)?;
                }
                all
            }
            Core::Input => {
                check_input(geometry)?;
                Taps { size: [Some(1), Some(1)], step: 1 }
            }
        };
        taps.window(geometry)
    }

    /// Whether a block of `geometry` can have this branch.
    #[must_use]
    pub fn exists(self, geometry: &impl Geometry) -> bool {
        self.window(geometry).is_ok()
    }

    /// The names of its parts in parameter paths.
    #[must_use]
    pub fn part_names(self) -> PartNames {
        match (self.first, self.core) {
            (First::None, _) => PartNames { first: ["", ""], conv: "conv", norm: "bn" },
            (_, Core::Average | Core::Prior) => {
                PartNames { first: ["conv", "bn"], conv: "", norm: "avgbn" }
            }
            _ => PartNames { first: ["conv1", "bn1"], conv: "conv2", norm: "bn2" },
        }
    }

    fn place(self) -> usize {
        Self::NAMED.iter().position(|&kind| kind == self).unwrap_or(Self::NAMED.len())
    }
}

/// What the parts of a branch are called in parameter paths; empty where it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartNames {
    /// The convolution in front of the core and its norm.
    pub first: [&'static str; 2],
    /// The core's convolution.
    pub conv: &'static str,
    /// The norm that ends it.
    pub norm: &'static str,
}

/// The order in which blocks keep and sum their branches.
impl Ord for BranchKind {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |kind: &Self| (kind.place(), kind.first, kind.core);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for BranchKind {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Taps {
    /// Whether no other value means the same taps in every block.
    fn is_canonical(self) -> bool {
        let spread = self.size.iter().flatten().any(|size| *size > 1);
        self.step == 1 || spread
    }
}
