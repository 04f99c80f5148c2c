//! How a search stands, to be recorded and looked at. No tensors.

use dyrep_config::BranchName;
use serde::{Deserialize, Serialize};

use super::{SearchPhase, SearchedLayer, count};
use crate::structure::{Form, Structure};

/// How a search stands, to be looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchReport {
    /// Its phase at the next step.
    pub phase: SearchPhase,
    /// Branches that are chosen at once.
    pub budget: usize,
    /// The layers that are searched.
    pub layers: Vec<SearchedLayer>,
    /// The score of every gated branch, layer by layer.
    pub scores: Vec<f64>,
    /// Which of them are chosen by the scores alone, or in the random phase by lot.
    pub chosen: Vec<bool>,
}

impl SearchReport {
    /// Each layer's path with its branches: their names, scores, and whether they are chosen.
    pub fn rows(&self) -> impl Iterator<Item = (&str, Vec<(BranchName, f64, bool)>)> {
        let mut at = 0;
        self.layers.iter().map(move |layer| {
            let here = at..at + layer.branches.len();
            at = here.end;
            let branches = layer.branches.iter().zip(here);
            let row = branches.map(|(name, at)| (*name, self.scores[at], self.chosen[at]));
            (layer.path.as_str(), row.collect())
        })
    }

    /// The structure `of` the network that is searched with what is not chosen resting.
    ///
    /// # Errors
    /// Numbers that are not one for each branch; layers or branches that the structure has not.
    pub fn applied(&self, of: &Structure) -> Result<Structure, String> {
        let number = count(&self.layers);
        if self.scores.len() != number || self.chosen.len() != number {
            return Err("its search has not one number for each branch".to_owned());
        }
        let mut layers = of.layers().clone();
        for (path, branches) in self.rows() {
            let Some(Form::Block(block)) = layers.get_mut(path).map(|layer| &mut layer.form) else {
                return Err(format!("its structure has no block `{path}` to search"));
            };
            for (name, _, chosen) in branches {
                let branch = block.branches.iter_mut().find(|branch| branch.name == name);
                let missing = || format!("its structure has no branch `{name}` of `{path}`");
                branch.ok_or_else(missing)?.resting = !chosen;
            }
            if block.running().next().is_none() {
                block.branches[0].resting = false;
            }
        }
        Structure::new(layers).map_err(|error| error.to_string())
    }
}
