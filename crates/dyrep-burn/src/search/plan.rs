//! What a search decides, on plain numbers: ranks, masks, phases, and Adam on the scores.
//!
//! ```text
//! r = α + G₁ − G₂ (two Gumbel draws)      while it searches
//! r =     G₁ − G₂                         in the random phase
//! r = α                                   at evaluation, and behind the search
//! mask = the K highest r of all layers,   K = ⌊share · number⌋
//! gate = mask + σ(r) − stop_gradient(σ(r)),   so ∂L/∂α = ∂L/∂gate · σ(r) · (1 − σ(r)) where the mask is 1
//! ```

use dyrep_config::SearchConfig;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Open01};
use serde::{Deserialize, Serialize};

use crate::layer::mix;

/// Where a search stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchPhase {
    /// Masks are drawn, the scores stay at 0.
    Random,
    /// The scores learn.
    Search,
    /// The branches with the highest scores train alone.
    Final,
}

/// The steps at which a search changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Phases {
    /// Steps of random masks.
    pub(crate) random: u64,
    /// Steps before the last phase.
    pub(crate) search: u64,
}

impl Phases {
    pub(crate) fn of(config: &SearchConfig, steps_per_epoch: usize) -> Self {
        let steps = |epochs: usize| (epochs as u64).saturating_mul(steps_per_epoch as u64);
        Self { random: steps(config.random_until), search: steps(config.search_until) }
    }

    /// The phase of a step, counted from 0.
    pub(crate) fn at(self, step: u64) -> SearchPhase {
        match step {
            step if step < self.random => SearchPhase::Random,
            step if step < self.search => SearchPhase::Search,
            _ => SearchPhase::Final,
        }
    }

    /// What the rate of the scores' Adam is multiplied by at a step of the search: half a cosine from 1 to 0.
    pub(crate) fn cosine(self, step: u64) -> f64 {
        let (done, all) = (step.saturating_sub(self.random), self.search - self.random);
        0.5 * (1.0 + (std::f64::consts::PI * done as f64 / all as f64).cos())
    }
}

/// How many of `number` branches run at once: ⌊share · number⌋.
pub(crate) fn budget(share: f64, number: usize) -> usize {
    // A product that is whole but for its rounding is whole: 0.29 · 100 is 29.
    ((share * number as f64) + 1e-9).floor() as usize
}

/// Two numbers above 0 and below 1 for each branch, a function of (seed, step).
pub(crate) fn draws(seed: u64, step: u64, number: usize) -> Vec<[f64; 2]> {
    let mut generator = ChaCha8Rng::seed_from_u64(mix([seed, step], "search"));
    let mut draw = || Open01.sample(&mut generator);
    (0..number).map(|_| [draw(), draw()]).collect()
}

/// Scores with noise: the difference of two Gumbel draws, −ln(−ln u) of each number.
pub(crate) fn ranks(scores: &[f64], draws: &[[f64; 2]]) -> Vec<f64> {
    let gumbel = |uniform: f64| -(-uniform.ln()).ln();
    let noisy =
        |(score, [first, second]): (&f64, &[f64; 2])| score + gumbel(*first) - gumbel(*second);
    scores.iter().zip(draws).map(noisy).collect()
}

/// The `count` highest; of equal ones the first.
pub(crate) fn highest(ranks: &[f64], count: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..ranks.len()).collect();
    order.sort_by(|&left, &right| ranks[right].total_cmp(&ranks[left]).then(left.cmp(&right)));
    let mut mask = vec![false; ranks.len()];
    order.into_iter().take(count).for_each(|at| mask[at] = true);
    mask
}

/// σ'(r).
pub(crate) fn slope(rank: f64) -> f64 {
    let sigmoid = 1.0 / (1.0 + (-rank).exp());
    sigmoid * (1.0 - sigmoid)
}

/// The scores, and the averages of their Adam (as PyTorch's: the decay is added to the gradient, ε 1e-8).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scores {
    pub(crate) alpha: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
    updates: i32,
}

const EPSILON: f64 = 1e-8;

impl Scores {
    pub(crate) fn zeros(number: usize) -> Self {
        let zeros = || vec![0.0; number];
        Self { alpha: zeros(), first: zeros(), second: zeros(), updates: 0 }
    }

    /// Whether they are whole numbers of so many branches.
    pub(crate) fn is_of(&self, number: usize) -> bool {
        [&self.alpha, &self.first, &self.second]
            .iter()
            .all(|values| values.len() == number && values.iter().all(|value| value.is_finite()))
            && self.updates >= 0
    }

    /// A step of Adam at this rate. Scores of branches that did not run have a gradient of 0, to which the decay is added
    /// as to all.
    pub(crate) fn update(&mut self, gradients: &[f64], rate: f64, config: &SearchConfig) {
        let [beta1, beta2] = config.alpha_betas;
        self.updates += 1;
        let correct = [beta1, beta2].map(|beta| 1.0 - beta.powi(self.updates));
        for (at, gradient) in gradients.iter().enumerate() {
            let gradient = gradient + config.alpha_weight_decay * self.alpha[at];
            self.first[at] += (1.0 - beta1) * (gradient - self.first[at]);
            self.second[at] = beta2 * self.second[at] + (1.0 - beta2) * gradient * gradient;
            let spread = self.second[at].sqrt() / correct[1].sqrt() + EPSILON;
            self.alpha[at] -= rate / correct[0] * self.first[at] / spread;
        }
    }
}
