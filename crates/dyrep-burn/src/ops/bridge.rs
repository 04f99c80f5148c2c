//! From Burn's tensors to a backend's executor and back, with and without autodiff.
//!
//! [`Executor`] is a backend extension with one method: it takes a plan that holds the backend's tensors and gives what
//! comes of it. For [`Autodiff`] it is written once, over any backend whose executor can also go backwards
//! ([`Differentiable`]): it runs the same and leaves a step in the graph. Another backend's fast path is an `Executor`
//! for it, a `Differentiable`, its name in the attribute, and nothing else.

use std::any::TypeId;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::retro_forward::RetroForward;
use burn::backend::autodiff::checkpoint::state::BackwardStates;
use burn::backend::autodiff::checkpoint::strategy::{BalancedCheckpointing, CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, BackendTensor, Dispatch, DispatchAutodiffContext,
    DispatchTensor, DispatchTensorKind, ExtensionType, TensorMetadata, backend_extension,
};
use burn::tensor::{DType, Shape};

use super::MOST;
use super::plan::{Done, Plan};

/// Tensors that may carry gradients, in one operation: a step of the graph has a fixed number of parents, so there is one
/// size for convolutions and norms, one for most blocks and one, [`MOST`], for the largest.
const FEW: usize = 4;
const SOME: usize = 32;

/// What a forward pass keeps beside the plan's tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// There is no backward pass.
    Nothing,
    /// What is small; maps are computed again.
    Little,
    /// All that spares the backward pass to compute anything again.
    Much,
}

/// A plan of one backend's tensors.
pub(super) struct PlanOn<B: Backend>(pub(super) Plan<FloatTensor<B>>);

/// What comes of it.
pub(super) struct DoneOn<B: Backend>(pub(super) Done<FloatTensor<B>>);

/// Both hold tensors in a structure of their own, which is kept.
macro_rules! holds_tensors {
    ($($type:ident, |$held:ident| $first:expr;)*) => {$(
        impl<B: Backend> ExtensionType<B> for $type<B> {
            type Target = $type<Dispatch>;

            fn map_to_dispatch<F>(
                self,
                map_kind: F,
                autodiff: DispatchAutodiffContext,
            ) -> Self::Target
            where
                F: Fn(BackendTensor<B>) -> DispatchTensorKind,
            {
                $type(self.0.map(|tensor| DispatchTensor {
                    kind: map_kind(BackendTensor::Float(tensor)),
                    autodiff,
                }))
            }

            fn map_from_dispatch<F>(target: Self::Target, unwrap_kind: F) -> Self
            where
                F: Fn(DispatchTensor) -> BackendTensor<B>,
            {
                Self(target.0.map(|tensor| unwrap_kind(tensor).float()))
            }

            fn routing_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
                let $held = &target.0;
                Some($first)
            }

            fn routing_float_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
                Self::routing_tensor(target)
            }

            fn autodiff_context(target: &Self::Target) -> DispatchAutodiffContext {
                let mut context = DispatchAutodiffContext::Disabled;
                target.0.clone().map(|tensor| context = context.merge(tensor.autodiff));
                context
            }
        }
    )*};
}

holds_tensors! {
    PlanOn, |plan| plan.input();
    DoneOn, |done| &done.output;
}

/// A backend that computes whole plans.
#[backend_extension(Flex, Cube: cfg(all(test, feature = "wgpu")), Autodiff)]
pub(super) trait Executor: Backend {
    /// What comes of a plan.
    fn execute(#[extension_type] plan: PlanOn<Self>) -> DoneOn<Self>;
}

/// An executor that also goes backwards.
pub(super) trait Differentiable: Backend {
    /// What the backward pass reads besides the plan's tensors.
    type Kept: Clone + std::fmt::Debug + Send + 'static;

    /// As [`Executor::execute`], keeping so much for the backward pass.
    fn forward(plan: Plan<FloatTensor<Self>>, keep: Keep) -> (Done<FloatTensor<Self>>, Self::Kept);

    /// Which of the plan's tensors the backward pass reads, given which want a gradient and what was kept.
    fn needs(wanted: &Plan<bool>, keep: Keep) -> Plan<bool>;

    /// Gradients of the plan's tensors, of these shapes, at least of those `wanted`, from that of its output; tensors
    /// that are not needed are missing.
    fn backward(
        plan: Plan<Option<FloatTensor<Self>>>,
        kept: Self::Kept,
        gradient: FloatTensor<Self>,
        wanted: &Plan<bool>,
        shapes: Plan<Shape>,
    ) -> Plan<Option<FloatTensor<Self>>>;
}

/// Runs a plan by its tensors' backend, if that has an executor for their type.
pub(super) fn run(plan: Plan<DispatchTensor>) -> Option<Done<DispatchTensor>> {
    let fits = plan.count(|tensor| !is_fast(tensor)) == 0 && plan.count(|_| true) <= MOST;
    fits.then(|| <Dispatch as Executor>::execute(PlanOn(plan)).0)
}

/// Whether a tensor is of `f32` on a device with an executor.
pub(super) fn is_fast(tensor: &DispatchTensor) -> bool {
    is_near(tensor) && tensor.dtype() == DType::F32
}

/// Whether a tensor lies on a device with an executor: flex.
pub(super) fn is_near(tensor: &DispatchTensor) -> bool {
    let kind = match &tensor.kind {
        DispatchTensorKind::Autodiff(inner) => inner,
        kind => kind,
    };
    match kind {
        DispatchTensorKind::Flex(_) => true,
        #[cfg(all(test, feature = "wgpu"))]
        DispatchTensorKind::Cube(_) => true,
        _ => false,
    }
}

impl<B: Differentiable, C: CheckpointStrategy> Executor for Autodiff<B, C> {
    fn execute(plan: PlanOn<Self>) -> DoneOn<Self> {
        match plan.0.count(FloatTensor::<Self>::is_tracked) {
            tracked if tracked <= FEW => record::<B, C, FEW>(&plan.0),
            tracked if tracked <= SOME => record::<B, C, SOME>(&plan.0),
            _ => record::<B, C, MOST>(&plan.0),
        }
    }
}

/// Runs a plan and leaves its backward pass in the graph; at most `N` of its tensors are tracked.
fn record<B: Differentiable, C: CheckpointStrategy, const N: usize>(
    plan: &Plan<FloatTensor<Autodiff<B, C>>>,
) -> DoneOn<Autodiff<B, C>> {
    let mut tracked = vec![];
    plan.visit(|tensor| tracked.extend(tensor.is_tracked().then(|| tensor.node())));
    // A step has a fixed number of parents: what has no gradient is none of them, and blanks fill the rest.
    let blank = Autodiff::<B, C>::from_inner(plan.input().primitive().clone());
    let mut tracked = tracked.into_iter();
    let parents = [(); N].map(|()| tracked.next().unwrap_or_else(|| blank.node()));
    let primitives = plan.as_ref().map(|tensor| tensor.primitive().clone());
    let prepared = Step.prepare::<C>(parents);
    // Of norms the output is what costs memory; of everything else what is kept for the backward pass.
    let prepared = match plan {
        Plan::Norm(_) => {
            let mut tracked = vec![];
            plan.visit(|tensor| tracked.extend(tensor.is_tracked().then_some(tensor)));
            let again = Again::<B>(plan.as_ref().map(|tensor| match tensor.is_tracked() {
                true => Source::Node(tensor.id()),
                false => Source::Value(tensor.primitive().clone()),
            }));
            prepared.memory_bound().retro_forward(again).parents(tracked)
        }
        _ => prepared.compute_bound(),
    };
    let prepared = prepared.stateful();
    let keep = match prepared {
        OpsKind::UnTracked(_) => Keep::Nothing,
        OpsKind::Tracked(_) if TypeId::of::<C>() == TypeId::of::<BalancedCheckpointing>() => {
            Keep::Little
        }
        OpsKind::Tracked(_) => Keep::Much,
    };
    let (Done { output, moments }, kept) = B::forward(primitives, keep);
    let output = match prepared {
        OpsKind::UnTracked(prepared) => prepared.finish(output),
        OpsKind::Tracked(mut prepared) => {
            let wanted = plan.as_ref().map(FloatTensor::<Autodiff<B, C>>::is_tracked);
            let needed = plan.as_ref().zip(B::needs(&wanted, keep));
            let plan = needed.map(|(tensor, needed)| Remembered {
                parent: tensor.is_tracked().then(|| tensor.id()),
                shape: tensor.shape(),
                value: needed.then(|| prepared.checkpoint(tensor)),
            });
            prepared.finish(Memory { plan, kept, wanted }, output)
        }
    };
    let moments = moments.into_iter().map(|moments| moments.map(Autodiff::<B, C>::from_inner));
    DoneOn(Done { output, moments: moments.collect() })
}

/// Computes an operation's output again, where the graph has not kept it.
#[derive(Clone, Debug)]
struct Again<B: Backend>(Plan<Source<FloatTensor<B>>>);

/// Where a tensor comes from.
#[derive(Clone, Debug)]
enum Source<T> {
    /// A node of the graph.
    Node(NodeId),
    /// It is no node's.
    Value(T),
}

impl<B: Differentiable> RetroForward for Again<B> {
    fn forward(&self, states: &mut BackwardStates, out_node: NodeId) {
        let plan = self.0.clone().map(|source| match source {
            Source::Node(node) => states.get_state::<FloatTensor<B>>(&node),
            Source::Value(tensor) => tensor,
        });
        states.save(out_node, B::forward(plan, Keep::Nothing).0.output);
    }
}

/// An operation's step in the graph.
#[derive(Debug)]
struct Step;

/// What a step remembers.
#[derive(Clone, Debug)]
struct Memory<K> {
    plan: Plan<Remembered>,
    kept: K,
    /// Which tensors are tracked.
    wanted: Plan<bool>,
}

/// What a step remembers of a tensor.
#[derive(Clone, Debug)]
struct Remembered {
    /// Where its gradient goes, if it is tracked.
    parent: Option<NodeId>,
    shape: Shape,
    /// Where its value is kept, if it is needed.
    value: Option<NodeId>,
}

impl<B: Differentiable, const N: usize> Backward<B, N> for Step
where
    Memory<B::Kept>: Clone + Send + std::fmt::Debug + 'static,
{
    type State = Memory<B::Kept>;

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        gradients: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<B>(&ops.node);
        let Memory { plan, kept, wanted } = ops.state;
        let mut retrieve = |node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node);
        let tensors = plan.as_ref().map(|remembered| remembered.value.map(&mut retrieve));
        let shapes = plan.as_ref().map(|remembered| remembered.shape.clone());
        let found = B::backward(tensors, kept, gradient, &wanted, shapes);
        plan.zip(found).map(|(remembered, gradient)| {
            if let (Some(parent), Some(gradient)) = (remembered.parent, gradient) {
                gradients.register::<B>(parent, gradient);
            }
        });
    }
}
