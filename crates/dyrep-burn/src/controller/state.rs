//! What a controller remembers, as plain data: what a checkpoint needs so that a resumed run goes on to the bit.

use burn::tensor::{Device, Tensor, TensorData};
use dyrep_config::{ControllerConfig, Score};
use serde::{Deserialize, Serialize};

use super::{Controller, EventLog};
use crate::adjust::MeanGradient;
use crate::error::StateError;
use crate::look::saliency::{Saliency, Sum};
use crate::structure::Structure;

/// A controller without its numbers, which lie beside it as one list of `f32`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControllerState {
    score: Score,
    log: Option<EventLog>,
    steps: usize,
    sums: Vec<SavedSum>,
}

/// What was summed up for one candidate, and how many numbers that is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedSum {
    path: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Kind {
    /// One number.
    Score,
    /// The weight's, and perhaps the bias's.
    Gradient { weight: [usize; 4], bias: Option<usize> },
}

impl Controller {
    /// What it remembers, and the numbers that belong to it. Waits for the device.
    #[must_use]
    pub fn state(&self) -> (ControllerState, Vec<f32>) {
        let (mut sums, mut values) = (vec![], vec![]);
        for (path, sum) in &self.saliency.sums {
            let kind = match sum {
                Sum::Score(score) => {
                    values.extend(numbers(score.clone()));
                    Kind::Score
                }
                Sum::Gradient(MeanGradient { weight, bias }) => {
                    values.extend(numbers(weight.clone()));
                    values.extend(bias.clone().map(numbers).unwrap_or_default());
                    let bias = bias.as_ref().map(|bias| bias.dims()[0]);
                    Kind::Gradient { weight: weight.dims(), bias }
                }
            };
            sums.push(SavedSum { path: path.clone(), kind });
        }
        let (log, steps) = (self.log.clone(), self.saliency.steps);
        (ControllerState { score: self.config.score, log, steps, sums }, values)
    }

    /// A controller that goes on from what [`state`](Self::state) gave, with a model of this `structure`, its sums on
    /// `device`, which is one without autodiff. The schedule is `config`'s.
    ///
    /// # Errors
    /// Options that make no sense, another score than the one that the sums are of, sums that are not of the
    /// structure's convolutions, a log whose changes do not follow from each other, or too few or too many numbers.
    pub fn resume(
        config: ControllerConfig,
        state: ControllerState,
        values: &[f32],
        structure: &Structure,
        device: &Device,
    ) -> Result<Self, StateError> {
        let mut controller = Self::new(config)?;
        let (expected, found) = (controller.config.score, state.score);
        if found != expected && !state.sums.is_empty() {
            return Err(StateError::Score { expected, found });
        }
        if let Some(log) = &state.log {
            log.replay()?;
        }
        if let Some(sum) = state.sums.iter().find(|sum| !sum.fits(structure)) {
            return Err(StateError::Sum { path: sum.path.clone() });
        }
        let expected = state.sums.iter().map(|sum| sum.kind.len()).sum();
        if values.len() != expected {
            return Err(StateError::Numbers { expected, found: values.len() });
        }
        let mut rest = values;
        let mut take = |len: usize| {
            let (part, behind) = rest.split_at(len);
            rest = behind;
            part.to_vec()
        };
        let mut restore = |SavedSum { path, kind }: SavedSum| {
            let sum = match kind {
                Kind::Score => Sum::Score(tensor(take(1), [1], device)),
                Kind::Gradient { weight, bias } => Sum::Gradient(MeanGradient {
                    weight: tensor(take(weight.iter().product()), weight, device),
                    bias: bias.map(|len| tensor(take(len), [len], device)),
                }),
            };
            (path, sum)
        };
        let sums = state.sums.into_iter().map(&mut restore).collect();
        controller.saliency = Saliency { sums, steps: state.steps };
        controller.log = state.log;
        Ok(controller)
    }
}

impl SavedSum {
    /// Whether it can have been summed up for a convolution of `structure`.
    fn fits(&self, structure: &Structure) -> bool {
        let Some(geometry) = structure.geometry_at(&self.path) else { return false };
        match self.kind {
            Kind::Score => true,
            Kind::Gradient { weight, bias } => {
                weight == geometry.weight_shape()
                    && bias.is_none_or(|bias| bias == geometry.out_channels())
            }
        }
    }
}

impl Kind {
    fn len(self) -> usize {
        match self {
            Self::Score => 1,
            Self::Gradient { weight, bias } => {
                weight.iter().product::<usize>() + bias.unwrap_or_default()
            }
        }
    }
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}
