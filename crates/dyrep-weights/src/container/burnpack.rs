//! Burn's own: records of modules and of the training wrapper, and what [`write_burnpack`](crate::write_burnpack)
//! writes.
//!
//! The library holds tensors and their places against the file's length; that of the metadata is checked in front of it.
//! Two of the wrapper's tensors are no weights; one of them tells the structure.

use std::fs::File;
use std::io::Read as _;

use burn::tensor::DType;
use burn_pack::{Reader, Tensor};
use serde::Deserialize;

use super::{Found, Source};
use crate::describe::{Description, KEY};
use crate::error::WeightsError;
use crate::params::torch_name;
use crate::tensor::{Number, Stored};

/// Bytes in front of the metadata: a magic number, a version, the metadata's length.
const HEADER: u64 = 10;
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
    check_header(source)?;
    let reader = Reader::from_file_exact(source.file).map_err(malformed)?;
    let mut note = reader.metadata().get(KEY).cloned();
    let mut found = Found::default();
    for tensor in reader.into_tensors().map_err(malformed)? {
        match tensor.name.as_str() {
            VALUES => {}
            STATE => note = Some(structure(source, tensor)?),
            _ => {
                let (name, tensor) = (torch_name(&tensor.name), stored(tensor));
                let second = tensor.origin.clone();
                if let Some(first) = found.0.insert(name.clone(), tensor) {
                    let (file, first) = (source.file.to_owned(), first.origin);
                    return Err(WeightsError::Twice { file, name, first, second });
                }
            }
        }
    }
    found.1 = note;
    Ok(found)
}

/// Whether the file is as long as its metadata, for which memory is taken before it is read.
fn check_header(source: &Source<'_>) -> Result<(), WeightsError> {
    let mut header = vec![];
    let file = File::open(source.file).map_err(|error| source.io(error))?;
    file.take(HEADER).read_to_end(&mut header).map_err(|error| source.io(error))?;
    let length = header.last_chunk::<4>().filter(|_| header.len() as u64 == HEADER);
    let declared = length.map_or(0, |length| u64::from(u32::from_le_bytes(*length)));
    match declared > source.length {
        true => Err(source.oversized("its metadata", declared, source.length)),
        false => Ok(()),
    }
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
