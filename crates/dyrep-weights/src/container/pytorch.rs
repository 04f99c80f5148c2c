//! PyTorch's files, old and new.
//!
//! `pytorch-reader` interprets the calls that rebuild tensors and keeps every other call as its name alone: nothing is
//! ever run. What it leaves open is closed here, in front of it:
//!
//! | a file could | here |
//! |---|---|
//! | be a few kB of zip that unpack to gigabytes | its entries may not declare more than the file has: `torch.save` compresses nothing |
//! | have a pickle of a hundred MiB, whose objects take ninety times as much | 4 MiB: a tensor takes about 120 bytes |
//! | be a tar of holes, which read as zeros without end | sparse entries are refused |
//! | ask for `os.system` and go unnoticed | calls that run something are refused by name |
//!
//! Files of PyTorch 1.5 and before are pickles without a declared length: there the reader's memory is bounded by the
//! file's own length, times ninety.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;

use pytorch_reader::{DType, PickleValue, PytorchError, PytorchReader, Tensor};
use zip::ZipArchive;

use super::{Container, Source};
use crate::error::WeightsError;
use crate::tensor::{Number, Stored};

/// The longest pickle in a zip archive.
const PICKLE: u64 = 4 << 20;
/// Modules of Python, each with its dot, whose functions reach out of a file.
const REACHING: [&str; 16] = [
    "asyncio.",
    "code.",
    "ctypes.",
    "importlib.",
    "multiprocessing.",
    "nt.",
    "os.",
    "pip.",
    "posix.",
    "pty.",
    "runpy.",
    "shutil.",
    "socket.",
    "subprocess.",
    "sys.",
    "webbrowser.",
];
/// Functions of Python itself that do.
const BUILTINS: [&str; 7] =
    ["__import__", "compile", "eval", "exec", "execfile", "getattr", "open"];

pub(super) fn read(source: &Source<'_>) -> Result<BTreeMap<String, Stored>, WeightsError> {
    match source.container {
        Container::Pytorch => check_zip(source)?,
        Container::PytorchTar => check_tar(source)?,
        _ => {}
    }
    let failed = |error| match error {
        PytorchError::Io(error) if error.raw_os_error().is_some() => source.io(error),
        error => source.malformed(error),
    };
    let pickle = PytorchReader::read_pickle_data(source.file, None).map_err(failed)?;
    if let Some(call) = reaching(&pickle) {
        return Err(WeightsError::Hostile { file: source.file.to_owned(), call });
    }
    drop(pickle);
    let tensors = PytorchReader::new(source.file).map_err(failed)?.into_tensors();
    Ok(tensors.into_iter().map(|(name, tensor)| (name, stored(tensor))).collect())
}

fn check_zip(source: &Source<'_>) -> Result<(), WeightsError> {
    let file = File::open(source.file).map_err(|e| source.io(e))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|e| source.malformed(e))?;
    let mut declared = 0u64;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|e| source.malformed(e))?;
        declared = declared.saturating_add(entry.size());
        if declared > source.length {
            return Err(source.oversized("its archive", declared, source.length));
        }
        let name = String::from_utf8_lossy(entry.name_raw());
        if name.ends_with(".pkl") && entry.size() > PICKLE {
            return Err(source.oversized(name, entry.size(), PICKLE));
        }
    }
    Ok(())
}

fn check_tar(source: &Source<'_>) -> Result<(), WeightsError> {
    let file = File::open(source.file).map_err(|e| source.io(e))?;
    let mut archive = tar::Archive::new(BufReader::new(file));
    for entry in archive.entries().map_err(|e| source.malformed(e))? {
        let entry = entry.map_err(|e| source.malformed(e))?;
        if entry.size() > source.length {
            return Err(source.oversized("its archive", entry.size(), source.length));
        }
        if entry.header().entry_type().is_gnu_sparse() {
            return Err(source.malformed("it has a sparse entry"));
        }
    }
    Ok(())
}

/// The first thing in a pickle that would run something.
fn reaching(value: &PickleValue) -> Option<String> {
    match value {
        PickleValue::Unsupported(name) => {
            let builtin = name
                .strip_prefix("builtins.")
                .or_else(|| name.strip_prefix("__builtin__."))
                .is_some_and(|name| BUILTINS.contains(&name));
            let reaches = builtin || REACHING.iter().any(|module| name.starts_with(module));
            reaches.then(|| name.clone())
        }
        PickleValue::List(values) => values.iter().find_map(reaching),
        PickleValue::Dict(values) => values.values().find_map(reaching),
        _ => None,
    }
}

fn stored(tensor: Tensor) -> Stored {
    let number = match tensor.dtype() {
        DType::F16 => Number::F16,
        DType::BF16 => Number::Bf16,
        DType::F32 => Number::F32,
        DType::F64 => Number::F64,
        DType::I64 => Number::Other("i64"),
        DType::I32 => Number::Other("i32"),
        DType::I16 => Number::Other("i16"),
        DType::I8 => Number::Other("i8"),
        DType::U64 => Number::Other("u64"),
        DType::U32 => Number::Other("u32"),
        DType::U16 => Number::Other("u16"),
        DType::U8 => Number::Other("u8"),
        DType::Bool => Number::Other("truth values"),
    };
    let length = tensor.byte_len() as u64;
    let (name, _, shape, read) = tensor.into_parts();
    // Native-endian: the same on every machine that Burn's CPU backends run on but big-endian ones.
    let read = move || read().map_err(|error| error.to_string()).map(|bytes| little(bytes, number));
    Stored::new(name, number, shape, length, read)
}

/// Native bytes as little-endian ones.
fn little(mut bytes: Vec<u8>, number: Number) -> Vec<u8> {
    if cfg!(target_endian = "big") {
        let size = match number {
            Number::F16 | Number::Bf16 => 2,
            Number::F32 => 4,
            Number::F64 => 8,
            Number::I8 | Number::Other(_) => 1,
        };
        bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
    bytes
}
