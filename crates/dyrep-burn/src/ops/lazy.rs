//! What a plan gives is enough for a backend that computes later: an identity executor on a CubeCL device.
//!
//! Burn's fusing backends are told every output's shape and type when an operation is registered, and compute when
//! somebody reads. Here they are told what [`Plan::gives`] says; what runs then passes the input through where that has
//! the output's shape, and gives zeros elsewhere. Nothing between may have looked at a value.
//!
//! ```text
//! cargo test -p dyrep-burn --features wgpu --lib lazy
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};

use burn::backend::TensorMetadata as _;
use burn::backend::fusion::custom::{
    CustomOpIr, HandleContainer, OperationFn, OperationIr, StreamId, TensorIr,
};
use burn::backend::fusion::{Fusion, FusionBackend, FusionRuntime};
use burn::backend::ops::FloatTensorOps as _;
use burn::backend::tensor::FloatTensor;
use burn::backend::wgpu::CubeBackend;
use burn::module::Module as _;
use burn::nn::PaddingConfig2d;
use burn::tensor::{Device, DeviceKind, Shape, Tensor};
use dyrep_config::Preset;

use super::bridge::{Differentiable, DoneOn, Executor, Keep, PlanOn};
use super::plan::{Done, Plan, Spec};
use super::{Kernels, with_kernels};
use crate::layer::RepConv2dConfig;

/// Plans that were executed.
static EXECUTED: AtomicUsize = AtomicUsize::new(0);

/// The identity where it fits.
impl Executor for CubeBackend {
    fn execute(plan: PlanOn<Self>) -> DoneOn<Self> {
        EXECUTED.fetch_add(1, Ordering::SeqCst);
        let input = plan.0.input().clone();
        let device = input.device();
        let mut passed = Some(input);
        DoneOn(plan.0.as_ref().map(Spec::of).gives().map(|Spec { shape, dtype }| {
            // The output comes first.
            match passed.take() {
                Some(input) if input.shape().as_slice() == shape => input,
                _ => Self::float_zeros(Shape::from(shape), &device, dtype.into()),
            }
        }))
    }
}

/// A plan is registered by what it gives, and executed by the backend inside when its outputs are asked for.
impl<B: FusionBackend + Executor> Executor for Fusion<B> {
    fn execute(plan: PlanOn<Self>) -> DoneOn<Self> {
        let client = plan.0.input().client.clone();
        let gives = plan.0.as_ref().map(Spec::of).gives();
        let mut inputs = vec![];
        let plan = plan.0.map(|tensor| {
            let tensor = tensor.into_ir();
            inputs.push(tensor.clone());
            tensor
        });
        let mut outputs = vec![];
        gives.clone().map(|Spec { shape, dtype }| {
            let id = client.create_empty_handle();
            outputs.push(TensorIr::uninit(id, Shape::from(shape), dtype));
        });
        let description = OperationIr::Custom(CustomOpIr::new("dyrep_plan", &inputs, &outputs));
        type Handles<B> =
            HandleContainer<<<B as FusionBackend>::FusionRuntime as FusionRuntime>::FusionHandle>;
        let run = move |handles: &mut Handles<B>| {
            let tensors = plan.clone().map(|tensor| handles.get_float_tensor::<B>(&tensor));
            let mut outputs = outputs.iter();
            B::execute(PlanOn(tensors)).0.map(|tensor| {
                let output = outputs.next().unwrap_or_else(|| panic!("more than the plan gives"));
                assert_eq!(tensor.shape(), output.shape, "the plan gives another shape");
                handles.register_float_tensor::<B>(&output.id, tensor);
            });
            assert!(outputs.next().is_none(), "less than the plan gives");
            Ok(())
        };
        let tensors = client.register(StreamId::current(), description, OperationFn(run));
        let mut tensors = tensors.into_iter();
        let next = |_| tensors.next().unwrap_or_else(|| panic!("one tensor for each output"));
        DoneOn(gives.map(next))
    }
}

/// The gradient of the output, whole, for the input.
impl Differentiable for Fusion<CubeBackend> {
    type Kept = ();

    fn forward(plan: Plan<FloatTensor<Self>>, _keep: Keep) -> (Done<FloatTensor<Self>>, ()) {
        (Self::execute(PlanOn(plan)).0, ())
    }

    fn needs(wanted: &Plan<bool>, _keep: Keep) -> Plan<bool> {
        wanted.clone().map(|_| false)
    }

    fn backward(
        plan: Plan<Option<FloatTensor<Self>>>,
        (): (),
        gradient: FloatTensor<Self>,
        _wanted: &Plan<bool>,
        _shapes: Plan<Shape>,
    ) -> Plan<Option<FloatTensor<Self>>> {
        // The input is visited first.
        let mut gradient = Some(gradient);
        plan.map(|_| gradient.take())
    }
}

#[test]
fn what_a_plan_gives_is_known_before_it_runs() {
    let device = Device::wgpu(DeviceKind::DefaultDevice).autodiff();
    for preset in Preset::ALL.into_iter().filter(|preset| *preset != Preset::Plain) {
        for (outputs, stride) in [(8, 1), (12, 1), (8, 2)] {
            let layer = RepConv2dConfig::new([8, outputs], [5, 5])
                .with_stride([stride; 2])
                .with_padding(PaddingConfig2d::Explicit(2, 2, 2, 2))
                .with_branches(preset)
                .init(&device);
            // A linear layer is a convolution by a sum or a sequence, whose own graph asks for a gradient that nobody has here;
            // so does one inside a block.
            let inside = preset.inside_kxk(&layer.geometry()).is_some();
            if layer.is_linear() || inside {
                continue;
            }
            let values =
                || Tensor::<4>::random([2, 8, 9, 7], burn::tensor::Distribution::Default, &device);
            let input = values().require_grad();
            assert_eq!(layer.composed_because(&input), None, "{preset}");
            let before = EXECUTED.load(Ordering::SeqCst);
            let output = layer.forward(input.clone());
            let composed = with_kernels(Kernels::Composed, || layer.forward(values()));
            assert_eq!(output.dims(), composed.dims(), "{preset}, {outputs}, {stride}");
            assert_eq!(output.dtype(), composed.dtype());
            let is_identity = output.dims() == input.dims();
            let loss = output.clone().sum();
            let output = output.into_data();
            assert!(EXECUTED.load(Ordering::SeqCst) > before, "the executor was passed by");
            // A norm after the sum is a plan of its own, and the identity too.
            if is_identity {
                output.assert_eq(&input.clone().into_data(), true);
                let gradients = loss.backward();
                let gradient = input.grad(&gradients).unwrap_or_else(|| panic!("no gradient"));
                gradient.clone().into_data().assert_eq(&gradient.ones_like().into_data(), true);
            } else {
                assert!(output.iter::<f32>().all(|value| value == 0.0));
            }
            // Moments were blended into the running statistics: they had the shapes that were told.
            let _evaluated = layer.valid().forward(values().inner()).into_data();
        }
    }
}
