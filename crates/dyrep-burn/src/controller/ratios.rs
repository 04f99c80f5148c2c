//! How strong each branch of a block is beside `kxk` (DyRep, equation 7).

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::blocks;
use super::plan::BlockRatios;
use crate::fuse::{Kernel, read_all, wide};
use crate::layer::{Block, Branch};
use crate::look::layers;
use crate::ops::sum_axis;

/// The strength of every branch beside `kxk` of every block, nested ones too.
///
/// Of a branch that ends in a batch norm or a learnt scale it is mean |γ| or mean |scale| over mean |γ| of `kxk`'s norm
/// (DyRep, equation 7); where it and `kxk` end in learnt scales, mean |scale| over that of `kxk`. Of one that ends in
/// neither, and of all others where `kxk` has no norm, it is the mean norm of its fused kernel's output channels over that
/// of `kxk`'s.
#[must_use]
pub fn block_ratios<M: Module>(model: &M) -> Vec<BlockRatios> {
    let layers = layers(&model.valid());
    let blocks: Vec<(String, &Block)> = blocks(&layers).collect();
    let pairs: Vec<Tensor<1>> = blocks.iter().flat_map(|(_, block)| pairs(block)).collect();
    let numbers = read_all(pairs);
    let mut ratios = numbers.chunks_exact(2).map(|pair| pair[0] / pair[1]);
    let mut next = || ratios.next().unwrap_or(f64::NAN);
    let ratios = blocks.into_iter().map(|(path, block)| BlockRatios {
        path,
        ratios: block.others().iter().map(|branch| (branch.name(), next())).collect(),
    });
    ratios.collect()
}

/// For each branch beside `kxk` its strength, then what it is relative to, each `[1]`.
fn pairs(block: &Block) -> Vec<Tensor<1>> {
    let mean = |values: Tensor<1>| wide(values).abs().mean();
    let main = block.main().norm().map(|norm| mean(norm.gamma.val()));
    let of_branch = |branch: &Branch| {
        let gains = branch.norm().map(|norm| norm.gamma.val());
        let gains = gains.or_else(|| branch.parts.scale.as_ref().map(Param::val));
        let scales = branch.parts.scale.as_ref().zip(block.main().parts.scale.as_ref());
        match (&main, gains) {
            (Some(main), Some(gains)) => [mean(gains), main.clone()],
            _ if let Some((scale, main)) = scales => [scale, main].map(|it| mean(it.val())),
            _ => [branch, block.main()].map(|branch| channel_norm(&block.fuse_branch(branch))),
        }
    };
    block.others().iter().flat_map(of_branch).collect()
}

/// The mean over output channels of the kernel's norm, `[1]`.
fn channel_norm(kernel: &Kernel) -> Tensor<1> {
    let squares: Tensor<2> = kernel.weight().powi_scalar(2).flatten(1, 3);
    sum_axis(squares, 1).sqrt().mean()
}
