//! The form of a layer: plain, or a block with these branches. No tensors.
//!
//! A [`Form`] says all that is needed to rebuild a layer's tree of modules for a given geometry. It is what
//! a [`Structure`](crate::Structure) records for each layer.

use std::fmt;

use dyrep_config::{BranchKind, BranchName, BranchSpec, Branches, DEEPEST, End, First};
use serde::{Deserialize, Serialize};

use super::raw::{RawBlock, RawBranch};
use super::stack::StackForm;
use crate::error::{BranchError, ConfigError, MidChannels, StackError};
use crate::geometry::{ConvGeometry, checked_window};

/// What a [`RepConv2d`](crate::RepConv2d) consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Form {
    /// One convolution.
    Plain {
        /// Whether it has a bias.
        bias: bool,
    },
    /// A block of branches.
    Block(BlockForm),
    /// 3×3 layers in sequence.
    Stack(StackForm),
}

/// What a block consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawBlock", into = "RawBlock")]
pub struct BlockForm {
    /// `kxk` first, then the others in canonical order.
    pub branches: Vec<BranchForm>,
    /// Whether a batch norm follows the sum.
    pub norm_after: bool,
}

/// What a branch consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawBranch", into = "RawBranch")]
pub struct BranchForm {
    /// Which it is.
    pub name: BranchName,
    /// What ends it.
    pub end: End,
    /// Channels between its two convolutions, where it has two.
    pub mid_channels: Option<usize>,
    /// The convolution at its core, where there is one; only one with all of the block's taps may be a block.
    pub conv: Option<Box<Form>>,
    /// Whether it rests: see [`Branch::is_resting`](crate::Branch::is_resting). Where others run, `kxk` may do so too.
    pub resting: bool,
}

impl BranchForm {
    /// A branch as asked for, with plain convolutions; `mid_channels` counts where it has two.
    #[must_use]
    pub fn new(name: BranchName, spec: BranchSpec, mid_channels: usize) -> Self {
        let kind = name.kind;
        Self {
            name,
            end: spec.end,
            mid_channels: kind.has_middle().then_some(mid_channels),
            conv: kind.convolves().then(|| Box::new(Form::Plain { bias: spec.bias })),
            resting: false,
        }
    }

    /// What it would be asked for as.
    #[must_use]
    pub fn spec(&self) -> BranchSpec {
        let spec = BranchSpec::new(self.name.kind, self.end);
        if self.has_bare_bias() { spec.with_bias() } else { spec }
    }

    /// Whether its convolution has a bias that is neither the layer's nor taken away by what follows.
    pub(super) fn has_bare_bias(&self) -> bool {
        let bias = matches!(self.conv.as_deref(), Some(Form::Plain { bias: true }));
        bias && self.end == End::Nothing && self.name != BranchName::MAIN
    }

    /// Whether it has a norm in a block of this geometry, at its end or behind its first convolution.
    fn has_norm(&self, block: &ConvGeometry) -> bool {
        match self.end {
            End::Norm => true,
            End::Linear => false,
            End::Scale | End::Constant | End::Nothing => self.name.kind.has_first(block),
        }
    }

    /// The block inside, if there is one.
    #[must_use]
    pub fn nested(&self) -> Option<&BlockForm> {
        match self.conv.as_deref() {
            Some(Form::Block(block)) => Some(block),
            _ => None,
        }
    }

    /// The convolution that it starts with in a block of this geometry, if it does.
    pub(crate) fn first_geometry(&self, block: &ConvGeometry) -> Option<ConvGeometry> {
        let inputs = block.in_channels();
        let channels = [inputs, self.mid_channels.unwrap_or(block.out_channels())];
        let geometry = || match self.name.kind.first() {
            First::Depthwise => block.clone().with_outputs(channels[1], inputs),
            _ => block.resized(channels, [1, 1]),
        };
        self.name.kind.has_first(block).then(geometry)
    }

    /// The convolution at its core by itself: what is left of the block's geometry when the padding is done before.
    /// That of a branch with all taps and no 1×1 is the block's.
    pub(crate) fn conv_geometry(&self, block: &ConvGeometry) -> ConvGeometry {
        let window = checked_window(self.name.kind, block);
        match self.mid_channels {
            Some(middle) if self.name.kind.first() == First::Depthwise => {
                block.resized([middle, block.out_channels()], [1, 1])
            }
            None if self.name.kind.nests() => block.clone(),
            None => block.windowed(&window),
            Some(middle) => block.windowed(&window).with_in_channels(middle).unpadded(),
        }
    }

    fn check(&self, depth: usize, geometry: &ConvGeometry) -> Result<(), ConfigError> {
        let kind = self.name.kind;
        BranchError::check(kind, self.end, geometry)?;
        let malformed = || ConfigError::Parts { branch: self.name };
        let bias = matches!(self.conv.as_deref(), Some(Form::Plain { bias: true }));
        let nested = self.nested().is_some();
        if self.name.nth == 0
            || kind.convolves() != self.conv.is_some()
            || kind.has_middle() != self.mid_channels.is_some()
            || (nested && !kind.nests())
            || (self.end == End::Linear && !kind.has_first(geometry))
            // Nothing is built so, and the kernels know no bias in front of what takes it away.
            || (bias && !kind.nests() && self.end != End::Nothing)
        {
            return Err(malformed());
        }
        if let Some(mid_channels) = self.mid_channels {
            let (inputs, groups) = (geometry.in_channels(), geometry.groups());
            let (of, expected) = match kind.first() {
                First::Residual | First::Depthwise => (inputs, MidChannels::OfInputs(inputs)),
                First::Pointwise | First::None => (groups, MidChannels::OfGroups(groups)),
            };
            let fits = mid_channels.is_multiple_of(of);
            if mid_channels == 0 || !fits {
                return Err(ConfigError::MidChannels { branch: kind, mid_channels, expected });
            }
        }
        match self.conv.as_deref() {
            Some(Form::Stack(_)) => Err(StackError::Inside.into()),
            Some(conv @ Form::Block(_)) => {
                conv.check_at(depth + 1, &self.conv_geometry(geometry).validated()?)
            }
            Some(Form::Plain { .. }) => {
                self.conv_geometry(geometry).validated().map(drop).map_err(Into::into)
            }
            None => Ok(()),
        }
    }
}

impl BlockForm {
    /// A block with these branches, `kxk` among them, and plain convolutions; `bias` is that of `kxk`'s, `mid_channels` are
    /// those of each kind.
    pub(crate) fn new(
        specs: &[BranchSpec],
        bias: bool,
        mid_channels: impl Fn(BranchKind) -> usize,
        norm_after: bool,
    ) -> Self {
        let mut branches: Vec<BranchForm> = vec![];
        for spec in specs {
            let there = |form: &&BranchForm| form.name.kind == spec.kind;
            let before = branches.iter().filter(there).count();
            branches.extend((1..=spec.times).map(|number| {
                let name = BranchName { kind: spec.kind, nth: before + number };
                BranchForm::new(name, *spec, mid_channels(spec.kind))
            }));
        }
        // The sort keeps the order of the others.
        branches.sort_by_key(|form| form.name != BranchName::MAIN);
        if let (true, Some(Form::Plain { bias })) = (bias, branches[0].conv.as_deref_mut()) {
            *bias = true;
        }
        Self { branches, norm_after }
    }

    /// What a plain convolution of `geometry` grows into. What follows it in the network stays what it was, so nothing
    /// follows the sum.
    pub(crate) fn grown(branches: &Branches, geometry: &ConvGeometry) -> Result<Self, BranchError> {
        if let Some(preset) = branches.preset().filter(|preset| preset.only_starts()) {
            return Err(BranchError::StartsOnly { preset });
        }
        let specs = branches.resolve(geometry)?.unwrap_or_else(|| vec![BranchKind::KXK.into()]);
        let mid_channels = |kind: BranchKind| kind.mid_channels(geometry);
        Ok(Self::new(&specs, true, mid_channels, false))
    }

    /// Whether nothing in a block of `geometry` is a norm, but one that follows the sum: it trains as one convolution.
    #[must_use]
    pub fn is_linear(&self, geometry: &ConvGeometry) -> bool {
        self.branches.iter().all(|branch| {
            let inside = |block: &Self| {
                !block.norm_after && block.is_linear(&branch.conv_geometry(geometry))
            };
            !branch.has_norm(geometry) && branch.nested().is_none_or(inside)
        })
    }

    /// The branches that run.
    pub fn running(&self) -> impl Iterator<Item = &BranchForm> {
        self.branches.iter().filter(|branch| !branch.resting)
    }

    /// The `kxk` branch.
    #[must_use]
    pub fn main(&self) -> &BranchForm {
        &self.branches[0]
    }

    /// The convolution of the `kxk` branch.
    pub(crate) fn main_conv_mut(&mut self) -> &mut Form {
        self.branches[0].conv.as_mut().unwrap_or_else(|| unreachable!("kxk is a convolution"))
    }

    /// All branches by name, in canonical order.
    #[must_use]
    pub fn names(&self) -> Vec<BranchName> {
        let mut names: Vec<_> = self.branches.iter().map(|form| form.name).collect();
        names.sort_unstable();
        names
    }

    /// All branches as they would be asked for, in canonical order.
    #[must_use]
    pub fn specs(&self) -> Vec<BranchSpec> {
        let mut specs: Vec<_> = self.branches.iter().map(BranchForm::spec).collect();
        specs.sort_unstable();
        specs.dedup_by(|next, before| {
            let same = before.times(1) == *next;
            before.times += usize::from(same);
            same
        });
        specs
    }

    fn check_at(&self, depth: usize, geometry: &ConvGeometry) -> Result<(), ConfigError> {
        if depth == DEEPEST {
            return Err(ConfigError::TooDeep { limit: DEEPEST });
        }
        if self.branches.first().is_none_or(|form| form.name != BranchName::MAIN) {
            return Err(ConfigError::NoMain);
        }
        if self.running().next().is_none() {
            return Err(ConfigError::AllRest);
        }
        for pair in self.branches[1..].windows(2) {
            if pair[0].name >= pair[1].name {
                return Err(
                    BranchError::Order { before: pair[0].name, behind: pair[1].name }.into()
                );
            }
        }
        if self.branches[1..].iter().any(|form| form.name == BranchName::MAIN) {
            return Err(BranchError::Twice { branch: BranchName::MAIN.kind.into() }.into());
        }
        self.branches.iter().try_for_each(|form| form.check(depth, geometry))
    }
}

impl Form {
    /// Checks that every branch exists for a layer of `geometry`, at every depth.
    ///
    /// # Errors
    /// The first branch that does not, parts or channels that do not fit, or blocks that lie too deep.
    pub fn check(&self, geometry: &ConvGeometry) -> Result<(), ConfigError> {
        self.check_at(0, geometry)
    }

    fn check_at(&self, depth: usize, geometry: &ConvGeometry) -> Result<(), ConfigError> {
        match self {
            Self::Plain { .. } => Ok(()),
            Self::Block(block) => block.check_at(depth, geometry),
            Self::Stack(stack) => stack.check(geometry),
        }
    }

    /// The form after deployment of a layer of `geometry`: one convolution, with a bias if there is anything that adds one.
    #[must_use]
    pub fn deployed(&self, geometry: &ConvGeometry) -> Self {
        Self::Plain { bias: self.has_bias(geometry) }
    }

    /// Whether the convolution that it is at inference has a bias: of a convolution inside, or of a norm.
    fn has_bias(&self, geometry: &ConvGeometry) -> bool {
        match self {
            Self::Plain { bias } => *bias,
            Self::Block(block) => {
                let inside = |branch: &BranchForm| {
                    let conv = branch.conv.as_deref();
                    conv.is_some_and(|conv| conv.has_bias(&branch.conv_geometry(geometry)))
                };
                let of_branch = |branch: &BranchForm| branch.has_norm(geometry) || inside(branch);
                block.norm_after || block.running().any(of_branch)
            }
            Self::Stack(stack) => {
                let own = geometry.in_sequence().unwrap_or_default();
                let mut layers = stack.layers.iter().zip(&own);
                stack.norm_after || layers.any(|(layer, own)| layer.has_bias(own))
            }
        }
    }

    /// The form of the `kxk` convolution after a cut: its norm is folded in, and what the cut branches did
    /// goes into the convolution at the end of the chain, which so gets a bias.
    pub(crate) fn give_bias_to_innermost(&mut self) {
        match self {
            Self::Plain { bias } => *bias = true,
            Self::Block(block) => block.main_conv_mut().give_bias_to_innermost(),
            // What goes into a stack makes one convolution of it.
            Self::Stack(_) => *self = Self::Plain { bias: true },
        }
    }

    /// Whether a branch rests, at any depth.
    pub(crate) fn rests(&self) -> bool {
        let inside = |branch: &BranchForm| branch.conv.as_ref().is_some_and(|conv| conv.rests());
        match self {
            Self::Plain { .. } => false,
            Self::Block(block) => {
                block.branches.iter().any(|branch| branch.resting || inside(branch))
            }
            Self::Stack(stack) => stack.layers.iter().any(Self::rests),
        }
    }

    /// Number of branches in all blocks that run, `kxk` included, and layers of stacks; 1 for a plain convolution.
    #[must_use]
    pub fn branch_count(&self) -> usize {
        let count =
            |branch: &BranchForm| branch.conv.as_ref().map_or(1, |conv| conv.branch_count());
        match self {
            Self::Plain { .. } => 1,
            Self::Block(block) => block.running().map(count).sum(),
            Self::Stack(stack) => stack.layers.iter().map(Self::branch_count).sum(),
        }
    }
}

/// Its name and its end, as in `kxk.2:scale`; what lies inside is not told.
impl fmt::Display for BranchForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name.with_end(self.end, self.has_bare_bias()))
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let block = match self {
            Self::Plain { .. } => return f.write_str("conv"),
            Self::Block(block) => block,
            Self::Stack(stack) => return stack.fmt(f),
        };
        for (number, branch) in block.running().enumerate() {
            let plus = if number == 0 { "" } else { " + " };
            write!(f, "{plus}{branch}")?;
            if let (Some(_), Some(conv)) = (branch.nested(), &branch.conv) {
                write!(f, "({conv})")?;
            }
        }
        if block.norm_after { f.write_str(", norm") } else { Ok(()) }
    }
}
