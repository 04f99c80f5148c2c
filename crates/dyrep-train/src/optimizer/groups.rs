//! Parameters that are trained in another way than the rest: slower, with another decay, or not at all.
//!
//! Groups are made once, from the network at its start, and are sets of layers: a convolution that can grow is one layer
//! whatever grows in it, so what grows later belongs to its group. Everything else is a layer by the path of the module
//! that holds the parameters. A pattern matches a layer by its path, `layer1.0.bn1`, or by that of a parameter,
//! `layer1.0.bn1.gamma`, and then means this one; a convolution also by its weight's, `layer1.0.conv1.weight`.
//!
//! ```text
//! patterns, layer decay ─▶ layers of a network ─▶ Groups ─▶ what freezes, Burn's parameter groups by rate and decay
//! ```

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleVisitor, Param, ParamGroup};
use burn::tensor::Tensor;
use dyrep_burn::layers;
use dyrep_recipe::{OptimizerConfig, ParameterGroup};

use crate::error::TrainError;
use crate::params;
use crate::rep_optimizer::GradientMultipliers;

/// A network's groups.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    parts: Vec<Part>,
    frozen: Option<ParamGroup>,
    multipliers: GradientMultipliers,
}

/// Parameters of one rate and one decay.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// An expression on their paths.
    pub(super) paths: String,
    pub(super) scale: f64,
    pub(super) weight_decay: Option<f64>,
}

impl Groups {
    /// The groups of a network.
    ///
    /// # Errors
    /// A pattern that matches nothing.
    pub fn of<M: Module>(config: &OptimizerConfig, network: &M) -> Result<Self, TrainError> {
        let layers = Layer::all(network);
        let paths: Vec<&str> = layers.iter().flat_map(Layer::names).collect();
        for group in &config.groups {
            if let Some(pattern) = group.matching.unmatched(&paths) {
                let layers: BTreeSet<&str> = layers.iter().map(|it| it.path.as_str()).collect();
                return Err(TrainError::NoSuchParameters {
                    pattern: pattern.to_owned(),
                    layers: layers.into_iter().collect::<Vec<_>>().join(", "),
                });
            }
        }
        let scales = scales(config.layer_decay, &layers);
        let mut parts = BTreeMap::<(u64, Option<u64>), Vec<String>>::new();
        let mut frozen = vec![];
        for (layer, scale) in layers.iter().zip(scales) {
            let of_name = |name: &String| last_group(&config.groups, layer, name);
            let own: Vec<_> = layer.members.iter().map(of_name).collect();
            if own.iter().all(|own| own.is_some_and(|group| group.frozen)) {
                frozen.push(layer.whole());
                continue;
            }
            for (name, own) in layer.members.iter().zip(own) {
                let (of_group, decay) =
                    own.map_or((None, None), |it| (it.learning_rate_scale, it.weight_decay));
                let of_group = of_group.unwrap_or(1.0);
                let paths = layer.expression(name);
                match own {
                    Some(group) if group.frozen => frozen.push(paths),
                    _ => parts
                        .entry(((scale * of_group).to_bits(), decay.map(f64::to_bits)))
                        .or_default()
                        .push(paths),
                }
            }
        }
        parts.remove(&(1_f64.to_bits(), None));
        let part = |((scale, decay), paths): ((u64, Option<u64>), Vec<String>)| Part {
            paths: any_of(&paths),
            scale: f64::from_bits(scale),
            weight_decay: decay.map(f64::from_bits),
        };
        let frozen = (!frozen.is_empty()).then(|| group(&[&any_of(&frozen)]));
        let parts = parts.into_iter().map(part).collect();
        Ok(Self { parts, frozen, multipliers: GradientMultipliers::default() })
    }

    /// The network with what is frozen off the graph, its norms in evaluation mode. Burn keeps them so through
    /// evaluation, copies, records and changes of structure.
    ///
    /// # Errors
    /// If nothing is left to train.
    pub fn freeze<M: Module>(&self, network: M) -> Result<M, TrainError> {
        struct Trains(bool);
        impl ModuleVisitor for Trains {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0 |= param.is_require_grad();
            }
        }
        let Some(frozen) = &self.frozen else { return Ok(network) };
        let network = network.freeze_group(frozen.clone());
        let mut trains = Trains(false);
        network.visit(&mut trains);
        if trains.0 { Ok(network) } else { Err(TrainError::NothingTrains) }
    }

    /// The same, with some parameters' steps multiplied, each in its own group: its rate and its decay stay.
    #[must_use]
    pub fn with_multipliers(self, multipliers: GradientMultipliers) -> Self {
        Self { multipliers, ..self }
    }

    /// What is multiplied.
    #[must_use]
    pub fn multipliers(&self) -> &GradientMultipliers {
        &self.multipliers
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }
}

/// The group of a parameter: of those that match the last one.
fn last_group<'a>(
    groups: &'a [ParameterGroup],
    layer: &Layer,
    name: &str,
) -> Option<&'a ParameterGroup> {
    let matches = |group: &&ParameterGroup| {
        group.matching.matches(&layer.path) || group.matching.matches(name)
    };
    groups.iter().rev().find(matches)
}

/// What the rate of each layer is multiplied by for its place in the network.
fn scales(layer_decay: Option<f64>, layers: &[Layer]) -> Vec<f64> {
    let blocks = blocks(layers.iter().map(|layer| layer.path.as_str()));
    let last = blocks.last().copied().unwrap_or(0);
    let decay = layer_decay.unwrap_or(1.0);
    let scale = |block: usize| decay.powi(i32::try_from(last - block).unwrap_or(i32::MAX));
    blocks.into_iter().map(scale).collect()
}

/// Parameters that are chosen together, or one by one.
struct Layer {
    path: String,
    /// Whether branches may grow in it.
    grows: bool,
    /// The paths of its parameters; of what may grow the weight's alone.
    members: Vec<String>,
}

impl Layer {
    /// Those of a network, in its order.
    fn all<M: Module>(network: &M) -> Vec<Self> {
        let growing: BTreeSet<String> = layers(network).into_iter().map(|(path, _)| path).collect();
        let mut found: Vec<Self> = vec![];
        for name in names(network) {
            let ends = name.match_indices('.').map(|(at, _)| at);
            // A network may be one layer, which then has no path.
            let grows = std::iter::once(0).chain(ends).find(|at| growing.contains(&name[..*at]));
            let path = match grows {
                Some(at) => &name[..at],
                None => name.rsplit_once('.').map_or("", |(path, _)| path),
            };
            let (path, grows) = (path.to_owned(), grows.is_some());
            let member = if grows { join(&path, "weight") } else { name };
            let known = found.iter_mut().find(|layer| layer.path == path && layer.grows == grows);
            match known {
                // Its weight stands for all that is in it.
                Some(_) if grows => {}
                Some(layer) => layer.members.push(member),
                None => found.push(Self { path, grows, members: vec![member] }),
            }
        }
        found
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.path.as_str()).chain(self.members.iter().map(String::as_str))
    }

    /// An expression on the paths of one parameter, or of all that may grow beside it.
    fn expression(&self, name: &str) -> String {
        if self.grows { self.whole() } else { escaped(name) }
    }

    /// One on the paths of all that is in it, flags too.
    fn whole(&self) -> String {
        let inside = if self.grows { ".+" } else { "[^.]+" };
        match self.path.as_str() {
            "" => inside.to_owned(),
            path => format!(r"{}\.{inside}", escaped(path)),
        }
    }
}

/// The paths of all parameters, without running statistics.
fn names<M: Module>(network: &M) -> Vec<String> {
    let mut names = vec![];
    params::for_each(network, |path, _values| {
        if path.last().is_none_or(|name| !name.starts_with("running_")) {
            names.push(path.join("."));
        }
    });
    names
}

/// The number of the block that each path is in, from 0.
fn blocks<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut last: Option<Option<String>> = None;
    let mut number = 0;
    let blocks = paths.map(|path| {
        let block = block(path);
        if let Some(last) = last.replace(block.clone())
            && last != block
        {
            number += 1;
        }
        number
    });
    blocks.collect()
}

/// A path up to the numbers in it: `layer1.0` of `layer1.0.conv1`, `stages.0.1` of `stages.0.1.norm`.
fn block(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('.').collect();
    let is_number =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let first = parts.iter().position(is_number)?;
    let numbers = parts[first..].iter().take_while(|part| is_number(part)).count();
    Some(parts[..first + numbers].join("."))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A path as an expression that matches it alone.
fn escaped(path: &str) -> String {
    path.replace('.', r"\.")
}

/// An expression that matches this path alone.
pub(super) fn exactly(path: &str) -> String {
    any_of(&[escaped(path)])
}

fn any_of(paths: &[String]) -> String {
    format!("^(?:{})$", paths.join("|"))
}

/// The parameters whose path all of these expressions match.
pub(super) fn group(expressions: &[&str]) -> ParamGroup {
    ParamGroup::from_regexes(expressions.to_vec())
        .unwrap_or_else(|error| unreachable!("paths, escaped: {error:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_told_by_numbers() {
        let numbers = |paths: &[&str]| blocks(paths.iter().copied());
        let resnet =
            ["conv1", "bn1", "layer1.0.conv1", "layer1.0.downsample.0", "layer1.1.bn1", "fc"];
        assert_eq!(numbers(&resnet), [0, 0, 1, 1, 2, 3]);
        let stages =
            ["stem.conv", "stages.0.0.conv", "stages.0.1.norm", "stages.1.0.se.fc1", "head"];
        assert_eq!(numbers(&stages), [0, 1, 2, 3, 4]);
        let chain = ["features.0", "features.1", "features.1.x", "classifier.0", "classifier.3"];
        assert_eq!(numbers(&chain), [0, 1, 1, 2, 3]);
        assert_eq!(numbers(&["", "weight"]), [0, 0]);
        assert!(numbers(&[]).is_empty());
    }
}
