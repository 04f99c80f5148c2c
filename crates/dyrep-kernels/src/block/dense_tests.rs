//! The block against its definition: output, moments and every gradient, over random geometries.

use super::random::{Kind, borrowed, forward_error, gradient_error, random_block, random_values};
use super::{Block, Branch, backward, forward};

/// Of the largest value; the largest seen are 1.3e-6 and 2.0e-6.
const OUTPUT: f64 = 5e-6;
const GRADIENT: f64 = 3e-5;

type Run = (Vec<f32>, Vec<super::Moments>, Block<Option<Vec<f32>>>);

fn run(block: &Block<Vec<f32>>, gradient: &[f32]) -> Run {
    let slices = borrowed(block);
    let mut output = vec![f32::NAN; block.shape.output_len()];
    let (moments, saved) = forward(&slices, &mut output, true).unwrap();
    let saved: Vec<&[f32]> = saved.iter().map(|map| &map[..]).collect();
    let wanted = slices.clone().map(|_| true);
    let gradients = backward(&slices, &moments, &saved, gradient, &wanted).unwrap();
    (output, moments, gradients)
}

#[test]
fn blocks_are_their_definition() {
    let mut largest = [0.0_f64; 2];
    for (kind, cases) in [(Kind::Dense, 40), (Kind::Grouped, 25), (Kind::Wide, 6)] {
        for number in 0..cases {
            let block = random_block(number, kind);
            let gradient = random_values(number + 1000, block.shape.output_len());
            let (output, moments, gradients) = run(&block, &gradient);
            let errors = [
                forward_error(&block, &output, &moments),
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
    assert!(largest.iter().all(|error| *error > 0.0), "rounding is there");
}

#[test]
fn threads_do_not_matter() {
    for (number, kind) in
        [(2, Kind::Dense), (3, Kind::Grouped), (4, Kind::Wide), (5, Kind::Depthwise)]
    {
        let block = random_block(number, kind);
        let gradient = random_values(7, block.shape.output_len());
        let [one, three] = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(&block, &gradient))
        });
        assert_eq!(one, three, "{kind:?}");
    }
}

#[test]
fn what_is_not_wanted_is_left_out() {
    let block = random_block(1, Kind::Dense);
    let gradient = random_values(1, block.shape.output_len());
    let slices = borrowed(&block);
    let mut output = vec![0.0; block.shape.output_len()];
    let (moments, saved) = forward(&slices, &mut output, true).unwrap();
    let saved: Vec<&[f32]> = saved.iter().map(|map| &map[..]).collect();
    let wanted = slices.clone().map(|_| false);
    let gradients = backward(&slices, &moments, &saved, &gradient, &wanted).unwrap();
    assert_eq!(gradients.input, None);
    assert!(forward(&slices, &mut output, false).unwrap().1.is_empty());
}

#[test]
fn tensors_of_other_lengths_are_refused() {
    let block = random_block(1, Kind::Dense);
    let mut output = vec![0.0; block.shape.output_len()];
    let mut tensors = 0;
    block.visit(|_| tensors += 1);
    for wrong in 0..tensors {
        let mut number = 0;
        let mut broken = block.clone().map(|mut values| {
            if number == wrong {
                values.push(0.0);
            }
            number += 1;
            values
        });
        let error = forward(&borrowed(&broken), &mut output, false).unwrap_err();
        assert!(error.to_string().contains("must have"), "{wrong}: {error}");
        broken.branches.clear();
        broken.input.truncate(block.input.len());
        let error = forward(&borrowed(&broken), &mut output, false).unwrap_err();
        assert!(error.to_string().contains("branches") || wrong == 0, "{error}");
    }
    let mut block = block;
    block.branches.retain(|branch| !matches!(branch, Branch::Given { .. }));
    let error = forward(&borrowed(&block), &mut output[1..], false).unwrap_err();
    assert!(error.to_string().contains("output") || error.to_string().contains("branches"));
}
