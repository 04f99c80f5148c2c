//! Fast convolutions on the CPU, over plain slices of `f32` in NCHW order.
//!
//! ```text
//! ConvShape (validated) ─▶ plan: depthwise | pointwise | lowered ─▶ tiles in parallel ─▶ gemm
//! ```
//!
//! - **Lowered** (im2col): a tile of output pixels, several images together where maps are small, is written
//!   out as a matrix of taps × channels by pixels that stays in cache, and multiplied by the weights.
//! - **Pointwise**: a 1×1 kernel of stride 1 without padding needs no lowering.
//! - **Depthwise**: taps slide over a plane in its frame of zeros, without a product of matrices.
//!
//! A [`block`] of branches that end in batch norms is one operation where its channels do not meet.
//!
//! The matrix products are those of the `gemm` crate; it and the depthwise loops pick their instructions
//! (AVX-512, AVX2, NEON) when the program runs. Nothing here knows tensors or networks.

// Matrix products take pointers, and threads write parts of one slice: each block says why it is sound.
#![allow(unsafe_code)]

pub mod block;
mod depthwise;
mod direct;
mod flat;
mod frame;
mod lower;
mod product;
mod shape;
mod tile;

pub use direct::{backward_input, backward_weight, forward};
pub use shape::{ConvShape, ShapeError};
