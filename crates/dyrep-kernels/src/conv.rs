//! Convolution and its gradients.

use crate::block::Window;
use crate::bundle::{Bundle, Gradient, Gradients, Kernel, Source};
use crate::depthwise;
use crate::shape::{ConvShape, ShapeError};

use rayon::prelude::*;

/// `output = weight ∗ input + bias`.
///
/// # Shapes
/// - input `[batch, in, height, width]`, output `[batch, out, height', width']`
/// - weight `[out, in / groups, kernel height, kernel width]`, bias `[out]`
///
/// # Errors
/// A shape that cannot be, or a slice of another length.
pub fn forward(
    shape: &ConvShape,
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    output: &mut [f32],
) -> Result<(), ShapeError> {
    shape.check()?;
    ConvShape::check_len("the input", shape.input_len(), input.len())?;
    ConvShape::check_len("the weight", shape.weight_len(), weight.len())?;
    ConvShape::check_len("the output", shape.output_len(), output.len())?;
    if let Some(bias) = bias {
        ConvShape::check_len("the bias", shape.channels[1], bias.len())?;
    }
    if shape.is_depthwise() {
        depthwise::forward(shape, input, weight, bias, output);
        return Ok(());
    }
    bundle(shape, input, weight).forward(&mut [&mut *output], None);
    if let Some(bias) = bias {
        let planes = output.par_chunks_exact_mut(shape.pixels_out()).enumerate();
        planes.for_each(|(plane, values)| {
            let bias = bias[plane % shape.channels[1]];
            values.iter_mut().for_each(|value| *value += bias);
        });
    }
    Ok(())
}

/// Gradients of input and weight from that of the output, where they are wanted. The input is read only for the
/// weight's gradient and the weight only for the input's: either may be empty otherwise.
///
/// # Errors
/// As [`forward`].
pub fn backward(
    shape: &ConvShape,
    input: &[f32],
    weight: &[f32],
    output_gradient: &[f32],
    input_gradient: Option<&mut [f32]>,
    weight_gradient: Option<&mut [f32]>,
) -> Result<(), ShapeError> {
    shape.check()?;
    ConvShape::check_len("the output's gradient", shape.output_len(), output_gradient.len())?;
    if let Some(gradient) = &weight_gradient {
        ConvShape::check_len("the input", shape.input_len(), input.len())?;
        ConvShape::check_len("the weight's gradient", shape.weight_len(), gradient.len())?;
    }
    if let Some(gradient) = &input_gradient {
        ConvShape::check_len("the weight", shape.weight_len(), weight.len())?;
        ConvShape::check_len("the input's gradient", shape.input_len(), gradient.len())?;
    }
    if shape.is_depthwise() {
        if let Some(input_gradient) = input_gradient {
            depthwise::backward_input(shape, output_gradient, weight, input_gradient);
        }
        if let Some(weight_gradient) = weight_gradient {
            depthwise::backward_weight(shape, input, output_gradient, weight_gradient);
        }
        return Ok(());
    }
    let mut source = input_gradient;
    if let Some(source) = &mut source {
        source.fill(0.0);
    }
    let wanted = Gradients { weights: vec![weight_gradient], source };
    let gradient = Gradient { values: output_gradient, mix: None };
    bundle(shape, input, weight).backward(&[gradient], wanted);
    Ok(())
}

fn bundle<'a>(shape: &ConvShape, input: &'a [f32], weight: &'a [f32]) -> Bundle<'a> {
    let window = Window { start: [0, 0], size: shape.kernel };
    Bundle {
        shape: *shape,
        source: Source { values: input, affine: None },
        kernels: vec![Kernel { window, weight, outputs: shape.channels[1] }],
    }
}
