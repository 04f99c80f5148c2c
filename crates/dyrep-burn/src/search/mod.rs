//! Searched blocks (RepNAS, arXiv 2109.03508): of all branches of a network a share runs, and which it is is learnt.
//!
//! ```text
//! scores, (seed, step) ─▶ ranks ─▶ mask (plan.rs) ─▶ which branches rest ─▶ step ─▶ ∂L/∂gate (act.rs) ─▶ Adam on the scores
//! ```
//!
//! 1. **Random** masks; the scores stay at 0.
//! 2. **Search**: the share with the highest noisy scores runs, and its scores get gradients.
//! 3. **Final**: the share with the highest scores, every running statistic begun anew.
//!
//! What does not run costs nothing: it is in no plan, and has no gradients.

mod act;
mod plan;
mod report;
#[cfg(test)]
mod tests;

use burn::module::Module;
use burn::optim::GradientsParams;
use dyrep_config::{BranchKind, BranchName, SearchConfig};
use serde::{Deserialize, Serialize};

pub use act::{reset_statistics, without_resting};
pub use plan::SearchPhase;
pub use report::SearchReport;

use crate::error::SearchError;
use crate::look::layers;
use plan::{Phases, Scores, budget, draws, highest, ranks, slope};

/// A layer whose branches are searched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchedLayer {
    /// The layer's path.
    pub path: String,
    /// Its gated branches, in its own order: all but the identity, which always runs.
    pub branches: Vec<BranchName>,
}

/// A search while a model trains.
///
/// [`begin`](Self::begin), [`apply`](Self::apply), and at each step of the optimiser [`observe`](Self::observe) before it,
/// [`step`](Self::step) after it, [`apply`](Self::apply) again. What it does is a function of its configuration and of the
/// gradients.
#[derive(Clone, Debug)]
pub struct Search {
    config: SearchConfig,
    layers: Vec<SearchedLayer>,
    phases: Phases,
    scores: Scores,
    /// Steps done.
    step: u64,
    /// Of the step that comes.
    ranks: Vec<f64>,
    chosen: Vec<bool>,
    /// ∂L/∂α of the step under way.
    observed: Option<Vec<f64>>,
}

/// What a search has learnt, to go on from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchState {
    layers: Vec<SearchedLayer>,
    phases: Phases,
    scores: Scores,
    step: u64,
}

impl Search {
    /// A search over every block of `model`, whose epochs have so many steps.
    ///
    /// # Errors
    /// Options that make no sense; no block; a share of less than one branch; a branch that ends in what has no gain that
    /// is learnt, or whose gain is frozen.
    pub fn begin<M: Module>(
        config: SearchConfig,
        model: &M,
        steps_per_epoch: usize,
    ) -> Result<Self, SearchError> {
        config.check()?;
        let mut searched = vec![];
        for (path, layer) in layers(model) {
            let Some(block) = layer.block() else { continue };
            let gated = block.branches().iter().filter(|it| it.kind() != BranchKind::IDENTITY);
            let gated: Vec<_> = gated.collect();
            for branch in &gated {
                let (path, branch, gains) = (path.clone(), branch.name(), act::gains(branch));
                if gains.is_empty() {
                    return Err(SearchError::NoGain { path, branch });
                }
                // Off the graph nothing requires a gradient; what will, once training, is seen by going there.
                if !gains.iter().all(|gain| (*gain).clone().train().is_require_grad()) {
                    return Err(SearchError::Frozen { path, branch });
                }
            }
            let branches = gated.iter().map(|branch| branch.name()).collect();
            searched.push(SearchedLayer { path, branches });
        }
        let number = count(&searched);
        if number == 0 {
            return Err(SearchError::NoBlock);
        }
        if budget(config.share, number) == 0 {
            return Err(SearchError::TooFew { share: config.share, number });
        }
        let phases = Phases::of(&config, steps_per_epoch);
        Ok(Self::at(config, phases, searched, Scores::zeros(number), 0))
    }

    fn at(
        config: SearchConfig,
        phases: Phases,
        layers: Vec<SearchedLayer>,
        scores: Scores,
        step: u64,
    ) -> Self {
        let (ranks, chosen, observed) = (vec![], vec![], None);
        let mut search = Self { config, layers, phases, scores, step, ranks, chosen, observed };
        search.draw();
        search
    }

    /// What it has learnt so far. Taken between steps, it is all that goes on.
    #[must_use]
    pub fn state(&self) -> SearchState {
        let Self { layers, phases, scores, step, .. } = self.clone();
        SearchState { layers, phases, scores, step }
    }

    /// This search, which has just begun, as it was saved: its phases end where they were to end then.
    ///
    /// # Errors
    /// A state of other layers, or one that is not whole.
    pub fn resumed(self, state: SearchState) -> Result<Self, SearchError> {
        let SearchState { layers, phases, scores, step } = state;
        let refuse = |reason| Err(SearchError::State { reason });
        if layers != self.layers {
            return refuse("its layers and branches are not the model's");
        }
        if !scores.is_of(count(&layers)) || phases.random >= phases.search {
            return refuse("its numbers are not whole");
        }
        Ok(Self::at(self.config, phases, layers, scores, step))
    }

    /// The phase of the step that comes.
    #[must_use]
    pub fn phase(&self) -> SearchPhase {
        self.phases.at(self.step)
    }

    /// The layers that are searched.
    #[must_use]
    pub fn layers(&self) -> &[SearchedLayer] {
        &self.layers
    }

    /// Branches that are chosen at once: ⌊share · number⌋ over all layers.
    #[must_use]
    pub fn budget(&self) -> usize {
        budget(self.config.share, count(&self.layers))
    }

    /// The scores, layer by layer.
    #[must_use]
    pub fn scores(&self) -> &[f64] {
        &self.scores.alpha
    }

    /// Which branches are chosen for the step that comes, layer by layer.
    #[must_use]
    pub fn chosen(&self) -> &[bool] {
        &self.chosen
    }

    /// Which are chosen for an evaluation: those with the highest scores; in the random phase, in which none has been learnt,
    /// those of the step that comes.
    #[must_use]
    pub fn chosen_to_evaluate(&self) -> Vec<bool> {
        match self.phase() {
            SearchPhase::Random => self.chosen.clone(),
            SearchPhase::Search | SearchPhase::Final => highest(self.scores(), self.budget()),
        }
    }

    /// How it stands.
    #[must_use]
    pub fn report(&self) -> SearchReport {
        SearchReport {
            phase: self.phase(),
            budget: self.budget(),
            layers: self.layers.clone(),
            scores: self.scores().to_vec(),
            chosen: self.chosen_to_evaluate(),
        }
    }

    /// The model of the step that comes: what is not chosen rests. `kxk` runs where nothing is chosen and no identity is.
    #[must_use]
    pub fn apply<M: Module>(&self, model: M) -> M {
        self.masked(model, &self.chosen)
    }

    /// The model of an evaluation: see [`chosen_to_evaluate`](Self::chosen_to_evaluate).
    #[must_use]
    pub fn apply_to_evaluate<M: Module>(&self, model: M) -> M {
        self.masked(model, &self.chosen_to_evaluate())
    }

    fn masked<M: Module>(&self, model: M, chosen: &[bool]) -> M {
        act::with_resting(model, |path| {
            let mut before = 0;
            let layer = self.layers.iter().find(|layer| {
                let here = layer.path == path;
                before += if here { 0 } else { layer.branches.len() };
                here
            })?;
            let resting = layer.branches.iter().zip(&chosen[before..]);
            Some(resting.filter(|(_, chosen)| !**chosen).map(|(name, _)| *name).collect())
        })
    }

    /// Takes in the gradients of a step, before the optimiser has them and before they are clipped. Gradients of several
    /// devices must have been summed.
    pub fn observe<M: Module>(&mut self, model: &M, gradients: &GradientsParams) {
        self.observed = (self.phase() == SearchPhase::Search).then(|| {
            let gates = act::gate_gradients(model, &self.layers, &self.chosen, gradients);
            gates.iter().zip(&self.ranks).map(|(gate, rank)| gate * slope(*rank)).collect()
        });
    }

    /// ∂L/∂α of the step under way, 0 of what did not run; none outside the search, where α stays as it is.
    #[must_use]
    pub fn observed(&self) -> Option<&[f64]> {
        self.observed.as_deref()
    }

    /// Multiplies what was observed, as all other gradients are when they are clipped together.
    pub fn scale_observed(&mut self, by: f64) {
        self.observed.iter_mut().flatten().for_each(|gradient| *gradient *= by);
    }

    /// Ends a step: the scores learn from what was observed, and the next mask is drawn. Gradients that are no numbers, and
    /// a step of which none were observed, leave the scores as they are. Whether the last phase begins: then
    /// [`reset_statistics`] is due.
    pub fn step(&mut self) -> bool {
        let usable = |gradients: &Vec<f64>| gradients.iter().all(|it| it.is_finite());
        if let Some(gradients) = self.observed.take().filter(usable) {
            let rate = self.config.alpha_learning_rate * self.phases.cosine(self.step);
            self.scores.update(&gradients, rate, &self.config);
        }
        let before = self.phase();
        self.step += 1;
        self.draw();
        before != SearchPhase::Final && self.phase() == SearchPhase::Final
    }

    /// Ranks and mask of the step that comes.
    fn draw(&mut self) {
        let number = self.scores.alpha.len();
        let noise = || draws(self.config.seed, self.step, number);
        self.ranks = match self.phase() {
            SearchPhase::Random => ranks(&vec![0.0; number], &noise()),
            SearchPhase::Search => ranks(self.scores(), &noise()),
            SearchPhase::Final => self.scores().to_vec(),
        };
        self.chosen = highest(&self.ranks, self.budget());
    }
}

/// Gated branches.
fn count(layers: &[SearchedLayer]) -> usize {
    layers.iter().map(|layer| layer.branches.len()).sum()
}
