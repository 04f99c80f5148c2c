//! [`RepConv2d`]: a convolution that may be a block of branches while it trains.

use std::ops::ControlFlow;

use burn::module::{
    Content, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param,
    ParamId,
};
use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, GradientCheckpointingStrategy, Tensor};

use super::block::Block;
use super::branch::Branch;
use super::build::{Builder, conv2d, mix, with_value};
use super::stack::Stack;
use crate::fuse::Kernel;
use crate::geometry::ConvGeometry;
use crate::look::{tap, walk};
use crate::ops::{Tail, batch_norm, convolve, convolve_norm};
use crate::pass::Pass;
use crate::structure::Form;

/// A 2-D convolution that can grow branches and fuse them back; use it where you would use [`Conv2d`].
///
/// `W ∗ x + b` while plain; as a [`Block`] the sum of its branches, which at inference equals one
/// convolution of the same geometry (DyRep, arXiv 2203.12868); as a [`Stack`] 3×3 layers in sequence, which equal one
/// while they train, too (OREPA, arXiv 2204.00826). [`Module::materialize`] replaces either by that convolution.
///
/// Parameter paths have no level of their own: a plain layer's weight is `conv1.weight`, as Burn's and
/// torchvision's, a block's `conv1.kxk.conv.weight`, `conv1.1x1.bn.gamma`, ….
///
/// Created by [`RepConv2dConfig`](crate::RepConv2dConfig).
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "plain is the deployed form: no indirection there")]
pub enum RepConv2d {
    /// One convolution.
    Plain(Conv2d),
    /// A block of branches.
    Block(Box<Block>),
    /// 3×3 layers in sequence.
    Stack(Box<Stack>),
}

impl RepConv2d {
    /// Builds a layer; `form` must have been checked against `geometry`.
    pub(crate) fn build(geometry: &ConvGeometry, form: &Form, builder: &mut Builder<'_>) -> Self {
        match form {
            Form::Plain { bias } => {
                // A plain convolution's parameters have no level of their own; nor does the builder's path.
                Self::Plain(builder.bare_conv(geometry, *bias))
            }
            Form::Block(form) => Self::Block(Box::new(Block::build(geometry, form, builder))),
            Form::Stack(form) => Self::Stack(Box::new(Stack::build(geometry, form, builder))),
        }
    }

    /// Convolves.
    ///
    /// # Shapes
    /// - input: `[batch, in, height, width]`
    /// - output: `[batch, out, height', width']`
    ///
    /// # Panics
    /// If the input does not have the layer's input channels.
    #[must_use]
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.forward_seen(tap::replaced(|| self.id(), input))
    }

    /// [`forward`](Self::forward) on what the layer reads, with a note to a tap.
    fn forward_seen(&self, input: Tensor<4>) -> Tensor<4> {
        let tapped = tap::is_on().then(|| input.clone());
        let pass = Pass::of(self, &input);
        let output = self.forward_pass(input, pass);
        if let Some(input) = tapped {
            tap::record(self.id(), &input, &output);
        }
        output
    }

    /// Convolves and normalises, with what follows: `relu?(bn(conv(x)) + residual?)`.
    ///
    /// The same as [`batch_norm`] of [`forward`](Self::forward); a plain layer off the graph does all of it in one
    /// pass.
    ///
    /// # Shapes
    /// - input: `[batch, in, height, width]`
    /// - residual and output: `[batch, out, height', width']`
    ///
    /// # Panics
    /// If the input does not have the layer's input channels, or the norm not its output channels.
    #[must_use]
    pub fn forward_norm(&self, input: Tensor<4>, norm: &BatchNorm, tail: Tail) -> Tensor<4> {
        let input = tap::replaced(|| self.id(), input);
        if let Self::Plain(conv) = self
            && !tap::is_on()
            && let Some(output) = convolve_norm(conv, norm, &input, &tail)
        {
            return output;
        }
        batch_norm(norm, self.forward_seen(input), tail)
    }

    pub(crate) fn forward_pass(&self, input: Tensor<4>, pass: Pass) -> Tensor<4> {
        match self {
            Self::Plain(conv) => convolve(conv, input),
            Self::Block(block) => block.forward_pass(&input, pass),
            Self::Stack(stack) => stack.forward_pass(&input, pass),
        }
    }

    /// The one kernel that the layer is at inference. Gradients flow through it.
    #[must_use]
    pub fn fuse(&self) -> Kernel {
        match self {
            Self::Plain(conv) => Kernel::of(conv),
            Self::Block(block) => block.fuse(),
            Self::Stack(stack) => stack.fuse(),
        }
    }

    /// The layer's geometry.
    #[must_use]
    pub fn geometry(&self) -> ConvGeometry {
        match self {
            Self::Plain(conv) => ConvGeometry::of(conv),
            Self::Block(block) => block.geometry().clone(),
            Self::Stack(stack) => stack.geometry().clone(),
        }
    }

    /// The layer's form.
    #[must_use]
    pub fn form(&self) -> Form {
        match self {
            Self::Plain(conv) => Form::Plain { bias: conv.bias.is_some() },
            Self::Block(block) => Form::Block(block.form()),
            Self::Stack(stack) => Form::Stack(stack.form()),
        }
    }

    /// The block, if the layer is one.
    #[must_use]
    pub fn block(&self) -> Option<&Block> {
        match self {
            Self::Block(block) => Some(block),
            Self::Plain(_) | Self::Stack(_) => None,
        }
    }

    /// The stack, if the layer is one.
    #[must_use]
    pub fn stack(&self) -> Option<&Stack> {
        match self {
            Self::Stack(stack) => Some(stack),
            Self::Plain(_) | Self::Block(_) => None,
        }
    }

    /// Whether nothing in it is a norm, but one that follows: the layer is one convolution while it trains, too.
    #[must_use]
    pub fn is_linear(&self) -> bool {
        self.block().is_none_or(Block::is_linear)
    }

    /// Whether the layer is one convolution.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Whether a branch rests, at any depth.
    pub(crate) fn rests(&self) -> bool {
        let rests = |branch: &Branch| branch.is_resting() || branch.conv().is_some_and(Self::rests);
        match self {
            Self::Plain(_) => false,
            Self::Block(block) => block.branches.iter().any(rests),
            Self::Stack(stack) => stack.layers().iter().any(Self::rests),
        }
    }

    /// The layer's identity through growth and cuts: the id of its innermost k×k weight, of a stack that of its first layer.
    #[must_use]
    pub fn id(&self) -> ParamId {
        self.innermost().weight.id
    }

    /// The k×k convolution at the end of the chain of `kxk` branches, of a stack's first layer.
    pub(crate) fn innermost(&self) -> &Conv2d {
        match self {
            Self::Plain(conv) => conv,
            Self::Block(block) => block.main_conv().innermost(),
            Self::Stack(stack) => stack.layers[0].innermost(),
        }
    }

    /// A plain layer with the value of `kernel` and the parameters' identities of this one; that of a stack, whose layers
    /// have other kernels, has its own.
    #[must_use]
    pub fn into_plain(self, kernel: &Kernel) -> Self {
        let innermost = self.innermost();
        // Off the graph nothing requires a gradient; what will, once training, is seen by going there.
        let trains = innermost.weight.clone().train().is_require_grad();
        let bias = kernel.bias().map(|value| match innermost.bias.clone() {
            Some(bias) => with_value(bias, value),
            None => {
                // Every replica must give the new parameter the same identity.
                let id = ParamId::from(mix([innermost.weight.id.val(), 0], "bias"));
                let mut bias = Param::from_tensor(value.detach()).set_require_grad(trains);
                bias.id = id;
                bias
            }
        });
        let mut weight = with_value(innermost.weight.clone(), kernel.weight());
        if let Self::Stack(_) = self {
            // What an optimiser keeps for an identity has one shape.
            weight.id = ParamId::from(mix([weight.id.val(), 0], "stack"));
        }
        Self::Plain(conv2d(weight, bias, kernel.geometry()))
    }
}

/// `layer` in the state of another: in training on the graph as that is, with its strategy of keeping what the backward
/// pass reads, or in evaluation mode.
pub(crate) fn in_state_of(other: &RepConv2d, layer: &RepConv2d) -> RepConv2d {
    /// Burn's `train` knows the default strategy only.
    struct With(GradientCheckpointingStrategy);
    impl ModuleMapper for With {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|value| value.with_gradient_checkpointing_strategy(self.0))
        }
    }
    match other.innermost().weight.lazy_device().gradient_checkpointing_strategy() {
        Some(strategy) => layer.valid().train().map(&mut With(strategy)),
        None => layer.valid(),
    }
}

/// # Panics
/// If the convolution is one that no [`ConvGeometry`] has.
impl From<Conv2d> for RepConv2d {
    fn from(conv: Conv2d) -> Self {
        let geometry = ConvGeometry::of(&conv).validated();
        geometry.unwrap_or_else(|error| panic!("RepConv2d: {error}"));
        Self::Plain(conv)
    }
}

/// Never enters a level of its own, so that a plain layer has the same paths as a [`Conv2d`].
impl Module for RepConv2d {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        match self {
            Self::Plain(conv) => conv.collect_devices(devices),
            Self::Block(block) => block.collect_devices(devices),
            Self::Stack(stack) => stack.collect_devices(devices),
        }
    }

    fn fork(self, device: &Device) -> Self {
        match self {
            Self::Plain(conv) => Self::Plain(conv.fork(device)),
            Self::Block(block) => Self::Block(Box::new(block.fork(device))),
            Self::Stack(stack) => Self::Stack(Box::new(stack.fork(device))),
        }
    }

    fn to_device(self, device: &Device) -> Self {
        match self {
            Self::Plain(conv) => Self::Plain(conv.to_device(device)),
            Self::Block(block) => Self::Block(Box::new(block.to_device(device))),
            Self::Stack(stack) => Self::Stack(Box::new(stack.to_device(device))),
        }
    }

    fn train(self) -> Self {
        match self {
            Self::Plain(conv) => Self::Plain(conv.train()),
            Self::Block(block) => Self::Block(Box::new(block.train())),
            Self::Stack(stack) => Self::Stack(Box::new(stack.train())),
        }
    }

    fn valid(&self) -> Self {
        match self {
            Self::Plain(conv) => Self::Plain(conv.valid()),
            Self::Block(block) => Self::Block(Box::new(block.valid())),
            Self::Stack(stack) => Self::Stack(Box::new(stack.valid())),
        }
    }

    /// Fuses a block or a stack into the one convolution that it is at inference.
    fn materialize(self) -> Self {
        match self {
            Self::Plain(conv) => Self::Plain(conv.materialize()),
            Self::Block(_) | Self::Stack(_) => {
                let kernel = self.fuse();
                self.into_plain(&kernel)
            }
        }
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        if walk::offer_to_visitor(self, visitor) {
            return;
        }
        match self {
            Self::Plain(conv) => conv.visit(visitor),
            Self::Block(block) => block.visit(visitor),
            Self::Stack(stack) => stack.visit(visitor),
        }
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        match walk::offer_to_mapper(self, mapper) {
            ControlFlow::Break(replacement) => replacement,
            ControlFlow::Continue(Self::Plain(conv)) => Self::Plain(conv.map(mapper)),
            ControlFlow::Continue(Self::Block(block)) => Self::Block(Box::new(block.map(mapper))),
            ControlFlow::Continue(Self::Stack(stack)) => Self::Stack(Box::new(stack.map(mapper))),
        }
    }
}

impl ModuleDisplayDefault for RepConv2d {
    fn content(&self, content: Content) -> Option<Content> {
        content
            .set_top_level_type("RepConv2d")
            .add_formatted(&format!("RepConv2d {{{}, {}}}", self.geometry(), self.form()))
            .optional()
    }
}

impl ModuleDisplay for RepConv2d {}
