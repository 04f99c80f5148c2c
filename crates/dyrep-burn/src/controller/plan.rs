//! What to grow and what to cut: decided from numbers and forms alone, so it can be tested without a tensor.

use dyrep_config::{BranchName, Branches, Budget, Cost, CutRule};
use serde::{Deserialize, Serialize};

use crate::look::nest::join;
use crate::look::saliency::Scored;
use crate::structure::Structure;
use crate::structure::cost::InputSizes;

/// A structure and what it costs.
#[derive(Clone, Debug)]
pub struct Costed {
    /// The structure.
    pub structure: Structure,
    /// The sizes of its layers' inputs.
    pub sizes: InputSizes,
}

impl Costed {
    /// The cost in training form.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.sizes.cost(&self.structure)
    }

    fn within(&self, budget: Budget) -> bool {
        budget.allows(self.cost(), self.sizes.cost(&self.structure.deployed()))
    }
}

/// What may grow at one adjustment.
#[derive(Clone, Copy, Debug)]
pub struct GrowthRule<'a> {
    /// How many convolutions, at most.
    pub count: usize,
    /// The branches that each gets.
    pub branches: &'a Branches,
    /// What the network may cost afterwards.
    pub budget: Budget,
}

/// A convolution to grow, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GrowthPlan {
    /// The convolution.
    pub chosen: Scored,
    /// Its place among the candidates by score, from 1.
    pub rank: usize,
    /// The candidate ranked next, if there is one.
    pub runner_up: Option<Scored>,
    /// How many candidates there were.
    pub candidates: usize,
}

/// Picks the candidates with the highest scores that the budget allows; the first of equals. Scores that are
/// not numbers lose.
#[must_use]
pub fn plan_growth(scores: &[Scored], rule: &GrowthRule<'_>, now: &Costed) -> Vec<GrowthPlan> {
    let mut ranked: Vec<&Scored> = scores.iter().filter(|scored| !scored.score.is_nan()).collect();
    ranked.sort_by(|left, right| right.score.total_cmp(&left.score));
    let mut now = now.clone();
    let mut plans = vec![];
    for (i, scored) in ranked.iter().enumerate() {
        if plans.len() == rule.count {
            break;
        }
        let mut grown = now.clone();
        // A branch that cannot exist is reported where it is grown.
        if grown.structure.grow(&scored.path, rule.branches).is_ok() {
            if !grown.within(rule.budget) {
                continue;
            }
            now = grown;
        }
        plans.push(GrowthPlan {
            chosen: (*scored).clone(),
            rank: i + 1,
            runner_up: ranked.get(i + 1).map(|next| (*next).clone()),
            candidates: scores.len(),
        });
    }
    plans
}

/// How strong each optional branch of a block is.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockRatios {
    /// The block's path.
    pub path: String,
    /// For each branch beside `kxk` its strength, as [`block_ratios`](super::block_ratios) measures it.
    pub ratios: Vec<(BranchName, f64)>,
}

/// Branches to cut from one block, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CutPlan {
    /// The block's path.
    pub path: String,
    /// The branches to cut.
    pub branches: Vec<BranchName>,
    /// The ratios of all optional branches.
    #[serde(with = "crate::number::named")]
    pub ratios: Vec<(BranchName, f64)>,
    /// Their mean.
    #[serde(with = "crate::number")]
    pub mean: f64,
    /// Their sample standard deviation; zero for a branch left alone.
    #[serde(with = "crate::number")]
    pub deviation: f64,
}

/// A branch to cut, and its block.
type Weak<'a> = (&'a BlockRatios, BranchName);

/// Picks the branches to cut: innermost blocks first, so that each path still stands when its turn comes.
///
/// A block inside a branch that is cut goes with it, and needs no cut of its own.
#[must_use]
pub fn plan_cuts(blocks: &[BlockRatios], rule: CutRule, now: &Costed) -> Vec<CutPlan> {
    let weak = match rule {
        CutRule::Never => vec![],
        CutRule::Threshold { min_deviation, max_ratio, lone } => {
            below_threshold(blocks, min_deviation, max_ratio, lone)
        }
        CutRule::TopK { keep } => {
            let ranked = weakest_first(blocks);
            let cut = ranked.len().saturating_sub(keep);
            ranked[..cut].to_vec()
        }
        CutRule::Budget(budget) => beyond_budget(blocks, budget, now),
    };
    by_block(blocks, &weak)
}

/// The cuts of each block that together cut the `weak` branches, innermost blocks first.
fn by_block(blocks: &[BlockRatios], weak: &[Weak<'_>]) -> Vec<CutPlan> {
    let gone: Vec<String> = weak
        .iter()
        .filter(|(_, name)| name.kind.nests())
        .map(|(block, name)| format!("{}.", join(&block.path, &name.to_string())))
        .collect();
    let stands = |block: &&BlockRatios| !gone.iter().any(|gone| block.path.starts_with(gone));
    let plans = blocks.iter().filter(stands).filter_map(|block| {
        let cut = weak.iter().filter(|(other, _)| other.path == block.path);
        let mut branches: Vec<BranchName> = cut.map(|(_, kind)| *kind).collect();
        branches.sort_unstable();
        let (mean, deviation) = spread(block);
        let (path, ratios) = (block.path.clone(), block.ratios.clone());
        (!branches.is_empty()).then_some(CutPlan { path, branches, ratios, mean, deviation })
    });
    let mut plans: Vec<CutPlan> = plans.collect();
    plans.sort_by_key(|plan| std::cmp::Reverse(plan.path.matches('.').count()));
    plans
}

/// Mean and sample standard deviation of a block's ratios.
fn spread(block: &BlockRatios) -> (f64, f64) {
    let count = block.ratios.len() as f64;
    let mean = block.ratios.iter().map(|(_, ratio)| ratio).sum::<f64>() / count;
    let squares = block.ratios.iter().map(|(_, ratio)| (ratio - mean).powi(2)).sum::<f64>();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

fn below_threshold(
    blocks: &[BlockRatios],
    min_deviation: f64,
    max_ratio: f64,
    lone: bool,
) -> Vec<Weak<'_>> {
    let weak = blocks.iter().flat_map(|block| {
        let (mean, deviation) = spread(block);
        let weak = move |ratio: f64| match block.ratios.len() {
            1 => lone && ratio <= min_deviation,
            _ => deviation > min_deviation && ratio < mean && ratio < max_ratio,
        };
        let cut = block.ratios.iter().filter(move |(_, ratio)| weak(*ratio));
        cut.map(move |(kind, _)| (block, *kind))
    });
    weak.collect()
}

/// All branches by ratio; those whose ratio is not a number come last, and are cut last.
fn weakest_first(blocks: &[BlockRatios]) -> Vec<Weak<'_>> {
    let branches =
        blocks.iter().flat_map(|block| block.ratios.iter().map(move |ratio| (block, ratio)));
    let mut ranked: Vec<(&BlockRatios, &(BranchName, f64))> = branches.collect();
    let strength = |ratio: f64| if ratio.is_nan() { f64::INFINITY } else { ratio };
    ranked.sort_by(|(_, left), (_, right)| strength(left.1).total_cmp(&strength(right.1)));
    ranked.into_iter().map(|(block, (kind, _))| (block, *kind)).collect()
}

/// As few of the weakest as bring the network within the budget; all if none does.
fn beyond_budget<'a>(blocks: &'a [BlockRatios], budget: Budget, now: &Costed) -> Vec<Weak<'a>> {
    let ranked = weakest_first(blocks);
    let within = |count: usize| {
        let mut left = now.clone();
        for plan in by_block(blocks, &ranked[..count]) {
            // A path that does not stand is reported where it is cut.
            let _ = left.structure.cut(&plan.path, &plan.branches);
        }
        left.within(budget)
    };
    // What is cut costs no more: the counts that do not suffice come first.
    let counts: Vec<usize> = (0..=ranked.len()).collect();
    let enough = counts.partition_point(|&count| !within(count)).min(ranked.len());
    ranked[..enough].to_vec()
}
