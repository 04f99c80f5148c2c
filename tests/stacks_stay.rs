//! A stack is one layer: what walks over a network passes it by, its parameters are a module's like any other's, and what it
//! cannot be is refused.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Tensor};
use dyrep_burn::{
    AdjustOptions, BranchKind, Branches, Calibration, Composition, Controller, ControllerConfig,
    ConvGeometry, CutRule, Form, InputSizes, LayerStructure, Preset, RepConv2d, RepConv2dConfig,
    StackForm, Structure, block_ratios, cut, deploy, expand, grow, layers,
};
use dyrep_tests::close::relative_difference;
use dyrep_tests::device::allowed;
use dyrep_tests::random::{self, Draw};
use dyrep_tests::{params, under_test};

const TOLERANCE: f64 = 1e-5;

/// A stem that is a stack, and what grows behind it.
#[derive(Module, Debug)]
struct Net {
    conv1: RepConv2d,
    conv2: RepConv2d,
}

fn conv(channels: [usize; 2], kernel: usize, branches: impl Into<Branches>) -> RepConv2dConfig {
    let pad = kernel / 2;
    RepConv2dConfig::new(channels, [kernel; 2])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .with_branches(branches)
}

impl Net {
    fn new(device: &Device) -> Self {
        let conv1 = conv([3, 4], 7, Preset::OrepaStem).with_stride([2, 2]).init(device);
        let conv2 = conv([4, 4], 3, Preset::Plain).init(device);
        random::scramble(Self { conv1, conv2 }, &mut Draw::new(1))
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.conv2.forward(self.conv1.forward(input))
    }
}

fn batch(number: u64, device: &Device) -> Tensor<4> {
    Tensor::from_data(Draw::new(number).data(&[4, 3, 12, 11], -1.0, 1.0), device)
}

#[test]
fn a_controller_grows_and_cuts_around_a_stack() {
    let graph = under_test().autodiff();
    let config = ControllerConfig {
        interval: 1,
        first_epoch: 1,
        last_epoch: 9,
        cut_rule: CutRule::TopK { keep: 3 },
        calibration_batches: 1,
        ..ControllerConfig::default()
    };
    let mut controller = Controller::new(config).unwrap();
    let mut net = Net::new(&graph);
    let (start, stem) = (Structure::of(&net), net.conv1.form());
    controller.check(&net).unwrap();
    let mut optimizer = ModuleOptimizer::from(SgdConfig::new().build());
    for epoch in 1..=4 {
        let loss = net.forward(batch(epoch as u64, &graph)).powi_scalar(2).mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        controller.observe(&net, &gradients);
        net = optimizer.step(1e-3, net, gradients);
        let run = |net: &Net, i: usize| drop(net.forward(batch(i as u64, &under_test())));
        controller.adjust(&mut net, &mut optimizer, epoch, run).unwrap();
        assert_eq!(net.conv1.form(), stem);
    }
    assert!(!net.conv2.is_plain(), "nothing has grown");
    assert!(controller.events().all(|event| event.change.path().starts_with("conv2")));
    let log = controller.log().unwrap();
    assert_eq!(log.replay().unwrap(), Structure::of(&net));
    assert_eq!(log.start(), &start);
    let sizes = InputSizes::measure(&net, |net| drop(net.forward(batch(1, &under_test()))));
    let largest = controller.largest(&start, &sizes, 9);
    assert_eq!(largest.layers()["conv1"].form, stem);
}

#[test]
fn nothing_inside_a_stack_is_grown_or_cut() {
    let device = under_test();
    let net = Net::new(&device);
    assert_eq!(
        layers(&net).into_iter().map(|(path, _)| path).collect::<Vec<_>>(),
        ["conv1", "conv2"]
    );
    assert!(block_ratios(&net).is_empty());
    let mut run = |_: &Net, _: usize| panic!("nothing is to be measured");
    let (options, dbb) = (AdjustOptions::default(), Branches::from(Preset::Dbb));
    for path in ["conv1", "conv1.0", "conv1.0.kxk.conv", "conv1.1.kxk.conv"] {
        let mut calibration = Calibration::new(1, &mut run);
        let error = grow(&net, path, &dbb, &options, &mut calibration).unwrap_err().to_string();
        assert!(error.contains(path), "{error}");
        let error = expand(&net, [path], &dbb, &options).unwrap_err().to_string();
        assert!(error.contains(path), "{error}");
        let name = BranchKind::POINTWISE.into();
        let error = cut(&net, path, &[name], &options, &mut calibration).unwrap_err().to_string();
        assert!(error.contains(path), "{error}");
        let mut structure = Structure::of(&net);
        for error in [structure.grow(path, &dbb), structure.cut(path, &[name])] {
            let error = error.unwrap_err().to_string();
            let why = if path == "conv1" { "a stack of layers" } else { "no convolution there" };
            assert!(error.contains(path) && error.contains(why), "{error}");
        }
        assert_eq!(structure, Structure::of(&net));
    }
    // Nor does anything grow into one.
    let mut calibration = Calibration::new(1, &mut run);
    let stem = Branches::from(Preset::OrepaStem);
    let error = grow(&net, "conv2", &stem, &options, &mut calibration).unwrap_err().to_string();
    assert!(error.contains("orepa_stem"), "{error}");
}

#[test]
fn parameters_lie_below_the_layers_numbers() {
    let layer = conv([3, 4], 7, Preset::OrepaStem).init(&under_test());
    let paths: BTreeSet<String> = params::read(&layer).into_keys().collect();
    for wanted in ["0.kxk.conv.weight", "1.dw_1x1.conv1.weight", "2.1x1_prior.scale", "bn.gamma"] {
        assert!(paths.contains(wanted), "{wanted} is not in {paths:?}");
    }
    // Eight kernels and six scales a layer, the bias of the last, the norm's four.
    assert_eq!(paths.len(), 3 * 14 + 1 + 4);
    assert_eq!(layer.id().val(), params::ids(&layer)["0.kxk.conv.weight"]);
}

#[test]
fn a_stack_is_cloned_moved_frozen_and_evaluated() {
    let graph = under_test().autodiff();
    let net = Net::new(&graph);
    let (values, ids) = (params::read(&net), params::ids(&net));
    let input = batch(3, &under_test());
    let want = net.valid().forward(input.clone());
    let same = |other: &Net| {
        assert_eq!(params::ids(other), ids);
        assert_eq!(params::read(other), values);
        let off = relative_difference(other.valid().forward(input.clone()), want.clone());
        assert!(off < allowed(TOLERANCE), "{off:.1e}");
    };
    same(&net.clone());
    same(&net.clone().fork(&graph));
    same(&net.clone().to_device(&under_test()));
    same(&net.valid().train());
    assert!(params::trainable(&net.valid().train()));
    assert_eq!(net.collect_devices(vec![]).len(), 1);
    let frozen = net.clone().freeze();
    let output = frozen.forward(batch(3, &graph).require_grad()).sum();
    let gradients = output.backward();
    assert!(params::gradients(&frozen, &gradients).is_empty());
}

#[test]
fn the_norm_behind_a_stack_moves_while_it_trains() {
    let net = Net::new(&under_test().autodiff());
    let moved = |net: &Net| params::read(&net.valid())["conv1.bn.running_mean"].clone();
    let before = moved(&net);
    drop(net.valid().forward(batch(3, &under_test())));
    assert_eq!(moved(&net), before);
    drop(net.forward(batch(3, &under_test().autodiff())));
    assert_ne!(moved(&net), before);
}

/// An optimiser keeps a momentum of the kernels' shapes for their identities.
#[test]
fn a_deployed_stack_has_an_identity_of_its_own() {
    let net = Net::new(&under_test());
    let deployed = [(); 2].map(|()| params::ids(&deploy(&net)));
    assert_eq!(deployed[0], deployed[1]);
    let before: BTreeSet<u64> = params::ids(&net.conv1).into_values().collect();
    assert!(!before.contains(&deployed[0]["conv1.weight"]));
    assert!(!before.contains(&deployed[0]["conv1.bias"]));
    assert_eq!(deployed[0]["conv2.weight"], params::ids(&net)["conv2.weight"]);
}

#[test]
fn a_preset_stacks_large_kernels_alone() {
    let form = |kernel: usize, groups: usize| {
        let config = conv([4, 8], kernel, Preset::OrepaStem).with_groups(groups);
        let layer = config.with_bias(false).with_stride([2, 2]).init(&under_test());
        (layer.form(), layer.geometry())
    };
    for (kernel, count) in [(5, 2), (7, 3), (9, 4)] {
        let (Form::Stack(stack), geometry) = form(kernel, 1) else { panic!("{kernel}") };
        assert_eq!((stack.layers.len(), stack.composition), (count, Composition::Sequence));
        assert!(stack.norm_after);
        for (layer, own) in stack.layers.iter().zip(geometry.in_sequence().unwrap()) {
            let own = conv([own.in_channels(), 8], 3, Preset::Orepa).with_stride(own.stride());
            let own = own.with_norm_after(false).with_bias(false);
            assert_eq!(layer, &own.form().unwrap());
        }
    }
    // Elsewhere it is `orepa`.
    for (kernel, groups) in [(1, 1), (3, 1), (7, 2), (6, 1)] {
        let config = conv([4, 8], kernel, Preset::Orepa).with_groups(groups).with_bias(false);
        let (found, _) = form(kernel, groups);
        assert_eq!(found, config.with_stride([2, 2]).form().unwrap(), "{kernel}, {groups}");
    }
}

/// As published, the branches' scales in each layer, and kernels of the identity's difference from it.
#[test]
fn a_stack_starts_as_its_blocks_do() {
    let layer = conv([3, 4], 7, Preset::OrepaStem).init(&under_test());
    let values = params::read(&layer);
    let all = |name: &str| {
        let values = values[name].iter::<f32>().collect::<Vec<_>>();
        assert!(values.iter().all(|value| *value == values[0]), "{name}");
        values[0]
    };
    for number in 0..3 {
        let scale = |name: &str| all(&format!("{number}.{name}.scale"));
        let scales = ["kxk", "1x1_avg", "1x1_prior", "id1x1_kxk", "1x1", "dw_1x1"].map(scale);
        assert_eq!(scales, [0.25, 0.25, 0.0, 0.5, 1.0, 0.5]);
        assert_eq!(all(&format!("{number}.id1x1_kxk.conv1.weight")), 0.0);
    }
}

#[test]
fn what_cannot_be_a_stack_is_refused() {
    let geometry = |kernel: [usize; 2]| ConvGeometry::new([2, 2], kernel).unwrap();
    let check = |kernel, layers: Vec<Form>| {
        let form = StackForm { layers, composition: Composition::Sequence, norm_after: false };
        let layer = LayerStructure { geometry: geometry(kernel), form: Form::Stack(form) };
        Structure::new([("conv1".to_owned(), layer)].into()).unwrap_err().to_string()
    };
    let plain = || Form::Plain { bias: false };
    for kernel in [[3, 3], [6, 6], [5, 7], [1, 1]] {
        let error = check(kernel, vec![plain(); 3]);
        assert!(error.contains("conv1") && error.contains("odd and larger than 3×3"), "{error}");
        assert!(geometry(kernel).in_sequence().is_none());
    }
    let error = check([7, 7], vec![plain(); 2]);
    assert!(error.contains("7×7 is 3 layers of 3×3 in sequence, not 2"), "{error}");
    let normed = conv([2, 2], 3, Preset::Dbb).form().unwrap();
    let error = check([5, 5], vec![plain(), normed]);
    assert!(error.contains("layer 1 of a stack has a norm"), "{error}");
    let followed = conv([2, 2], 3, Preset::Orepa).form().unwrap();
    let error = check([5, 5], vec![followed, plain()]);
    assert!(error.contains("layer 0 of a stack has a norm"), "{error}");
    let stack = || conv([2, 2], 5, Preset::OrepaStem).form().unwrap();
    let error = check([5, 5], vec![stack(), plain()]);
    assert!(error.contains("lies in no block and no other stack"), "{error}");
    let Form::Block(mut block) = conv([2, 2], 5, Preset::RepVgg).form().unwrap() else { panic!() };
    let main = block.branches.iter_mut().find(|branch| branch.name.to_string() == "kxk").unwrap();
    main.conv = Some(Box::new(stack()));
    let padded = geometry([5, 5]).with_padding(PaddingConfig2d::Explicit(2, 2, 2, 2)).unwrap();
    let layer = LayerStructure { geometry: padded, form: Form::Block(block) };
    let error = Structure::new([("conv1".to_owned(), layer)].into()).unwrap_err().to_string();
    assert!(error.contains("lies in no block"), "{error}");
    // The texts of files.
    let layer = conv([2, 2], 5, Preset::OrepaStem).init(&under_test());
    let text = Structure::of(&layer).to_json();
    let error = Structure::from_json(
        &text.replace("\"layers\": [", "\"composition\": \"other\", \"layers\": ["),
    );
    assert!(error.unwrap_err().to_string().contains("unknown variant `other`"), "{text}");
}

#[test]
#[should_panic(expected = "a stack for 3→4")]
fn an_input_of_other_channels_is_refused() {
    let layer = conv([3, 4], 7, Preset::OrepaStem).init(&under_test());
    drop(layer.forward(Tensor::zeros([1, 2, 9, 9], &under_test())));
}
