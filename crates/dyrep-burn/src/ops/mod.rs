//! Operations that an executor computes whole where there is one, and the tensor operations that they stand for.
//!
//! On the flex device, alone or under autodiff, convolutions, batch norms and whole blocks run in `dyrep-kernels`, each as
//! one operation with a backward pass of its own. Everywhere else, and for other numbers than `f32`, the same values are
//! composed from Burn's tensor operations. The two agree up to rounding.
//!
//! ```text
//! conv2d, batch_norm, Block ─▶ Plan of tensors ─▶ run ─▶ the backend's Executor ─▶ dyrep-kernels, over slices
//!                                                 └─ None ─▶ composed from tensor operations
//! ```

// Without the flex backend nothing holds a plan's other tensors.
#![cfg_attr(not(feature = "flex"), allow(dead_code))]

mod axis;
#[cfg(feature = "flex")]
mod bridge;
mod conv;
#[cfg(feature = "flex")]
mod cpu;
#[cfg(not(feature = "flex"))]
#[path = "no_executor.rs"]
mod cpu;
#[cfg(test)]
pub(crate) mod launched;
#[cfg(all(test, feature = "wgpu"))]
mod lazy;
mod norm;
mod numbers;
mod plan;
mod pool;
mod sgd;

use std::cell::Cell;

use burn::backend::DispatchTensor;
use burn::tensor::Tensor;
use dyrep_kernels::SgdStep;

use crate::look::tap::unwatched;
use crate::on_drop::on_drop;

pub use dyrep_kernels::keep_freed_memory;

pub use axis::{mean_axis, mean_of_maps, sum_axis};
pub(crate) use conv::{conv2d, convolve, convolve_norm};
pub use norm::{Tail, batch_norm};
pub(crate) use norm::{blend, normalize};
pub(crate) use numbers::{in_numbers_of, is_half};
pub use numbers::{linear, widely};
pub(crate) use plan::{BranchMoments, Done, Plan};
pub use pool::max_pool;
pub use sgd::{Sgd, SgdState};

/// Tensors in one operation at most: blocks with more are computed in parts.
pub(crate) const MOST: usize = 128;

/// What computes an operation where there is a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kernels {
    /// The kernels of `dyrep-kernels` where they can: `f32` tensors on the flex device. Elsewhere as
    /// [`Composed`](Self::Composed).
    #[default]
    Fast,
    /// Burn's tensor operations, on every device.
    Composed,
    /// The same, fewer and wider: convolutions of a block that read its input through the same taps are one, and so are
    /// its norms.
    Merged,
}

thread_local! {
    static KERNELS: Cell<Kernels> = const { Cell::new(Kernels::Fast) };
}

/// Runs `f` with this thread's operations computed by `kernels`; [`Kernels::Fast`] is what holds elsewhere.
///
/// A backward pass is computed by what computed the forward pass, wherever it runs.
pub fn with_kernels<T>(kernels: Kernels, f: impl FnOnce() -> T) -> T {
    let before = KERNELS.replace(kernels);
    let _restore = on_drop(|| KERNELS.set(before));
    f()
}

/// Runs a plan if this thread wants that and the tensors' backend has an executor for all of them.
pub(crate) fn run(plan: Plan<DispatchTensor>) -> Option<Done<DispatchTensor>> {
    // A thread that waits for others may meanwhile run what somebody else has left to do.
    let _unwatched = unwatched();
    let wanted = KERNELS.replace(Kernels::Fast);
    let _restore = on_drop(|| KERNELS.set(wanted));
    match wanted {
        Kernels::Fast => cpu::run(plan),
        Kernels::Composed | Kernels::Merged => None,
    }
}

/// Whether this thread lets a linear block be one convolution, and does not ask for its branches one by one.
pub(crate) fn sums() -> bool {
    KERNELS.get() == Kernels::Fast
}

/// Whether this thread wants a block's operations merged where they are composed.
pub(crate) fn merges() -> bool {
    KERNELS.get() == Kernels::Merged
}

/// Whether this thread wants executors, and there is one for the tensor.
pub(crate) fn has_executor(tensor: &Tensor<4>) -> bool {
    KERNELS.get() == Kernels::Fast && cpu::is_fast(&tensor.clone().into_dispatch())
}

/// Whether this thread wants executors, and the tensor's device has one for `f32`.
fn has_wide_executor(tensor: &Tensor<4>) -> bool {
    KERNELS.get() == Kernels::Fast && cpu::is_near(&tensor.clone().into_dispatch())
}

/// Whether the kernels may change tensors in place: under the conditions of [`run`], and off the graph.
fn can_update<const D: usize>(tensors: &[Tensor<D>]) -> bool {
    let fits = |tensor: &Tensor<D>| cpu::can_update(&tensor.clone().into_dispatch());
    KERNELS.get() == Kernels::Fast && tensors.iter().all(fits)
}

/// Parameter and velocity after a step of SGD, from parameter, velocity and gradient that [`can_update`].
fn update<const D: usize>(step: SgdStep, tensors: [Tensor<D>; 3]) -> [Tensor<D>; 2] {
    cpu::update(step, tensors.map(Tensor::into_dispatch)).map(Tensor::from_dispatch)
}
