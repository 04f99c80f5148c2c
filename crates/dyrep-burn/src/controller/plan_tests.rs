//! Plans from numbers.

use burn::nn::PaddingConfig2d;
use burn::tensor::Device;
use dyrep_config::{BranchKind, BranchName, Branches, Budget, CutRule, Preset};

use super::plan::*;
use crate::error::StructureError;
use crate::layer::{RepConv2d, RepConv2dConfig};
use crate::look::saliency::Scored;
use crate::structure::Structure;
use crate::structure::cost::InputSizes;

fn scored(path: &str, score: f64) -> Scored {
    Scored { path: path.to_owned(), score }
}

fn named(kind: BranchKind) -> BranchName {
    kind.into()
}

fn block(ratios: &[(BranchName, f64)]) -> BlockRatios {
    BlockRatios { path: "a".to_owned(), ratios: ratios.to_vec() }
}

/// Three 3×3 convolutions `a`, `b`, `c`, the last with four times as many channels.
fn network() -> Costed {
    let device = Device::flex();
    let conv = |channels: usize| {
        RepConv2dConfig::new([channels; 2], [3, 3])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .init(&device)
    };
    #[derive(burn::module::Module, Debug)]
    struct Net {
        a: RepConv2d,
        b: RepConv2d,
        c: RepConv2d,
    }
    let net = Net { a: conv(2), b: conv(2), c: conv(8) };
    let sizes = InputSizes::measure(&net, |net| {
        let input = |channels| burn::tensor::Tensor::zeros([1, channels, 4, 4], &device);
        drop(net.a.forward(input(2)));
        drop(net.b.forward(input(2)));
        drop(net.c.forward(input(8)));
    });
    Costed { structure: Structure::of(&net), sizes }
}

fn grow_in(scores: &[Scored], count: usize, budget: Budget) -> Vec<(String, usize)> {
    let branches = Branches::from(Preset::DyRep);
    let rule = GrowthRule { count, branches: &branches, budget };
    let plans = plan_growth(scores, &rule, &network());
    plans.into_iter().map(|plan| (plan.chosen.path, plan.rank)).collect()
}

#[test]
fn the_highest_scores_grow_and_nan_never_does() {
    let scores = [scored("a", 1.0), scored("b", f64::NAN), scored("c", 3.0)];
    let branches = Branches::from(Preset::DyRep);
    let rule = GrowthRule { count: 1, branches: &branches, budget: Budget::default() };
    let plans = plan_growth(&scores, &rule, &network());
    assert_eq!(plans.len(), 1);
    assert_eq!(plans[0].chosen, scored("c", 3.0));
    assert_eq!(plans[0].runner_up, Some(scored("a", 1.0)));
    assert_eq!((plans[0].rank, plans[0].candidates), (1, 3));
    let paths = grow_in(&scores, 5, Budget::default());
    assert_eq!(paths, [("c".to_owned(), 1), ("a".to_owned(), 2)]);
    assert_eq!(plan_growth(&[scored("b", f64::NAN)], &rule, &network()), []);
    assert_eq!(plan_growth(&[], &rule, &network()), []);
}

#[test]
fn a_candidate_beyond_the_budget_is_passed_over() {
    let scores = [scored("a", 1.0), scored("b", 2.0), scored("c", 3.0)];
    let flops = |limit| Budget { flops: Some(limit), params: None };
    // `c` has most of the arithmetic: growing it about triples the network's.
    let one = |path: &str, rank| (path.to_owned(), rank);
    assert_eq!(grow_in(&scores, 1, flops(4.0)), [one("c", 1)]);
    assert_eq!(grow_in(&scores, 1, flops(1.5)), [one("b", 2)]);
    assert_eq!(grow_in(&scores, 9, flops(1.5)), [one("b", 2), one("a", 3)]);
    assert_eq!(grow_in(&scores, 9, flops(1.0)), []);
    let params = Budget { params: Some(1.5), flops: None };
    assert_eq!(grow_in(&scores, 1, params), [one("b", 2)]);
}

#[test]
fn branches_below_mean_and_threshold_are_cut_where_ratios_differ() {
    // The ratios of a published run, and what it cut.
    let ratios = [
        (named(BranchKind::POINTWISE), 0.079_743),
        (named(BranchKind::POINTWISE_KXK), 0.120_284),
        (named(BranchKind::POINTWISE_AVG), 0.064_509),
        (named(BranchKind::ONE_BY_K), 0.067_988),
        (named(BranchKind::K_BY_ONE), 0.091_429),
        (named(BranchKind::IDENTITY), 0.050_306),
    ];
    let plans = plan_cuts(&[block(&ratios)], CutRule::published(), &network());
    let cut = [
        named(BranchKind::POINTWISE_AVG),
        named(BranchKind::ONE_BY_K),
        named(BranchKind::IDENTITY),
    ];
    assert_eq!(plans[0].branches, cut);
    assert_eq!(plan_cuts(&[block(&ratios)], CutRule::Never, &network()), []);
}

#[test]
fn a_block_that_has_just_grown_keeps_everything() {
    let ratios = BranchKind::NAMED.map(|kind| (kind.into(), 0.01));
    assert_eq!(plan_cuts(&[block(&ratios)], CutRule::default(), &network()), []);
}

#[test]
fn a_branch_left_alone_is_judged_but_not_by_the_published_rule() {
    let weak = [block(&[(named(BranchKind::POINTWISE), 0.015)])];
    let cut = |rule| plan_cuts(&weak, rule, &network()).len();
    assert_eq!(cut(CutRule::default()), 1);
    assert_eq!(cut(CutRule::published()), 0);
    let strong = block(&[(named(BranchKind::POINTWISE), 0.05)]);
    assert_eq!(plan_cuts(&[strong], CutRule::default(), &network()), []);
}

#[test]
fn top_k_keeps_the_strongest_of_the_whole_network() {
    let weak = [(named(BranchKind::POINTWISE), 0.1), (named(BranchKind::IDENTITY), 0.4)];
    let strong = [(named(BranchKind::ONE_BY_K), 0.3), (named(BranchKind::K_BY_ONE), f64::NAN)];
    let blocks = [
        BlockRatios { path: "a".to_owned(), ratios: weak.to_vec() },
        BlockRatios { path: "b".to_owned(), ratios: strong.to_vec() },
    ];
    let cut = |keep| -> Vec<(String, Vec<BranchName>)> {
        let plans = plan_cuts(&blocks, CutRule::TopK { keep }, &network());
        plans.into_iter().map(|plan| (plan.path, plan.branches)).collect()
    };
    assert_eq!(cut(4), []);
    assert_eq!(cut(3), [("a".to_owned(), vec![named(BranchKind::POINTWISE)])]);
    let both = vec![named(BranchKind::POINTWISE), named(BranchKind::IDENTITY)];
    assert_eq!(
        cut(1),
        [("a".to_owned(), both.clone()), ("b".to_owned(), vec![named(BranchKind::ONE_BY_K)])]
    );
    let rest = vec![named(BranchKind::ONE_BY_K), named(BranchKind::K_BY_ONE)];
    assert_eq!(cut(0), [("a".to_owned(), both), ("b".to_owned(), rest)]);
}

#[test]
fn a_budget_cuts_the_weakest_until_it_is_met() {
    let mut grown = network();
    let branches = Branches::from(Preset::AcNet);
    for path in ["a", "c"] {
        grown.structure.grow(path, &branches).unwrap();
    }
    let ratios =
        |one, other| vec![(named(BranchKind::ONE_BY_K), one), (named(BranchKind::K_BY_ONE), other)];
    let blocks = [
        BlockRatios { path: "a".to_owned(), ratios: ratios(0.1, 0.5) },
        BlockRatios { path: "c".to_owned(), ratios: ratios(0.2, 0.9) },
    ];
    let mut left = grown.clone();
    let budget = Budget { flops: Some(1.4), params: None };
    for plan in plan_cuts(&blocks, CutRule::Budget(budget), &grown) {
        left.structure.cut(&plan.path, &plan.branches).unwrap();
    }
    let deployed = left.sizes.cost(&left.structure.deployed());
    let fits = |costed: &Costed| budget.allows(costed.cost(), deployed);
    assert!(!fits(&grown) && fits(&left));
    // Not one more than needed: with the stronger of those cut still there it would not fit.
    let mut fewer = grown.clone();
    fewer.structure.cut("a", &[named(BranchKind::ONE_BY_K)]).unwrap();
    assert!(!fits(&fewer));
    let loose = CutRule::Budget(Budget { flops: Some(2.0), params: None });
    assert_eq!(plan_cuts(&blocks, loose, &grown), []);
}

#[test]
fn inner_blocks_come_first_and_go_with_their_branch() {
    let ratios = vec![(named(BranchKind::POINTWISE_KXK), 0.0), (named(BranchKind::ONE_BY_K), 0.5)];
    let at = |path: &str| BlockRatios { path: path.to_owned(), ratios: ratios.clone() };
    let blocks = [at("a"), at("a.kxk.conv"), at("a.1x1_kxk.conv2")];
    let plans = plan_cuts(&blocks, CutRule::default(), &network());
    let paths: Vec<&str> = plans.iter().map(|plan| plan.path.as_str()).collect();
    assert_eq!(paths, ["a.kxk.conv", "a"]);
}

#[test]
fn structures_refuse_changes_that_make_no_sense() {
    let mut structure = network().structure;
    let dbb = Branches::from(Preset::Dbb);
    let refused = |result: Result<(), StructureError>| result.unwrap_err().to_string();
    assert!(refused(structure.grow("d", &dbb)).contains("`d`"));
    assert!(refused(structure.cut("a", &[named(BranchKind::POINTWISE)])).contains("plain"));
    structure.grow("a", &dbb).unwrap();
    assert!(refused(structure.grow("a", &dbb)).contains("already"));
    assert!(refused(structure.cut("a", &[named(BranchKind::IDENTITY)])).contains("`identity`"));
    assert!(refused(structure.cut("a", &[])).contains("named"));
}
