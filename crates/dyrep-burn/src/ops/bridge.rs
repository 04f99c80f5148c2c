//! From Burn's tensors to slices and back, with and without autodiff.
//!
//! [`FlexKernels`] is a backend extension with one method, whatever the operation. On [`Flex`] it hands out the
//! tensors' memory as slices, without a copy where they are contiguous; on [`Autodiff`] it runs the same and
//! leaves a step in the graph that later runs the operation's backward pass. [`FlexUpdates`] changes tensors where
//! they lie.

use std::sync::Arc;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, BackendTensor, Dispatch, DispatchAutodiffContext,
    DispatchTensor, DispatchTensorKind, ExtensionType, Flex, TensorMetadata, backend_extension,
};
use burn::tensor::{DType, Shape, Tensor, TensorData};
use dyrep_kernels::{Buffer, SgdStep};

use super::operation::{Forward, Kept, Operation};

/// Tensors that may carry gradients, at most, in one operation: those of a block of seven branches, each
/// convolution with a bias.
const MOST: usize = 32;
/// As many as a convolution or a batch norm with a residual has.
const FEW: usize = 4;

/// Tensors of any number and ranks.
struct Tensors<B: Backend>(Vec<FloatTensor<B>>);

impl<B: Backend> ExtensionType<B> for Tensors<B> {
    type Target = Tensors<Dispatch>;

    fn map_to_dispatch<F>(self, map_kind: F, autodiff: DispatchAutodiffContext) -> Self::Target
    where
        F: Fn(BackendTensor<B>) -> DispatchTensorKind,
    {
        let wrap =
            |tensor| DispatchTensor { kind: map_kind(BackendTensor::Float(tensor)), autodiff };
        Tensors(self.0.into_iter().map(wrap).collect())
    }

    fn map_from_dispatch<F>(target: Self::Target, unwrap_kind: F) -> Self
    where
        F: Fn(DispatchTensor) -> BackendTensor<B>,
    {
        Self(target.0.into_iter().map(|tensor| unwrap_kind(tensor).float()).collect())
    }

    fn routing_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn routing_float_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn autodiff_context(target: &Self::Target) -> DispatchAutodiffContext {
        let contexts = target.0.iter().map(|tensor| tensor.autodiff);
        contexts.fold(DispatchAutodiffContext::Disabled, DispatchAutodiffContext::merge)
    }
}

/// The flex backend's fast operations.
#[backend_extension(Flex, Autodiff)]
trait FlexKernels: Backend {
    /// The output, then the statistics.
    fn run_operation(
        operation: Arc<dyn Operation>,
        #[extension_type] inputs: Tensors<Self>,
    ) -> Tensors<Self>;
}

/// [`super::run`], once the kernels are wanted.
pub(super) fn run(
    operation: impl Operation,
    inputs: Vec<DispatchTensor>,
) -> Option<(Tensor<4>, Vec<Tensor<1>>)> {
    if inputs.len() > MOST || !inputs.iter().all(is_fast) {
        return None;
    }
    let results = <Dispatch as FlexKernels>::run_operation(Arc::new(operation), Tensors(inputs));
    let mut results = results.0.into_iter();
    let output = Tensor::from_dispatch(results.next()?);
    Some((output, results.map(Tensor::from_dispatch).collect()))
}

/// Whether a tensor is of `f32` on the flex device.
pub(super) fn is_fast(tensor: &DispatchTensor) -> bool {
    let flex = match &tensor.kind {
        DispatchTensorKind::Autodiff(inner) => matches!(**inner, DispatchTensorKind::Flex(_)),
        kind => matches!(kind, DispatchTensorKind::Flex(_)),
    };
    flex && tensor.dtype() == DType::F32
}

/// Changes tensors in place, off the graph.
#[backend_extension(Flex)]
trait FlexUpdates: Backend {
    /// Parameter and velocity after a step, from parameter, velocity and gradient.
    fn step_sgd(step: SgdStep, #[extension_type] tensors: Tensors<Self>) -> Tensors<Self>;
}

/// Whether a tensor is one that [`update`] can change.
pub(super) fn can_update(tensor: &DispatchTensor) -> bool {
    is_fast(tensor) && !matches!(tensor.kind, DispatchTensorKind::Autodiff(_))
}

/// [`super::update`].
pub(super) fn update(step: SgdStep, tensors: [DispatchTensor; 3]) -> [DispatchTensor; 2] {
    let moved = <Dispatch as FlexUpdates>::step_sgd(step, Tensors(tensors.into()));
    moved.0.try_into().unwrap_or_else(|_| unreachable!("two tensors come back"))
}

impl FlexUpdates for Flex {
    fn step_sgd(step: SgdStep, tensors: Tensors<Self>) -> Tensors<Self> {
        let tensors: Vec<FlexTensor> = tensors.0.into_iter().map(exact).collect();
        let [mut parameter, mut velocity, gradient]: [FlexTensor; 3] =
            tensors.try_into().unwrap_or_else(|_| unreachable!("three tensors are passed"));
        let (p, v) = (parameter.storage_mut::<f32>(), velocity.storage_mut::<f32>());
        step.apply(p, v, values(&gradient))
            .unwrap_or_else(|error| unreachable!("shapes were compared: {error}"));
        Tensors(vec![parameter, velocity])
    }
}

/// A tensor whose memory holds its values and nothing else, so that all of it may be changed.
fn exact(tensor: FlexTensor) -> FlexTensor {
    let tensor = contiguous(tensor);
    match tensor.storage::<f32>().len() == tensor.shape().num_elements() {
        true => tensor,
        false => self::tensor(values(&tensor).to_vec(), tensor.shape()),
    }
}

type FlexTensor = FloatTensor<Flex>;

impl FlexKernels for Flex {
    fn run_operation(operation: Arc<dyn Operation>, inputs: Tensors<Self>) -> Tensors<Self> {
        let inputs: Vec<FlexTensor> = inputs.0.into_iter().map(contiguous).collect();
        let done = forward(&*operation, &inputs, false);
        Tensors(std::iter::once(done.output).chain(done.statistics).collect())
    }
}

/// A [`Forward`] as tensors.
struct Done {
    output: FlexTensor,
    statistics: Vec<FlexTensor>,
    saved: Vec<Buffer>,
}

fn forward(operation: &dyn Operation, inputs: &[FlexTensor], keep: bool) -> Done {
    let slices: Vec<&[f32]> = inputs.iter().map(values).collect();
    let Forward { output, shape, statistics, saved } = operation.forward(&slices, keep);
    let output = tensor(output, shape);
    let statistics = statistics.into_iter().map(|values| {
        let len = values.len();
        tensor(values, [len])
    });
    Done { output, statistics: statistics.collect(), saved }
}

fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.into()))
}

fn contiguous(tensor: FlexTensor) -> FlexTensor {
    match tensor.is_contiguous() {
        true => tensor,
        false => tensor.to_contiguous(),
    }
}

/// The memory of a tensor that is contiguous.
fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().unwrap_or_else(|| unreachable!("{tensor:?} was made contiguous"))
}

impl<C: CheckpointStrategy> FlexKernels for Autodiff<Flex, C> {
    fn run_operation(operation: Arc<dyn Operation>, inputs: Tensors<Self>) -> Tensors<Self> {
        match inputs.0.iter().filter(|tensor| tensor.is_tracked()).count() {
            0..=FEW => record::<C, FEW>(operation, &inputs.0),
            _ => record::<C, MOST>(operation, &inputs.0),
        }
    }
}

/// Runs an operation and leaves its backward pass in the graph; at most `N` inputs are tracked.
fn record<C: CheckpointStrategy, const N: usize>(
    operation: Arc<dyn Operation>,
    inputs: &[FloatTensor<Autodiff<Flex, C>>],
) -> Tensors<Autodiff<Flex, C>> {
    type Tracked<C> = Autodiff<Flex, C>;
    let wanted: Vec<bool> = inputs.iter().map(FloatTensor::<Tracked<C>>::is_tracked).collect();
    // A step has a fixed number of parents: what has no gradient is none of them, and blanks fill the rest.
    let blank = Tracked::<C>::from_inner(tensor(vec![0.0], [1]));
    let mut tracked = inputs.iter().filter(|tensor| tensor.is_tracked());
    let parents = [(); N].map(|()| tracked.next().unwrap_or(&blank).node());
    let prepared = Step.prepare::<C>(parents).compute_bound().stateful();

    let primitive = |tensor: &FloatTensor<Tracked<C>>| contiguous(tensor.primitive().clone());
    let slices: Vec<FlexTensor> = inputs.iter().map(primitive).collect();
    let keep = matches!(prepared, OpsKind::Tracked(_));
    let done = forward(&*operation, &slices, keep);
    drop(slices);
    let output = match prepared {
        OpsKind::UnTracked(prepared) => prepared.finish(done.output),
        OpsKind::Tracked(mut prepared) => {
            let needs = operation.needs(&wanted);
            let kept = inputs.iter().zip(needs.inputs);
            let kept = kept.map(|(tensor, needed)| needed.then(|| prepared.checkpoint(tensor)));
            let memory = Memory {
                inputs: kept.collect(),
                shapes: inputs.iter().map(TensorMetadata::shape).collect(),
                output: needs.output.then(|| done.output.clone()),
                statistics: if needs.statistics { done.statistics.clone() } else { vec![] },
                saved: Arc::new(done.saved),
                operation,
                wanted,
            };
            prepared.finish(memory, done.output)
        }
    };
    let statistics = done.statistics.into_iter().map(Tracked::<C>::from_inner);
    Tensors(std::iter::once(output).chain(statistics).collect())
}

/// An operation's step in the graph.
#[derive(Debug)]
struct Step;

/// What a step remembers.
#[derive(Clone, Debug)]
struct Memory {
    operation: Arc<dyn Operation>,
    /// Which inputs are tracked: the step's parents, in order.
    wanted: Vec<bool>,
    shapes: Vec<Shape>,
    inputs: Vec<Option<NodeId>>,
    output: Option<FlexTensor>,
    statistics: Vec<FlexTensor>,
    saved: Arc<Vec<Buffer>>,
}

impl<const N: usize> Backward<Flex, N> for Step {
    type State = Memory;

    fn backward(
        self,
        ops: Ops<Memory, N>,
        gradients: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        let memory = ops.state;
        let mut retrieve = |node| contiguous(checkpointer.retrieve_node_output::<FlexTensor>(node));
        let inputs: Vec<Option<FlexTensor>> =
            memory.inputs.iter().map(|node| node.map(&mut retrieve)).collect();
        let kept = Kept {
            inputs: inputs.iter().map(|input| input.as_ref().map_or(&[][..], values)).collect(),
            output: memory.output.as_ref().map_or(&[], values),
            statistics: memory.statistics.iter().map(values).collect(),
            saved: memory.saved.iter().map(|saved| &saved[..]).collect(),
        };
        let found = memory.operation.backward(&kept, values(&gradient), &memory.wanted);
        let inputs = found.into_iter().zip(memory.shapes).zip(memory.wanted);
        let of_tracked = inputs.filter_map(|(input, wanted)| wanted.then_some(input));
        for (parent, (gradient, shape)) in ops.parents.into_iter().flatten().zip(of_tracked) {
            if let Some(gradient) = gradient {
                gradients.register::<Flex>(parent.id, tensor(gradient, shape));
            }
        }
    }
}
