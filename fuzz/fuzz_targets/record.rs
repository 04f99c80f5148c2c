//! What a training leaves behind: the wrapper's record (a burnpack, or the state in one as text), `run.json` with the
//! page that it becomes, manifests of checkpoints. What loads is written back and loads again.

#![no_main]

use std::sync::LazyLock;

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, DType, Device};
use burn_pack::{Reader, Tensor, Writer};
use dyrep_burn::{ControllerConfig, RepConv2d, RepConv2dConfig};
use dyrep_fuzz::{file, folder};
use dyrep_train::{Checkpoints, DyRep, RunRecord};
use libfuzzer_sys::fuzz_target;

/// Steps of an epoch.
const STEPS: usize = 2;

#[derive(Module, Debug)]
struct Net {
    conv: RepConv2d,
}

/// A plain convolution that a controller grows, with an average.
fn wrapper() -> DyRep<Net> {
    let conv = RepConv2dConfig::new([2, 2], [3, 3])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .init(&Device::flex().autodiff());
    DyRep::new(Net { conv }, STEPS)
        .with_average(0.5)
        .with_controller(ControllerConfig::default(), |_: &Net, _, _| Ok(()))
        .expect("the default makes sense")
}

/// The record of a wrapper that has not trained.
static RECORD: LazyLock<Bytes> =
    LazyLock::new(|| wrapper().into_record().into_bytes().expect("it can be written"));

fuzz_target!(|bytes: &[u8]| {
    if !bytes.starts_with(b"{") {
        return load(Bytes::from_bytes_vec(bytes.to_vec()));
    }
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (text, numbers) = bytes.split_at(end);
    load(with_state(text, numbers.get(1..).unwrap_or_default()));
    run(text);
    manifest(text);
});

/// The record with another state: its text, and its numbers.
fn with_state(text: &[u8], numbers: &[u8]) -> Bytes {
    let tensors = Reader::from_bytes(RECORD.clone()).and_then(Reader::into_tensors);
    let mut tensors = tensors.expect("it was written");
    let text: Vec<u8> = text.iter().flat_map(|byte| f32::from(*byte).to_le_bytes()).collect();
    let numbers = numbers.as_chunks::<4>().0.as_flattened().to_vec();
    for (name, bytes) in [("dyrep.state", text), ("dyrep.values", numbers)] {
        tensors.retain(|tensor| tensor.name != name);
        let shape = vec![bytes.len() / 4];
        let bytes = Bytes::from_bytes_vec(bytes);
        tensors.push(Tensor::new(name.to_owned(), DType::F32, shape, None, bytes));
    }
    Writer::new(tensors).into_bytes().expect("it was written before")
}

fn load(bytes: Bytes) {
    let Ok(record) = ModuleRecord::from_bytes(bytes) else { return };
    let Ok(loaded) = wrapper().try_load_record(record) else { return };
    let _ = loaded.epochs();
    let log = loaded.log().cloned();
    let again = loaded.into_record().into_bytes().expect("it can be written");
    let again = ModuleRecord::from_bytes(again).expect("it was written");
    let again = wrapper().try_load_record(again).expect("it was written");
    assert_eq!(again.log(), log.as_ref());
}

fn run(text: &[u8]) {
    let path = file("run.json", text);
    let Ok(mut record) = RunRecord::load(&path) else { return };
    let _ = record.report();
    let _ = record.epochs_since_best();
    record.save(&path).expect("the temporary folder can be written to");
    RunRecord::load(&path).expect("it was written").truncate(1);
}

/// As the manifest of a checkpoint whose files are there and empty.
fn manifest(text: &[u8]) {
    for part in ["model", "optim", "scheduler"] {
        file(&format!("{part}-1.bpk"), b"");
    }
    let path = file("epoch-1.json", text);
    let (_, broken) = Checkpoints::open(folder(), 1)
        .and_then(|checkpoints| checkpoints.newest())
        .expect("the folder can be read");
    assert!(broken.iter().all(|broken| !broken.reason.is_empty()), "{}", path.display());
}
