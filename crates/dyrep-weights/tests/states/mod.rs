//! State dicts, to be changed and written.

// Each test file uses some of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dyrep_models::Model;
use dyrep_tests::under_test;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tempfile::TempDir;

use crate::common::resnet;

pub(crate) type State = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// The weights of a safetensors file, under its own names.
pub(crate) fn state(file: &Path) -> State {
    let bytes = std::fs::read(file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let one = |(name, view): (String, TensorView<'_>)| {
        (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
    };
    tensors.tensors().into_iter().map(one).collect()
}

/// The same of a network, under torchvision's names.
pub(crate) fn exported(network: &Model) -> State {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.safetensors");
    dyrep_weights::Export::of(network).safetensors(&file).unwrap();
    state(&file)
}

pub(crate) fn written(state: &State) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrapped.safetensors");
    let views = state.iter().map(|(name, (dtype, shape, bytes))| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    (folder, path)
}

pub(crate) fn number(value: f64) -> (Dtype, Vec<usize>, Vec<u8>) {
    (Dtype::F64, vec![1], value.to_le_bytes().to_vec())
}

pub(crate) fn fresh() -> Model {
    resnet().init(&under_test()).unwrap()
}
