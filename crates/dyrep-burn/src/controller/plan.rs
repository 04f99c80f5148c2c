//! What to grow and what to cut: decided from numbers alone, so it can be tested without a tensor.

use serde::{Deserialize, Serialize};

use crate::branch::BranchKind;
use crate::saliency::Scored;

/// The convolution to grow, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GrowthPlan {
    /// The best candidate.
    pub best: Scored,
    /// The next best, if there was another.
    pub runner_up: Option<Scored>,
    /// How many candidates there were.
    pub candidates: usize,
}

/// Picks the candidate with the highest score; the first of equals. Scores that are not numbers lose.
#[must_use]
pub fn plan_growth(scores: &[Scored]) -> Option<GrowthPlan> {
    let mut ranked: Vec<&Scored> = scores.iter().filter(|scored| !scored.score.is_nan()).collect();
    ranked.sort_by(|left, right| right.score.total_cmp(&left.score));
    let best = (*ranked.first()?).clone();
    let runner_up = ranked.get(1).map(|scored| (*scored).clone());
    Some(GrowthPlan { best, runner_up, candidates: scores.len() })
}

/// How strong each optional branch of a block is.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockRatios {
    /// The block's path.
    pub path: String,
    /// For each optional branch: mean |γ| of its last batch norm, over mean |γ| of `kxk`'s.
    pub ratios: Vec<(BranchKind, f64)>,
}

/// When a branch is weak enough to cut (DyRep, section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CutRule {
    /// Blocks whose ratios have no larger sample standard deviation keep all branches. A branch left alone
    /// has no deviation; it is cut when its ratio is not above this.
    pub min_deviation: f64,
    /// Only branches with a ratio below this, and below the block's mean, are cut.
    pub max_ratio: f64,
}

impl Default for CutRule {
    fn default() -> Self {
        Self { min_deviation: 0.02, max_ratio: 0.1 }
    }
}

/// Branches to cut from one block, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CutPlan {
    /// The block's path.
    pub path: String,
    /// The branches to cut.
    pub branches: Vec<BranchKind>,
    /// The ratios of all optional branches.
    pub ratios: Vec<(BranchKind, f64)>,
    /// Their mean.
    pub mean: f64,
    /// Their sample standard deviation; zero for a branch left alone.
    pub deviation: f64,
}

/// Picks the weak branches of every block: innermost blocks first, so that each path still stands when its
/// turn comes.
#[must_use]
pub fn plan_cuts(blocks: &[BlockRatios], rule: CutRule) -> Vec<CutPlan> {
    let mut plans: Vec<CutPlan> =
        blocks.iter().filter_map(|block| plan_block(block, rule)).collect();
    plans.sort_by_key(|plan| std::cmp::Reverse(plan.path.matches('.').count()));
    plans
}

fn plan_block(block: &BlockRatios, rule: CutRule) -> Option<CutPlan> {
    let count = block.ratios.len() as f64;
    let mean = block.ratios.iter().map(|(_, ratio)| ratio).sum::<f64>() / count;
    let squares = block.ratios.iter().map(|(_, ratio)| (ratio - mean).powi(2)).sum::<f64>();
    let deviation = (squares / (count - 1.0).max(1.0)).sqrt();
    let weak = |ratio: f64| match block.ratios.len() {
        1 => ratio <= rule.min_deviation,
        _ => deviation > rule.min_deviation && ratio < mean && ratio < rule.max_ratio,
    };
    let cut = block.ratios.iter().filter(|(_, ratio)| weak(*ratio));
    let branches: Vec<BranchKind> = cut.map(|(kind, _)| *kind).collect();
    (!branches.is_empty()).then(|| CutPlan {
        path: block.path.clone(),
        branches,
        ratios: block.ratios.clone(),
        mean,
        deviation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(path: &str, score: f64) -> Scored {
        Scored { path: path.to_owned(), score }
    }

    fn block(ratios: &[(BranchKind, f64)]) -> BlockRatios {
        BlockRatios { path: "conv".to_owned(), ratios: ratios.to_vec() }
    }

    #[test]
    fn the_highest_score_grows_and_nan_never_does() {
        let scores = [scored("a", 1.0), scored("b", f64::NAN), scored("c", 3.0), scored("d", 2.0)];
        let plan = plan_growth(&scores).unwrap();
        assert_eq!(plan.best, scored("c", 3.0));
        assert_eq!(plan.runner_up, Some(scored("d", 2.0)));
        assert_eq!(plan.candidates, 4);
        assert_eq!(plan_growth(&[scored("b", f64::NAN)]), None);
        assert_eq!(plan_growth(&[]), None);
    }

    #[test]
    fn branches_below_mean_and_threshold_are_cut_where_ratios_differ() {
        // The ratios of a published run, and what it cut.
        let ratios = [
            (BranchKind::Pointwise, 0.079_743),
            (BranchKind::PointwiseKxk, 0.120_284),
            (BranchKind::PointwiseAvg, 0.064_509),
            (BranchKind::OneByK, 0.067_988),
            (BranchKind::KByOne, 0.091_429),
            (BranchKind::Identity, 0.050_306),
        ];
        let plans = plan_cuts(&[block(&ratios)], CutRule::default());
        let cut = [BranchKind::PointwiseAvg, BranchKind::OneByK, BranchKind::Identity];
        assert_eq!(plans[0].branches, cut);
    }

    #[test]
    fn a_block_that_has_just_grown_keeps_everything() {
        let ratios = BranchKind::ALL.map(|kind| (kind, 0.01));
        assert_eq!(plan_cuts(&[block(&ratios)], CutRule::default()), []);
    }

    #[test]
    fn a_branch_left_alone_is_judged_too() {
        let weak = block(&[(BranchKind::Pointwise, 0.015)]);
        assert_eq!(plan_cuts(&[weak], CutRule::default())[0].branches, [BranchKind::Pointwise]);
        let strong = block(&[(BranchKind::Pointwise, 0.05)]);
        assert_eq!(plan_cuts(&[strong], CutRule::default()), []);
    }

    #[test]
    fn inner_blocks_come_first() {
        let ratios = vec![(BranchKind::Pointwise, 0.0), (BranchKind::OneByK, 0.5)];
        let at = |path: &str| BlockRatios { path: path.to_owned(), ratios: ratios.clone() };
        let plans = plan_cuts(&[at("conv"), at("conv.kxk.conv")], CutRule::default());
        let paths: Vec<&str> = plans.iter().map(|plan| plan.path.as_str()).collect();
        assert_eq!(paths, ["conv.kxk.conv", "conv"]);
    }
}
