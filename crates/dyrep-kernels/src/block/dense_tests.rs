//! The block against its definition: output, moments and every gradient, over random geometries.

use super::compare::{borrowed, forward_error, gradient_error};
use super::random::{Kind, random_block, random_values};
use super::{Block, Branch, By, Core, Done, End, Window, backward, forward, refuses};
use crate::shape::ShapeError;

/// Of the largest value; the largest seen are 1.8e-6 and 9.8e-7.
const OUTPUT: f64 = 5e-6;
const GRADIENT: f64 = 3e-5;

type Run = (Vec<f32>, Done, Block<Option<Vec<f32>>>);

fn run(block: &Block<Vec<f32>>, gradient: &[f32]) -> Run {
    let slices = borrowed(block);
    let mut output = vec![f32::NAN; block.shape.output_len()];
    let done = forward(&slices, &mut output, true).unwrap();
    let wanted = slices.clone().map(|_| true);
    let gradients = backward(&slices, &done, gradient, &wanted).unwrap();
    (output, done, gradients)
}

#[test]
fn blocks_are_their_definition() {
    let mut largest = [0.0_f64; 2];
    for (kind, cases) in [(Kind::Dense, 40), (Kind::Grouped, 25), (Kind::Wide, 6)] {
        for number in 0..cases {
            let block = random_block(number, kind);
            let gradient = random_values(number + 1000, block.shape.output_len());
            let (output, done, gradients) = run(&block, &gradient);
            let errors = [
                forward_error(&block, &output, &done.moments),
                gradient_error(&block, &gradient, &gradients),
            ];
            let shape = block.shape;
            assert!(errors[0] <= OUTPUT, "output {:.1e}, {kind:?} {number}, {shape:?}", errors[0]);
            assert!(
                errors[1] <= GRADIENT,
                "gradient {:.1e}, {kind:?} {number}, {shape:?}",
                errors[1]
            );
            largest = [0, 1].map(|i| largest[i].max(errors[i]));
        }
    }
    println!("largest errors {largest:?}");
    assert!(largest.iter().all(|error| *error > 0.0), "rounding is there");
}

#[test]
fn threads_do_not_matter() {
    let kinds = [Kind::Dense, Kind::Grouped, Kind::Wide, Kind::Depthwise];
    for (kind, number) in kinds.into_iter().flat_map(|kind| (0..8).map(move |n| (kind, n))) {
        let block = random_block(number, kind);
        let gradient = random_values(7, block.shape.output_len());
        let [one, three] = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(&block, &gradient))
        });
        assert_eq!(one, three, "{kind:?} {number}");
    }
}

#[test]
fn what_is_not_wanted_is_left_out() {
    for kind in [Kind::Dense, Kind::Depthwise] {
        let block = random_block(1, kind);
        let gradient = random_values(1, block.shape.output_len());
        let slices = borrowed(&block);
        let (_, done, all) = run(&block, &gradient);
        let wanted = slices.clone().map(|_| false);
        let gradients = backward(&slices, &done, &gradient, &wanted).unwrap();
        assert_eq!(gradients.input, None);
        // What is there nevertheless is the same.
        let mut complete = vec![];
        all.visit(|gradient| complete.push(gradient));
        let mut complete = complete.into_iter();
        gradients.visit(|found| {
            let complete = complete.next().unwrap();
            assert!(found.is_none() || found == complete);
        });
        let mut output = vec![0.0; block.shape.output_len()];
        let done = forward(&slices, &mut output, false).unwrap();
        let error = backward(&slices, &done, &gradient, &wanted);
        assert_eq!(error.is_ok(), kind == Kind::Depthwise, "maps that were not kept are missed");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut block = random_block(1, Kind::Dense);
    let mut output = vec![0.0; block.shape.output_len()];
    let mut error = |block: &Block<Vec<f32>>| {
        forward(&borrowed(block), &mut output, false).map(drop).unwrap_err().to_string()
    };
    let blocks = (0..60).map(|number| random_block(number, Kind::Dense));
    let first = blocks.flat_map(|block| block.branches).find_map(|branch| branch.first).unwrap();
    let (first, map) = (Some(first), vec![0.0; block.shape.output_len()]);
    block.branches = vec![Branch { first, core: Core::Given { map }, end: End::Nothing }];
    let message = "branch 0 starts with a 1×1 convolution, which cannot stand before a given map";
    assert_eq!(error(&block), message);

    let norm = super::random::random_norm(
        &mut rand::SeedableRng::seed_from_u64(1),
        block.shape.channels[1],
    );
    block.branches[0].first = None;
    block.branches[0].end = End::Norm(norm);
    assert_eq!(refuses(&block), None);
    if let End::Norm(norm) = &mut block.branches[0].end {
        let [mean, variance] = [norm.gamma.clone(), norm.gamma.clone()];
        norm.by = By::Given { mean, variance };
    }
    assert_eq!(refuses(&block), Some("a norm by given statistics"));
    assert_eq!(error(&block), "the kernels do not compute a norm by given statistics");

    let mut window = Window::whole(block.shape.kernel);
    window.start[0] += 1;
    block.branches[0].core = Core::Conv { window, weight: vec![], bias: None };
    assert!(error(&block).starts_with("the kernel around a window must have"));
}

#[test]
fn tensors_of_other_lengths_are_refused() {
    let block = random_block(1, Kind::Dense);
    let mut output = vec![0.0; block.shape.output_len()];
    let mut tensors = 0;
    block.visit(|_| tensors += 1);
    for wrong in 0..tensors {
        let mut number = 0;
        let broken = block.clone().map(|mut values| {
            if number == wrong {
                values.push(0.0);
            }
            number += 1;
            values
        });
        let error = forward(&borrowed(&broken), &mut output, false).unwrap_err();
        assert!(matches!(error, ShapeError::Length { .. }), "{wrong}: {error}");
    }
    let error = forward(&borrowed(&block), &mut output[1..], false).unwrap_err();
    assert!(error.to_string().contains("the output must have"), "{error}");
    let none = Block { branches: vec![], ..block };
    let error = forward(&borrowed(&none), &mut output, false).unwrap_err();
    assert_eq!(error, ShapeError::Zero { name: "branches" });
}
