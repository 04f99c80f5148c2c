//! Changing the structure of a model whose function at inference must stay as it is (law 2).
//!
//! Growing adds branches to a plain convolution and takes what they do out of it; cutting folds branches
//! back. Both work on a copy in evaluation mode and off the graph, so that measuring cannot disturb
//! training, and put the result back into the training state that they found.

mod calibrate;
mod cut;
mod expand;
mod gain;
mod grow;
mod open;
mod optimizer;
mod redraw;

use burn::module::Module;
use burn::tensor::Device;
use dyrep_config::{BranchName, Fidelity, NormRule};

pub use calibrate::Calibration;
pub use cut::cut;
pub use expand::expand;
pub(crate) use gain::{MeanGradient, branch_gains};
pub use grow::{grow, grow_with};
pub use optimizer::prune_optimizer;

use crate::error::{AdjustError, BranchError};
use crate::layer::{Builder, RepConv2d, Source, in_state_of};
use crate::look::{layers, map_layers, nest};
use crate::pass::Variance;

/// What new norms keep. Neutral in training mode means normalised at inference as a batch is there.
fn variance_of(rule: NormRule) -> Variance {
    match rule {
        NormRule::Published => Variance::Unbiased,
        NormRule::Neutral => Variance::Biased,
    }
}

/// How a change is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AdjustOptions {
    /// How the batch norm of `kxk` is set.
    pub norm_rule: NormRule,
    /// Whether faults of the published code are mended.
    pub fidelity: Fidelity,
    /// The run's seed: ids and initial values of new parameters are functions of (seed, path, event).
    pub seed: u64,
    /// Number of this change within the run, the same on every replica.
    pub event: u64,
}

/// The gain that the last batch norm of each new branch starts with.
const LAST_GAMMA: f32 = 0.01;

impl AdjustOptions {
    /// Makes the parameters of new branches of the convolution at `path`, with this gain at their ends.
    fn builder<'a>(&self, device: &'a Device, path: &str, last_gain: f32) -> Builder<'a> {
        let source = Source::Seeded { seed: self.seed, event: self.event };
        Builder::new(source, device, path).with_last_gamma(last_gain)
    }
}

/// A convolution of a model: the layer it lies in, and the way from there.
struct Target {
    path: String,
    layer_path: String,
    address: Vec<BranchName>,
    layer: RepConv2d,
}

impl Target {
    /// Branches that do not exist here.
    fn refused(&self, source: BranchError) -> AdjustError {
        AdjustError::Branch { path: self.path.clone(), source }
    }

    fn find<M: Module>(model: &M, path: &str) -> Result<Self, AdjustError> {
        Self::find_in(&layers(model), path)
    }

    fn find_in(layers: &[(String, RepConv2d)], path: &str) -> Result<Self, AdjustError> {
        let unknown = || {
            let known: Vec<_> = nest::all(layers).map(|conv| conv.path).collect();
            AdjustError::NoSuchLayer { path: path.to_owned(), known: known.join(", ") }
        };
        let paths = layers.iter().map(|(path, _)| path.as_str());
        let (layer_path, address) = nest::locate(path, paths).ok_or_else(unknown)?;
        let found = layers.iter().find(|(path, _)| path == layer_path);
        let (_, layer) = found.ok_or_else(unknown)?;
        layer.at(&address).ok_or_else(unknown)?;
        if layer.rests() {
            return Err(AdjustError::Resting { path: layer_path.to_owned() });
        }
        Ok(Self {
            path: path.to_owned(),
            layer_path: layer_path.to_owned(),
            address,
            layer: layer.clone(),
        })
    }

    fn conv(&self) -> &RepConv2d {
        self.layer.at(&self.address).unwrap_or_else(|| unreachable!("found there before"))
    }

    /// The model with the target replaced, in the training state of the layer it was found in.
    fn put<M: Module>(self, model: M, replacement: RepConv2d) -> M {
        let layer = self.layer.valid().replace_at(&self.address, |_| replacement);
        let mut layer = Some(in_state_of(&self.layer, &layer));
        map_layers(model, |path, old| match layer.take() {
            Some(new) if path == self.layer_path => new,
            unused => {
                layer = unused;
                old
            }
        })
    }
}
