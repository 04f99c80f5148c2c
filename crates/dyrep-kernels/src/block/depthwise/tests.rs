//! Random depthwise blocks against the definition.

use super::super::random::{
    Kind, borrowed, forward_error, gradient_error, random_block, random_values,
};
use super::super::Block;
use super::{backward, forward, supports};

const CASES: u64 = 200;
/// Of the largest value.
const OUTPUT: f64 = 2e-6;
/// Of the largest value.
const GRADIENT: f64 = 1e-5;

fn run(block: &Block<Vec<f32>>, gradient: &[f32]) -> (Vec<f32>, Block<Option<Vec<f32>>>, f64) {
    let slices = borrowed(block);
    assert!(supports(&slices));
    let mut output = vec![f32::NAN; block.shape.output_len()];
    let moments = forward(&slices, &mut output);
    let error = forward_error(block, &output, &moments);
    (output, backward(&slices, &moments, gradient), error)
}

#[test]
fn outputs_and_gradients_are_the_definition() {
    let (mut forward, mut backward): (f64, f64) = (0.0, 0.0);
    for number in 0..CASES {
        let block = random_block(number, Kind::Depthwise);
        let gradient = random_values(number, block.shape.output_len());
        let (_, gradients, error) = run(&block, &gradient);
        println!(
            "{number} {error:.1e} {:.1e} {:?}",
            gradient_error(&block, &gradient, &gradients),
            block.shape
        );
        forward = forward.max(error);
        backward = backward.max(gradient_error(&block, &gradient, &gradients));
    }
    assert!(forward < OUTPUT && backward < GRADIENT, "{forward:.1e}, {backward:.1e}");
}
