//! Forgetting the optimiser's state of parameters that are gone.
//!
//! Burn keys state by parameter id: without this it would be kept, saved and loaded for ever. State of new
//! parameters needs nothing: it starts with their first gradient.

use std::collections::HashSet;

use burn::module::{Module, ParamId, list_param_ids};
use burn::optim::ModuleOptimizer;
use burn_pack::{Reader, Writer};

use crate::error::AdjustError;

/// Drops the state of every parameter that `model` does not have; returns how many were dropped.
///
/// Survivors keep theirs bit for bit.
///
/// # Errors
/// If Burn's record of the optimiser cannot be read back; the optimiser is then unchanged.
pub fn prune_optimizer<M: Module>(
    optimizer: &mut ModuleOptimizer,
    model: &M,
) -> Result<usize, AdjustError> {
    let alive = list_param_ids(model).iter().map(ParamId::val).collect();
    let failed = |reason: String| AdjustError::Optimizer { reason };
    let bytes = optimizer.into_bytes().map_err(|error| failed(error.to_string()))?;
    let (pruned, dropped) = prune(bytes, &alive).map_err(|error| failed(error.to_string()))?;
    if dropped > 0 {
        *optimizer =
            optimizer.clone().from_bytes(pruned).map_err(|error| failed(error.to_string()))?;
    }
    Ok(dropped)
}

/// Rewrites a record without the entries whose id is not in `alive`.
///
/// Tensors carry the id; scalars are named `ID.name`, paths `ID`.
fn prune(
    bytes: burn::tensor::Bytes,
    alive: &HashSet<u64>,
) -> Result<(burn::tensor::Bytes, usize), burn_pack::Error> {
    let reader = Reader::from_bytes(bytes)?;
    let (scalars, paths) = (reader.scalars().clone(), reader.metadata().clone());
    let id_of = |name: &str| name.split('.').next().and_then(|id| id.parse::<u64>().ok());
    let lives = |name: &str| id_of(name).is_none_or(|id| alive.contains(&id));
    let tensors = reader.into_tensors()?;
    let gone: HashSet<u64> = tensors
        .iter()
        .filter_map(|tensor| id_of(&tensor.name))
        .chain(scalars.keys().filter_map(|name| id_of(name)))
        .filter(|id| !alive.contains(id))
        .collect();
    let kept = tensors.into_iter().filter(|tensor| lives(&tensor.name)).collect();
    let mut writer = Writer::new(kept);
    for (name, value) in scalars.iter().filter(|(name, _)| lives(name)) {
        writer = writer.with_scalar(name, *value);
    }
    for (name, path) in paths.iter().filter(|(name, _)| lives(name)) {
        writer = writer.with_metadata(name, path);
    }
    Ok((writer.into_bytes()?, gone.len()))
}
