//! Deployment: every block becomes the one convolution that it is at inference.

use burn::module::Module;

/// The model to ship: in evaluation mode, every block fused into a plain convolution with a bias.
///
/// Its outputs are those of `model.valid()` up to rounding ([`verify`](crate::verify) measures it). The same
/// as `model.valid().materialize()`; deploying twice changes nothing more. The given model is left as it is.
#[must_use]
pub fn deploy<M: Module>(model: &M) -> M {
    model.valid().materialize()
}
