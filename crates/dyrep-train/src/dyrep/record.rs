//! A wrapper's record: the model's, under the model's own paths, and two tensors more.
//!
//! `dyrep.state` is JSON, one value for each byte, so that every backend can hold it; `dyrep.values` are the numbers
//! that it speaks of. A plain model loads such a record if it is allowed to leave those two unused.

use std::sync::Arc;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::{Device, Tensor, TensorData};
use burn_pack::Reader;
use dyrep_burn::{Controller, ControllerState, Search, SearchState, Structure};
use serde::{Deserialize, Serialize};

use super::average::Average;
use super::{DyRep, Setup, kinds};
use crate::device::home;
use crate::step_gradients::{LossScale, StepGradients};

/// The version written; the only one read.
const VERSION: u64 = 1;
const NAME: &str = "dyrep";
const EXTRA: [&str; 2] = ["state", "values"];

/// What a wrapper remembers beside the model's parameters.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    version: u64,
    /// Optimiser steps done.
    steps: usize,
    steps_per_epoch: usize,
    structure: Structure,
    controller: Option<ControllerState>,
    /// How many of the numbers are the controller's; the rest is the average's.
    controller_values: usize,
    average: bool,
    /// What the loss was multiplied by, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    loss_scale: Option<LossScale>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    search: Option<SearchState>,
}

impl<M: Module> DyRep<M> {
    /// All of it as Burn's checkpoints have it.
    pub(crate) fn record(&self) -> ModuleRecord {
        let (controller, mut values) = match &self.controller {
            Some(controller) => {
                let (state, values) = controller.state();
                (Some(state), values)
            }
            None => (None, vec![]),
        };
        let state = State {
            version: VERSION,
            steps: self.steps,
            steps_per_epoch: self.setup.steps_per_epoch,
            structure: Structure::of(&self.model),
            controller,
            controller_values: values.len(),
            average: self.average.is_some(),
            loss_scale: self.setup.step.as_ref().and_then(StepGradients::loss_scale),
            search: self.search.as_ref().map(Search::state),
        };
        values.extend(self.average.iter().flat_map(Average::values));
        let text = serde_json::to_string(&state)
            .unwrap_or_else(|error| unreachable!("strings and numbers: {error}"));
        let state = text.into_bytes().into_iter().map(f32::from).collect();
        let device = home(&self.model);
        let extra = [(EXTRA[0], state), (EXTRA[1], values)]
            .map(|(name, values)| (name, param(values, &device)));
        // Off the graph running statistics are up to date; a training model's lag by one step.
        Recorded { model: self.model.valid(), extra }.into_record()
    }

    /// The wrapper as it was recorded: structure, weights, what the controller knew, the average.
    pub(super) fn loaded(self, record: ModuleRecord) -> Result<Self, RecordError> {
        let bytes = record.into_bytes()?;
        let tensors = Reader::from_bytes(bytes.clone())?.into_tensors()?;
        let types: Vec<_> = tensors.iter().map(|it| (it.name.clone(), it.dtype)).collect();
        let [state, values] = extra_tensors(tensors)?;
        let (state_len, values_len) = (state.len(), values.len());
        let state = parse(&state)?;
        let device = home(&self.model);
        let structure = state.structure;
        let model = structure.apply(self.model).map_err(refuse)?;
        let extra = [(EXTRA[0], state_len), (EXTRA[1], values_len)]
            .map(|(name, len)| (name, param(vec![0.0; len], &device)));
        let recorded = Recorded { model, extra };
        kinds::check(&recorded, types.iter().map(|(path, dtype)| (path.as_str(), *dtype)))?;
        let recorded = recorded.try_load_record(ModuleRecord::from_bytes(bytes)?)?;
        let model = recorded.model;
        let (own, rest) = values
            .split_at_checked(state.controller_values)
            .ok_or_else(|| refuse("its numbers are fewer than its state says"))?;
        let setup: Arc<Setup<M>> = self.setup;
        if state.steps_per_epoch != setup.steps_per_epoch {
            return Err(refuse(format!(
                "it was trained in epochs of {} steps, not of {}",
                state.steps_per_epoch, setup.steps_per_epoch
            )));
        }
        let controller = match (&setup.controller, state.controller) {
            (Some((config, _)), Some(state)) => {
                let inner = device.clone().inner();
                let resumed = Controller::resume(config.clone(), state, own, &structure, &inner);
                Some(resumed.map_err(refuse)?)
            }
            // A controller that joins a run, or leaves one, starts or ends there.
            _ => self.controller,
        };
        let search = match (self.search, state.search) {
            (Some(search), Some(state)) => Some(search.resumed(state).map_err(refuse)?),
            (Some(_), None) => return Err(refuse("its branches were not searched")),
            (None, _) => None,
        };
        if let (Some(step), Some(scale)) = (&setup.step, state.loss_scale) {
            step.go_on_with(scale);
        }
        let average = match (setup.decay, state.average) {
            (Some(_), true) => Some(
                Average::restored(&model, rest)
                    .ok_or_else(|| refuse("the average's numbers are not the model's"))?,
            ),
            (Some(_), false) => Some(Average::new(&model)),
            (None, _) => None,
        };
        Ok(Self { model, controller, search, average, beside: None, steps: state.steps, setup })
    }
}

fn refuse(reason: impl std::fmt::Display) -> RecordError {
    RecordError::Validation(reason.to_string())
}

fn parse(values: &[f32]) -> Result<State, RecordError> {
    let text: Vec<u8> = values.iter().map(|value| *value as u8).collect();
    let malformed = |error| refuse(format!("its state is not whole: {error}"));
    let state: State = serde_json::from_slice(&text).map_err(malformed)?;
    match state.version {
        VERSION => Ok(state),
        other => Err(refuse(format!("its state is of version {other}, not {VERSION}"))),
    }
}

/// The values of [`EXTRA`].
fn extra_tensors(mut tensors: Vec<burn_pack::Tensor>) -> Result<[Vec<f32>; 2], RecordError> {
    let take = |name: &str| -> Result<Vec<f32>, RecordError> {
        let path = format!("{NAME}.{name}");
        let found = tensors.iter().position(|tensor| tensor.name == path);
        let found = found.ok_or_else(|| {
            refuse(format!(
                "it has no `{path}`: it is of a model that was not trained in this wrapper"
            ))
        })?;
        let (_, dtype, shape, _, bytes) = tensors.swap_remove(found).into_parts()?;
        if !dtype.is_float() {
            return Err(refuse(format!("its `{path}` holds {dtype:?}, expected fractions")));
        }
        Ok(TensorData::from_bytes(bytes, shape, dtype).iter::<f32>().collect())
    };
    let [state, values] = EXTRA.map(take);
    Ok([state?, values?])
}

fn param(values: Vec<f32>, device: &Device) -> Param<Tensor<1>> {
    let len = values.len();
    let tensor = Tensor::from_data(TensorData::new(values, [len]), &device.clone().inner());
    Param::initialized(ParamId::new(), tensor)
}

/// A model and what is recorded with it.
#[derive(Clone, Debug)]
struct Recorded<M> {
    model: M,
    extra: [(&'static str, Param<Tensor<1>>); 2],
}

impl<M: Module> Module for Recorded<M> {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.model.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        Self { model: self.model.fork(device), extra: self.extra }
    }

    fn to_device(self, device: &Device) -> Self {
        Self { model: self.model.to_device(device), extra: self.extra }
    }

    fn train(self) -> Self {
        Self { model: self.model.train(), extra: self.extra }
    }

    fn valid(&self) -> Self {
        Self { model: self.model.valid(), extra: self.extra.clone() }
    }

    fn materialize(self) -> Self {
        Self { model: self.model.materialize(), extra: self.extra }
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.model.visit(visitor);
        visitor.enter_module(NAME, "Struct:DyRep");
        for (name, param) in &self.extra {
            visitor.enter_module(name, "Struct:DyRep");
            Module::visit(param, visitor);
            visitor.exit_module(name, "Struct:DyRep");
        }
        visitor.exit_module(NAME, "Struct:DyRep");
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        let model = self.model.map(mapper);
        mapper.enter_module(NAME, "Struct:DyRep");
        let extra = self.extra.map(|(name, param)| {
            mapper.enter_module(name, "Struct:DyRep");
            let param = Module::map(param, mapper);
            mapper.exit_module(name, "Struct:DyRep");
            (name, param)
        });
        mapper.exit_module(NAME, "Struct:DyRep");
        Self { model, extra }
    }
}
