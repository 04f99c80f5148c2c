//! What every network can do: what trains, measures and quantises networks asks for no more.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;

/// A network from pictures to logits. Those of the zoo are; one of your own becomes one by these three methods.
pub trait Network: Module + ModuleDisplay + 'static {
    /// Logits `[batch, classes]` of pictures `[batch, channels, height, width]`.
    fn forward(&self, images: Tensor<4>) -> Tensor<2>;

    /// Learnable parameters.
    fn params(&self) -> usize;

    /// Multiply-adds for a picture of `[channels, height, width]`.
    fn flops(&self, picture: [usize; 3]) -> u64;
}

/// A network that has these methods already.
macro_rules! is_network {
    ($network:ty) => {
        impl $crate::Network for $network {
            fn forward(&self, images: burn::tensor::Tensor<4>) -> burn::tensor::Tensor<2> {
                self.forward(images)
            }

            fn params(&self) -> usize {
                self.params()
            }

            fn flops(&self, picture: [usize; 3]) -> u64 {
                self.flops(picture)
            }
        }
    };
}

pub(crate) use is_network;
