//! Fast operations on the CPU, and the ordinary tensor operations that they stand for.
//!
//! On the flex device, alone or under autodiff, convolutions, batch norms and whole blocks run in
//! `dyrep-kernels`, each as one operation with a backward pass of its own. Everywhere else, and for other
//! numbers than `f32`, the same values are composed from Burn's tensor operations. The two agree up to
//! rounding.
//!
//! ```text
//! conv2d, batch_norm, Block ─▶ run(Operation, tensors) ─▶ bridge ─▶ dyrep-kernels, over slices
//!                                        └─ None ─▶ composed from tensor operations
//! ```

// Without the flex backend nothing calls the kernels.
#![cfg_attr(not(feature = "flex"), allow(dead_code))]

mod block;
#[cfg(feature = "flex")]
mod bridge;
mod conv;
mod norm;
mod operation;

use std::cell::Cell;

use burn::backend::DispatchTensor;
use burn::tensor::Tensor;

pub(crate) use block::train_block;
pub(crate) use conv::{conv2d, convolve};
pub(crate) use norm::{Tail, blend, normalize_batch, normalize_by};
pub use norm::{batch_norm, batch_norm_add_relu, batch_norm_relu};
use operation::Operation;

/// What computes an operation where there is a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kernels {
    /// The kernels of `dyrep-kernels` where they can: `f32` tensors on the flex device. Elsewhere as
    /// [`Composed`](Self::Composed).
    #[default]
    Fast,
    /// Burn's tensor operations, on every device.
    Composed,
}

thread_local! {
    static KERNELS: Cell<Kernels> = const { Cell::new(Kernels::Fast) };
}

/// Restores the choice also after a panic.
struct Restore(Kernels);

impl Drop for Restore {
    fn drop(&mut self) {
        KERNELS.set(self.0);
    }
}

/// Runs `f` with this thread's operations computed by `kernels`; [`Kernels::Fast`] is what holds elsewhere.
///
/// A backward pass is computed by what computed the forward pass, wherever it runs.
pub fn with_kernels<T>(kernels: Kernels, f: impl FnOnce() -> T) -> T {
    let _restore = Restore(KERNELS.replace(kernels));
    f()
}

/// Tensors of any rank, in the order in which an operation takes them.
#[derive(Default)]
struct Inputs(Vec<DispatchTensor>);

impl Inputs {
    fn with<const D: usize>(mut self, tensor: &Tensor<D>) -> Self {
        self.0.push(tensor.clone().into_dispatch());
        self
    }

    fn with_some<const D: usize>(self, tensor: Option<&Tensor<D>>) -> Self {
        match tensor {
            Some(tensor) => self.with(tensor),
            None => self,
        }
    }
}

/// Whether the kernels could read a tensor.
fn is_fast(tensor: &Tensor<4>) -> bool {
    #[cfg(feature = "flex")]
    return bridge::is_fast(&tensor.clone().into_dispatch());
    #[cfg(not(feature = "flex"))]
    return false;
}

/// Runs an operation by the kernels if this thread wants them and all inputs are `f32` on the flex device.
///
/// Returns the output, which carries gradients, and the statistics `[len]`, which do not.
fn run(operation: impl Operation, inputs: Inputs) -> Option<(Tensor<4>, Vec<Tensor<1>>)> {
    if KERNELS.get() == Kernels::Composed {
        return None;
    }
    #[cfg(feature = "flex")]
    return bridge::run(operation, inputs.0);
    #[cfg(not(feature = "flex"))]
    return None;
}
