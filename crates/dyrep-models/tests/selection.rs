//! Choosing convolutions by name, pattern and kernel; refusing what makes no sense.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use dyrep_burn::{BranchKind, Branches, Form, PathPatterns, Preset, RepConv2d, layers};
use dyrep_models::{
    Branching, MobileNetV1Config, ModelError, RepVggConfig, ResNet, ResNetConfig, SelectLayers,
    Selection, Stem, VggConfig,
};
use dyrep_tests::under_test;

fn resnet18() -> ResNet {
    ResNetConfig::resnet18(10).with_width(4).init(&under_test()).unwrap()
}

fn patterns(texts: &[&str]) -> PathPatterns {
    PathPatterns::new(texts).unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn by_name_pattern_and_kernel() {
    let all = Selection::default;
    let cases = [
        (all(), 17),
        (Selection { layers: names(&["conv1", "layer4.1.conv2"]), ..all() }, 2),
        (Selection { matching: patterns(&[r"\.conv2$"]), ..all() }, 8),
        (Selection { matching: patterns(&["^layer1"]), layers: names(&["conv1"]), ..all() }, 5),
        (Selection { except: patterns(&["^layer[12]", "^conv1$"]), ..all() }, 8),
        (Selection { kernels: vec![[7, 7]], ..all() }, 1),
        (Selection { kernels: vec![[1, 1], [7, 7]], ..all() }, 4),
        (Selection { kernels: vec![[1, 1]], matching: patterns(&["^layer2"]), ..all() }, 1),
    ];
    let network = resnet18();
    for (selection, count) in cases {
        assert_eq!(selection.paths(&network).unwrap().len(), count, "{selection:?}");
        let blocks = ResNetConfig::resnet18(10)
            .with_width(4)
            .with_branches(Branching::from(Preset::AcNet).only(selection.clone()))
            .init(&under_test())
            .unwrap();
        let blocks = layers(&blocks).into_iter().filter(|(_, layer)| !layer.is_plain());
        assert_eq!(blocks.count(), count, "{selection:?}");
        let text = serde_json::to_string(&selection).unwrap();
        assert_eq!(serde_json::from_str::<Selection>(&text).unwrap(), selection);
    }
}

/// What may start with branches may grow them, and what grows inside may grow on.
#[test]
fn a_selection_as_patterns_for_growing() {
    let only = Selection { layers: names(&["layer1.0.conv1"]), ..Selection::default() };
    let patterns = only.patterns(&resnet18()).unwrap();
    assert!(patterns.matches("layer1.0.conv1") && patterns.matches("layer1.0.conv1.kxk.conv"));
    assert!(!patterns.matches("layer1.0.conv10") && !patterns.matches("layer1x0.conv1"));
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let device = under_test();
    let chosen = |selection: Selection| {
        let branching = Branching::from(Preset::Dbb).only(selection);
        ResNetConfig::resnet18(2).with_branches(branching).init(&device).unwrap_err().to_string()
    };
    let misspelt = chosen(Selection { layers: names(&["layer1.0.conv3"]), ..Selection::default() });
    assert!(
        misspelt.contains("no convolution `layer1.0.conv3`; it has conv1, layer1"),
        "{misspelt}"
    );
    let nowhere = chosen(Selection { matching: patterns(&["layer9"]), ..Selection::default() });
    assert!(nowhere.contains("layer9") && nowhere.contains("layer4.1.conv2"), "{nowhere}");
    let exactly = Branches::from([BranchKind::IDENTITY]);
    let error = ResNetConfig::resnet18(2).with_branches(exactly).init(&device).unwrap_err();
    assert!(matches!(&error, ModelError::Branches { path, .. } if path == "conv1"), "{error}");

    let zero = |name| Err(ModelError::Zero { name });
    assert_eq!(ResNetConfig::resnet18(0).init(&device).map(drop), zero("classes"));
    assert_eq!(
        VggConfig::vgg11(1).with_in_channels(0).init(&device).map(drop),
        zero("in_channels")
    );
    let narrow = MobileNetV1Config::mobilenet_v1(1).with_width(0);
    assert_eq!(narrow.init(&device).map(drop), zero("width"));
    let empty = RepVggConfig { depths: [1, 0, 1, 1], ..RepVggConfig::repvgg_a0(1) };
    assert_eq!(empty.init(&device).map(drop), zero("every stage's depth"));
    // Groups that the narrowed channels do not fill.
    let narrow = RepVggConfig::repvgg_b1g4(1).with_width(1).init(&device).unwrap_err();
    assert!(matches!(narrow, ModelError::Layer(_)), "{narrow}");
    let narrow = ResNetConfig::resnext50_32x4d(1).with_width(8).init(&device).unwrap_err();
    assert!(matches!(narrow, ModelError::Layer(_)), "{narrow}");
}

#[test]
fn a_configuration_is_read_back() {
    let config = RepVggConfig::repvgg_b2g4(7).with_stem(Stem::Small).with_width(8);
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<RepVggConfig>(&text).unwrap(), config);
}

/// OREPA's published ResNet-18: its norms stand behind the sum, where the network has its own.
#[test]
fn the_first_convolution_may_be_layers_in_sequence() {
    let config = ResNetConfig::resnet18(10).with_width(4).with_branches(Preset::OrepaStem);
    let network = config.init(&under_test()).unwrap();
    let mut sizes = [0; 3];
    for (path, layer) in layers(&network) {
        match (layer.geometry().kernel_size(), layer.form()) {
            ([7, 7], Form::Stack(stack)) => {
                assert!(stack.layers.len() == 3 && !stack.norm_after);
                sizes[0] += 1;
            }
            ([3, 3], Form::Block(block)) => {
                assert!(!block.norm_after && block.is_linear(&layer.geometry()));
                sizes[1] += 1;
            }
            ([1, 1], Form::Plain { bias: false }) => sizes[2] += 1,
            (_, form) => panic!("{path}: {form}"),
        }
    }
    assert_eq!(sizes, [1, 16, 3]);
    // Drawn uniformly, with a gain of √2 in each layer.
    let stem = layers(&network).remove(0).1;
    let drawn = |layer: &RepConv2d| {
        let kxk = layer.block().unwrap().main().conv().unwrap().fuse().weight();
        kxk.abs().max().into_scalar::<f32>()
    };
    for (layer, inputs) in stem.stack().unwrap().layers().iter().zip([3.0, 4.0, 4.0]) {
        let (largest, bound) = (drawn(layer), (6.0_f32 / (9.0 * inputs)).sqrt());
        assert!(largest <= bound && largest > 0.8 * bound, "{largest} of {bound}");
    }
}
