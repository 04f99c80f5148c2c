//! Files of weights, of every kind that is recognised: opened, described, loaded into a small network, and built into
//! the network that they name. A text that begins with a brace is taken as the note of a safetensors file.

#![no_main]

use std::sync::LazyLock;

use burn::tensor::Device;
use dyrep_fuzz::{file, network};
use dyrep_models::Model;
use dyrep_weights::{Load, OpenOptions, Part, open};
use libfuzzer_sys::fuzz_target;

static NETWORK: LazyLock<Model> = LazyLock::new(|| network(&Device::flex()));

/// A safetensors file of one tensor, with a note.
fn noted(note: &[u8]) -> Vec<u8> {
    let header = serde_json::json!({
        "__metadata__": { "dyrep": String::from_utf8_lossy(note) },
        "fc.bias": { "dtype": "F32", "shape": [10], "data_offsets": [0, 40] },
    });
    let header = header.to_string().into_bytes();
    [&(header.len() as u64).to_le_bytes()[..], &header, &[0; 40]].concat()
}

fuzz_target!(|bytes: &[u8]| {
    let path = match bytes.starts_with(b"{") {
        true => file("weights", &noted(bytes)),
        false => file("weights", bytes),
    };
    let _ = OpenOptions::new().part(Part::Average).open(&path);
    let weights = match open(&path) {
        Ok(weights) => weights,
        Err(error) => {
            let _ = error.to_string();
            return;
        }
    };
    let _ = format!("{weights:?} {} {:?}", weights.format(), weights.description());
    assert!(weights.shapes().all(|(name, _)| name.len() < 4096), "a long name");
    let _ = weights.structure(&*NETWORK);
    // A module that is not evaluated shares its running statistics with its clones.
    for load in [Load::strict(), Load::partial().with_non_finite()] {
        match load.into(burn::module::Module::valid(&*NETWORK), &weights) {
            Ok((_, report)) => drop(report.to_string()),
            Err(error) => drop(error.to_string()),
        }
    }
    // Without a name every network of the zoo is tried, which takes a second here: now and then will do.
    let named = weights.description().is_some_and(|note| note.model().is_some());
    let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte));
    if (named || sum == 0)
        && let Err(error) = weights.build(&Device::flex())
    {
        let _ = error.to_string();
    }
});
