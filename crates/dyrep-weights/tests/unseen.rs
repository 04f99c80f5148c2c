//! Branches without parameters, which no tensor shows: the identity of RepViT's and QARepVGG's blocks.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use common::{CLASSES, assert_close, narrow, randomised};
use dyrep_burn::Preset;
use dyrep_models::ModelConfig;
use dyrep_tests::under_test;
use dyrep_weights::{Export, WeightsError, open};
use rstest::rstest;
use safetensors::SafeTensors;

fn pictures() -> Tensor<4> {
    let shape = [2, 3, 32, 32];
    let values = (0..shape.iter().product()).map(|i: usize| (0.37 * i as f32).sin()).collect();
    Tensor::from_data(TensorData::new::<f32, _>(values, shape), &under_test())
}

/// The same tensors, and nothing beside them.
fn without_note(file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let bare = safetensors::serialize(tensors.iter(), None).unwrap();
    std::fs::write(file, bare).unwrap();
}

#[rstest]
fn what_no_tensor_shows_is_known_or_asked_for(
    #[values("repvit_m0_9", "qarepvgg_a0", "repvgg_a0")] name: &str,
    #[values(true, false)] note: bool,
) {
    let device = under_test();
    let (_, config) = narrow(name, CLASSES);
    let network = randomised(config.init(&device).unwrap()).valid();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    Export::of(&network).safetensors(&file).unwrap();
    if !note {
        without_note(&file);
    }
    let weights = open(&file).unwrap();
    let wanted = network.forward(pictures());
    let loaded = |config: &ModelConfig| weights.load_into(config.init(&device).unwrap());
    let (same, _) = loaded(&config).unwrap();
    assert_close("built alike", same.valid().forward(pictures()), wanted.clone());
    // One network of the zoo has such tensors, but for what no tensor shows of any network.
    if !note {
        let mut candidates = weights.candidates(&device);
        candidates.retain(|(_, found)| {
            (found.stem(), found.activation()) == (config.stem(), config.activation())
        });
        let [(found, found_config)] = &candidates[..] else { panic!("{candidates:?}") };
        assert_eq!((found.name(), found_config), (name, &config));
        let (same, _) = loaded(found_config).unwrap();
        assert_close("recognised", same.valid().forward(pictures()), wanted);
    }
    // Of plain convolutions nobody knows.
    if !note && name != "repvgg_a0" {
        let error = loaded(&config.with_branches(Preset::Plain)).unwrap_err();
        assert!(matches!(error, WeightsError::Identity { .. }), "{error}");
        assert!(error.to_string().contains("is a block with a norm behind its sum"), "{error}");
    }
}
