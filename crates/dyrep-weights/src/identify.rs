//! Which network of the zoo a file's tensors are, where the file does not say it.
//!
//! PyTorch's files hold names and values alone. Of each network the first convolution and the last linear layer tell the
//! width, the picture's channels and the classes; built with them, it must have every tensor of the file, of its shape, and
//! no other. Nothing is read from the file but names and shapes, and parameters are not made.

use burn::tensor::Device;
use dyrep_burn::Structure;
use dyrep_models::{ModelConfig, ModelName, Stem};

use crate::describe::LARGEST;
use crate::load::compare;
use crate::params::{Layout, shapes};
use crate::weights::Weights;

/// Classes that no layer has as channels, to know the last layer by.
const CLASSES: usize = 1_000_003;

impl Weights {
    /// The networks whose parameters are exactly these tensors, the likeliest first: one of its published width, for large
    /// pictures. More than one, where networks differ in what no tensor shows.
    #[must_use]
    pub fn candidates(&self, device: &Device) -> Vec<(ModelName, ModelConfig)> {
        let all = ModelName::all().flat_map(|name| {
            [Stem::Imagenet, Stem::Small].map(|stem| Some((name, self.fit(name, stem, device)?)))
        });
        let mut found: Vec<_> = all.flatten().collect();
        found.sort_by_key(|(name, config)| {
            let published = name.config(1);
            (config.width() != published.width(), config.stem() != published.stem())
        });
        found
    }

    /// The configuration of `name` that fits, if one does.
    fn fit(&self, name: ModelName, stem: Stem, device: &Device) -> Option<ModelConfig> {
        let probe = name.config(CLASSES).with_stem(stem).init(device).ok()?;
        let structure = Structure::of(&probe);
        let reads_the_picture =
            |path: &&String| structure.layers()[*path].geometry.in_channels() == 3;
        let first = structure.layers().keys().find(reads_the_picture)?;
        let last = shapes(&probe, Layout::Torch)
            .into_iter()
            .find(|(_, shape)| shape.len() == 2 && shape[0] == CLASSES)?;
        let [width, in_channels, ..] = self.kernel(first)? else { return None };
        let classes = self.tensors.get(&last.0)?.shape.get(match self.layout {
            Layout::Torch => 0,
            Layout::Burn => 1,
        })?;
        let [most_channels, most_classes] = LARGEST;
        if (*width).max(*in_channels) > most_channels || *classes > most_classes {
            return None;
        }
        let config = name.config(*classes).with_stem(stem);
        let config = config.with_width(*width).with_in_channels(*in_channels);
        let network = config.init(device).ok()?;
        let network = self.structure(&network).ok()?.apply(network).ok()?;
        compare(&shapes(&network, self.layout), self).is_complete().then_some(config)
    }

    /// The shape of the k×k kernel of the layer at `path`, at the end of its chain of blocks.
    fn kernel(&self, path: &str) -> Option<&[usize]> {
        let mut path = path.to_owned();
        loop {
            if let Some(tensor) = self.tensors.get(&format!("{path}.weight")) {
                return Some(&tensor.shape);
            }
            path.push_str(".kxk.conv");
            self.tensors
                .range(path.clone()..)
                .next()
                .filter(|(name, _)| name.starts_with(&path))?;
        }
    }
}
