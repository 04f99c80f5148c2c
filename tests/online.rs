//! Blocks without norms inside: one convolution while they train, too, whatever grows in them and is cut.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::tensor::{Device, Tensor, TensorData};
use dyrep_burn::ops::{Kernels, with_kernels};
use dyrep_burn::{
    BranchForm, BranchNorm, Branches, Calibration, ConvGeometry, End, Form, Preset, RepConv2d,
    RepConv2dConfig, Structure, deploy, layers,
};
use dyrep_tests::close::{relative_difference, relative_difference_of};
use dyrep_tests::device::allowed;
use dyrep_tests::random::{self, Draw};
use dyrep_tests::{params, under_test};

/// Of the largest value.
const TOLERANCE: f64 = 5e-6;
/// The same of gradients.
const GRADIENTS: f64 = 5e-5;

fn config(geometry: &ConvGeometry, preset: Preset) -> RepConv2dConfig {
    RepConv2dConfig::of(geometry).with_branches(preset).with_norm(BranchNorm::Online)
}

fn blocks() -> impl Iterator<Item = Preset> {
    Preset::ALL.into_iter().filter(|preset| *preset != Preset::Plain)
}

/// Outputs and all gradients of one convolution are those of the branches one by one. Without the norm that follows: it
/// takes away what it can of a gradient, and leaves rounding.
fn trains_as_its_branches_do(geometry: &ConvGeometry, values: &Tensor<4>, number: u64) {
    let graph = under_test().autodiff();
    for preset in blocks() {
        let pass = |kernels| {
            let layer = config(geometry, preset).with_norm_after(false).init(&graph);
            let layer = random::scramble(layer, &mut Draw::new(number));
            assert!(!layer.is_plain() && layer.is_linear(), "{preset}");
            let input = values.clone().autodiff().require_grad();
            let output = with_kernels(kernels, || layer.forward(input.clone()));
            let seen = Draw::new(number).data(&output.dims(), -1.0, 1.0);
            let seen = Tensor::<4>::from_data(seen, &under_test());
            let gradients = (output.clone() * seen.autodiff()).sum().backward();
            let found = params::gradients(&layer, &gradients);
            (output.inner(), input.grad(&gradients).unwrap(), found, params::read(&layer))
        };
        let [one, many] = [Kernels::Fast, Kernels::Composed].map(pass);
        let what = || format!("{preset}, {geometry}");
        let off = relative_difference(one.0, many.0);
        assert!(off < allowed(TOLERANCE), "{}: output off by {off:.1e}", what());
        let off = relative_difference(one.1, many.1);
        assert!(off < allowed(GRADIENTS), "{}: input's gradient off by {off:.1e}", what());
        assert!(one.2.keys().eq(many.2.keys()), "{}", what());
        let all = |found: &BTreeMap<String, TensorData>| -> Vec<f64> {
            found.values().flat_map(|data| data.iter::<f64>().collect::<Vec<_>>()).collect()
        };
        for (name, got, want) in [("gradients", &one.2, &many.2), ("values", &one.3, &many.3)] {
            let off = relative_difference_of(&all(got), &all(want));
            assert!(off < allowed(GRADIENTS), "{}: {name} off by {off:.1e}", what());
        }
    }
}

#[test]
fn a_linear_block_trains_as_its_branches_do() {
    random::for_all(random::cases(30, 200), |draw| {
        let geometry = random::geometry(draw);
        let values = random::input(draw, &geometry, &under_test());
        trains_as_its_branches_do(&geometry, &values, draw.between(0, 1_000_000) as u64);
    });
}

/// Of so small maps sequences run beside the sum.
#[test]
fn a_linear_block_of_small_maps_trains_as_its_branches_do() {
    for (channels, groups, stride, side) in
        [([32, 32], 1, 1, 2), ([24, 40], 1, 2, 3), ([32, 16], 2, 1, 2), ([16, 16], 16, 1, 1)]
    {
        let geometry = ConvGeometry::new(channels, [3, 3])
            .and_then(|geometry| geometry.with_stride([stride; 2]))
            .and_then(|geometry| geometry.with_groups(groups))
            .and_then(|geometry| geometry.with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)))
            .unwrap();
        let draw = &mut Draw::new(side as u64);
        let values = draw.data(&[1, channels[0], side, side], -1.0, 1.0);
        trains_as_its_branches_do(&geometry, &Tensor::from_data(values, &under_test()), 5);
    }
}

/// Structures, deployment, ratios: an online block is a block.
#[test]
fn an_online_block_is_written_read_and_deployed() {
    let device = under_test();
    random::for_all(random::cases(20, 100), |draw| {
        let geometry = random::geometry(draw);
        for preset in blocks() {
            let layer = random::scramble(config(&geometry, preset).init(&device), draw);
            let shows = |branch: &BranchForm| branch.conv.is_some() || branch.end != End::Nothing;
            let (followed, all_show) = match layer.form() {
                Form::Plain { .. } => panic!("{preset}"),
                Form::Block(form) => {
                    assert!(form.is_linear(&geometry));
                    (form.norm_after, form.branches.iter().all(shows))
                }
                Form::Stack(form) => (form.norm_after, true),
            };
            assert!(followed);
            assert_eq!(layer.form().macs(&geometry, [9, 9]), geometry.macs([9, 9]));
            let structure = Structure::of(&layer);
            let read = Structure::from_json(&structure.to_json()).unwrap();
            let fresh = read.apply(random::plain(&geometry, true, &device)).unwrap();
            let loaded = fresh.try_load_record(layer.valid().into_record()).unwrap();
            let input = random::input(draw, &geometry, &device);
            let want = layer.forward(input.clone());
            let off = relative_difference(loaded.forward(input.clone()), want.clone());
            assert!(off < allowed(TOLERANCE), "{preset}: {off:.1e}");
            let off = relative_difference(deploy(&layer).forward(input), want);
            assert!(off < allowed(TOLERANCE), "{preset}: {off:.1e}");
            let bare = config(&geometry, preset).with_norm_after(false).with_bias(false);
            let form = bare.form().unwrap();
            assert_eq!(deploy(&bare.init(&device)).form(), form.deployed(&geometry), "{preset}");
            let tensors = params::read(&layer).into_iter();
            let shapes = tensors.map(|(path, data)| (path, data.shape().to_vec())).collect();
            if all_show {
                assert_eq!(Form::found("", &geometry, &shapes), Some(layer.form()), "{preset}");
            }
        }
    });
}

fn change(layer: &RepConv2d, draw: &mut Draw, event: u64) -> RepConv2d {
    // Nothing is measured: a pass would be a mistake.
    let mut run = |_: &RepConv2d, _: usize| panic!("nothing is to be measured");
    random::change(layer, draw, event, &mut Calibration::new(1, &mut run), Branches::Online)
}

/// Growing and cutting change nothing, at inference and while it trains, and need no batch.
#[test]
fn growth_and_cuts_are_neutral_in_both_modes() {
    let graph: Device = under_test().autodiff();
    random::for_all(random::cases(200, 1000), |draw| {
        let geometry = random::geometry(draw);
        let mut layer = random::plain(&geometry, draw.chance(50), &graph);
        let input = random::input(draw, &geometry, &under_test());
        let both = |layer: &RepConv2d| {
            let trained = layer.forward(input.clone().autodiff()).inner();
            [trained, layer.valid().forward(input.clone())]
        };
        for event in 0..5 {
            layer = random::scramble(layer, draw);
            let changed = change(&layer, draw, event);
            assert!(layers(&changed)[0].1.block().is_none_or(dyrep_burn::Block::is_linear));
            for (got, want) in both(&changed).into_iter().zip(both(&layer)) {
                let off = relative_difference(got, want);
                let forms = || format!("{geometry}: {} → {}", layer.form(), changed.form());
                assert!(off <= allowed(TOLERANCE), "{off:.1e} at {event} for {}", forms());
            }
            layer = changed;
        }
    });
}
