//! What no tensor shows: branches without parameters, such as the identity of RepViT's and QARepVGG's blocks, and how layers
//! in sequence are composed.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use common::{CLASSES, assert_close, narrow, randomised};
use dyrep_burn::{Composition, Form, Preset, Structure};
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

/// The layers of OREPA's stem are composed as the file's note says, or the network; a file alone does not tell.
#[rstest]
fn how_layers_are_composed_is_known_or_asked_for(
    #[values(Composition::Sequence, Composition::Published)] composition: Composition,
    #[values(true, false)] note: bool,
) {
    let device = under_test();
    let (name, config) = narrow("resnet18", CLASSES);
    let config = config.with_branches(Preset::OrepaStem);
    let network = config.init(&device).unwrap();
    let mut layers = Structure::of(&network).layers().clone();
    let Form::Stack(stack) = &mut layers.get_mut("conv1").unwrap().form else { panic!("no stack") };
    stack.composition = composition;
    let wanted = Structure::new(layers).unwrap();
    let network = randomised(wanted.apply(network).unwrap()).valid();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    Export::of(&network).named(name, &config).unwrap().safetensors(&file).unwrap();
    if !note {
        without_note(&file);
    }
    let weights = open(&file).unwrap();
    let want = network.forward(pictures());
    let plain = config.clone().with_branches(Preset::Plain).init(&device).unwrap();
    if note {
        let (built, _) = weights.build(&device).unwrap();
        assert_close("by its name", built.valid().forward(pictures()), want.clone());
        let (same, _) = weights.load_into(plain).unwrap();
        assert_eq!(Structure::of(&same), wanted);
        assert_close("into a plain network", same.valid().forward(pictures()), want);
        return;
    }
    let error = weights.load_into(plain).unwrap_err();
    assert!(
        matches!(&error, WeightsError::Composition { layer, .. } if layer == "conv1"),
        "{error}"
    );
    assert!(error.to_string().contains("orepa_stem"), "{error}");
    // A network tells it, too.
    let alike = wanted.apply(config.init(&device).unwrap()).unwrap();
    let (same, _) = weights.load_into(alike).unwrap();
    assert_close("built alike", same.valid().forward(pictures()), want);
}
