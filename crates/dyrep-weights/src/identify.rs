//! Which network of the zoo a file's tensors are, where the file does not say it.
//!
//! PyTorch's files hold names and values alone. Of each network the first convolution and the last linear layer tell the
//! width, the picture's channels and the classes; built with them, it must have every tensor of the file, of its shape, and
//! no other. Nothing is read from the file but names and shapes, and parameters are not made.

use std::sync::OnceLock;

use burn::tensor::Device;
use dyrep_burn::Structure;
use dyrep_models::{Activation, ModelConfig, ModelName, Stem};

use crate::describe::LARGEST;
use crate::load::compare;
use crate::naming::Naming;
use crate::params::{Layout, shapes};
use crate::reading::Wanted;
use crate::weights::Weights;

/// Classes that no layer has as channels, to know the last layer by.
const CLASSES: usize = 1_000_003;

/// What is looked for in a file: the names of a network, as published but for its stem.
struct Probe {
    name: ModelName,
    stem: Stem,
    wanted: Wanted,
    /// The convolution that reads the picture.
    first: String,
    /// The weight of the last linear layer.
    last: String,
}

impl Probe {
    fn of(name: ModelName, stem: Stem, device: &Device) -> Option<Self> {
        let network = name.config(CLASSES).with_stem(stem).init(device).ok()?;
        let structure = Structure::of(&network);
        let reads_the_picture =
            |path: &&String| structure.layers()[*path].geometry.in_channels() == 3;
        let first = structure.layers().keys().find(reads_the_picture)?.clone();
        let (last, _) = shapes(&network, Layout::Torch)
            .into_iter()
            .find(|(_, shape)| shape.len() == 2 && shape[0] == CLASSES)?;
        Some(Self { name, stem, wanted: Wanted::of(&network), first, last })
    }

    /// All of the zoo's: the same for every file.
    fn all(device: &Device) -> &'static [Self] {
        static ALL: OnceLock<Vec<Probe>> = OnceLock::new();
        ALL.get_or_init(|| {
            let stems = [Stem::Imagenet, Stem::Small];
            let of = |name| stems.map(|stem| Self::of(name, stem, device));
            ModelName::all().flat_map(of).flatten().collect()
        })
    }
}

impl Weights {
    /// The networks whose parameters are exactly these tensors, the likeliest first: one of its published width, for large
    /// pictures, with its published activation. More than one, where networks differ in what no tensor shows.
    #[must_use]
    pub fn candidates(&self, device: &Device) -> Vec<(ModelName, ModelConfig)> {
        let fitting: Vec<_> = Probe::all(device)
            .iter()
            .filter_map(|probe| {
                self.fit(probe, device).map(|(config, naming)| (probe.name, config, naming))
            })
            .collect();
        // Whoever published names has published what they are the names of.
        let implied = |config: &ModelConfig, naming: Naming| {
            let stem = published_stem(naming)?;
            let other = config.clone().with_stem(stem);
            let both = fitting.iter().any(|(_, config, _)| *config == other);
            both.then_some(stem)
        };
        let mut found: Vec<(ModelName, ModelConfig)> = vec![];
        for (name, config, naming) in &fitting {
            if implied(config, *naming).is_none_or(|stem| config.stem() == stem) {
                found.extend(flavours(config, *naming).map(|config| (*name, config)));
            }
        }
        found.sort_by_key(|(name, config)| {
            let published = name.config(1);
            let same = [
                config.width() == published.width(),
                config.stem() == published.stem(),
                config.activation() == published.activation(),
            ];
            same.map(|same| !same)
        });
        // Names of one family may differ in their published width alone, which the tensors tell.
        let mut different: Vec<(ModelName, ModelConfig)> = vec![];
        for one in found {
            if different.iter().all(|(_, config)| *config != one.1) {
                different.push(one);
            }
        }
        different
    }

    /// The configuration that fits, if one does, and whose names the tensors have then.
    fn fit(&self, probe: &Probe, device: &Device) -> Option<(ModelConfig, Naming)> {
        let read = self.read_as(&probe.wanted).ok()??;
        let [width, in_channels, ..] = read.kernel(&probe.first)? else { return None };
        let classes = read.tensors.get(&probe.last)?.shape.get(match self.layout {
            Layout::Torch => 0,
            Layout::Burn => 1,
        })?;
        let [most_channels, most_classes] = LARGEST;
        if (*width).max(*in_channels) > most_channels || *classes > most_classes {
            return None;
        }
        let config = probe.name.config(*classes).with_stem(probe.stem);
        let config = config.with_width(*width).with_in_channels(*in_channels);
        let network = config.init(device).ok()?;
        let network = read.structure(&network).ok()?.apply(network).ok()?;
        let fits = compare(&shapes(&network, self.layout), &read).is_complete();
        fits.then_some((config, read.format.naming))
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

/// The first layers of the networks that published names are of.
fn published_stem(naming: Naming) -> Option<Stem> {
    match naming {
        Naming::Dbb | Naming::RepVgg | Naming::TimmRepVgg | Naming::OpenMmLab => {
            Some(Stem::Imagenet)
        }
        Naming::Cifar => Some(Stem::Small),
        _ => None,
    }
}

/// What a network may compute whose tensors are those of `config`: names that were not published with it tell nothing of
/// its activation.
fn flavours(config: &ModelConfig, naming: Naming) -> impl Iterator<Item = ModelConfig> {
    let all = match published_stem(naming) {
        Some(_) => &[Activation::Relu][..],
        None => config.activations(),
    };
    all.iter().filter_map(|activation| config.clone().with_activation(*activation).ok())
}
