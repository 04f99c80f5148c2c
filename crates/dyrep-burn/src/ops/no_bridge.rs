//! Stands where the bridge would without the flex backend: no tensor can reach the kernels.

use burn::backend::DispatchTensor;
use burn::tensor::Tensor;
use dyrep_kernels::SgdStep;

use super::operation::Operation;

pub(super) fn run(
    _: impl Operation,
    _: Vec<DispatchTensor>,
) -> Option<(Tensor<4>, Vec<Tensor<1>>)> {
    None
}

pub(super) fn is_fast(_: &DispatchTensor) -> bool {
    false
}

pub(super) fn can_update(_: &DispatchTensor) -> bool {
    false
}

pub(super) fn update(_: SgdStep, _: [DispatchTensor; 3]) -> [DispatchTensor; 2] {
    unreachable!("no tensor can be updated")
}
