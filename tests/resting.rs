//! Branches that rest: law 1 holds for what runs, and nothing else is there.
//!
//! Over any geometry, branches, ends and nesting, as in `fusion_laws.rs`, with some of the branches resting at any depth.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Device;
use dyrep_burn::ops::{Kernels, with_kernels};
use dyrep_burn::{
    AdjustError, AdjustOptions, BlockForm, BranchName, Calibration, ConvGeometry, Form, Kernel,
    LayerStructure, RepConv2d, Structure, cut, fuse, grow, without_resting,
};
use dyrep_tests::close::relative_difference;
use dyrep_tests::device::allowed;
use dyrep_tests::{params, random, under_test};

const CASES: u64 = 300;

/// Of the largest output, as for blocks of which everything runs.
const TOLERANCE: f64 = 5e-6;

/// The form with each branch resting with a chance of two fifths, but for one of each block.
fn rested(draw: &mut random::Draw, form: Form) -> Form {
    let Form::Block(block) = form else { return form };
    let runs = draw.between(0, block.branches.len() - 1);
    let branches = block.branches.into_iter().enumerate().map(|(at, mut branch)| {
        branch.resting = at != runs && draw.chance(40);
        branch.conv = branch.conv.map(|conv| Box::new(rested(draw, *conv)));
        branch
    });
    Form::Block(BlockForm { branches: branches.collect(), norm_after: block.norm_after })
}

fn any_layer(draw: &mut random::Draw, device: &Device) -> (ConvGeometry, Form, RepConv2d) {
    let geometry = random::geometry(draw);
    let depth = draw.between(1, 2);
    let form = random::form(draw, &geometry, depth);
    let form = rested(draw, form);
    let layer = random::scramble(random::layer(&geometry, &form, device), draw);
    (geometry, form, layer)
}

fn rests(form: &Form) -> bool {
    let Form::Block(block) = form else { return false };
    let inside =
        |it: &dyrep_burn::BranchForm| it.resting || it.conv.as_ref().is_some_and(|it| rests(it));
    block.branches.iter().any(inside)
}

#[test]
fn what_runs_equals_its_fused_convolution() {
    let device = under_test();
    for kernels in [Kernels::Fast, Kernels::Composed, Kernels::Merged] {
        with_kernels(kernels, || {
            let (mut some, mut noticed) = (0, 0);
            let cases = 0..random::cases(CASES, 1000);
            for number in cases.clone() {
                let mut draw = random::Draw::new(number);
                let (geometry, form, layer) = any_layer(&mut draw, &device);
                if !rests(&form) {
                    continue;
                }
                some += 1;
                let input = random::input(&mut draw, &geometry, &device);
                let fused = layer.clone().materialize();
                let output = layer.forward(input.clone());
                let difference = relative_difference(fused.forward(input.clone()), output.clone());
                assert!(
                    difference <= allowed(TOLERANCE),
                    "case {number}, {form}: {difference:.1e}"
                );
                // Nothing is left of it in the model without it, nor in the sum of the kernels of what runs.
                let without = without_resting(layer.clone());
                let same = relative_difference(without.forward(input.clone()), output.clone());
                assert!(same <= allowed(TOLERANCE), "case {number}, {form}: {same:.1e}");
                let block = layer.block().unwrap();
                let kernels = block.running().map(|branch| block.fuse_branch(branch));
                let sum = kernels.reduce(|sum, kernel| fuse::add(&sum, &kernel)).unwrap();
                let sum: Kernel = match block.norm_after() {
                    Some(norm) => fuse::fold_norm(&sum, &fuse::NormAffine::of(norm)),
                    None => sum,
                };
                let by_hand = relative_difference(sum.weight(), fused.fuse().weight());
                assert!(by_hand <= allowed(TOLERANCE), "case {number}, {form}: {by_hand:.1e}");
                // The control: with everything running it is another function.
                let mut all = form.clone();
                wake(&mut all);
                let values = params::read(&layer);
                let all = params::fill(random::layer(&geometry, &all, &device), |path, _| {
                    values[path].clone()
                });
                let other = relative_difference(all.forward(input), output);
                noticed += usize::from(other > allowed(TOLERANCE));
            }
            // A branch whose scale is drawn near nothing, or that sees only padding, is no difference.
            assert!(some > 20 && noticed * 10 > some * 9, "{noticed} of {some}");
        });
    }
}

fn wake(form: &mut Form) {
    if let Form::Block(block) = form {
        for branch in &mut block.branches {
            branch.resting = false;
            branch.conv.iter_mut().for_each(|conv| wake(conv));
        }
    }
}

/// Parameters and statistics of what rests: nothing reads them, nothing moves them.
#[test]
fn a_step_leaves_what_rests_alone() {
    let device = under_test().autodiff();
    let mut some = 0;
    for number in 0..random::cases(CASES / 3, 1000) {
        let mut draw = random::Draw::new(number);
        let (geometry, form, layer) = any_layer(&mut draw, &device);
        let Form::Block(block) = &form else { continue };
        let resting: Vec<BranchName> =
            block.branches.iter().filter(|it| it.resting).map(|it| it.name).collect();
        if resting.is_empty() {
            continue;
        }
        some += 1;
        let layer = layer.train();
        let before = params::read(&layer.valid());
        let input = random::input(&mut draw, &geometry, &device);
        let gradients = layer.forward(input).sum().backward();
        let found: BTreeMap<_, _> = params::gradients(&layer, &gradients);
        let after = params::read(&layer.valid());
        let of = |path: &str, name: &BranchName| {
            let name = format!("{name}.");
            // `kxk.2.conv` is not of `kxk`.
            let rest = path.strip_prefix(&name);
            rest.is_some_and(|rest| !rest.starts_with(|it: char| it.is_ascii_digit()))
        };
        for name in &resting {
            assert!(
                !found.keys().any(|path| of(path, name)),
                "case {number}: {name} has gradients"
            );
            let own = before.keys().filter(|path| of(path, name));
            for path in own {
                assert_eq!(before[path], after[path], "case {number}: {path} moved");
            }
        }
    }
    assert!(some > 10, "{some}");
}

/// Law 5, and that a block of which nothing runs cannot be.
#[test]
fn structures_keep_what_rests() {
    let device = under_test();
    for number in 0..random::cases(CASES / 3, 1000) {
        let mut draw = random::Draw::new(number);
        let (geometry, form, layer) = any_layer(&mut draw, &device);
        let structure = Structure::of(&layer);
        assert_eq!(structure.layers()[""].form, form);
        assert_eq!(Structure::from_json(&structure.to_json()).unwrap(), structure);
        let plain = random::plain(&geometry, false, &device);
        assert_eq!(Structure::of(&structure.apply(plain).unwrap()), structure, "case {number}");
    }
    let mut draw = random::Draw::new(0);
    let geometry = random::geometry(&mut draw);
    let Form::Block(mut block) = random::form(&mut draw, &geometry, 1) else { panic!("a block") };
    block.branches.iter_mut().for_each(|branch| branch.resting = true);
    let layer = LayerStructure { geometry, form: Form::Block(block) };
    let error = Structure::new([("conv".to_owned(), layer)].into()).unwrap_err();
    assert!(format!("{error}").contains("conv"), "{error}");
}

#[test]
fn a_block_with_a_resting_branch_is_not_changed() {
    let device = under_test();
    let mut tried = 0;
    for number in 0..random::cases(40, 1000) {
        let mut draw = random::Draw::new(number);
        let (_, form, layer) = any_layer(&mut draw, &device);
        if !rests(&form) {
            continue;
        }
        tried += 1;
        let mut run = |_: &RepConv2d, _: usize| {};
        let mut calibration = Calibration::new(1, &mut run);
        let options = AdjustOptions::default();
        let cut = cut(&layer, "", &[], &options, &mut calibration).unwrap_err();
        assert!(matches!(cut, AdjustError::Resting { .. }), "{cut}");
        let branches = dyrep_burn::Preset::Dbb.into();
        let grown = grow(&layer, "", &branches, &options, &mut calibration).unwrap_err();
        assert!(matches!(grown, AdjustError::Resting { .. }), "{grown}");
    }
    assert!(tried > 5, "{tried}");
}
