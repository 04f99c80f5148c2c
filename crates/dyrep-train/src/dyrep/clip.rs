//! All gradients multiplied so that their common norm is bounded (arXiv 1211.5063), which Burn has only tensor by tensor.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use super::DyRep;
use crate::rep_optimizer::{GradientMultipliers, shaped};

/// Keeps a division by a norm of zero finite, as PyTorch does.
const TINY: f64 = 1e-6;

impl<M: Module> DyRep<M> {
    /// Scales each step's gradients so that the norm of all of them together is at most `norm`. Scores are of the
    /// gradients before that.
    ///
    /// # Panics
    /// If the norm is not above 0.
    #[must_use]
    pub fn with_clipping(mut self, norm: f64) -> Self {
        assert!(norm > 0.0, "the norm to clip to must be above 0, got {norm}");
        self.setup_mut().clip = Some((norm, GradientMultipliers::default()));
        self
    }

    /// The same for a model of which some parameters train as sums of others: the norm is then that of the others' gradients,
    /// so that the model is clipped as they would be.
    ///
    /// # Panics
    /// If the norm is not above 0.
    #[must_use]
    pub fn with_multiplied_clipping(self, norm: f64, multipliers: GradientMultipliers) -> Self {
        let mut clipped = self.with_clipping(norm);
        clipped.setup_mut().clip = Some((norm, multipliers));
        clipped
    }
}

/// Scales the gradients of all parameters so that their common norm, with that of the numbers `beside` them, is at most
/// `most`; that of parameters which train as sums of others is the norm of these. What the numbers are to be multiplied by
/// is given back where there are any; without them nothing is read back from the device.
pub(super) fn clip<M: Module>(
    model: &M,
    gradients: &mut GradientsParams,
    most: f64,
    multipliers: &GradientMultipliers,
    beside: Option<&[f64]>,
) -> Option<f64> {
    let mut norm = Squares { path: vec![], multipliers, gradients, sum: None };
    model.visit(&mut norm);
    let mut sum = norm.sum?;
    if let Some(numbers) = beside {
        sum = sum + numbers.iter().map(|number| number * number).sum::<f64>();
    }
    let factor = (sum.sqrt() + TINY).recip().mul_scalar(most).clamp_max(1.0);
    model.visit(&mut Scale { gradients, factor: factor.clone() });
    beside.map(|_| f64::from(factor.into_scalar::<f32>()))
}

struct Squares<'a> {
    path: Vec<String>,
    multipliers: &'a GradientMultipliers,
    gradients: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
        let square = gradient.square();
        let own = match self.multipliers.square(&self.path.join(".")) {
            Some(factor) => (square.clone() * shaped(factor, &square)).sum(),
            None => square.sum(),
        };
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum + own,
            None => own,
        });
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: Tensor<1>,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return };
        let factor = self.factor.clone().reshape([1; D]);
        self.gradients.register(param.id, gradient * factor);
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    use super::*;

    /// A gradient of 3, and what it is after clipping to 1 with these numbers beside it.
    fn clipped(beside: Option<&[f64]>) -> (f32, Option<f64>) {
        let device = Device::flex().autodiff();
        let model: Linear = LinearConfig::new(1, 1).with_bias(false).init(&device);
        let loss = model.weight.val() * 3.0;
        let mut gradients = GradientsParams::from_grads(loss.sum().backward(), &model);
        let factor = clip(&model, &mut gradients, 1.0, &GradientMultipliers::default(), beside);
        let gradient = gradients.get::<2>(model.weight.id).map(Tensor::into_scalar::<f32>);
        (gradient.unwrap_or(f32::NAN), factor)
    }

    #[test]
    fn what_lies_beside_is_of_the_norm() {
        let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-5, "{got}, not {want}");
        let (gradient, factor) = clipped(None);
        near(gradient.into(), 1.0);
        assert_eq!(factor, None);
        // √(3² + 4²) = 5.
        let (gradient, factor) = clipped(Some(&[0.0, -4.0]));
        near(gradient.into(), 0.6);
        near(factor.unwrap_or(f64::NAN), 0.2);
    }
}
