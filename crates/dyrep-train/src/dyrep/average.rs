//! The moving average of a model's weights, which grows and is cut as the model is.

use std::any::Any;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use dyrep_burn::{
    AdjustError, AdjustOptions, Adjustment, Calibration, Change, ControllerConfig, cut, grow,
};

/// A copy of a model off the graph, with statistics of its own.
#[derive(Clone, Debug)]
pub(super) struct Average<M> {
    pub(super) model: M,
}

impl<M: Module> Average<M> {
    /// Starts from the model.
    pub(super) fn new(model: &M) -> Self {
        // Clones share running statistics, evaluation copies do not.
        Self { model: model.valid() }
    }

    /// `a ← decay · a + (1 − decay) · w`, for parameters and running statistics alike.
    pub(super) fn moved(self, model: &M, decay: f64) -> Self {
        let mut values = Values::default();
        // Brings running statistics up to date, which lag by one step otherwise.
        model.valid().visit(&mut values);
        let mut towards = Towards { values: values.0.into_iter(), decay };
        Self { model: self.model.map(&mut towards) }
    }

    /// Makes the changes that the model has undergone: the same new parameters, measured and compensated for with
    /// the average's own weights, so that the average's function stays the same too.
    pub(super) fn adjusted(
        self,
        adjustment: &Adjustment,
        config: &ControllerConfig,
        mut run: impl FnMut(&M, usize),
    ) -> Result<Self, AdjustError> {
        let mut calibration = Calibration::new(config.calibration_batches, &mut run);
        let ControllerConfig { norm_rule, fidelity, seed, .. } = *config;
        let mut model = self.model;
        for event in &adjustment.events {
            let options = AdjustOptions { norm_rule, fidelity, seed, event: event.number };
            let path = event.change.path();
            model = match &event.change {
                Change::Grew { branches, .. } => {
                    let branches = branches.as_slice().into();
                    grow(&model, path, &branches, &options, &mut calibration)?
                }
                Change::Cut { plan, .. } => {
                    cut(&model, path, &plan.branches, &options, &mut calibration)?
                }
            };
        }
        Ok(Self { model })
    }

    /// All numbers, in the order in which the model is visited.
    pub(super) fn values(&self) -> Vec<f32> {
        let mut numbers = Numbers::default();
        self.model.visit(&mut numbers);
        numbers.0
    }

    /// A copy of `model` with the numbers that [`values`](Self::values) gave; none if there are too few or too many.
    pub(super) fn restored(model: &M, values: &[f32]) -> Option<Self> {
        let mut read = Read { rest: values, short: false };
        let model = model.valid().map(&mut read);
        (read.rest.is_empty() && !read.short).then_some(Self { model })
    }
}

/// Tensors of any rank, in visiting order.
#[derive(Default)]
struct Values(Vec<Box<dyn Any>>);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(Box::new(param.val().without_autodiff()));
    }
}

struct Towards<I> {
    values: I,
    decay: f64,
}

impl<I: Iterator<Item = Box<dyn Any>>> ModuleMapper for Towards<I> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let value = self.values.next().and_then(|value| value.downcast::<Tensor<D>>().ok());
        let value = value.unwrap_or_else(|| unreachable!("the average has the model's parameters"));
        let decay = self.decay;
        // In this form what does not change, a frozen parameter say, stays as it is to the bit.
        param.map(|average| average.clone() + (*value - average) * (1.0 - decay))
    }
}

#[derive(Default)]
struct Numbers(Vec<f32>);

impl ModuleVisitor for Numbers {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.extend(param.val().into_data().iter::<f32>());
    }
}

struct Read<'a> {
    rest: &'a [f32],
    short: bool,
}

impl ModuleMapper for Read<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|old| {
            let (shape, device): (_, Device) = (old.shape(), old.device());
            let Some((values, rest)) = self.rest.split_at_checked(shape.num_elements()) else {
                self.short = true;
                return old;
            };
            self.rest = rest;
            Tensor::from_data(TensorData::new(values.to_vec(), shape), &device)
        })
    }
}
