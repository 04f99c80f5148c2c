//! Files of weights, of every kind that is recognised: opened, described, loaded into a small network, and built into
//! the network that they name.

#![no_main]

use std::sync::LazyLock;

use burn::tensor::Device;
use dyrep_fuzz::{file, network};
use dyrep_models::Model;
use dyrep_weights::{Load, Part, open, open_part};
use libfuzzer_sys::fuzz_target;

static NETWORK: LazyLock<Model> = LazyLock::new(|| network(&Device::flex()));

fuzz_target!(|bytes: &[u8]| {
    let path = file("weights", bytes);
    let _ = open_part(&path, &Part::Average);
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
    if let Err(error) = weights.build(&Device::flex()) {
        let _ = error.to_string();
    }
});
