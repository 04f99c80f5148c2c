//! What the gradients of a step are put together from: batches of several devices or passes, and losses that were scaled.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use dyrep_config::Precision;
use serde::{Deserialize, Serialize};

/// Where gradients wait until all of a step are there.
///
/// Burn adds gradients up in the order in which devices are done, and counts a small batch as much as a full one. Here
/// they are added in the batches' own order, so that the sum does not depend on who was faster, and each batch counts by
/// its pictures: the gradient of a step is that of the mean over all its pictures, whatever they were cut into.
///
/// Clones are handles to the same gradients. A model hands in what it finds
/// ([`Classifier`](crate::Classifier) does), a [`DyRep`](crate::DyRep) around it takes the sum.
#[derive(Clone, Debug)]
pub struct StepGradients {
    state: Arc<Mutex<State>>,
    full: f64,
    device: Device,
}

/// Where a batch stands among those of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The epoch.
    pub epoch: u64,
    /// Which of its device's batches in this epoch it is.
    pub round: usize,
    /// The number of its first picture in the epoch's order.
    pub first: usize,
}

#[derive(Debug, Default)]
struct State {
    sum: Option<GradientsParams>,
    /// Of the round that is going on.
    pending: Vec<(Place, GradientsParams)>,
    pictures: usize,
    scale: Option<LossScale>,
}

impl StepGradients {
    /// Adds gradients up on `device`. A batch of `full` pictures counts for one, and others for what they have of it.
    ///
    /// # Panics
    /// If `full` is zero.
    #[must_use]
    pub fn new(device: &Device, full: usize, precision: Precision) -> Self {
        assert!(full > 0, "a full batch has at least one picture");
        let scale = (precision == Precision::F16).then(LossScale::default);
        let state = Arc::new(Mutex::new(State { scale, ..State::default() }));
        Self { state, full: full as f64, device: device.clone() }
    }

    /// What the mean loss of so many pictures is multiplied by before the backward pass.
    #[must_use]
    pub fn weight(&self, pictures: usize) -> f64 {
        let scale = self.lock().scale.map_or(1.0, |scale| scale.factor);
        scale * (pictures as f64 / self.full)
    }

    /// Adds the gradients of a batch whose loss was [weighted](Self::weight).
    pub fn hand_in<M: Module>(
        &self,
        model: &M,
        place: Place,
        pictures: usize,
        gradients: GradientsParams,
    ) {
        let gradients = gradients.to_device(&self.device, model);
        let mut state = self.lock();
        match state.pending.first().map(|(other, _)| *other) {
            // Burn drops what is left of an epoch that ended before its step.
            Some(other) if other.epoch != place.epoch => state.clear(),
            Some(other) if other.round != place.round => state.add_pending(model),
            _ => {}
        }
        state.pictures += pictures;
        state.pending.push((place, gradients));
    }

    /// The gradients of the mean over all pictures that were handed in since the last step; none if one of them is not
    /// finite and the loss was scaled: the factor was too large, becomes smaller, and the step is to be left out.
    #[must_use]
    pub fn take<M: Module>(&self, model: &M) -> Option<GradientsParams> {
        let mut state = self.lock();
        state.add_pending(model);
        let pictures = std::mem::take(&mut state.pictures);
        let mut sum = state.sum.take().unwrap_or_default();
        let mut factor = self.full / pictures.max(1) as f64;
        if let Some(scale) = &mut state.scale {
            factor /= scale.factor;
            if !scale.judged(all_finite(model, &sum)) {
                return None;
            }
        }
        scale_all(model, &mut sum, factor);
        Some(sum)
    }

    /// What the loss is multiplied by, and how it came to that; none for types that need no factor.
    #[must_use]
    pub fn loss_scale(&self) -> Option<LossScale> {
        self.lock().scale
    }

    /// Goes on with another's factor, if there is one here.
    pub fn go_on_with(&self, scale: LossScale) {
        if let Some(own) = &mut self.lock().scale {
            *own = scale;
        }
    }

    /// A thread that panicked has not left half a sum: it is written in one go.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add_pending<M: Module>(&mut self, model: &M) {
        self.pending.sort_by_key(|(place, _)| *place);
        let mut sum = GradientsAccumulator::new();
        for gradients in self.sum.take().into_iter().chain(self.pending.drain(..).map(|it| it.1)) {
            sum.accumulate(model, gradients);
        }
        self.sum = Some(sum.grads());
    }

    fn clear(&mut self) {
        (self.sum, self.pending, self.pictures) = (None, vec![], 0);
    }
}

/// What the loss is multiplied by so that small gradients do not vanish in `f16` (arXiv 1710.03740, section 3.2). It is
/// halved where a gradient is not finite, and doubled after 2000 steps in a row in which all were, as PyTorch's
/// `GradScaler` does by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossScale {
    /// The factor, a power of two: multiplying by it rounds nothing.
    pub factor: f64,
    /// Steps since it was changed.
    pub steps: usize,
    /// Steps that were left out because of it, since the training began.
    pub left_out: usize,
}

const GROWTH_INTERVAL: usize = 2000;

impl Default for LossScale {
    fn default() -> Self {
        Self { factor: 65536.0, steps: 0, left_out: 0 }
    }
}

impl LossScale {
    /// Follows a step's gradients; whether they are of use.
    fn judged(&mut self, finite: bool) -> bool {
        self.steps += 1;
        let next = match finite {
            false => 0.5,
            true if self.steps == GROWTH_INTERVAL => 2.0,
            true => return true,
        };
        self.steps = 0;
        self.left_out += usize::from(!finite);
        // Of what f32 holds: a loss is multiplied by it there.
        self.factor = (self.factor * next).clamp(f64::from(f32::MIN_POSITIVE), 2_f64.powi(100));
        finite
    }
}

/// Multiplies the gradients of all parameters.
fn scale_all<M: Module>(model: &M, gradients: &mut GradientsParams, factor: f64) {
    struct By<'a>(&'a mut GradientsParams, f64);
    impl ModuleVisitor for By<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(gradient) = self.0.remove::<D>(param.id) else { return };
            self.0.register(param.id, gradient * self.1);
        }
    }
    if factor.to_bits() != 1_f64.to_bits() {
        model.visit(&mut By(gradients, factor));
    }
}

/// Whether all gradients are finite: one number is read from the device.
fn all_finite<M: Module>(model: &M, gradients: &GradientsParams) -> bool {
    struct Zeros<'a>(&'a GradientsParams, Option<Tensor<1>>);
    impl ModuleVisitor for Zeros<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(gradient) = self.0.get::<D>(param.id) else { return };
            // Zero times what is not finite is no number.
            let zero = (gradient * 0.0).sum();
            self.1 = Some(match self.1.take() {
                Some(sum) => sum + zero,
                None => zero,
            });
        }
    }
    let mut zeros = Zeros(gradients, None);
    model.visit(&mut zeros);
    zeros.1.is_none_or(|sum| sum.into_data().iter::<f32>().all(|zero| zero == 0.0))
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::TensorData;

    use super::*;

    fn model() -> (Linear, Device) {
        let device = Device::flex().autodiff();
        (LinearConfig::new(2, 1).with_bias(false).init(&device), device)
    }

    /// Of the mean of w · x over some x, as it is handed in.
    fn hand_in(step: &StepGradients, model: &Linear, place: [usize; 2], xs: &[[f32; 2]]) {
        let values = xs.iter().flatten().copied().collect::<Vec<_>>();
        let x = Tensor::<2>::from_data(TensorData::new(values, [xs.len(), 2]), &Device::flex());
        let loss = model.forward(x.autodiff()).mean() * step.weight(xs.len());
        let gradients = GradientsParams::from_grads(loss.backward(), model);
        let place = Place { epoch: 1, round: place[0], first: place[1] };
        step.hand_in(model, place, xs.len(), gradients);
    }

    fn taken(step: &StepGradients, model: &Linear) -> Option<Vec<f32>> {
        let gradients = step.take(model)?;
        Some(gradients.get::<2>(model.weight.id)?.into_data().iter().collect())
    }

    const XS: [[f32; 2]; 5] = [[0.1, 1e-3], [0.7, 3.0], [-0.3, 1e4], [0.2, -7.7], [1.9, 0.3]];

    #[test]
    fn the_gradient_is_of_the_mean_over_all_pictures_in_any_order() {
        let (model, device) = model();
        let step = StepGradients::new(&device, 2, Precision::F32);
        let parts: [([usize; 2], &[[f32; 2]]); 3] =
            [([0, 0], &XS[..2]), ([0, 3], &XS[2..3]), ([1, 2], &XS[3..])];
        let want: Vec<f64> = (0..2)
            .map(|axis| XS.iter().map(|x| f64::from(x[axis])).sum::<f64>() / XS.len() as f64)
            .collect();
        let mut first = None;
        for order in [[0, 1, 2], [1, 0, 2]] {
            for at in order {
                hand_in(&step, &model, parts[at].0, parts[at].1);
            }
            let got = taken(&step, &model).unwrap();
            for (got, want) in got.iter().zip(&want) {
                assert!(
                    (f64::from(*got) - want).abs() < 1e-6 * want.abs().max(1.0),
                    "{got} {want}"
                );
            }
            let first = first.get_or_insert_with(|| got.clone());
            assert_eq!(*first, got, "to the bit");
        }
    }

    #[test]
    fn what_an_epoch_leaves_is_not_of_the_next() {
        let (model, device) = model();
        let step = StepGradients::new(&device, 5, Precision::F32);
        hand_in(&step, &model, [3, 9], &[[1e9, 1e9]]);
        let loss = model.forward(Tensor::<2>::ones([5, 2], &device)).mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        step.hand_in(&model, Place { epoch: 2, round: 0, first: 0 }, 5, gradients);
        assert_eq!(taken(&step, &model), Some(vec![1.0, 1.0]));
    }

    #[test]
    fn the_scale_follows_the_gradients() {
        let (model, device) = model();
        let step = StepGradients::new(&device, 1, Precision::F16);
        let scale = || step.loss_scale().unwrap();
        assert_eq!(scale().factor, 65536.0);
        hand_in(&step, &model, [0, 0], &[[0.5, f32::MAX]]);
        assert_eq!(taken(&step, &model), None);
        assert_eq!(scale(), LossScale { factor: 32768.0, steps: 0, left_out: 1 });
        for _ in 0..GROWTH_INTERVAL {
            hand_in(&step, &model, [0, 0], &[[0.5, 0.25]]);
            assert_eq!(taken(&step, &model), Some(vec![0.5, 0.25]));
        }
        assert_eq!(scale(), LossScale { factor: 65536.0, steps: 0, left_out: 1 });
        let other = StepGradients::new(&device, 1, Precision::F16);
        other.go_on_with(scale());
        assert_eq!(other.loss_scale(), step.loss_scale());
    }
}
