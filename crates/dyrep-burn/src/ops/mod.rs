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
#[cfg_attr(not(feature = "flex"), path = "no_bridge.rs")]
mod bridge;
mod conv;
mod norm;
mod operation;
mod pool;
mod sgd;

use std::cell::Cell;

use burn::backend::DispatchTensor;
use burn::tensor::Tensor;
use dyrep_kernels::SgdStep;

pub use dyrep_kernels::keep_freed_memory;

pub(crate) use block::train_block;
pub(crate) use conv::{conv2d, convolve, convolve_norm};
pub use norm::{Tail, batch_norm};
pub(crate) use norm::{blend, normalize_batch, normalize_by};
use operation::Operation;
pub use pool::max_pool;
pub use sgd::{Sgd, SgdState};

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

/// Whether this thread wants the kernels and they could read a tensor.
fn is_fast(tensor: &Tensor<4>) -> bool {
    KERNELS.get() == Kernels::Fast && bridge::is_fast(&tensor.clone().into_dispatch())
}

/// Runs an operation by the kernels if this thread wants them and all inputs are `f32` on the flex device.
///
/// Returns the output, which carries gradients, and the statistics `[len]`, which do not.
fn run(operation: impl Operation, inputs: Inputs) -> Option<(Tensor<4>, Vec<Tensor<1>>)> {
    if KERNELS.get() == Kernels::Composed {
        return None;
    }
    bridge::run(operation, inputs.0)
}

/// Whether the kernels may change tensors in place: under the conditions of [`run`], and off the graph.
fn can_update<const D: usize>(tensors: &[Tensor<D>]) -> bool {
    let fits = |tensor: &Tensor<D>| bridge::can_update(&tensor.clone().into_dispatch());
    KERNELS.get() == Kernels::Fast && tensors.iter().all(fits)
}

/// Parameter and velocity after a step of SGD, from parameter, velocity and gradient that [`can_update`].
fn update<const D: usize>(step: SgdStep, tensors: [Tensor<D>; 3]) -> [Tensor<D>; 2] {
    bridge::update(step, tensors.map(Tensor::into_dispatch)).map(Tensor::from_dispatch)
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::{DType, Device};

    use super::operation::{Forward, Kept, Needs};
    use super::*;

    /// Three times the first input plus the second; the statistic is their sum.
    #[derive(Debug)]
    struct Mix([usize; 4]);

    impl Operation for Mix {
        fn forward(&self, inputs: &[&[f32]], keep: bool) -> Forward {
            let pairs = || inputs[0].iter().zip(inputs[1]);
            Forward {
                output: pairs().map(|(left, right)| 3.0 * left + right).collect(),
                shape: self.0,
                statistics: vec![vec![inputs.concat().iter().sum()]],
                saved: if keep { vec![vec![7.0].into()] } else { vec![] },
            }
        }

        fn needs(&self, _wanted: &[bool]) -> Needs {
            Needs { inputs: vec![true, false], output: true, statistics: true }
        }

        fn backward(
            &self,
            kept: &Kept<'_>,
            gradient: &[f32],
            wanted: &[bool],
        ) -> Vec<Option<Vec<f32>>> {
            assert_eq!((kept.inputs[0].len(), kept.inputs[1].len()), (4, 0));
            assert_eq!((kept.output.len(), kept.statistics[0].len()), (4, 1));
            assert_eq!(kept.saved, [[7.0]]);
            let scaled = |scale: f32| gradient.iter().map(|value| scale * value).collect();
            vec![wanted[0].then(|| scaled(3.0)), wanted[1].then(|| scaled(1.0))]
        }
    }

    fn mix(left: &Tensor<4>, right: &Tensor<4>) -> Option<(Tensor<4>, Vec<Tensor<1>>)> {
        run(Mix(left.dims()), Inputs::default().with(left).with(right))
    }

    fn numbers(device: &Device) -> Tensor<4> {
        Tensor::<1>::from_data([1.0, 2.0, 3.0, 4.0], device).reshape([1, 2, 2, 1])
    }

    #[test]
    fn what_is_wanted_gets_its_gradient() {
        let device = Device::flex().autodiff();
        for device in [device.clone(), device.gradient_checkpointing()] {
            for wanted in [[true, true], [true, false], [false, true]] {
                let inputs = wanted.map(|wanted| numbers(&device).set_require_grad(wanted));
                let (output, statistics) = mix(&inputs[0], &inputs[1]).unwrap();
                assert!(!statistics[0].is_require_grad());
                assert_eq!(statistics[0].to_data().iter::<f32>().collect::<Vec<_>>(), [20.0]);
                let gradients = (output * numbers(&device)).sum().backward();
                for (place, scale) in [3.0, 1.0].into_iter().enumerate() {
                    let found = inputs[place].grad(&gradients).map(Tensor::into_data);
                    let want = (numbers(&Device::flex()) * scale).into_data();
                    assert_eq!(found, wanted[place].then_some(want));
                }
            }
        }
    }

    #[test]
    fn the_kernels_run_where_they_can() {
        let x = numbers(&Device::flex());
        assert!(mix(&x, &x).is_some());
        assert!(mix(&x, &x.clone().autodiff()).is_some());
        assert!(mix(&x, &x.clone().cast(DType::F64)).is_none());
        assert!(with_kernels(Kernels::Composed, || mix(&x, &x)).is_none());
        assert!(mix(&x, &x).is_some());
    }

    #[test]
    fn inputs_are_read_in_their_own_order() {
        let x = numbers(&Device::flex());
        let (output, _) = mix(&x.clone().swap_dims(1, 2), &x.clone().swap_dims(1, 2)).unwrap();
        let want = (x.swap_dims(1, 2) * 4.0).into_data();
        assert_eq!(output.into_data(), want);
    }
}
