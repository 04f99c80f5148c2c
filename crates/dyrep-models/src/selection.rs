//! Which convolutions of a network have branches.

use std::collections::BTreeSet;

use burn::module::Module;
use burn::nn::Initializer;
use burn::tensor::Device;
use dyrep_burn::{
    Branches, ConvGeometry, PathPatterns, Preset, RepConv2dConfig, layers, map_layers,
};
pub use dyrep_config::{Branching, Selection};

use crate::conv_norms::ConvNorms;
use crate::error::ModelError;

/// What a [`Selection`] chooses of a network.
///
/// ```
/// use dyrep_burn::PathPatterns;
/// use dyrep_models::{ResNetConfig, SelectLayers, Selection};
///
/// let network = ResNetConfig::resnet18(10).init(&burn::tensor::Device::flex())?;
/// let last = Selection { matching: PathPatterns::new(["^layer4"])?, ..Selection::default() };
/// assert_eq!(last.paths(&network)?.len(), 4);
/// let stem = Selection { kernels: vec![[7, 7]], ..Selection::default() };
/// assert_eq!(stem.paths(&network)?, ["conv1"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait SelectLayers {
    /// The paths of the chosen convolutions of `network`, in its own order.
    ///
    /// # Errors
    /// A path that no convolution has, or a choice that leaves none.
    fn paths<M: Module>(&self, network: &M) -> Result<Vec<String>, ModelError>;

    /// Patterns that match the chosen convolutions and what grows inside them, for
    /// [`ControllerConfig::grow_in`](dyrep_burn::ControllerConfig).
    ///
    /// # Errors
    /// As [`paths`](Self::paths).
    fn patterns<M: Module>(&self, network: &M) -> Result<PathPatterns, ModelError>;
}

impl SelectLayers for Selection {
    fn paths<M: Module>(&self, network: &M) -> Result<Vec<String>, ModelError> {
        let all = layers(network);
        let known = || all.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>().join(", ");
        let exists = |name: &&String| all.iter().any(|(path, _)| path == *name);
        if let Some(name) = self.layers.iter().find(|name| !exists(name)) {
            return Err(ModelError::NoSuchLayer { name: name.clone(), known: known() });
        }
        let chosen =
            all.iter().filter(|(path, layer)| self.holds(path, layer.geometry().kernel_size()));
        let chosen: Vec<String> = chosen.map(|(path, _)| path.clone()).collect();
        match chosen.is_empty() {
            true => {
                Err(ModelError::NothingChosen { selection: format!("{self:?}"), known: known() })
            }
            false => Ok(chosen),
        }
    }

    fn patterns<M: Module>(&self, network: &M) -> Result<PathPatterns, ModelError> {
        let exact = |path: String| format!(r"^{}(\.|$)", path.replace('.', r"\."));
        let patterns = self.paths(network)?.into_iter().map(exact);
        Ok(PathPatterns::new(patterns).expect("paths have no special letters but dots"))
    }
}

/// The network with the chosen convolutions replaced by blocks, which start as `start` says. A norm that follows the sum is
/// left out where the network has one behind the convolution.
pub(crate) fn apply<M: ConvNorms>(
    branching: &Branching,
    network: M,
    start: fn(usize) -> Initializer,
    device: &Device,
) -> Result<M, ModelError> {
    apply_but(&[], branching, network, start, device)
}

/// The same, but that convolutions of these names stay plain: their biases are what a prediction starts from.
pub(crate) fn apply_but<M: ConvNorms>(
    plain: &[&str],
    branching: &Branching,
    network: M,
    start: fn(usize) -> Initializer,
    device: &Device,
) -> Result<M, ModelError> {
    let stays = |path: &str| plain.iter().any(|name| path.rsplit('.').next() == Some(name));
    if let Some(path) = branching.only.layers.iter().find(|path| stays(path)) {
        return Err(ModelError::StaysPlain { path: path.clone() });
    }
    let pairs = network.conv_norms().into_iter().map(|pair| pair.conv_path);
    let before_norms = pairs.collect();
    replace(branching, network, start, &before_norms, &stays, device)
}

/// The same of a network that drops the norms behind its blocks.
pub(crate) fn apply_alone<M: Module>(
    branching: &Branching,
    network: M,
    start: fn(usize) -> Initializer,
    device: &Device,
) -> Result<M, ModelError> {
    replace(branching, network, start, &BTreeSet::new(), &|_| false, device)
}

fn replace<M: Module>(
    branching: &Branching,
    network: M,
    start: fn(usize) -> Initializer,
    before_norms: &BTreeSet<String>,
    stays: &dyn Fn(&str) -> bool,
    device: &Device,
) -> Result<M, ModelError> {
    let branches = &branching.branches;
    if branches.is_plain() {
        return Ok(network);
    }
    let chosen = branching.only.paths(&network)?;
    let mut failed = None;
    let network = map_layers(network, |path, layer| {
        if failed.is_some() || stays(path) || !chosen.iter().any(|name| name == path) {
            return layer;
        }
        let geometry = layer.geometry();
        let start =
            published_start(branches, &geometry).unwrap_or_else(|| start(geometry.groups()));
        let mut config = config(branches, &geometry).with_initializer(start);
        if before_norms.contains(path) {
            config = config.with_norm_after(false);
        }
        config.try_init(device).unwrap_or_else(|source| {
            failed = Some(ModelError::Branches { path: path.to_owned(), source });
            layer
        })
    });
    failed.map_or(Ok(network), Err)
}

/// How the kernels of a preset's branches start, where it says so and not the network: OREPA's published code draws them
/// uniformly, with a gain of √2 before the scales that they are multiplied by, of 1 in a 1×1 and within RepVGG's block.
fn published_start(branches: &Branches, geometry: &ConvGeometry) -> Option<Initializer> {
    let gain = match branches.preset()? {
        Preset::Orepa | Preset::OrepaStem if geometry.kernel_size() != [1, 1] => {
            std::f64::consts::SQRT_2
        }
        Preset::Orepa | Preset::OrepaStem | Preset::OrepaRepVgg => 1.0,
        _ => return None,
    };
    Some(Initializer::KaimingUniform { gain, fan_out_only: false })
}

/// Without a bias for the k×k convolution: the norm behind it has one.
fn config(branches: &Branches, geometry: &ConvGeometry) -> RepConv2dConfig {
    RepConv2dConfig::of(geometry).with_bias(false).with_branches(branches.clone())
}
