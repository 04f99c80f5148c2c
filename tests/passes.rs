//! What a pass through a layer is, and who computes it: inputs off the graph, frozen norms, other float types, blocks too
//! large for one operation, gradient checkpointing.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::rc::Rc;

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::tensor::{DType, Device, Tensor};
use dyrep_burn::ops::{Kernels, with_kernels};
use dyrep_burn::{
    AdjustOptions, BranchKind, BranchSpec, Branches, Calibration, End, NormRule, Preset, RepConv2d,
    RepConv2dConfig, Structure, cut, deploy, grow, with_inputs,
};
use dyrep_tests::close::{relative_difference, relative_difference_of};
use dyrep_tests::device::{allowed, assert_repeated, computes, is_flex};
use dyrep_tests::params;
use dyrep_tests::random::{self, Draw};
use dyrep_tests::under_test;

/// Of the largest output, as the laws allow; all are below 1e-6 here, but CPUs sum in orders of their own.
const TOLERANCE: f64 = 5e-6;

fn config(branches: impl Into<Branches>) -> RepConv2dConfig {
    RepConv2dConfig::new([8, 8], [3, 3])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .with_branches(branches)
}

/// A layer whose parameters hide nothing, in training on `device`'s graph.
fn scrambled(branches: impl Into<Branches>, device: &Device) -> RepConv2d {
    random::scramble(config(branches).init(device), &mut Draw::new(7))
}

fn input(device: &Device) -> Tensor<4> {
    Tensor::from_data(Draw::new(3).data(&[4, 8, 9, 7], -1.0, 2.0), device)
}

/// An input off the graph is a constant to a layer that is on it: every branch takes it so.
#[test]
fn a_plain_input_trains_as_one_on_the_graph_does() {
    let (plain, graph) = (under_test(), under_test().autodiff());
    for preset in Preset::ALL {
        let [layer, other] = [(); 2].map(|()| scrambled(preset, &graph));
        let got = layer.forward(input(&plain));
        let want = other.forward(input(&graph));
        assert!(got.is_autodiff());
        let difference = relative_difference(got.inner(), want.inner());
        assert!(difference < allowed(TOLERANCE), "{preset}: {difference:.1e}");
        let (got, want) = (layer.valid(), other.valid());
        let difference =
            relative_difference(got.forward(input(&plain)), want.forward(input(&plain)));
        assert!(difference < allowed(TOLERANCE), "{preset}, running statistics: {difference:.1e}");
    }
}

/// What is composed on this device, and why; nothing else is.
#[test]
fn blocks_that_train_run_whole_and_the_others_say_why_not() {
    let (plain, graph) = (under_test(), under_test().autodiff());
    for preset in Preset::ALL {
        let layer = config(preset).init(&graph);
        if !is_flex() {
            // A convolution alone is Burn's own there.
            let reason = layer.composed_because(&input(&graph));
            assert_eq!(reason.is_none(), layer.is_plain(), "{preset}");
            assert!(reason.is_none_or(|reason| reason.contains("device")), "{preset}");
            continue;
        }
        assert_eq!(layer.composed_because(&input(&graph)), None, "{preset}");
        let norms = layer
            .block()
            .is_some_and(|block| block.branches().iter().any(|branch| branch.norm().is_some()));
        let evaluated = layer.valid().composed_because(&input(&plain));
        assert_eq!(evaluated.is_some_and(|reason| reason.contains("running statistics")), norms);
        if !layer.is_plain() {
            let wide = input(&graph).cast(DType::F64);
            let cast = params::cast(layer.clone(), DType::F64);
            assert!(cast.composed_because(&wide).unwrap().contains("type"), "{preset}");
            let wanted = with_kernels(Kernels::Composed, || layer.composed_because(&input(&graph)));
            assert!(wanted.is_some());
        }
        let frozen = layer.freeze().composed_because(&input(&graph));
        assert_eq!(frozen.is_some_and(|reason| reason.contains("running statistics")), norms);
    }
}

/// Beyond what one step of the graph can take, a block is computed in parts.
#[test]
fn a_block_of_forty_branches_is_computed_in_parts() {
    let device = under_test().autodiff();
    let branches = [BranchSpec::from(BranchKind::KXK).times(40), BranchKind::POINTWISE_KXK.into()];
    let results = [Kernels::Fast, Kernels::Composed].map(|kernels| {
        with_kernels(kernels, || {
            let layer = scrambled(branches, &device);
            let input = input(&device).require_grad();
            let output = layer.forward(input.clone());
            let gradients = (output.clone() * output.clone()).sum().backward();
            (output.inner(), input.grad(&gradients).unwrap())
        })
    });
    let [(fast, fast_gradient), (composed, composed_gradient)] = results;
    assert!(relative_difference(fast, composed) < allowed(1e-5));
    assert!(relative_difference(fast_gradient, composed_gradient) < allowed(1e-4));
}

/// Blocks of other float types train, fuse, grow, are cut and deployed. Half types keep eight or eleven bits.
#[test]
fn other_float_types() {
    let graph = under_test().autodiff();
    let types = [(DType::F64, 1e-12), (DType::F16, 1e-2), (DType::BF16, 8e-2)];
    for (dtype, tolerance) in types.into_iter().filter(|(dtype, _)| computes(*dtype)) {
        let input = input(&graph).cast(dtype);
        for preset in Preset::ALL {
            let layer = params::cast(scrambled(preset, &graph), dtype);
            let output = layer.forward(input.clone());
            assert_eq!(output.dtype(), dtype);
            output.cast(DType::F32).sum().backward();
            let layer = layer.valid();
            let want = layer.forward(input.clone().inner()).cast(DType::F64);
            let deployed = deploy(&layer);
            assert_eq!(deployed.fuse().geometry(), &layer.geometry());
            let got = deployed.forward(input.clone().inner());
            assert_eq!(got.dtype(), dtype);
            let difference = relative_difference(got.cast(DType::F64), want.clone());
            assert!(difference < tolerance, "{preset} as {dtype:?}: {difference:.1e}");
        }
        let plain = params::cast(scrambled(Preset::Plain, &graph), dtype);
        let batch = input.clone().inner();
        let mut run = |layer: &RepConv2d, _: usize| drop(layer.forward(batch.clone()));
        let mut calibration = Calibration::new(1, &mut run);
        for norm_rule in NormRule::ALL {
            let options = AdjustOptions { norm_rule, ..AdjustOptions::default() };
            let grown =
                grow(&plain, "", &Preset::DyRep.into(), &options, &mut calibration).unwrap();
            let names: Vec<_> =
                grown.block().unwrap().others().iter().map(dyrep_burn::Branch::name).collect();
            let less = cut(&grown, "", &names[..2], &options, &mut calibration).unwrap();
            for layer in [grown, less] {
                let got = layer.valid().forward(batch.clone()).cast(DType::F64);
                let want = plain.valid().forward(batch.clone()).cast(DType::F64);
                let difference = relative_difference(got, want);
                assert!(difference < tolerance, "{norm_rule:?} as {dtype:?}: {difference:.1e}");
                // Last, since it moves the running statistics.
                assert_eq!(layer.forward(input.clone()).dtype(), dtype);
            }
        }
    }
}

/// What each output counts for. Its square would not do: behind a norm the sum of squares is given.
fn seen(dims: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::from_data(Draw::new(11).data(&dims, -1.0, 1.0), device)
}

/// The weight that every form of a layer has.
fn kxk(layer: &RepConv2d) -> Tensor<4> {
    match layer {
        RepConv2d::Plain(conv) => conv.weight.val(),
        RepConv2d::Block(block) => kxk(block.branches()[0].conv().unwrap()),
        RepConv2d::Stack(stack) => kxk(&stack.layers()[0]),
    }
}

/// A layer of `f32` computes in its input's 16 bits, its statistics and gradients stay of 32, and both are about what they
/// are by an input of 32.
#[test]
fn an_input_of_16_bits_is_computed_in_16_bits() {
    let graph = under_test().autodiff();
    let types = [(DType::F16, 1e-2), (DType::BF16, 8e-2)];
    for (dtype, tolerance) in types.into_iter().filter(|(dtype, _)| computes(*dtype)) {
        for kernels in [Kernels::Fast, Kernels::Composed, Kernels::Merged] {
            for preset in Preset::ALL {
                let pass = |dtype: DType| {
                    let layer = scrambled(preset, &graph);
                    // Of numbers that both types have.
                    let input = input(&graph).cast(DType::BF16).cast(dtype).require_grad();
                    let output = with_kernels(kernels, || layer.forward(input.clone()));
                    assert_eq!(output.dtype(), dtype, "{preset}");
                    let wide = output.clone().cast(DType::F32);
                    let gradients = (wide.clone() * seen(wide.dims(), &graph)).sum().backward();
                    let of_input = input.grad(&gradients).unwrap();
                    assert_eq!(of_input.dtype(), dtype);
                    let weight = layer.fuse().weight().inner();
                    let of_weight = kxk(&layer).grad(&gradients).unwrap();
                    assert_eq!(of_weight.dtype(), DType::F32);
                    let maps = [output.inner(), of_input].map(|map| map.cast(DType::F64));
                    // Fused by running statistics: these moved alike.
                    let kernels = [weight, of_weight].map(|kernel| kernel.cast(DType::F64));
                    [maps, kernels].concat()
                };
                let names = ["output", "input's gradient", "fused weight", "weight's gradient"];
                let pairs = pass(dtype).into_iter().zip(pass(DType::F32));
                for (name, (half, full)) in names.into_iter().zip(pairs) {
                    let off = relative_difference(half, full);
                    assert!(
                        off < tolerance,
                        "{preset} as {dtype:?}, {kernels:?}, {name}: {off:.1e}"
                    );
                }
            }
        }
    }
}

/// Where neither `kxk` nor the new branches end in norms, growing changes nothing in training mode either.
#[test]
fn growing_branches_that_end_in_scales_is_neutral_in_both_modes() {
    let graph = under_test().autodiff();
    let ends = |main: End, others: End| {
        let kinds = [BranchKind::POINTWISE, BranchKind::ONE_BY_K, BranchKind::IDENTITY];
        let others = kinds.map(|kind| BranchSpec::new(kind, others));
        [&[BranchSpec::new(BranchKind::KXK, main)][..], &others].concat()
    };
    let plain = scrambled(Preset::Plain, &graph);
    let mut run = |_: &RepConv2d, _: usize| panic!("what has no norm needs no calibration");
    let mut calibration = Calibration::new(0, &mut run);
    for (main, others) in
        [(End::Nothing, End::Scale), (End::Scale, End::Scale), (End::Constant, End::Nothing)]
    {
        let branches = Branches::from(ends(main, others));
        let grown =
            grow(&plain, "", &branches, &AdjustOptions::default(), &mut calibration).unwrap();
        let difference = relative_difference(
            grown.forward(input(&graph)).inner(),
            plain.forward(input(&graph)).inner(),
        );
        assert!(difference < allowed(TOLERANCE), "{main:?}, {others:?}: {difference:.1e}");
        // The same through the structure alone.
        let mut structure = Structure::of(&plain);
        structure.grow("", &branches).unwrap();
        assert_eq!(structure, Structure::of(&grown));
    }
}

#[test]
fn gradient_checkpointing_survives_every_change_of_structure() {
    let device = under_test().autodiff().gradient_checkpointing();
    let strategy = device.gradient_checkpointing_strategy();
    let plain = scrambled(Preset::Plain, &device);
    let batch = input(&under_test());
    let mut run = |layer: &RepConv2d, _: usize| drop(layer.forward(batch.clone()));
    let mut calibration = Calibration::new(1, &mut run);
    let options = AdjustOptions::default();
    let grown = grow(&plain, "", &Preset::DyRep.into(), &options, &mut calibration).unwrap();
    let kinds = [BranchKind::POINTWISE.into()];
    let less = cut(&grown, "", &kinds, &options, &mut calibration).unwrap();
    let applied = Structure::of(&grown).apply(plain).unwrap();
    for layer in [grown, less, applied] {
        let output = layer.forward(input(&device));
        assert_eq!(output.gradient_checkpointing_strategy(), strategy);
        let gradients = output.sum().backward();
        assert!(
            layer.block().unwrap().main().norm().unwrap().gamma.val().grad(&gradients).is_some()
        );
    }
}

/// What grows in a frozen layer is frozen, and the layer is no candidate.
#[test]
fn what_grows_in_a_frozen_layer_is_frozen() {
    let device = under_test().autodiff();
    let plain = scrambled(Preset::Plain, &device).freeze();
    let batch = input(&under_test());
    let mut run = |layer: &RepConv2d, _: usize| drop(layer.forward(batch.clone()));
    let mut calibration = Calibration::new(1, &mut run);
    let options = AdjustOptions::default();
    let grown = grow(&plain, "", &Preset::Dbb.into(), &options, &mut calibration).unwrap();
    let branches = grown.block().unwrap().branches();
    let norms = branches.iter().filter_map(|branch| branch.norm());
    assert!(norms.clone().count() == 4);
    for norm in norms {
        assert!(!norm.gamma.is_require_grad() && !norm.training.is_enabled());
    }
}

/// While the kernels wait for a part of theirs, a thread may run another pass's: that one is not what is watched.
#[test]
fn a_watched_pass_does_not_see_what_its_thread_runs_meanwhile() {
    let layer = |seed: u64| {
        let config = RepConv2dConfig::new([32, 32], [3, 3])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1));
        random::scramble(config.init(&under_test()), &mut Draw::new(seed))
    };
    let (watched, other) = (layer(1), layer(2));
    let batch =
        || Tensor::<4>::from_data(Draw::new(3).data(&[4, 32, 24, 24], -1.0, 1.0), &under_test());
    let want = other.forward(batch()).into_data();
    for _ in 0..40 {
        let (seen, got) = rayon::join(
            || {
                let seen = Rc::new(RefCell::new(vec![]));
                let note = seen.clone();
                let replace = move |id, input: Tensor<4>| {
                    note.borrow_mut().push(id);
                    input * 0.0
                };
                with_inputs(replace, || drop(watched.forward(batch())));
                seen.take()
            },
            || other.forward(batch()).into_data(),
        );
        assert_eq!(seen, [watched.id()]);
        assert_repeated("what ran meanwhile", &got, &want);
    }
}

/// Replicas on other threads average their statistics, as Burn's do, whoever comes first; what is not learnt goes with
/// each of them.
#[test]
fn replicas_average_their_statistics() {
    let device = under_test().autodiff();
    let branches = [BranchSpec::from(BranchKind::POINTWISE), BranchKind::IDENTITY.into()];
    let constant = BranchSpec::new(BranchKind::ONE_BY_K, End::Constant);
    let branches = [&branches[..], &[constant]].concat();
    let batches = |number: u64, step: u64| {
        let draw = &mut Draw::new(10 * number + step);
        Tensor::<4>::from_data(draw.data(&[4, 8, 9, 7], -1.0, 2.0), &under_test())
    };
    let statistics = |layer: &RepConv2d| {
        let mut found = params::read(&layer.valid());
        found.retain(|path, _| path.contains("running_") || path.ends_with("constant"));
        found
    };
    let start = || scrambled(branches.clone(), &device);
    let alone = [0, 1].map(|number| {
        let layer = start();
        for step in 0..5 {
            let _output = layer.forward(batches(number, step));
        }
        statistics(&layer)
    });
    for _ in 0..5 {
        let layer = start();
        let barrier = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            for number in [0, 1] {
                let (replica, barrier) = (layer.clone(), &barrier);
                scope.spawn(move || {
                    for step in 0..5 {
                        let replica = replica.clone().fork(&under_test().autodiff());
                        let _output = replica.forward(batches(number, step));
                        // As where gradients are averaged.
                        barrier.wait();
                    }
                });
            }
        });
        for (path, got) in statistics(&layer) {
            let [a, b] = [0, 1].map(|number| alone[number][&path].iter::<f64>());
            let want: Vec<f64> = a.zip(b).map(|(a, b)| f64::midpoint(a, b)).collect();
            let difference = relative_difference_of(&got.iter::<f64>().collect::<Vec<_>>(), &want);
            assert!(difference < allowed(TOLERANCE), "{path}: {difference:.1e}");
        }
    }
}
