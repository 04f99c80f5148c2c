//! The model that a run trains: a network in its wrappers, and whether it is still one of numbers.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use dyrep_data::Loader;
use dyrep_models::Network;

use super::Training;
use super::calibration::Calibration;
use crate::classifier::Classifier;
use crate::dyrep::DyRep;
use crate::error::TrainError;
use crate::input::InputSpec;
use crate::params;
use crate::rep_optimizer::GradientMultipliers;
use crate::step_gradients::StepGradients;

/// A validation picture, `[1, channels, height, width]`.
pub(super) fn picture(
    validation: &Loader,
    input: &InputSpec,
    device: &Device,
) -> Result<Tensor<4>, TrainError> {
    // Of a whole batch, since a file that cannot be used is left out.
    let batch = validation.epoch(0).next().unwrap_or_else(|| unreachable!("never empty"))?;
    Ok(input.images(&batch, device).narrow(0, 0, 1))
}

/// The first parameter or statistic that is not finite.
pub(super) fn not_finite<N: Network>(network: &N) -> Option<String> {
    let mut found = None;
    params::for_each(network, |path, values| {
        if found.is_none() && !values().iter().all(|value| value.is_finite()) {
            found = Some(path.join("."));
        }
    });
    found
}

/// The network in its wrappers.
pub(super) fn wrap<N: Network>(
    model: Classifier<N>,
    multipliers: &GradientMultipliers,
    (steps_per_epoch, step): (usize, Option<StepGradients>),
    training: &Training,
    calibration: Arc<Calibration>,
) -> Result<DyRep<Classifier<N>>, TrainError> {
    let mut model = DyRep::new(model, steps_per_epoch).with_seed(training.seed);
    if let Some(config) = &training.search {
        model = model.with_search(config.clone())?;
    }
    if let Some(decay) = training.optimizer.ema_decay {
        model = model.with_average(decay);
    }
    if let Some(norm) = training.optimizer.clip_norm {
        model = model.with_multiplied_clipping(norm, multipliers.clone());
    }
    if let Some(step) = step {
        model = model.with_shared_step(step, Classifier::sharing);
    }
    let run = move |model: &Classifier<N>, epoch, index| calibration.run(model, epoch, index);
    if training.recalibration > 0 {
        model = model.with_recalibration(training.recalibration, run.clone());
    }
    if let Some(config) = &training.controller {
        model = model.with_controller(config.clone(), run)?;
    }
    Ok(model)
}
