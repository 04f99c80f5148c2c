//! Max pooling over slices.

use dyrep_kernels::{Buffer, max_pool, max_pool_backward, zeros};

use super::{Computed, Kept, fits};
use crate::ops::plan::Pool;

pub(super) fn forward(plan: &Pool<&[f32]>, keep: bool) -> Computed {
    let len = plan.shape.output_len();
    let mut output = zeros(len);
    let mut places = keep.then(|| Buffer::any(len));
    fits(max_pool(&plan.shape, plan.input, &mut output, places.as_deref_mut()));
    let kept = places.map_or(Kept::Nothing, |places| Kept::Places(places.into()));
    Computed { output, moments: vec![], kept }
}

pub(super) fn backward(
    plan: &Pool<&[f32]>,
    places: &Buffer,
    gradient: &[f32],
) -> Pool<Option<Vec<f32>>> {
    let mut input = zeros(plan.shape.input_len());
    fits(max_pool_backward(&plan.shape, gradient, places, &mut input));
    Pool { shape: plan.shape, planes: plan.planes, input: Some(input) }
}
