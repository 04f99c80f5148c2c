//! The numbers that a network computes in while it trains.

use crate::text::named;

/// The numbers that convolutions and linear layers compute in while a network trains (mixed precision,
/// arXiv 1710.03740). Parameters and their gradients, norms and statistics, the loss and what the optimiser keeps are of 32
/// bits whatever is chosen, and so is everything outside of training steps: what is evaluated is what is shipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, of which 8 are the exponent's: the range of `f32` with 8 bits of precision.
    Bf16,
    /// 16 bits, of which 5 are the exponent's: 11 bits of precision, and nothing above 65504 or below 6e-8. The loss is
    /// multiplied by a factor that follows the gradients, so that small ones do not vanish.
    F16,
}

named!(Precision, "precision", {
    F32 => "f32",
    Bf16 => "bf16",
    F16 => "f16",
});
