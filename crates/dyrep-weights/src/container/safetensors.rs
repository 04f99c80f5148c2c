//! safetensors: a header of names, types, shapes and places, then the values.
//!
//! The library checks that the places follow one another and end where the file ends.

use std::sync::Arc;

use safetensors::{Dtype, SafeTensors};

use super::{Found, Source};
use crate::describe::KEY;
use crate::error::WeightsError;
use crate::tensor::{Number, Stored};

pub(super) fn read(source: &Source<'_>) -> Result<Found, WeightsError> {
    let bytes: Arc<[u8]> = std::fs::read(source.file).map_err(|e| source.io(e))?.into();
    let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| source.malformed(e))?;
    let start = header + size_of::<u64>();
    let tensors = metadata.tensors().into_iter().map(|(name, info)| {
        let (from, to) = info.data_offsets;
        let values = Arc::clone(&bytes);
        let read = move || Ok(values[start + from..start + to].to_vec());
        let length = (to - from) as u64;
        let (number, shape) = (number(info.dtype), info.shape.clone());
        (name.clone(), Stored::new(name, number, shape, length, read))
    });
    let note = metadata.metadata().as_ref().and_then(|texts| texts.get(KEY).cloned());
    Ok((tensors.collect(), note))
}

fn number(dtype: Dtype) -> Number {
    match dtype {
        Dtype::F16 => Number::F16,
        Dtype::BF16 => Number::Bf16,
        Dtype::F32 => Number::F32,
        Dtype::F64 => Number::F64,
        Dtype::BOOL => Number::Other("truth values"),
        Dtype::I64 => Number::Other("i64"),
        Dtype::I32 => Number::Other("i32"),
        Dtype::I16 => Number::Other("i16"),
        Dtype::I8 => Number::I8,
        Dtype::U64 => Number::Other("u64"),
        Dtype::U32 => Number::Other("u32"),
        Dtype::U16 => Number::Other("u16"),
        Dtype::U8 => Number::Other("u8"),
        _ => Number::Other("another type"),
    }
}
