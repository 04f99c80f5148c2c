//! Max pooling: [`max_pool`] by the kernels, or Burn's.

use burn::nn::PaddingConfig2d;
use burn::nn::pool::MaxPool2d;
use burn::tensor::Tensor;
use dyrep_kernels::{Buffer, PoolShape, max_pool as maxima, max_pool_backward};

use super::conv::fits;
use super::operation::{Forward, Kept, Needs, Operation};
use super::{Inputs, run};

/// What [`MaxPool2d::forward`] does.
///
/// # Shapes
/// Input `[batch, channels, height, width]`, output `[batch, channels, height', width']`.
#[must_use]
pub fn max_pool(pool: &MaxPool2d, input: Tensor<4>) -> Tensor<4> {
    let operation = Pool::of(pool, input.dims());
    match operation.and_then(|operation| run(operation, Inputs::default().with(&input))) {
        Some((output, _)) => output,
        None => pool.forward(input),
    }
}

/// An input to the maxima of its windows.
#[derive(Debug)]
struct Pool {
    shape: PoolShape,
    /// Images and channels.
    planes: [usize; 2],
}

impl Pool {
    /// What the kernels know: the same explicit padding on both sides, no dilation, whole windows.
    fn of(pool: &MaxPool2d, [batch, channels, height, width]: [usize; 4]) -> Option<Self> {
        let padding = match pool.padding {
            PaddingConfig2d::Valid => [0, 0],
            PaddingConfig2d::Explicit(top, left, bottom, right)
                if top == bottom && left == right =>
            {
                [top, left]
            }
            _ => return None,
        };
        let shape = PoolShape {
            planes: batch * channels,
            input: [height, width],
            kernel: pool.kernel_size,
            stride: pool.stride,
            padding,
        };
        let known = pool.dilation == [1, 1] && !pool.ceil_mode && shape.check().is_ok();
        known.then_some(Self { shape, planes: [batch, channels] })
    }
}

impl Operation for Pool {
    fn forward(&self, inputs: &[&[f32]], keep: bool) -> Forward {
        let Self { shape, planes: [batch, channels] } = self;
        let mut output = vec![0.0; shape.output_len()];
        let mut places = keep.then(|| Buffer::any(shape.output_len()));
        fits(maxima(shape, inputs[0], &mut output, places.as_deref_mut()));
        let [height, width] = shape.output();
        let shape = [*batch, *channels, height, width];
        Forward { output, shape, statistics: vec![], saved: places.into_iter().collect() }
    }

    fn needs(&self, wanted: &[bool]) -> Needs {
        Needs { inputs: vec![false; wanted.len()], output: false, statistics: false }
    }

    fn backward(
        &self,
        kept: &Kept<'_>,
        gradient: &[f32],
        _wanted: &[bool],
    ) -> Vec<Option<Vec<f32>>> {
        let mut input = vec![0.0; self.shape.input_len()];
        fits(max_pool_backward(&self.shape, gradient, kept.saved[0], &mut input));
        vec![Some(input)]
    }
}
