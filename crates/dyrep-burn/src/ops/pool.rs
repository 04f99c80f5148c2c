//! Max pooling: [`max_pool`] by the kernels, or Burn's.

use burn::nn::PaddingConfig2d;
use burn::nn::pool::MaxPool2d;
use burn::tensor::Tensor;
use dyrep_kernels::PoolShape;

use super::plan::{Plan, Pool};
use super::run;

/// What [`MaxPool2d::forward`] does.
///
/// # Shapes
/// Input `[batch, channels, height, width]`, output `[batch, channels, height', width']`.
#[must_use]
pub fn max_pool(pool: &MaxPool2d, input: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = input.dims();
    let plan = shape(pool, batch * channels, [height, width]).map(|shape| {
        let input = input.clone().into_dispatch();
        Plan::Pool(Pool { shape, planes: [batch, channels], input })
    });
    match plan.and_then(run) {
        Some(done) => Tensor::from_dispatch(done.output),
        None => pool.forward(input),
    }
}

/// What the kernels know: the same explicit padding on both sides, no dilation, whole windows.
fn shape(pool: &MaxPool2d, planes: usize, input: [usize; 2]) -> Option<PoolShape> {
    let padding = match pool.padding {
        PaddingConfig2d::Valid => [0, 0],
        PaddingConfig2d::Explicit(top, left, bottom, right) if top == bottom && left == right => {
            [top, left]
        }
        _ => return None,
    };
    let (kernel, stride) = (pool.kernel_size, pool.stride);
    let shape = PoolShape { planes, input, kernel, stride, padding };
    let known = pool.dilation == [1, 1] && !pool.ceil_mode && shape.check().is_ok();
    known.then_some(shape)
}
