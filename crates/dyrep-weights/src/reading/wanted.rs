//! The names that a network has, to be looked for in a file.

use std::collections::{BTreeSet, HashMap, HashSet};

use burn::module::Module;
use dyrep_burn::Structure;

use super::words::is_shell;
use crate::params::{Layout, shapes};

/// What the names of parameters end in.
const LEAVES: [&str; 5] = ["weight", "bias", "running_mean", "running_var", "scale"];

/// A network's names. They are compared without what adds no level.
#[derive(PartialEq, Eq)]
pub(crate) struct Wanted {
    /// What they begin with: next to no name of another network does.
    begins: BTreeSet<String>,
    /// Of all parameters.
    names: HashMap<String, String>,
    /// Of the layers below whose paths there may be branches.
    layers: HashMap<String, String>,
    /// Paths of linear layers.
    pub(super) linears: Vec<String>,
    /// How many layers there are, of all kinds; a block is one.
    pub(super) units: usize,
}

/// A name of the network, and the layer that it is of.
pub(super) struct Known {
    pub(super) name: String,
    pub(super) unit: String,
}

impl Wanted {
    pub(crate) fn of<M: Module>(module: &M) -> Self {
        let plain = |path: &String| (without_shells(path), path.clone());
        let shapes = shapes(module, Layout::Torch);
        let linear = |(name, shape): (&String, &Vec<usize>)| {
            name.strip_suffix(".weight").filter(|_| shape.len() == 2).map(str::to_owned)
        };
        let mut wanted = Self {
            names: shapes.keys().map(plain).collect(),
            layers: Structure::of(module).layers().keys().map(plain).collect(),
            linears: shapes.iter().filter_map(linear).collect(),
            units: 0,
            begins: BTreeSet::new(),
        };
        let begin = |name: &String| name.split('.').next().unwrap_or_default().to_owned();
        wanted.begins = wanted.names.keys().map(begin).collect();
        let units: HashSet<String> = wanted.names.keys().map(|name| wanted.unit(name)).collect();
        wanted.units = units.len();
        wanted
    }

    /// The layer that a name is of.
    fn unit(&self, name: &str) -> String {
        let layer = self.layer(name).map(|(layer, _)| layer.to_owned());
        layer.unwrap_or_else(|| name.rsplit_once('.').map_or("", |(parent, _)| parent).to_owned())
    }

    /// The layer with branches, or room for them, that a name lies below, and what follows.
    fn layer<'a>(&self, name: &'a str) -> Option<(&'a str, &'a str)> {
        let ends = name.match_indices('.').map(|(at, _)| name.split_at(at));
        ends.into_iter().find(|(path, _)| self.layers.contains_key(*path))
    }

    /// The network's own name for one that it has, or may have when it is grown.
    pub(super) fn find(&self, name: &str) -> Option<Known> {
        let begin = name.split('.').next().unwrap_or_default();
        if !self.begins.iter().any(|known| known == begin) {
            return None;
        }
        if let Some(own) = self.names.get(name) {
            return Some(Known { name: own.clone(), unit: self.unit(name) });
        }
        let leaf = name.rsplit('.').next().unwrap_or(name);
        let (layer, rest) = self.layer(name).filter(|_| LEAVES.contains(&leaf))?;
        Some(Known { name: format!("{}{rest}", self.layers[layer]), unit: layer.to_owned() })
    }

    /// Whether names are those of some of the network's layers at least, as many as make it worth a look.
    pub(crate) fn most_of<'a>(&self, names: impl Iterator<Item = &'a String>) -> bool {
        let units: HashSet<String> =
            names.filter_map(|name| self.find(name)).map(|known| known.unit).collect();
        units.len() as f64 >= super::FEW * self.units as f64
    }
}

fn without_shells(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').filter(|part| !is_shell(part)).collect();
    parts.join(".")
}
