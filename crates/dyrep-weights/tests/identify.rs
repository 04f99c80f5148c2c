//! Which network a file is, where it does not say so.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use burn::module::Module;
use common::{assert_close, expected, golden, narrow, randomised};
use dyrep_burn::{Preset, Structure, deploy};
use dyrep_models::{ModelConfig, ModelName, Stem};
use dyrep_tests::under_test;
use dyrep_weights::{Export, Input, Label, WeightsError, open, write_burnpack};
use rstest::rstest;

/// Files of others are built from their tensors alone.
#[rstest]
#[case("resnet_wrapped.pth", "resnet18", 4)]
#[case("bottleneck_f16.safetensors", "resnet50", 2)]
#[case("vgg_bn_bf16_legacy.pt", "vgg11_bn", 2)]
#[case("dyrep.pth", "resnet18", 4)]
#[case("dbb_f16.safetensors", "resnet18", 4)]
#[case("dbb_mobilenet_f16.pth", "mobilenet_v1", 2)]
#[case("dbb_resnet_f16.safetensors", "resnet18", 2)]
#[case("dbb_mobile_f16.safetensors", "mobilenet_v1", 2)]
#[case("repvgg_f16.pth", "repvgg_b1g2", 2)]
#[case("timm_repvgg_f16.safetensors", "repvgg_a0", 3)]
#[case("timm_repvgg_deployed_f16.safetensors", "repvgg_a0", 3)]
fn published_files_are_known_by_their_tensors(
    #[case] file: &str,
    #[case] model: &str,
    #[case] width: usize,
) {
    let device = under_test();
    let weights = open(golden(file)).unwrap();
    let (name, config) = weights.label(&device).unwrap().network.unwrap();
    assert_eq!((name.name(), config.width(), config.classes()), (model, width, 10));
    let (network, report) = weights.build(&device).unwrap();
    assert!(report.is_complete(), "{report}");
    assert_close(file, network.forward(expected("input")), expected(file));
}

/// Every network of the zoo, in every form, whatever its stem, is found among the candidates, and is the first of them
/// if its tensors tell it from all others.
#[test]
fn every_network_is_known_by_its_tensors() {
    let (device, folder) = (under_test(), tempfile::tempdir().unwrap());
    // QARepVGG is RepVGG with other branches, and these are replaced.
    for name in ModelName::all().filter(|name| !name.name().starts_with("qa")) {
        let (name, config) = narrow(name.name(), 7);
        let [large, small] = [config.clone().with_in_channels(1), config.with_stem(Stem::Small)];
        for (config, kinds) in [(large, [0, 2]), (small, [1, 2])] {
            // torchvision has published the names, and the stem with them.
            if matches!(config, ModelConfig::MobileNetV2(_)) && config.stem() == Stem::Small {
                continue;
            }
            let branches = config.clone().with_branches(Preset::RepVgg);
            let network = branches.init(&device).unwrap();
            let files = ["w.safetensors", "w.bpk", "deployed.bpk"].map(|f| folder.path().join(f));
            Export::of(&network).safetensors(&files[0]).unwrap();
            write_burnpack(&network, &Label::default(), &files[1]).unwrap();
            write_burnpack(&deploy(&network), &Label::default(), &files[2]).unwrap();
            for file in kinds.map(|kind| &files[kind]) {
                let found = open(file).unwrap().candidates(&device);
                // A name may be another one's of another width.
                let what = |config: &ModelConfig| {
                    let plain = config.clone().with_branches(Preset::Plain);
                    (Structure::of(&plain.init(&device).unwrap()), config.activation())
                };
                let same = |(_, found): &(ModelName, ModelConfig)| what(found) == what(&config);
                assert!(found.iter().any(same), "{name}, {config:?}: {found:?}");
                let built = |(_, config): &(ModelName, ModelConfig)| {
                    let plain = config.clone().with_branches(Preset::Plain);
                    plain.init(&device).unwrap().num_params()
                };
                // The others differ in what no tensor shows.
                assert!(found.iter().all(|other| built(other) == built(&(name, config.clone()))));
            }
        }
    }
}

/// What the file says is kept, and what contradicts itself refused.
#[test]
fn labels_are_read_back_and_checked() {
    let (device, folder) = (under_test(), tempfile::tempdir().unwrap());
    let (name, config) = narrow("resnet18", 2);
    let network = randomised(config.init(&device).unwrap());
    let (mean, std) = (vec![0.4, 0.5, 0.6], vec![0.2; 3]);
    let input = Input { resize: Some(36), side: 32, scale: 255.0, mean, std };
    let label = Label {
        network: Some((name, config)),
        input: Some(input.clone()),
        class_names: vec!["cat".into(), "dog".into()],
    };
    let [torch, burn] = ["w.safetensors", "w.bpk"].map(|file| folder.path().join(file));
    Export::of(&network).labelled(&label).unwrap().safetensors(&torch).unwrap();
    write_burnpack(&network, &label, &burn).unwrap();
    for file in [&torch, &burn] {
        assert_eq!(open(file).unwrap().label(&device).unwrap(), label);
    }
    for wrong in [
        Input { side: 0, ..input.clone() },
        Input { side: 1 << 20, ..input.clone() },
        Input { scale: 0.0, ..input.clone() },
        Input { std: vec![0.2; 2], ..input.clone() },
        Input { std: vec![0.2, -0.2, 0.2], ..input.clone() },
    ] {
        let label = Label { input: Some(wrong), ..label.clone() };
        Export::of(&network).labelled(&label).unwrap().safetensors(&torch).unwrap();
        assert!(matches!(open(&torch), Err(WeightsError::NotDescribed { .. })));
    }
}
