//! How to train.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, FloatDType, GradientCheckpointingStrategy, Tensor};
use dyrep_burn::{ControllerConfig, SearchConfig};
use dyrep_config::Precision;
use dyrep_data::Mixer;
use dyrep_models::Network;
use dyrep_recipe::{OptimizerConfig, ScheduleConfig};

use crate::classifier::{Classifier, Loss};
use crate::distillation::Distillation;
use crate::error::TrainError;
use crate::input::InputSpec;
use crate::optimizer::Groups;
use crate::rep_optimizer::{GradientMultipliers, RepOptimizer};
use crate::step_gradients::StepGradients;

/// How to train a classifier.
#[derive(Clone, Debug)]
pub struct Training {
    /// What is trained, for the record.
    pub title: String,
    /// On what, and where.
    pub description: String,
    /// The recipe's text.
    pub recipe: String,
    /// Epochs after which the run is at its end. Its schedule may have more, for a run that goes on later.
    pub epochs: usize,
    /// How the learning rate changes.
    pub schedule: ScheduleConfig,
    /// The optimiser, what it does with gradients, and the average of the weights. Of how many pictures a batch is, the
    /// loaders decide.
    pub optimizer: OptimizerConfig,
    /// The loss.
    pub loss: Loss,
    /// A teacher of the training pictures; `None` learns from their labels alone.
    pub distillation: Option<Distillation>,
    /// Convolutions that train as blocks without being any, or a search for such blocks' scales; `None` for neither.
    pub rep_optimizer: Option<RepOptimizer>,
    /// When and how the structure changes; `None` leaves it as it is.
    pub controller: Option<ControllerConfig>,
    /// How branches are searched; `None` lets all run.
    pub search: Option<SearchConfig>,
    /// Training batches that batch norms are measured on before each evaluation; 0 for none.
    pub recalibration: usize,
    /// Epochs without a better validation accuracy after which the training ends.
    pub patience: Option<usize>,
    /// Whether `tensorboard/` gets files of events.
    pub tensorboard: bool,
    /// The newest checkpoints that stay; 0 to write none.
    pub keep: usize,
    /// How bytes become input.
    pub input: InputSpec,
    /// How batches are mixed; `None` leaves them as they are.
    pub mixer: Option<Mixer>,
    /// The numbers that steps compute in.
    pub precision: Precision,
    /// Whether what costs little is computed again for the backward pass instead of being kept, as
    /// `Device::gradient_checkpointing` says.
    pub gradient_checkpointing: bool,
    /// The seed of what the model draws while it trains.
    pub seed: u64,
}

/// A precision as Burn's tensors have it.
pub(crate) fn numbers(precision: Precision) -> FloatDType {
    match precision {
        Precision::F32 => FloatDType::F32,
        Precision::Bf16 => FloatDType::BF16,
        Precision::F16 => FloatDType::F16,
    }
}

impl Training {
    /// The groups of a network's parameters, with what their steps are multiplied by.
    ///
    /// # Errors
    /// Groups that name layers that are not there; scales that are not of the network's convolutions, or of an optimiser
    /// that nothing can be multiplied of.
    pub(crate) fn groups<M: Module>(&self, network: &M) -> Result<Groups, TrainError> {
        let groups = Groups::of(&self.optimizer, network)?;
        let Some(RepOptimizer::Multiplied(scales)) = &self.rep_optimizer else {
            return Ok(groups);
        };
        let method = self.optimizer.method;
        Ok(groups.with_multipliers(GradientMultipliers::of(network, scales, method)?))
    }

    /// A network that learns, with its loss.
    pub(crate) fn classifier<N: Network>(&self, network: N) -> Classifier<N> {
        Classifier::new(network, self.loss.clone()).with_precision(self.precision)
    }

    /// Where the gradients of a step are put together, if it has those of several batches or its loss is scaled. A full
    /// batch has so many pictures.
    pub(crate) fn shared_step(
        &self,
        device: &Device,
        full: usize,
        by_batch: bool,
    ) -> Option<StepGradients> {
        let shared = self.precision == Precision::F16 || !by_batch;
        shared.then(|| StepGradients::new(&self.graph(device), full, self.precision))
    }

    /// A device as the training's graph lies on it.
    pub(crate) fn graph(&self, device: &Device) -> Device {
        let graph = device.clone().autodiff();
        match self.gradient_checkpointing {
            true => graph.gradient_checkpointing(),
            false => graph,
        }
    }

    /// A network that learns, there.
    pub(crate) fn learning<N: Network>(&self, network: N, device: &Device) -> N {
        /// Burn's `train` knows the default strategy only, and moving to the same device changes nothing.
        struct With(GradientCheckpointingStrategy);
        impl ModuleMapper for With {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                param.map(|value| value.with_gradient_checkpointing_strategy(self.0))
            }
        }
        let network = network.train().fork(&self.graph(device));
        match self.gradient_checkpointing {
            true => network.map(&mut With(GradientCheckpointingStrategy::Balanced)),
            false => network,
        }
    }

    /// Whether all devices compute in the training's numbers.
    ///
    /// # Errors
    /// One that does not.
    pub(crate) fn check_precision(&self, devices: &[Device]) -> Result<(), TrainError> {
        // Every device has these, whatever it says of them.
        if self.precision == Precision::F32 {
            return Ok(());
        }
        let dtype = numbers(self.precision);
        match devices.iter().find(|device| !device.supports_dtype(dtype)) {
            None => Ok(()),
            Some(device) => {
                let (precision, device) = (self.precision, format!("{device:?}"));
                Err(TrainError::Precision { precision, device })
            }
        }
    }
}
