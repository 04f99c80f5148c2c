//! A branch with its parameters: what its chain says, in modules of Burn's.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, RunningState};
use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor};
use dyrep_config::{BranchKind, BranchName, Core, End, First};

use super::build::{Builder, GAMMA, apart, as_identity, set_state, with_value};
use super::rep_conv2d::RepConv2d;
use crate::fuse::{
    Kernel, NormAffine, embed, fold_norm, identity, options_of, repeated_identity, scale,
    then_average, then_kxk, then_pointwise, then_prior, wide,
};
use crate::geometry::{ConvGeometry, checked_window};
use crate::structure::BranchForm;

/// A branch of a block.
///
/// Its parameters lie below its name: `1x1.conv.weight`, `1x1_kxk.bn1.gamma`, `kxk.2.conv.weight`, `identity.scale`.
#[derive(Clone, Debug)]
pub struct Branch {
    name: BranchName,
    /// The block's.
    pub(super) geometry: ConvGeometry,
    /// Whether it is left out of every pass, and of the fused kernel.
    pub(super) resting: bool,
    pub(crate) parts: Parts,
}

/// What a branch consists of; which parts are there follows from its form.
#[derive(Module, Debug)]
pub(crate) struct Parts {
    /// 1×1 convolution `[mid, in / groups, 1, 1]`, or depthwise one `[mid, 1, height, width]`, no bias.
    pub(crate) first: Option<Conv2d>,
    /// The norm after it.
    pub(crate) first_norm: Option<BatchNorm>,
    /// The convolution at the core.
    pub(crate) conv: Option<RepConv2d>,
    /// The norm at the end.
    pub(crate) norm: Option<BatchNorm>,
    /// The scale at the end, `[out]`.
    pub(crate) scale: Option<Param<Tensor<1>>>,
    /// The scale at the end that is not learnt, `[out]`.
    pub(crate) constant: Option<RunningState<Tensor<1>>>,
}

impl Branch {
    /// Builds a branch of a block of `geometry`, around a convolution where there is one already: `kxk` of one that grows.
    /// `form` must have been checked against the geometry.
    pub(crate) fn build(
        conv: Option<RepConv2d>,
        geometry: &ConvGeometry,
        form: &BranchForm,
        builder: &mut Builder<'_>,
    ) -> Self {
        let build = |builder: &mut Builder<'_>| Parts::build(conv, geometry, form, builder);
        let parts = builder.within(&form.name.to_string(), build);
        Self { name: form.name, geometry: geometry.clone(), resting: form.resting, parts }
    }

    /// Which branch of its block it is.
    #[must_use]
    pub fn name(&self) -> BranchName {
        self.name
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> BranchKind {
        self.name.kind
    }

    /// Whether it rests: no pass runs it, it adds nothing to the block's kernel, and its parameters get no gradients.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        self.resting
    }

    /// What ends it.
    #[must_use]
    pub fn end(&self) -> End {
        match &self.parts {
            Parts { norm: Some(_), .. } => End::Norm,
            Parts { scale: Some(_), first: Some(_), first_norm: None, .. } => End::Linear,
            Parts { scale: Some(_), .. } => End::Scale,
            Parts { constant: Some(_), .. } => End::Constant,
            _ => End::Nothing,
        }
    }

    /// Channels between its two convolutions, where it has two.
    pub(crate) fn mid_channels(&self) -> Option<usize> {
        let first = self.parts.first.as_ref().filter(|_| self.kind().has_middle())?;
        // Asking for the tensor would make it.
        Some(first.weight.lazy_shape().dims::<4>()[0])
    }

    /// Its form.
    #[must_use]
    pub fn form(&self) -> BranchForm {
        BranchForm {
            name: self.name,
            end: self.end(),
            mid_channels: self.mid_channels(),
            conv: self.parts.conv.as_ref().map(|conv| Box::new(conv.form())),
            resting: self.resting,
        }
    }

    /// The convolution at its core, if it has one.
    #[must_use]
    pub fn conv(&self) -> Option<&RepConv2d> {
        self.parts.conv.as_ref()
    }

    /// The batch norm that ends it, if one does; its γ says how much the branch adds.
    #[must_use]
    pub fn norm(&self) -> Option<&BatchNorm> {
        self.parts.norm.as_ref()
    }

    /// The scale that ends it, learnt or not, `[out]`.
    #[must_use]
    pub fn scale(&self) -> Option<Tensor<1>> {
        let learnt = self.parts.scale.as_ref().map(Param::val);
        learnt.or_else(|| self.parts.constant.as_ref().map(RunningState::value))
    }

    /// Sets the scale that ends it, if one does. A constant of clones stays as it is.
    pub(crate) fn set_scale(&mut self, value: Tensor<1>) {
        let Parts { scale, constant, .. } = &mut self.parts;
        *scale = scale.take().map(|scale| with_value(scale, value.clone()));
        *constant = constant.take().map(|shared| {
            let old = shared.value();
            let own = apart(&shared, &old.device());
            set_state(&own, value.cast(old.dtype()).detach());
            own
        });
    }

    /// Whether it is linear while it trains, too.
    pub(crate) fn is_linear(&self) -> bool {
        let Parts { first_norm, norm, conv, .. } = &self.parts;
        let inside = |conv: &RepConv2d| {
            conv.block().is_none_or(|block| block.norm_after.is_none() && block.is_linear())
        };
        first_norm.is_none() && norm.is_none() && conv.as_ref().is_none_or(inside)
    }

    /// The weight of the convolution at its start, as it is applied.
    pub(crate) fn first_weight(&self) -> Option<Tensor<4>> {
        let weight = self.parts.first.as_ref()?.weight.val();
        if self.kind().first() != First::Residual {
            return Some(weight);
        }
        let (channels, groups) = (self.geometry.in_channels(), self.geometry.groups());
        let times = weight.dims()[0] / channels;
        let identity = repeated_identity(channels, times, groups, options_of(&weight));
        Some(weight + identity.weight())
    }

    /// The convolution at its start, as it is applied.
    fn first(&self) -> Option<Kernel> {
        let geometry = ConvGeometry::of(self.parts.first.as_ref()?);
        self.first_weight().map(|weight| Kernel::new(wide(weight), None, geometry))
    }

    /// The weight of the convolution at its start, if no norm stands behind it.
    pub(crate) fn linear_first(&self) -> Option<Tensor<4>> {
        self.first_weight().filter(|_| self.parts.first_norm.is_none())
    }

    /// The kernel of a linear sequence without its scale, with the taps that its core reads.
    pub(crate) fn sequence(&self) -> Option<Kernel> {
        let first = self.first().filter(|_| self.parts.first_norm.is_none());
        first.map(|first| self.behind(&first))
    }

    /// The kernel of what stands first, through its norm if it has one, followed by the core.
    fn behind(&self, first: &Kernel) -> Kernel {
        match (&self.parts.conv, self.kind().core()) {
            (Some(conv), _) if self.kind().first() == First::Depthwise => {
                then_pointwise(first, &conv.fuse())
            }
            (Some(conv), _) => then_kxk(first, &conv.fuse()),
            (None, Core::Prior) => then_prior(first, &self.geometry),
            (None, _) => then_average(first, &self.geometry),
        }
    }

    /// The kernel, of the block's geometry, that the branch is at inference, in numbers `like` those of the block's k×k
    /// convolution: a branch may have no parameters. Gradients flow through it.
    pub(crate) fn fuse(&self, like: &Tensor<4>) -> Kernel {
        let (first_norm, conv) = (&self.parts.first_norm, &self.parts.conv);
        let first = self.first().map(|kernel| match first_norm {
            Some(norm) => fold_norm(&kernel, &NormAffine::of(norm)),
            None => kernel,
        });
        let (geometry, window) = (&self.geometry, checked_window(self.kind(), &self.geometry));
        let pass_through = || identity(geometry.in_channels(), geometry.groups(), options_of(like));
        match (self.kind().core(), conv) {
            (Core::Conv(_), Some(_)) if self.kind().first() == First::Depthwise => {
                let first = first.unwrap_or_else(|| unreachable!("its form has one"));
                self.fold_end(self.behind(&first))
            }
            (Core::Conv(_), Some(conv)) => {
                let conv = self.fold_end(conv.fuse());
                let whole = first.map_or_else(|| conv.clone(), |first| then_kxk(&first, &conv));
                embed(&whole, geometry, &window)
            }
            (Core::Average | Core::Prior, _) => {
                let first = first.unwrap_or_else(pass_through);
                self.fold_end(self.behind(&first))
            }
            (Core::Input, _) => embed(&self.fold_end(pass_through()), geometry, &window),
            (Core::Conv(_), None) => unreachable!("its form has a convolution"),
        }
    }

    /// The kernel of a branch without parameters at its core, before what ends it, in numbers `like` those of the block's
    /// k×k convolution.
    pub(crate) fn without_end(&self, like: &Tensor<4>) -> Kernel {
        let (inputs, groups) = (self.geometry.in_channels(), self.geometry.groups());
        then_average(&identity(inputs, groups, options_of(like)), &self.geometry)
    }

    /// The kernel followed by what ends the branch.
    fn fold_end(&self, kernel: Kernel) -> Kernel {
        match (self.norm(), self.scale()) {
            (Some(norm), _) => fold_norm(&kernel, &NormAffine::of(norm)),
            (None, Some(by)) => scale(&kernel, by),
            (None, None) => kernel,
        }
    }
}

impl Parts {
    /// Builds the parts, around a convolution where there is one already.
    fn build(
        conv: Option<RepConv2d>,
        geometry: &ConvGeometry,
        form: &BranchForm,
        builder: &mut Builder<'_>,
    ) -> Self {
        let (kind, names, outputs) =
            (form.name.kind, form.name.kind.part_names(), geometry.out_channels());
        let first = form.first_geometry(geometry);
        let first = first.as_ref();
        let [_, first_norm] = names.first;
        // What nothing behind it makes small must be so by itself.
        let bare = matches!(form.end, End::Nothing | End::Constant);
        let main = form.name == BranchName::MAIN;
        let build = |builder: &mut Builder<'_>, conv| {
            let own = form.conv_geometry(geometry);
            let built =
                builder.with_small_weights(bare && !main, |it| RepConv2d::build(&own, conv, it));
            match (built, builder.identities(kind, geometry)) {
                (RepConv2d::Plain(conv), [_, true]) => RepConv2d::Plain(as_identity(conv)),
                (built, _) => built,
            }
        };
        let gain = builder.last_gain(main);
        let is = |end| form.end == end;
        Self {
            first: first.map(|conv| builder.first(kind, conv, geometry)),
            first_norm: first
                .filter(|_| form.end != End::Linear)
                .map(|conv| builder.norm(first_norm, conv.out_channels(), GAMMA)),
            conv: conv.or_else(|| {
                let conv = form.conv.as_deref()?;
                Some(builder.within(names.conv, |builder| build(builder, conv)))
            }),
            norm: is(End::Norm).then(|| builder.norm(names.norm, outputs, gain)),
            scale: (is(End::Scale) || is(End::Linear))
                .then(|| builder.constant(SCALE, outputs, builder.last_scale(form.name, geometry))),
            constant: is(End::Constant).then(|| builder.running(CONSTANT, outputs, 1.0)),
        }
    }
}

/// Where a scale at the end lies, one that is learnt and one that is not.
pub(crate) const SCALE: &str = "scale";
pub(crate) const CONSTANT: &str = "constant";

/// The container type that visitors are told: what lies below a branch's name.
const CONTAINER: &str = "Struct:Branch";

impl Branch {
    /// The levels of its name in parameter paths.
    fn levels(&self) -> impl DoubleEndedIterator<Item = String> + use<> {
        let nth = (self.name.nth > 1).then(|| self.name.nth.to_string());
        [Some(self.name.kind.to_string()), nth].into_iter().flatten()
    }

    /// The branch on a device. Statistics stay common to all clones, since replicas average theirs; a constant does not.
    fn moved(mut self, device: &Device, moved: impl FnOnce(Parts, &Device) -> Parts) -> Self {
        let constant = self.parts.constant.take();
        let constant = constant.map(|constant| apart(&constant, device));
        let parts = Parts { constant, ..moved(self.parts, device) };
        Self { parts, ..self }
    }
}

/// Parameters appear below the branch's name and its parts' by the kind, and nothing else.
impl Module for Branch {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.parts.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        self.moved(device, Parts::fork)
    }

    fn to_device(self, device: &Device) -> Self {
        self.moved(device, Parts::to_device)
    }

    fn train(self) -> Self {
        Self { parts: self.parts.train(), ..self }
    }

    fn valid(&self) -> Self {
        let (geometry, parts) = (self.geometry.clone(), self.parts.valid());
        Self { name: self.name, geometry, resting: self.resting, parts }
    }

    /// A branch cannot become anything else by itself: the layer replaces its block whole.
    fn materialize(self) -> Self {
        self
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.levels().for_each(|level| visitor.enter_module(&level, BLOCK));
        let Parts { first, first_norm, conv, norm, scale, constant } = &self.parts;
        let names = self.kind().part_names();
        visit_part([names.first[0], CONTAINER], first, visitor);
        visit_part([names.first[1], CONTAINER], first_norm, visitor);
        visit_part([names.conv, CONTAINER], conv, visitor);
        visit_part([names.norm, CONTAINER], norm, visitor);
        visit_part([SCALE, CONTAINER], scale, visitor);
        visit_part([CONSTANT, CONTAINER], constant, visitor);
        self.levels().rev().for_each(|level| visitor.exit_module(&level, BLOCK));
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        self.levels().for_each(|level| mapper.enter_module(&level, BLOCK));
        let names = self.kind().part_names();
        let levels = self.levels();
        let Parts { first, first_norm, conv, norm, scale, constant } = self.parts;
        let parts = Parts {
            first: map_part([names.first[0], CONTAINER], first, mapper),
            first_norm: map_part([names.first[1], CONTAINER], first_norm, mapper),
            conv: map_part([names.conv, CONTAINER], conv, mapper),
            norm: map_part([names.norm, CONTAINER], norm, mapper),
            scale: map_part([SCALE, CONTAINER], scale, mapper),
            constant: map_part([CONSTANT, CONTAINER], constant, mapper),
        };
        levels.rev().for_each(|level| mapper.exit_module(&level, BLOCK));
        Self { parts, ..self }
    }
}

/// The container type of what lies in a block.
pub(super) const BLOCK: &str = "Struct:Block";

/// Maps what lies at a name in a container of this type.
pub(super) fn map_part<P: Module, M: ModuleMapper>(
    [name, container]: [&str; 2],
    part: Option<P>,
    mapper: &mut M,
) -> Option<P> {
    let part = part?;
    mapper.enter_module(name, container);
    let mapped = part.map(mapper);
    mapper.exit_module(name, container);
    Some(mapped)
}

/// Visits what lies at a name in a container of this type.
pub(super) fn visit_part<P: Module, V: ModuleVisitor>(
    [name, container]: [&str; 2],
    part: &Option<P>,
    visitor: &mut V,
) {
    if let Some(part) = part {
        visitor.enter_module(name, container);
        part.visit(visitor);
        visitor.exit_module(name, container);
    }
}
