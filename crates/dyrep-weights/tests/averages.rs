//! Averages of weights that are not called as the weights are.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;
mod states;

use dyrep_weights::{OpenOptions, Part, WeightsError, open};
use rstest::rstest;
use safetensors::Dtype;
use states::{State, exported, fresh, number, written};

/// Averages whose names have lost their dots are those of the parameters beside them; statistics are the trained ones.
#[rstest]
fn averages_with_flat_names(#[values("", "model.")] prefix: &str) {
    let plain = exported(&fresh());
    let mut all = State::new();
    let mut wanted = plain.clone();
    for (name, tensor) in &plain {
        all.insert(format!("state_dict.{prefix}{name}"), tensor.clone());
        if !name.contains("running_") {
            let flat = name.replace('.', "");
            all.insert(format!("state_dict.model_ema.{flat}"), halves(tensor));
            wanted.insert(name.clone(), halves(tensor));
        }
    }
    all.insert("state_dict.model_ema.decay".to_owned(), number(0.999));
    let (_folder, path) = written(&all);
    let loaded = |part| {
        let weights = OpenOptions::new().part(part).open(&path).unwrap();
        exported(&weights.load_into(fresh()).unwrap().0)
    };
    assert_eq!(loaded(Part::Average), wanted);
    assert_eq!(loaded(Part::Trained), plain);
}

fn halves((dtype, shape, _): &(Dtype, Vec<usize>, Vec<u8>)) -> (Dtype, Vec<usize>, Vec<u8>) {
    let values = shape.iter().product::<usize>();
    (*dtype, shape.clone(), 0.5f32.to_le_bytes().repeat(values))
}

/// mmcv and mmengine save averages in the place of the weights, and call the weights averages: nobody is given these for
/// those.
#[test]
fn what_is_called_an_average_and_is_none() {
    let plain = exported(&fresh());
    let mmcv = |name: &str| format!("state_dict.backbone.ema_{}", name.replace('.', "_"));
    let mmengine = |name: &str| format!("ema_state_dict.module.backbone.{name}");
    for other in [&mmcv as &dyn Fn(&str) -> String, &mmengine] {
        let mut all = State::new();
        for (name, tensor) in &plain {
            all.insert(format!("state_dict.backbone.{name}"), tensor.clone());
            all.insert(other(name), halves(tensor));
        }
        if other("x").starts_with("ema_state_dict") {
            all.insert("ema_state_dict.steps".to_owned(), number(7.0));
        }
        let (_folder, path) = written(&all);
        let found = open(&path).unwrap().load_into(fresh()).unwrap().0;
        assert_eq!(exported(&found), plain);
        let error = OpenOptions::new().part(Part::Average).open(&path).unwrap_err();
        assert!(matches!(error, WeightsError::Swapped { .. }), "{error}");
    }
}
