//! Fast convolutions, batch norms and max poolings on the CPU, over plain slices of `f32` in NCHW order.
//!
//! ```text
//! ConvShape (validated) ─▶ depthwise | Winograd | columns ─▶ tile after tile, each step in parallel ─▶ gemm
//! ```
//!
//! - **Winograd** F(2×2, 3×3): for 3×3 kernels of stride 1 that are large enough.
//! - **Columns** (im2col): a tile of output pixels, several images together where maps are small, is written
//!   out as a matrix of channels × taps by pixels that stays in cache, and multiplied by the weights. A 1×1
//!   kernel of stride 1 without padding reads the map as it lies.
//! - **Depthwise**: taps slide over a plane in its frame of zeros, without a product of matrices.
//!
//! Beside them, **batch norm** ([`NormCall`]) with the residual and the ReLU that follow it in the same pass, **max
//! pooling** ([`max_pool`]), and a whole [`block`] of branches as one
//! operation.
//!
//! The matrix products are those of the `gemm` crate; it and the loops here pick their instructions (AVX-512, AVX2,
//! NEON) when the program runs. Nothing here knows tensors or networks.

// Matrix products take pointers, and threads write parts of one slice: each block says why it is sound.
#![allow(unsafe_code)]

pub mod block;
mod bundle;
mod columns;
mod conv;
mod depthwise;
mod finish;
mod flat;
mod frame;
mod kernel_sum;
mod lanes;
mod lower;
mod memory;
mod moments;
mod norm;
mod pool;
mod product;
mod scratch;
mod sgd;
mod shape;
mod sums;
mod tile;
mod winograd;

pub use conv::{backward, forward, forward_then};
pub use finish::Finish;
pub use kernel_sum::{Form, KernelSum, Term};
pub use memory::keep_freed_memory;
pub use norm::{By, Gradients, Moments, Norm, NormCall, NormShape, Passed, Running, Tail};
pub use pool::{PoolShape, max_pool, max_pool_backward};
pub use product::multiply;
pub use scratch::{Buffer, zeros};
pub use sgd::SgdStep;
pub use shape::{ConvShape, ShapeError};
pub use sums::channel_sums;
