//! ONNX files run by tract, which knows nothing of Burn: what is exported must mean the same to others.

use std::path::Path;

use tract_onnx::prelude::*;

/// A network from an ONNX file, with one input and one output of `f32`.
#[derive(Debug)]
pub struct Runtime(Arc<TypedRunnableModel>);

impl Runtime {
    /// Reads and prepares the file; an axis with a name takes any size.
    ///
    /// # Errors
    /// What tract says.
    pub fn open(file: impl AsRef<Path>) -> TractResult<Self> {
        let network = onnx().model_for_path(file)?.into_optimized()?;
        Ok(Self(network.into_runnable()?))
    }

    /// The output for an input of `shape`: its shape, and the values in row-major order.
    ///
    /// # Errors
    /// What tract says, an input of another shape than the file's above all.
    pub fn run(&self, shape: &[usize], values: &[f32]) -> TractResult<(Vec<usize>, Vec<f32>)> {
        let input = Tensor::from_shape(shape, values)?;
        let outputs = self.0.run(tvec!(input.into()))?;
        let [output] = &outputs[..] else {
            let found = outputs.len();
            return Err(TractError::msg(format!("one output was expected, there are {found}")));
        };
        let view = output.to_plain_array_view::<f32>()?;
        Ok((output.shape().to_vec(), view.iter().copied().collect()))
    }
}
