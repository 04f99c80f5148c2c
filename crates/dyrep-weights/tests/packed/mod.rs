//! Reference files that are packed by gzip: their names are most of them.

// Each test file uses some of it.
#![allow(dead_code)]

use std::io::Read as _;
use std::path::PathBuf;

use burn::tensor::{Tensor, TensorData};
use dyrep_tests::under_test;
use flate2::read::GzDecoder;
use safetensors::SafeTensors;
use tempfile::TempDir;

use crate::common::golden;

fn unpacked(file: &str) -> Vec<u8> {
    let packed = std::fs::read(golden(&format!("orepa/{file}.gz"))).unwrap();
    let mut bytes = vec![];
    GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    bytes
}

/// The file, and the folder that goes away with it.
pub(crate) fn packed(file: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    std::fs::write(&path, unpacked(file)).unwrap();
    (folder, path)
}

/// A tensor of `expected_SET.safetensors`.
pub(crate) fn expected_of<const D: usize>(set: &str, name: &str) -> Tensor<D> {
    let bytes = unpacked(&format!("expected_{set}.safetensors"));
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let view = tensors.tensor(name).unwrap();
    let values = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Tensor::from_data(TensorData::new(values, view.shape().to_vec()), &under_test())
}
