//! What a step of the optimiser on the branches of a block does to the kernel that they sum to (RepOptimizer, arXiv
//! 2205.15242, section 3.2).
//!
//! Where every branch is a convolution times a constant cᵢ, or the input times a scale σ that is learnt, the block is
//!
//! ```text
//! W = Σ cᵢ embed(Wᵢ) + diag(σ)          ∂L/∂Wᵢ = cᵢ ∂L/∂W at its taps          ∂L/∂σ = ∂L/∂W on the centre's diagonal
//! ```
//!
//! and a step on Wᵢ and σ moves W by the same step on W itself, with the gradient multiplied, element by element, by
//! `Σ cᵢ²` over the branches that have the tap, and 1 more on the centre's diagonal. That holds for every optimiser that
//! is linear in its gradients: SGD, with momentum of either kind. One that does not see a gradient's size, as Adam, makes
//! steps that are multiplied by `Σ |cᵢ|`, and 1 more there. Decay is of W either way, since every part decays alike.

use dyrep_config::{Core, End};

use super::block::Block;
use super::branch::Branch;
use super::rep_conv2d::RepConv2d;
use crate::error::MultiplierError;
use crate::fuse::{Kernel, add, embed, identity, options_of, scale, wide};
use crate::geometry::checked_window;

/// What of an optimiser's step is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multiplied {
    /// The gradient: by the constants' squares.
    Gradient,
    /// The update, of an optimiser that does not see how large gradients are: by the constants' absolute values.
    Update,
}

impl Block {
    /// What the optimiser of the plain convolution that the block sums to must multiply by, so that it stays what the
    /// block would be: a factor for each weight `[out, in / groups, height, width]`, and for each bias `[out]`, if the
    /// block has one. It depends on the constants alone, not on weights.
    ///
    /// # Errors
    /// A branch that is no convolution times a constant, or times nothing, and no input times a scale; a norm after the
    /// sum.
    pub fn multipliers(&self, of: Multiplied) -> Result<Kernel, MultiplierError> {
        if self.norm_after.is_some() {
            return Err(MultiplierError::NormAfter);
        }
        let mut sum: Option<Kernel> = None;
        for branch in &self.branches {
            if let Some(own) = branch.multipliers(self, of)? {
                sum = Some(sum.map_or_else(|| own.clone(), |sum| add(&sum, &own)));
            }
        }
        Ok(sum.unwrap_or_else(|| unreachable!("kxk is always there")).detach())
    }
}

impl Branch {
    /// What the branch adds to its block's multipliers; nothing where it has nothing that is learnt.
    fn multipliers(
        &self,
        block: &Block,
        of: Multiplied,
    ) -> Result<Option<Kernel>, MultiplierError> {
        let refused = || MultiplierError::Branch { branch: self.form().to_string() };
        if self.parts.first.is_some() {
            return Err(refused());
        }
        let own = match (self.kind().core(), self.end(), self.conv()) {
            (Core::Conv(_), End::Constant | End::Nothing, Some(RepConv2d::Plain(conv))) => {
                let kernel = Kernel::of(conv);
                let bias = kernel.bias().map(|bias| bias.ones_like());
                let ones =
                    Kernel::new(kernel.weight().ones_like(), bias, kernel.geometry().clone());
                match (self.scale(), of) {
                    (None, _) => ones,
                    (Some(constant), Multiplied::Gradient) => scale(&ones, constant.square()),
                    (Some(constant), Multiplied::Update) => scale(&ones, constant.abs()),
                }
            }
            (Core::Input, End::Scale, _) => {
                let like = wide(block.main_conv().innermost().weight.val());
                let (inputs, groups) = (block.geometry.in_channels(), block.geometry.groups());
                identity(inputs, groups, options_of(&like))
            }
            (Core::Input | Core::Average, End::Constant | End::Nothing, _) => return Ok(None),
            _ => return Err(refused()),
        };
        let window = checked_window(self.kind(), &block.geometry);
        Ok(Some(embed(&own, &block.geometry, &window)))
    }
}
