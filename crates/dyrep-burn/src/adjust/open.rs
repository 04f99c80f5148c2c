//! Folding what ends a block's `kxk` branch, or follows its sum, into what comes before: then a kernel can be added to the
//! k×k convolution, and nothing is ever divided.

use burn::nn::BatchNorm;
use burn::tensor::Tensor;

use super::calibrate::set_identity;
use super::cut::absorb;
use crate::fuse::{Kernel, NormAffine, fold_norm, scale, subtract, then_affine};
use crate::layer::{Block, RepConv2d, with_value};

impl Block {
    /// Makes what is added to its k×k convolution come out of the block as it is, at inference.
    pub(super) fn open(&mut self) {
        if let Some(norm) = &mut self.norm_after {
            let then = NormAffine::of(norm);
            set_identity(norm);
            self.scale_branches(&then);
        }
        self.open_main();
    }

    /// Makes what is added to its k×k convolution come out of its `kxk` branch as it is, at inference.
    pub(super) fn open_main(&mut self) {
        let main = &mut self.branches[0];
        let then = match &main.parts.norm {
            Some(norm) => NormAffine::of(norm),
            None => match main.scale() {
                Some(scale) => NormAffine { shift: scale.zeros_like(), scale },
                None => return,
            },
        };
        if let Some(norm) = &mut main.parts.norm {
            set_identity(norm);
        }
        let ones = then.scale.ones_like();
        main.set_scale(ones);
        self.map_main_conv(|conv| followed_by(conv, &then));
    }

    /// The convolution of a block that is nothing but `kxk`, what follows folded in.
    pub(super) fn into_main_conv(mut self) -> RepConv2d {
        let conv = self.branches[0].parts.conv.take();
        let conv = conv.unwrap_or_else(|| unreachable!("kxk is a convolution"));
        match &self.norm_after {
            Some(norm) => followed_by(conv, &NormAffine::of(norm)),
            None => conv,
        }
    }

    /// The sum of the branches followed by a map, in training mode too where every branch ends in a norm or a scale.
    fn scale_branches(&mut self, then: &NormAffine) {
        let without_shift =
            NormAffine { scale: then.scale.clone(), shift: then.shift.zeros_like() };
        let mut missing: Vec<Kernel> = vec![];
        for number in 0..self.branches.len() {
            let branch = &mut self.branches[number];
            if let Some(norm) = &mut branch.parts.norm {
                follow(norm, &without_shift);
            } else if let Some(scale) = branch.scale() {
                branch.set_scale(scale * then.scale.clone());
            } else if let Some(conv) = branch.parts.conv.take() {
                branch.parts.conv = Some(followed_by(conv, &without_shift));
            } else {
                // An input or an average has nothing that could be scaled.
                let kernel = self.fuse_branch(&self.branches[number]);
                missing.push(subtract(&scale(&kernel, then.scale.clone()), &kernel));
            }
        }
        self.add_shift(then.shift.clone());
        if !missing.is_empty() {
            self.open_main();
        }
        for kernel in missing {
            self.map_main_conv(|conv| absorb(conv, &kernel));
        }
    }

    /// Adds a value to each output channel, in its `kxk` branch.
    fn add_shift(&mut self, by: Tensor<1>) {
        if let Some(norm) = &mut self.branches[0].parts.norm {
            let beta = norm.beta.val() + by;
            norm.beta = with_value(norm.beta.clone(), beta);
            return;
        }
        self.open_main();
        self.map_main_conv(|conv| {
            let kernel = conv.fuse();
            let nothing =
                Kernel::new(kernel.weight().zeros_like(), Some(by), kernel.geometry().clone());
            absorb(conv, &nothing)
        });
    }
}

/// The convolution followed by the map `x · scale + shift`, in both modes.
fn followed_by(conv: RepConv2d, then: &NormAffine) -> RepConv2d {
    let mut block = match conv {
        RepConv2d::Plain(_) | RepConv2d::Stack(_) => {
            let kernel = fold_norm(&conv.fuse(), then);
            return conv.into_plain(&kernel);
        }
        RepConv2d::Block(block) => block,
    };
    match &mut block.norm_after {
        Some(norm) => follow(norm, then),
        None => block.scale_branches(then),
    }
    RepConv2d::Block(block)
}

/// Makes a norm give what it gave, followed by the map.
fn follow(norm: &mut BatchNorm, then: &NormAffine) {
    let [gamma, beta] = then_affine(norm, then);
    norm.gamma = with_value(norm.gamma.clone(), gamma);
    norm.beta = with_value(norm.beta.clone(), beta);
}
