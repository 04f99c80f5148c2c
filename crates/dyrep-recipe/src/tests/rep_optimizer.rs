//! The strategy `repoptimizer`.

use super::broken::check;
use super::{RepOptimizerRecipe, SHORT, StrategyRecipe, parse};

/// Without a file the constants are those that a search starts from; a file and a search are said.
#[test]
fn repoptimizer_has_scales_or_searches_them() {
    let of = |changes: &[&str]| {
        let recipe = parse(SHORT, &[&["strategy.name=repoptimizer"], changes].concat()).unwrap();
        assert_eq!(parse(&recipe.to_toml().unwrap(), &[]).unwrap(), recipe);
        assert!(recipe.strategy.branching().branches.is_plain() && recipe.controller().is_none());
        match recipe.strategy {
            StrategyRecipe::RepOptimizer(own) => own,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of(&[]), RepOptimizerRecipe::default());
    let own = of(&["strategy.scales=runs/search/scales.json", "strategy.search=true"]);
    assert_eq!(own.scales, Some("runs/search/scales.json".into()));
    assert!(own.search);
}

/// Steps of other optimisers, multiplied, are not those of blocks; a search is with any of them, but starts anew.
#[test]
fn what_repoptimizer_cannot_be_with() {
    for name in ["adam", "rmsprop", "lamb"] {
        let strategy = ("\"dyrep\"", "\"repoptimizer\"");
        let optimizer = format!("[optimizer]\nname = '{name}'");
        let want = format!(
            "recipes/x.toml:8: `name` in [optimizer]: expected `sgd` or `adamw` for the strategy \
             `repoptimizer`: steps of others are not those of its blocks, found \"{name}\""
        );
        check(&[strategy, ("[optimizer]", &optimizer)], &want);
        let search =
            format!("strategy.name=repoptimizer strategy.search=true optimizer.name={name}");
        parse(SHORT, &search.split(' ').collect::<Vec<_>>()).unwrap();
    }
    check(
        &[("\"dyrep\"", "\"csla\"\nsearch = true")],
        "recipes/x.toml:16: `search` in [strategy] goes with `repoptimizer`, not with `csla`",
    );
    check(
        &[("\"dyrep\"", "\"repoptimizer\"\nsearch = 1")],
        "recipes/x.toml:16: `search` in [strategy]: expected true or false, found 1",
    );
    check(
        &[
            ("\"dyrep\"", "\"repoptimizer\"\nsearch = true"),
            ("\"resnet18\"", "\"resnet18\"\nweights = 'w.bpk'"),
        ],
        "recipes/x.toml:3: `weights` in [model]: expected none for a `search` of `repoptimizer`, which \
         starts anew, found \"w.bpk\"",
    );
}
