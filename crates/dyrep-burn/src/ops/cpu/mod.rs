//! The executor for flex: plans by `dyrep-kernels`, over the tensors' own memory.

mod conv;
mod norm;
mod pool;

use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Backend, Dispatch, DispatchTensor, DispatchTensorKind, Flex, TensorMetadata, backend_extension,
};
use burn::tensor::{Shape, TensorData};
use dyrep_kernels::{Buffer, SgdStep, ShapeError, block, zeros};

use super::bridge::{Differentiable, DoneOn, Executor, Keep, PlanOn};
pub(super) use super::bridge::{is_fast, is_near, run};
use super::plan::{BranchMoments, Done, Plan, Spec};

type FlexTensor = FloatTensor<Flex>;

/// What comes of a plan over slices.
struct Computed {
    output: Vec<f32>,
    moments: Vec<BranchMoments<Vec<f32>>>,
    kept: Kept,
}

/// What a backward pass reads besides the plan's tensors.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    Nothing,
    /// Of a norm by its batch: mean and variance; its output where only that tells what a ReLU let through, and much is
    /// kept.
    Norm {
        moments: Option<[Vec<f32>; 2]>,
        output: Option<FlexTensor>,
    },
    /// Where the maxima lay.
    Places(Arc<Buffer>),
    /// Moments and maps of a block.
    Block(Arc<block::Done>),
}

impl Executor for Flex {
    fn execute(plan: PlanOn<Self>) -> DoneOn<Self> {
        DoneOn(Self::forward(plan.0, Keep::Nothing).0)
    }
}

impl Differentiable for Flex {
    type Kept = Kept;

    fn forward(plan: Plan<FlexTensor>, keep: Keep) -> (Done<FlexTensor>, Kept) {
        let plan = plan.map(contiguous);
        let gives = plan.as_ref().map(Spec::of).gives();
        let slices = plan.as_ref().map(values);
        let Computed { output, moments, kept } = match &slices {
            Plan::Conv(plan) => conv::forward(plan),
            Plan::Norm(plan) => norm::forward(plan),
            Plan::Pool(plan) => pool::forward(plan, keep != Keep::Nothing),
            Plan::Block(plan) => forward_block(plan, keep),
            Plan::Sum(plan) => {
                Computed { output: fits(plan.sum()), moments: vec![], kept: Kept::Nothing }
            }
        };
        let output = tensor(output, gives.output.shape);
        let kept = match kept {
            Kept::Norm { moments, .. } => Kept::Norm {
                moments,
                output: (keep == Keep::Much && shows(&plan)).then(|| output.clone()),
            },
            kept => kept,
        };
        let vector = |values: Vec<f32>| {
            let len = values.len();
            tensor(values, [len])
        };
        let moments = moments.into_iter().map(|moments| moments.map(vector)).collect();
        (Done { output, moments }, kept)
    }

    fn needs(wanted: &Plan<bool>, keep: Keep) -> Plan<bool> {
        let mut needs = wanted.clone().map(|_| true);
        match (&mut needs, wanted) {
            (Plan::Conv(needs), Plan::Conv(wanted)) => {
                (needs.input, needs.weight) = (wanted.weight, wanted.input);
                needs.bias = needs.bias.map(|_| false);
            }
            (Plan::Norm(norm), _) if keep == Keep::Much || !norm.then.relu => {
                norm.then.residual = norm.then.residual.map(|_| false);
            }
            (Plan::Pool(needs), _) => needs.input = false,
            _ => {}
        }
        needs
    }

    fn backward(
        plan: Plan<Option<FlexTensor>>,
        kept: Kept,
        gradient: FlexTensor,
        wanted: &Plan<bool>,
        shapes: Plan<Shape>,
    ) -> Plan<Option<FlexTensor>> {
        let plan = plan.map(|tensor| tensor.map(contiguous));
        let kept = kept_of(&plan, kept);
        let gradient = contiguous(gradient);
        let slices = plan.as_ref().map(|tensor| tensor.as_ref().map_or(&[][..], values));
        let gradient = values(&gradient);
        let found: Plan<Option<Vec<f32>>> = match (&slices, wanted, &kept) {
            (Plan::Conv(plan), Plan::Conv(wanted), _) => {
                Plan::Conv(conv::backward(plan, gradient, wanted))
            }
            (Plan::Norm(plan), Plan::Norm(wanted), Kept::Norm { moments, output }) => {
                let output = output.as_ref().map_or(&[][..], values);
                Plan::Norm(norm::backward(plan, moments.as_ref(), output, gradient, wanted))
            }
            (Plan::Pool(plan), _, Kept::Places(places)) => {
                Plan::Pool(pool::backward(plan, places, gradient))
            }
            (Plan::Block(plan), Plan::Block(wanted), Kept::Block(done)) => {
                Plan::Block(fits(block::backward(plan, done, gradient, wanted)))
            }
            (Plan::Sum(plan), Plan::Sum(wanted), _) => {
                Plan::Sum(fits(plan.backward(gradient, wanted)))
            }
            _ => unreachable!("what is kept is of the plan, and only what can go back is tracked"),
        };
        found.zip(shapes).map(|(gradient, shape)| Some(tensor(gradient?, shape)))
    }
}

/// Whether only its output tells what a ReLU let through.
fn shows<T>(plan: &Plan<T>) -> bool {
    matches!(plan, Plan::Norm(norm) if norm.then.relu && norm.then.residual.is_some())
}

/// What was kept; what was not, is computed again.
fn kept_of(plan: &Plan<Option<FlexTensor>>, kept: Kept) -> Kept {
    let lacks = match &kept {
        Kept::Nothing => matches!(plan, Plan::Block(_)),
        Kept::Norm { output, .. } => output.is_none() && shows(plan),
        Kept::Places(_) | Kept::Block(_) => false,
    };
    if !lacks {
        return kept;
    }
    let missing = || unreachable!("all is needed where little is kept");
    let plan = plan.clone().map(|tensor| tensor.unwrap_or_else(missing));
    Flex::forward(plan, Keep::Much).1
}

fn forward_block(plan: &block::Block<&[f32]>, keep: Keep) -> Computed {
    let mut output = zeros(plan.shape.output_len());
    let done = fits(block::forward(plan, &mut output, keep == Keep::Much));
    let list = |moments: &block::Moments| [moments.mean.clone(), moments.variance.clone()];
    let of_branch = |moments: &block::BranchMoments| BranchMoments {
        first: moments.first.as_ref().map(list),
        end: moments.end.as_ref().map(list),
    };
    let moments = done.moments.iter().map(of_branch).collect();
    let kept = match keep == Keep::Much || !block::keeps_maps(plan) {
        true => Kept::Block(Arc::new(done)),
        false => Kept::Nothing,
    };
    Computed { output, moments, kept }
}

/// Sizes were checked when the plan was made.
fn fits<T>(result: Result<T, ShapeError>) -> T {
    result.unwrap_or_else(|error| unreachable!("sizes were checked: {error}"))
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

/// Changes tensors in place, off the graph.
#[backend_extension(Flex)]
trait FlexUpdates: Backend {
    /// Parameter and velocity after a step, from parameter, velocity and gradient.
    fn step_sgd(
        step: SgdStep,
        parameter: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// Whether a tensor is one that [`update`] can change.
pub(super) fn can_update(tensor: &DispatchTensor) -> bool {
    is_fast(tensor) && !matches!(tensor.kind, DispatchTensorKind::Autodiff(_))
}

/// [`super::update`].
pub(super) fn update(step: SgdStep, tensors: [DispatchTensor; 3]) -> [DispatchTensor; 2] {
    let [parameter, velocity, gradient] = tensors;
    <Dispatch as FlexUpdates>::step_sgd(step, parameter, velocity, gradient).into()
}

impl FlexUpdates for Flex {
    fn step_sgd(
        step: SgdStep,
        parameter: FlexTensor,
        velocity: FlexTensor,
        gradient: FlexTensor,
    ) -> (FlexTensor, FlexTensor) {
        let [mut parameter, mut velocity] = [parameter, velocity].map(exact);
        let gradient = contiguous(gradient);
        let (p, v) = (parameter.storage_mut::<f32>(), velocity.storage_mut::<f32>());
        fits(step.apply(p, v, values(&gradient)));
        (parameter, velocity)
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
