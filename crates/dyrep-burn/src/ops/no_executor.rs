//! Stands where the CPU's executor would without the flex backend: no tensor can reach the kernels.

use burn::backend::DispatchTensor;
use dyrep_kernels::SgdStep;

use super::plan::{Done, Plan};

pub(super) fn run(_: Plan<DispatchTensor>) -> Option<Done<DispatchTensor>> {
    None
}

pub(super) fn is_fast(_: &DispatchTensor) -> bool {
    false
}

pub(super) fn is_near(_: &DispatchTensor) -> bool {
    false
}

pub(super) fn can_update(_: &DispatchTensor) -> bool {
    false
}

pub(super) fn update(_: SgdStep, _: [DispatchTensor; 3]) -> [DispatchTensor; 2] {
    unreachable!("no tensor can be updated")
}
