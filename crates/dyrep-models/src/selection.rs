//! Which convolutions have branches: by name, by pattern, by the size of the kernel.

use burn::module::Module;
use burn::nn::Initializer;
use burn::tensor::Device;
use dyrep_burn::{
    Branches, ConvGeometry, PathPatterns, Preset, RepConv2d, RepConv2dConfig, layers, map_layers,
};
use serde::{Deserialize, Serialize};

use crate::error::ModelError;

/// Some of a network's convolutions; by default all whose kernel is larger than 1×1.
///
/// ```
/// use dyrep_burn::PathPatterns;
/// use dyrep_models::{ResNetConfig, Selection};
///
/// let network = ResNetConfig::resnet18(10).init(&burn::tensor::Device::flex())?;
/// let last = Selection { matching: PathPatterns::new(["^layer4"])?, ..Selection::default() };
/// assert_eq!(last.paths(&network)?.len(), 4);
/// let stem = Selection { kernels: vec![[7, 7]], ..Selection::default() };
/// assert_eq!(stem.paths(&network)?, ["conv1"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Paths, such as `layer1.0.conv1`. Each must exist.
    pub layers: Vec<String>,
    /// Patterns of paths. With neither paths nor patterns all convolutions are meant.
    pub matching: PathPatterns,
    /// Patterns of paths that are left out.
    pub except: PathPatterns,
    /// Sizes `[height, width]` of kernels; none: all that are larger than 1×1.
    pub kernels: Vec<[usize; 2]>,
}

impl Selection {
    /// The paths of the chosen convolutions of `network`, in its own order.
    ///
    /// # Errors
    /// A path that no convolution has, or a choice that leaves none.
    pub fn paths<M: Module>(&self, network: &M) -> Result<Vec<String>, ModelError> {
        let all = layers(network);
        let known = || all.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>().join(", ");
        let exists = |name: &&String| all.iter().any(|(path, _)| path == *name);
        if let Some(name) = self.layers.iter().find(|name| !exists(name)) {
            return Err(ModelError::NoSuchLayer { name: name.clone(), known: known() });
        }
        let chosen = all.iter().filter(|(path, layer)| self.holds(path, &layer.geometry()));
        let chosen: Vec<String> = chosen.map(|(path, _)| path.clone()).collect();
        match chosen.is_empty() {
            true => {
                Err(ModelError::NothingChosen { selection: format!("{self:?}"), known: known() })
            }
            false => Ok(chosen),
        }
    }

    /// Patterns that match the chosen convolutions and what grows inside them, for
    /// [`ControllerConfig::grow_in`](dyrep_burn::ControllerConfig).
    ///
    /// # Errors
    /// As [`paths`](Self::paths).
    pub fn patterns<M: Module>(&self, network: &M) -> Result<PathPatterns, ModelError> {
        let exact = |path: String| format!(r"^{}(\.|$)", path.replace('.', r"\."));
        let patterns = self.paths(network)?.into_iter().map(exact);
        Ok(PathPatterns::new(patterns).expect("paths have no special letters but dots"))
    }

    fn holds(&self, path: &str, geometry: &ConvGeometry) -> bool {
        let size = geometry.kernel_size();
        let by_size = match self.kernels.is_empty() {
            true => size != [1, 1],
            false => self.kernels.contains(&size),
        };
        let everywhere = self.layers.is_empty() && self.matching.is_empty();
        let by_path = || self.layers.iter().any(|name| name == path) || self.matching.matches(path);
        by_size && (everywhere || by_path()) && !self.except.matches(path)
    }
}

/// The branches that a network's convolutions start with, and which of them do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Branching {
    /// The branches; none by default.
    pub branches: Branches,
    /// The convolutions that have them.
    pub only: Selection,
}

impl Branching {
    /// Leaves all other convolutions plain.
    #[must_use]
    pub fn only(mut self, selection: Selection) -> Self {
        self.only = selection;
        self
    }

    /// The network with the chosen convolutions replaced by blocks, which start as `start` says.
    pub(crate) fn apply<M: Module>(
        &self,
        network: M,
        start: fn(usize) -> Initializer,
        device: &Device,
    ) -> Result<M, ModelError> {
        if self.branches == Preset::Plain.into() {
            return Ok(network);
        }
        let chosen = self.only.paths(&network)?;
        let mut failed = None;
        let network = map_layers(network, |path, layer| {
            if failed.is_some() || !chosen.iter().any(|name| name == path) {
                return layer;
            }
            let config = self.config(&layer).with_initializer(start(layer.geometry().groups()));
            config.try_init(device).unwrap_or_else(|source| {
                failed = Some(ModelError::Branches { path: path.to_owned(), source });
                layer
            })
        });
        failed.map_or(Ok(network), Err)
    }

    /// Without a bias for the k×k convolution: the norm behind it has one.
    fn config(&self, layer: &RepConv2d) -> RepConv2dConfig {
        let geometry = layer.geometry();
        let channels = [geometry.in_channels(), geometry.out_channels()];
        RepConv2dConfig::new(channels, geometry.kernel_size())
            .with_stride(geometry.stride())
            .with_dilation(geometry.dilation())
            .with_groups(geometry.groups())
            .with_padding(geometry.padding().clone())
            .with_bias(false)
            .with_branches(self.branches.clone())
    }
}

impl<B: Into<Branches>> From<B> for Branching {
    fn from(branches: B) -> Self {
        Self { branches: branches.into(), only: Selection::default() }
    }
}
