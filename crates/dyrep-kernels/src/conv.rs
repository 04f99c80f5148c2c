//! Convolution and its gradients.

use crate::block::Window;
use crate::bundle::{Bundle, Gradient, Gradients, Kernel, Source};
use crate::depthwise;
use crate::finish::{After, Finish};
use crate::scratch::clear;
use crate::shape::{ConvShape, ShapeError};

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
    if let Some(bias) = bias {
        ConvShape::check_len("the bias", shape.channels[1], bias.len())?;
    }
    let lines = bias.map(|bias| bias.iter().map(|bias| [1.0, *bias]).collect::<Vec<_>>());
    let finish = lines.as_deref().map(|lines| Finish { lines, residual: None, relu: false });
    run(shape, input, weight, finish, output)
}

/// `output = relu?(scale · (weight ∗ input) + shift + residual?)`: what a deployed network does between one
/// convolution and the next, in one pass.
///
/// # Shapes
/// As [`forward`]'s.
///
/// # Errors
/// A shape that cannot be, or a slice of another length.
pub fn forward_then(
    shape: &ConvShape,
    input: &[f32],
    weight: &[f32],
    finish: Finish<'_>,
    output: &mut [f32],
) -> Result<(), ShapeError> {
    run(shape, input, weight, Some(finish), output)
}

fn run(
    shape: &ConvShape,
    input: &[f32],
    weight: &[f32],
    finish: Option<Finish<'_>>,
    output: &mut [f32],
) -> Result<(), ShapeError> {
    shape.check()?;
    ConvShape::check_len("the input", shape.input_len(), input.len())?;
    ConvShape::check_len("the weight", shape.weight_len(), weight.len())?;
    ConvShape::check_len("the output", shape.output_len(), output.len())?;
    finish.map_or(Ok(()), |finish| finish.check(shape))?;
    if !shape.is_depthwise() {
        let after = finish.map_or(After::Nothing, After::Finish);
        bundle(shape, input, weight).forward(&mut [output], after);
        return Ok(());
    }
    depthwise::forward(shape, input, weight, finish, output);
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
        clear(source);
    }
    let wanted = Gradients { weights: vec![weight_gradient], source };
    let gradient = Gradient { values: output_gradient, mix: None };
    bundle(shape, input, weight).backward(&[gradient], wanted);
    Ok(())
}

fn bundle<'a>(shape: &ConvShape, input: &'a [f32], weight: &'a [f32]) -> Bundle<'a> {
    let window = Window::whole(shape.kernel);
    Bundle {
        shape: *shape,
        source: Source::plain(input),
        kernels: vec![Kernel { window, weight, outputs: shape.channels[1] }],
    }
}
