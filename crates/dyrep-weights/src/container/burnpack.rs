//! Burn's own: records of modules and of the training wrapper, and what [`write_burnpack`](crate::write_burnpack)
//! writes.
//!
//! The library bounds metadata, tensors and their places by the file's length. Two of the wrapper's tensors are no
//! weights; one of them tells the structure.

use burn::tensor::DType;
use burn_pack::{Reader, Tensor};
use serde::Deserialize;

use super::{Found, Source};
use crate::describe::{Description, KEY};
use crate::error::WeightsError;
use crate::params::torch_name;
use crate::tensor::{Number, Stored};

/// What the training wrapper adds to a model's record: JSON as one number a byte, and numbers of its own.
const STATE: &str = "dyrep.state";
const VALUES: &str = "dyrep.values";

/// Of the wrapper's state, what says something about weights.
#[derive(Deserialize)]
struct State {
    structure: dyrep_burn::Structure,
}

pub(super) fn read(source: &Source<'_>) -> Result<Found, WeightsError> {
    let malformed = |e: burn_pack::Error| source.malformed(e);
    let reader = Reader::from_file_exact(source.file).map_err(malformed)?;
    let mut note = reader.metadata().get(KEY).cloned();
    let mut found = Found::default();
    for tensor in reader.into_tensors().map_err(malformed)? {
        match tensor.name.as_str() {
            VALUES => {}
            STATE => note = Some(structure(source, tensor)?),
            _ => {
                let name = torch_name(&tensor.name);
                found.0.insert(name, stored(tensor));
            }
        }
    }
    found.1 = note;
    Ok(found)
}

fn stored(tensor: Tensor) -> Stored {
    let number = match tensor.dtype {
        DType::F16 => Number::F16,
        DType::BF16 => Number::Bf16,
        DType::F32 => Number::F32,
        DType::F64 => Number::F64,
        _ => Number::Other("another type"),
    };
    let (name, length) = (tensor.name.clone(), tensor.byte_len() as u64);
    let shape = tensor.shape.to_vec();
    let read = move || match tensor.to_bytes() {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(error) => Err(error.to_string()),
    };
    Stored::new(name, number, shape, length, read)
}

/// The structure that the wrapper recorded, as the note that it would be.
fn structure(source: &Source<'_>, tensor: Tensor) -> Result<String, WeightsError> {
    let length = tensor.byte_len() as u64;
    if length > source.length {
        return Err(source.oversized(STATE, length, source.length));
    }
    let values = stored(tensor).values().map_err(|reason| source.malformed(reason))?;
    let text: Vec<u8> = values.into_iter().map(|value| value as u8).collect();
    let state: State = serde_json::from_slice(&text)
        .map_err(|error| source.malformed(format!("`{STATE}` is not whole: {error}")))?;
    Ok(Description::of_structure(state.structure).to_json())
}
