//! RepOptimizer (arXiv 2205.15242): a plain network that trains as if its convolutions were CSLA's blocks.
//!
//! A block of CSLA is `c₃ conv3×3 + c₁ conv1×1 + σ x`, with constants c₃ and c₁ for each output channel and a learnt σ: a
//! linear sum, whose training is that of one kernel with its gradient multiplied ([`Multiplied`](dyrep_burn::Multiplied)).
//! So the blocks need not be there: the kernel starts as the sum that they would start as, and the optimiser multiplies.
//!
//! ```text
//! geometry ─▶ Scales::initial ─▶ blocks with learnt scales, trained: the search ─▶ Scales::of_blocks ─▶ scales.json
//! scales.json or Scales::initial ─▶ imagined blocks ─┬▶ their sums: how plain kernels start
//!                                                     └▶ GradientMultipliers ─▶ optimiser, clipping
//! ```

mod multipliers;
mod scales;

use burn::module::Module;
use burn::nn::Initializer;
use dyrep_burn::{RepConv2d, map_layers};

pub use multipliers::GradientMultipliers;
pub(crate) use multipliers::shaped;
pub use scales::{LayerScales, Scales, Values};

use crate::error::TrainError;

/// What a run has to do with CSLA's blocks.
#[derive(Clone, Debug)]
pub enum RepOptimizer {
    /// It trains plain convolutions as if they were blocks with these constants.
    Multiplied(Scales),
    /// It trains blocks whose scales are learnt: at its end they are constants for others, `scales.json` in its folder.
    Search,
}

/// What the branches of a block end in, beside the identity's, which ends in a learnt scale in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Constants.
    Constant,
    /// Learnt scales.
    Learnt,
}

impl Scales {
    /// The network with blocks, which have these scales, in place of its plain convolutions. Each starts as `start` says of
    /// its groups, but for the scales. Norms are the network's own, behind the blocks.
    ///
    /// # Errors
    /// A convolution that the network does not have or that is no plain one; scales that are not its.
    pub fn blocks<M: Module>(
        &self,
        network: M,
        ends: Ends,
        start: impl Fn(usize) -> Initializer,
    ) -> Result<M, TrainError> {
        self.check(&network)?;
        let mut failed = None;
        let network = map_layers(network, |path, layer| {
            let Some(own) = self.layer(path) else { return layer };
            let start = start(layer.geometry().groups());
            own.block(path, &layer, ends, start).unwrap_or_else(|error| {
                failed.get_or_insert(error);
                layer
            })
        });
        failed.map_or(Ok(network), Err)
    }

    /// The network with each of these blocks fused into the convolution that it is: what starts as
    /// [`blocks`](Self::blocks) would and has none. Nothing is evaluated or frozen by that.
    #[must_use]
    pub fn fused<M: Module>(&self, network: M) -> M {
        map_layers(network, |path, layer| match self.layer(path) {
            Some(_) => RepConv2d::materialize(layer),
            None => layer,
        })
    }
}
