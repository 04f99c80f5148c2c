//! The laws: how what a branch does at inference becomes one convolution.
//!
//! One file a law, each a pure and differentiable function. Convolution is linear, so with batch norms
//! at their running statistics every branch is a convolution, and a sum of branches is the sum of their
//! kernels (DBB, arXiv 2103.13425, section 3.2; DyRep, arXiv 2203.12868, section 3.1).
//!
//! | law | function |
//! |---|---|
//! | batch norm, or a scale, after a convolution | [`fold_norm`], [`scale`] |
//! | parallel branches | [`add`] |
//! | 1×1 followed by k×k | [`then_kxk`] |
//! | average pooling after a 1×1 | [`then_average`] |
//! | a fixed cosine after a 1×1 | [`then_prior`], [`prior`], [`cosines`] |
//! | depthwise followed by 1×1 | [`then_pointwise`] |
//! | k×k after k×k, none of which pads | [`in_sequence`] |
//! | a smaller kernel, dilated or not, inside a larger one | [`embed`] |
//! | identity as a 1×1 kernel | [`identity`] |
//!
//! This is the only home of fusion: blocks, deployment and growth call it.

mod add;
mod average;
mod compose;
mod depthwise;
mod embed;
mod identity;
mod kernel;
mod norm;
mod prior;
mod sequence;

pub use add::{add, subtract};
pub use average::then_average;
pub use compose::then_kxk;
pub use depthwise::then_pointwise;
pub use dyrep_config::Window;
pub use embed::embed;
pub use identity::identity;
pub(crate) use identity::repeated_identity;
pub use kernel::Kernel;
pub(crate) use kernel::{options_of, read_all, wide};
pub(crate) use norm::then_affine;
pub use norm::{NormAffine, absorb_bias, fold_norm, scale};
pub use prior::{cosines, prior, then_prior};
pub use sequence::{in_sequence, turned};
