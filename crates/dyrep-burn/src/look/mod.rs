//! Looking at a model from outside: its layers, what passes through them, how much they matter, whether two agree.

pub(crate) mod nest;
pub(crate) mod saliency;
pub(crate) mod tap;
pub(crate) mod verify;
pub(crate) mod walk;

pub use saliency::Scored;
pub use tap::with_inputs;
pub use verify::{Difference, Report, Warning, verify};
pub use walk::{layers, map_layers};
