//! Factors of the steps of plain kernels, element by element: those of the blocks that they are trained as.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::nn::Initializer;
use burn::tensor::Tensor;
use dyrep_burn::{Kernel, Multiplied, MultiplierError, RepConv2d, layers};
use dyrep_recipe::Method;

use super::{Ends, Scales};
use crate::device::home;
use crate::error::TrainError;

/// What the optimiser of a plain network multiplies by, by the paths of parameters: all of it follows from the network's
/// geometry and the blocks' constants, none of it from weights.
///
/// SGD multiplies gradients, before decay and momentum; AdamW its updates, without the decay. Either way the network
/// trains as its blocks would, step by step: with SGD up to rounding, with AdamW up to what its ε is beside the gradients,
/// which the blocks see multiplied.
#[derive(Clone, Debug, Default)]
pub struct GradientMultipliers {
    parameters: BTreeMap<String, Factors>,
}

/// Those of one parameter, a weight `[out, in / groups, height, width]` or a bias `[out, 1, 1, 1]`.
#[derive(Clone, Debug)]
pub(crate) struct Factors {
    /// Of a step.
    step: Tensor<4>,
    /// Of the gradient's square: the norm of the blocks' gradients is of these.
    square: Tensor<4>,
}

impl GradientMultipliers {
    /// Those of a network whose convolutions are trained as blocks with these scales.
    ///
    /// # Errors
    /// A method whose steps are not those of blocks, multiplied: all but SGD and AdamW. A convolution that the network
    /// does not have or that is no plain one; scales that are not its.
    pub fn of<M: Module>(network: &M, scales: &Scales, method: Method) -> Result<Self, TrainError> {
        let of_step = match method {
            Method::Sgd { .. } => Multiplied::Gradient,
            Method::AdamW { .. } => Multiplied::Update,
            _ => {
                let expected = "`sgd` or `adamw`: with gradients multiplied, steps of others are not those of the blocks";
                let found = format!("`{}`", method.name());
                return Err(TrainError::Config { option: "optimizer", expected, found });
            }
        };
        scales.check(network)?;
        let device = home(network).inner();
        let mut parameters = BTreeMap::new();
        for (path, layer) in layers(network) {
            let Some(own) = scales.layer(&path) else { continue };
            // Its weights are never drawn: the factors depend on their shapes alone.
            let block = own.block(&path, &layer, Ends::Constant, Initializer::Zeros)?;
            let block = RepConv2d::to_device(block, &device);
            let block = block.block().unwrap_or_else(|| unreachable!("it was built as a block"));
            let told = |source: MultiplierError| TrainError::Scales {
                file: format!("layer `{path}`"),
                reason: source.to_string(),
            };
            let square = block.multipliers(Multiplied::Gradient).map_err(told)?;
            let step = match of_step {
                Multiplied::Gradient => square.clone(),
                Multiplied::Update => block.multipliers(of_step).map_err(told)?,
            };
            let joined = |name: &str| match path.as_str() {
                "" => name.to_owned(),
                path => format!("{path}.{name}"),
            };
            let weight = Factors { step: step.weight(), square: square.weight() };
            parameters.insert(joined("weight"), weight);
            let bias = |kernel: &Kernel| kernel.bias().map(|it| it.reshape([-1, 1, 1, 1]));
            if let (Some(step), Some(square)) = (bias(&step), bias(&square)) {
                parameters.insert(joined("bias"), Factors { step, square });
            }
        }
        Ok(Self { parameters })
    }

    /// The parameters whose steps are multiplied, with what they are multiplied by.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&str, &Tensor<4>)> {
        self.parameters.iter().map(|(path, factors)| (path.as_str(), &factors.step))
    }

    /// What a parameter's squared gradient counts, times over, in the norm of the blocks' gradients.
    pub(crate) fn square(&self, path: &str) -> Option<&Tensor<4>> {
        self.parameters.get(path).map(|factors| &factors.square)
    }
}

/// A factor where and in the shape that a parameter has.
pub(crate) fn shaped<const D: usize>(factor: &Tensor<4>, like: &Tensor<D>) -> Tensor<D> {
    factor.clone().to_device(&like.device()).reshape(like.dims())
}
