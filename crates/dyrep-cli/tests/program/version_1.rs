//! What was written before branches were data is read: a run that the program of that time began and never ended.
//!
//! Made by version 0.1.0 with `train digits_quick --set model.width=4 --epochs 6 --set strategy.interval=1 --set
//! strategy.calibration_batches=2 --set strategy.last_epoch=5`, killed after the third epoch: blocks, one inside another,
//! momentum, the scores' sums and the log are those of version 1.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{dyrep, json, text};

/// A copy of the run.
fn begun(folder: &Path, name: &str) -> PathBuf {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/version_1");
    let run = folder.join(name);
    for part in ["", "checkpoint"] {
        fs::create_dir_all(run.join(part)).unwrap();
        for file in fs::read_dir(made.join(part)).unwrap().map(Result::unwrap) {
            if file.file_type().unwrap().is_file() {
                fs::copy(file.path(), run.join(part).join(file.file_name())).unwrap();
            }
        }
    }
    run
}

#[test]
fn a_run_of_version_1_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let run = begun(folder.path(), "run");
    let before = json(&["inspect", text(&run)]);
    assert!(before["blocks"].as_u64().unwrap() >= 2, "{before}");
    let told = dyrep(&["inspect", text(&run)]).good().output;
    assert!(told.contains("    1x1_kxk"), "a block inside another: {told}");

    json(&["train", "--resume", text(&run)]);
    let read = |name: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(run.join(name)).unwrap()).unwrap()
    };
    assert_eq!(read("run.json")["epochs"].as_array().map(Vec::len), Some(6));
    let structure = read("structure.json");
    assert_eq!((&structure["version"], &structure["needs"]), (&2.into(), &"dyrep 0.2".into()));

    // Nothing of it is left to chance: the same again is the same to the bit.
    let again = begun(folder.path(), "again");
    json(&["train", "--resume", text(&again)]);
    let [left, right] = [&run, &again].map(|run| {
        let out = run.join("trained.safetensors");
        json(&["convert", text(&run.join("trained.bpk")), text(&out)]);
        fs::read(out).unwrap()
    });
    assert!(left == right, "two ways on from one checkpoint differ");
}
