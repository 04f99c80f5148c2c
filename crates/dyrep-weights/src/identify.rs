//! Which network of the zoo a file's tensors are, where the file does not say it.
//!
//! PyTorch's files hold names and values alone. Of each network the first convolution and the last linear layer tell the
//! width, the picture's channels and the classes; built with them, it must have every tensor of the file, of its shape, and
//! no other. Nothing is read from the file but names and shapes, and parameters are not made.

use std::sync::OnceLock;

use burn::tensor::Device;
use dyrep_burn::{Form, Preset, Structure};
use dyrep_models::{Branching, ConvNorm, ConvNorms, ModelConfig, ModelName, Selection, Stem};

use crate::describe::LARGEST;
use crate::load::compare;
use crate::naming::Naming;
use crate::params::{Layout, shapes};
use crate::reading::Wanted;
use crate::weights::Weights;

/// Classes that no layer has as channels, to know the last layer by.
const CLASSES: usize = 1_000_003;

/// What is looked for in a file: the names of networks, as published but for their stems.
struct Probes {
    wanted: Wanted,
    /// Those with these names.
    of: Vec<Probe>,
}

/// A network.
struct Probe {
    name: ModelName,
    stem: Stem,
    /// The convolution that reads the picture.
    first: String,
    /// Its channels in the published network, and the network's width.
    published: [usize; 2],
    /// Which convolutions start as blocks in the published network.
    structure: Structure,
    /// The weight of the last linear layer.
    last: String,
}

impl Probe {
    fn of(name: ModelName, stem: Stem, device: &Device) -> Option<(Wanted, Self)> {
        let config = name.config(CLASSES).with_stem(stem);
        let network = config.init(device).ok()?;
        let structure = Structure::of(&network);
        let reads_the_picture =
            |path: &&String| structure.layers()[*path].geometry.in_channels() == 3;
        let first = structure.layers().keys().find(reads_the_picture)?.clone();
        let (last, _) = shapes(&network, Layout::Torch)
            .into_iter()
            .find(|(_, shape)| shape.len() == 2 && shape[0] == CLASSES)?;
        let published = [structure.layers()[&first].geometry.out_channels(), config.width()];
        let probe = Self { name, stem, first, published, structure, last };
        Some((Wanted::of(&network), probe))
    }
}

impl Probes {
    /// All of the zoo's: the same for every file.
    fn all(device: &Device) -> &'static [Self] {
        static ALL: OnceLock<Vec<Probes>> = OnceLock::new();
        ALL.get_or_init(|| {
            let stems = [Stem::Imagenet, Stem::Small];
            let of = |name| stems.map(|stem| Probe::of(name, stem, device));
            let mut all: Vec<Self> = vec![];
            for (wanted, probe) in ModelName::all().flat_map(of).flatten() {
                match all.iter_mut().find(|probes| probes.wanted == wanted) {
                    Some(probes) => probes.of.push(probe),
                    None => all.push(Self { wanted, of: vec![probe] }),
                }
            }
            all
        })
    }
}

impl Weights {
    /// The networks whose parameters are exactly these tensors, the likeliest first: one of its published width, for large
    /// pictures, with its published activation. More than one, where networks differ in what no tensor shows.
    #[must_use]
    pub fn candidates(&self, device: &Device) -> Vec<(ModelName, ModelConfig)> {
        self.candidates.get_or_init(|| self.find_candidates(device)).clone()
    }

    fn find_candidates(&self, device: &Device) -> Vec<(ModelName, ModelConfig)> {
        let fitting: Vec<Fitting> =
            Probes::all(device).iter().flat_map(|probes| self.fits(probes, device)).collect();
        // Whoever published names has published what they are the names of.
        let implied = |fit: &Fitting| {
            let stem = published_stem(fit.naming)?;
            let other = fit.config.clone().with_stem(stem);
            fitting.iter().any(|fit| fit.config == other).then_some(stem)
        };
        let stands = |fit: &&Fitting| implied(fit).is_none_or(|stem| fit.config.stem() == stem);
        let mut found: Vec<(&Fitting, ModelConfig)> = vec![];
        for fit in fitting.iter().filter(stands) {
            found.extend(flavours(&fit.config, fit.naming).map(|config| (fit, config)));
        }
        found.sort_by_key(|(fit, config)| {
            let published = fit.name.config(1);
            let same = [
                config.width() == published.width(),
                config.stem() == published.stem(),
                config.activation() == published.activation(),
                fit.starts_so,
            ];
            same.map(|same| !same)
        });
        // Names of one family may differ in what the tensors tell alone: their published width, their branches.
        let mut different: Vec<(&Fitting, ModelConfig)> = vec![];
        for (fit, config) in found {
            let same = |(other, known): &(&Fitting, ModelConfig)| {
                other.structure == fit.structure
                    && known.activation() == config.activation()
                    && std::mem::discriminant(known) == std::mem::discriminant(&config)
            };
            if !different.iter().any(same) {
                different.push((fit, config));
            }
        }
        different.into_iter().map(|(fit, config)| (fit.name, config)).collect()
    }

    /// Those that fit.
    fn fits(&self, probes: &Probes, device: &Device) -> Vec<Fitting> {
        match self.read_as(&probes.wanted) {
            Ok(Some(read)) => {
                probes.of.iter().filter_map(|probe| read.fit(probe, device)).collect()
            }
            _ => vec![],
        }
    }

    /// The configuration that fits, if one does, of tensors under the network's names.
    fn fit(&self, probe: &Probe, device: &Device) -> Option<Fitting> {
        let [first, in_channels, ..] = self.kernel(&probe.first)? else { return None };
        let classes = self.tensors.get(&probe.last)?.shape.get(match self.layout {
            Layout::Torch => 0,
            Layout::Burn => 1,
        })?;
        let [most_channels, most_classes] = LARGEST;
        let [published, of_width] = probe.published;
        let width = first.checked_mul(of_width)? / published;
        if width.max(*in_channels) > most_channels || *classes > most_classes {
            return None;
        }
        let config = probe.name.config(*classes).with_stem(probe.stem);
        let config = config.with_width(width).with_in_channels(*in_channels);
        let config = self.started(config, &probe.structure, device)?;
        let network = config.init(device).ok()?;
        let network = self.structure(&network).ok()?.apply(network).ok()?;
        let fits = compare(&shapes(&network, self.layout), self).is_complete();
        let structure = Structure::of(&network);
        let mut forms = structure.layers().iter().zip(probe.structure.layers());
        let starts_so = forms.all(|((path, layer), (other, published))| {
            path == other && layer.form == published.form
        });
        let (name, naming) = (probe.name, self.format.naming);
        fits.then_some(Fitting { name, config, naming, structure, starts_so })
    }

    /// The network of these tensors, of one whose norm behind a convolution is there if that started plain: which did is
    /// seen by the norms.
    fn started(
        &self,
        config: ModelConfig,
        published: &Structure,
        device: &Device,
    ) -> Option<ModelConfig> {
        let branches = config.branches().branches.clone();
        if branches.is_plain() {
            return Some(config);
        }
        let plain = config.clone().with_branches(Preset::Plain);
        let network = plain.init(device).ok()?;
        let pairs = network.conv_norms();
        let without = |pair: &&ConvNorm<'_>| {
            !self.tensors.contains_key(&format!("{}.running_mean", pair.norm_path))
        };
        let blocks: Vec<String> =
            pairs.iter().filter(without).map(|pair| pair.conv_path.clone()).collect();
        let is_block = |pair: &&ConvNorm<'_>| {
            let layer = published.layers().get(&pair.conv_path);
            layer.is_some_and(|layer| !matches!(layer.form, Form::Plain { .. }))
        };
        if pairs.iter().filter(is_block).map(|pair| &pair.conv_path).eq(&blocks) {
            return Some(config);
        }
        if blocks.is_empty() {
            return Some(plain);
        }
        let kernels = pairs.iter().map(|pair| pair.conv.geometry().kernel_size()).collect();
        let only = Selection { layers: blocks, kernels, ..Selection::default() };
        Some(config.with_branches(Branching { branches, only }))
    }

    /// The shape of the k×k kernel of the layer at `path`, at the end of its chain of blocks; of layers in sequence that of
    /// the first.
    fn kernel(&self, path: &str) -> Option<&[usize]> {
        let any_below = |path: &String| {
            let next = self.tensors.range(path.clone()..).next();
            next.is_some_and(|(name, _)| name.starts_with(path))
        };
        let mut path = path.to_owned();
        loop {
            if let Some(tensor) = self.tensors.get(&format!("{path}.weight")) {
                return Some(&tensor.shape);
            }
            path = [".kxk.conv", ".0"]
                .map(|next| format!("{path}{next}"))
                .into_iter()
                .find(any_below)?;
        }
    }
}

/// A network whose parameters the tensors are.
struct Fitting {
    name: ModelName,
    config: ModelConfig,
    /// Whose names the tensors have then.
    naming: Naming,
    structure: Structure,
    /// Whether the same convolutions are blocks, of the same branches, as the published network starts with.
    starts_so: bool,
}

/// The first layers of the networks that published names are of.
fn published_stem(naming: Naming) -> Option<Stem> {
    match naming {
        Naming::Dbb
        | Naming::RepVgg
        | Naming::MobileOne
        | Naming::Orepa
        | Naming::RepNas
        | Naming::MobileNetV2
        | Naming::TimmMobileNetV2
        | Naming::TimmUnits
        | Naming::TimmRepVit
        | Naming::OpenMmLab => Some(Stem::Imagenet),
        Naming::Cifar => Some(Stem::Small),
        _ => None,
    }
}

/// What a network may compute whose tensors are those of `config`, whose activation is the published one: names that were
/// not published with it tell nothing of its activation.
fn flavours(config: &ModelConfig, naming: Naming) -> impl Iterator<Item = ModelConfig> {
    let published = [config.activation()];
    let all = match published_stem(naming) {
        Some(_) => published.to_vec(),
        None => config.activations().to_vec(),
    };
    all.into_iter().filter_map(|activation| config.clone().with_activation(activation).ok())
}
