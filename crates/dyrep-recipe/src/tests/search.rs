//! `repnas`: the published settings, what a run decides where a key is absent, and what goes with what.

use dyrep_config::{Branches, Preset, SearchConfig};

use super::*;

fn searched(changes: &[&str]) -> Option<SearchConfig> {
    let changes = ["strategy.name=repnas"].iter().chain(changes).copied().collect::<Vec<_>>();
    parse(SHORT, &changes).unwrap().search()
}

#[test]
fn the_shipped_recipe_is_the_published_one() {
    let recipe = Recipe::builtin("imagenet_repnas_a0", &[]).unwrap();
    // Every figure of the published code, 15 and 50 of 150 epochs among them.
    assert_eq!(recipe.search(), Some(SearchConfig::default()));
    let SearchConfig { share, random_until, search_until, .. } = SearchConfig::default();
    assert_eq!((share, random_until, search_until), (0.34, 15, 50));
    assert_eq!(recipe.schedule.epochs, 150);
    assert_eq!(recipe.model.name, "repvgg_a0");
    let optimizer = &recipe.optimizer;
    assert_eq!(optimizer.method, Method::Sgd { momentum: 0.9, nesterov: false });
    assert_eq!((optimizer.learning_rate, optimizer.batch_size), (0.1, 256));
    assert_eq!((optimizer.weight_decay, optimizer.decay_norms_and_biases), (1e-4, false));
    assert_eq!(optimizer.clip_norm, Some(5.0));
    let branching = recipe.strategy.branching();
    assert_eq!(branching.branches, Branches::Preset(Preset::RepNas));
    assert!(recipe.controller().is_none());
    assert!(Recipe::builtin("imagenet_resnet18", &[]).unwrap().search().is_none());
}

#[test]
fn phases_are_shares_of_the_run_unless_they_are_said() {
    let phases = |changes: &[&str]| {
        let config = searched(changes).unwrap();
        config.check().unwrap();
        (config.random_until, config.search_until)
    };
    assert_eq!(phases(&["schedule.epochs=150"]), (15, 50));
    assert_eq!(phases(&["schedule.epochs=10"]), (1, 3));
    assert_eq!(phases(&["schedule.epochs=1"]), (0, 1));
    assert_eq!(phases(&["schedule.epochs=20", "strategy.search_until=1"]), (0, 1));
    assert_eq!(phases(&["strategy.random_until=2", "strategy.search_until=9"]), (2, 9));
    let config = searched(&["run.seed=7", "strategy.alpha_betas=[0, 0.5]", "strategy.share=1"]);
    let config = config.unwrap();
    assert_eq!((config.seed, config.alpha_betas, config.share), (7, [0.0, 0.5], 1.0));
}

#[test]
fn a_structure_that_was_found_is_not_searched() {
    let structure = "strategy.structure=runs/found";
    assert_eq!(searched(&[structure]), None);
    let recipe = parse(SHORT, &["strategy.name=repnas", structure]).unwrap();
    assert_eq!(parse(&recipe.to_toml().unwrap(), &[]).unwrap(), recipe);
    assert_eq!(recipe.strategy.branching().branches, Branches::Preset(Preset::RepNas));
}

#[test]
fn what_cannot_be_searched_is_told_by_its_key() {
    let refused = |changes: &[&str]| parse(SHORT, changes).unwrap_err().to_string();
    for change in ["evaluation.ship=best", "evaluation.early_stopping=3"] {
        let text = refused(&["strategy.name=repnas", change]);
        let key = change.split(['.', '=']).nth(1).unwrap();
        assert!(text.contains(&format!("`{key}` in [evaluation]: expected")), "{text}");
        let found = ["strategy.name=repnas", "strategy.structure=runs/found", change];
        assert!(parse(SHORT, &found).is_ok());
    }
    for (change, want) in [
        ("share=0", "`share` in [strategy]: expected a number above 0 and not above 1, found 0"),
        (
            "search_until=11",
            "`search_until` in [strategy]: expected at most the run's 10 epochs, found 11",
        ),
        (
            "random_until=3",
            "`random_until` in [strategy]: expected fewer than the 3 of `search_until`, found 3",
        ),
        ("alpha_betas=[0.5]", "`alpha_betas` in [strategy]"),
        (
            "alpha_betas=[0.5, 1]",
            "`alpha_betas[1]` in [strategy]: expected a number from 0 to below 1, found 1",
        ),
        ("alpha_learning_rate=0", "`alpha_learning_rate` in [strategy]: expected a number above 0"),
        (
            "interval=5",
            "`interval` in [strategy] goes with `dyrep`, `dyrep-online`, not with `repnas`",
        ),
    ] {
        let error = refused(&["strategy.name=repnas", &format!("strategy.{change}")]);
        assert!(error.contains(want), "{error}");
    }
    let error = refused(&["strategy.share=0.5"]);
    assert!(
        error.contains("`share` in [strategy] goes with `repnas`, not with `dyrep`"),
        "{error}"
    );
}
