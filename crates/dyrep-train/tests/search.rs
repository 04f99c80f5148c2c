//! A run that searches branches, and one that trains what was found.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use burn::module::Module;
use common::{Options, network_with, search, training};
use dyrep_burn::{
    BranchKind, BranchName, Form, Preset, SearchConfig, SearchPhase, Structure, deploy, verify,
};
use dyrep_models::ResNet;
use dyrep_train::recipe::Recipe;
use dyrep_train::{Ended, Plan, RunRecord, TrainError};
use dyrep_weights::{Label, Load, OpenOptions, write_burnpack};

const EPOCHS: usize = 4;

fn run(config: SearchConfig) -> (Ended<ResNet>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new(EPOCHS, folder.path()).searching();
    options.training.search = Some(config);
    options.training.optimizer.clip_norm = Some(5.0);
    (options.run().unwrap(), folder)
}

/// Gated branches that a structure runs, without those of layers of which nothing was chosen.
fn gated(structure: &Structure, chosen: &[(String, BranchName)]) -> usize {
    let runs = |path: &str, name: BranchName| match &structure.layers()[path].form {
        Form::Block(block) => block.running().any(|branch| branch.name == name),
        Form::Plain { .. } | Form::Stack(_) => false,
    };
    chosen.iter().filter(|(path, name)| runs(path, *name)).count()
}

#[test]
fn a_run_ends_with_what_it_has_chosen() {
    let (ended, folder) = run(search());
    let report = ended.record.search.clone().unwrap();
    assert_eq!(report.phase, SearchPhase::Final);
    assert!(report.scores.iter().any(|score| *score != 0.0));
    let number = report.scores.len();
    assert_eq!(report.budget, number * 34 / 100);
    assert_eq!(report.chosen.iter().filter(|chosen| **chosen).count(), report.budget);
    let chosen: Vec<(String, BranchName)> = report
        .rows()
        .flat_map(|(path, row)| {
            let chosen = row.into_iter().filter(|(.., chosen)| *chosen);
            chosen.map(|(name, ..)| (path.to_owned(), name)).collect::<Vec<_>>()
        })
        .collect();
    let found = Structure::of(&ended.network);
    assert_eq!(gated(&found, &chosen), report.budget);
    // Beside what was chosen only identities run, and k×k where nothing else does.
    for (path, layer) in found.layers() {
        // A 1×1 convolution is not searched.
        let Form::Block(block) = &layer.form else { continue };
        let own = chosen.iter().filter(|(at, _)| at == path).count();
        let identity = block.running().any(|it| it.name.kind == BranchKind::IDENTITY);
        let lonely = usize::from(own == 0 && !identity);
        assert_eq!(block.running().count(), own + usize::from(identity) + lonely, "{path}");
        let resting = block.branches.iter().filter(|branch| branch.resting);
        assert!(resting.into_iter().all(|it| it.name == BranchName::MAIN), "{path}");
    }
    // What every epoch tells is of what ran: never more than the budget, identities and lonely layers.
    let all: usize = found.layers().len();
    for epoch in &ended.record.epochs {
        assert!(epoch.branches <= report.budget + all, "{}", epoch.branches);
        assert!(epoch.branches >= report.budget);
    }
    // What rests is in no count: neither of what the network is made of, nor of what it is deployed as.
    let cost: u64 = found.layers().values().map(|it| it.form.params(&it.geometry)).sum();
    let rest: u64 = found.layers().values().map(|it| it.form.resting_params(&it.geometry)).sum();
    let plain = network_with(Preset::Plain);
    let convolutions: u64 =
        Structure::of(&plain).layers().values().map(|it| it.form.params(&it.geometry)).sum();
    let beyond = plain.params() as u64 - convolutions;
    assert_eq!(ended.network.params() as u64, cost + beyond);
    assert!(rest > 0 && ended.record.epochs[EPOCHS - 1].params == cost + beyond);
    // It is shipped as any other.
    let pictures = burn::tensor::Tensor::ones([2, 1, 8, 8], &dyrep_tests::under_test());
    let forward = |network: &ResNet, pictures| network.forward(pictures);
    let shipped = verify(&ended.network, &deploy(&ended.network), [pictures], forward);
    assert!(shipped.model.relative < 1e-4, "{:?}", shipped.model);
    let page = RunRecord::load(&RunRecord::path(folder.path())).unwrap().report();
    assert!(page.contains("The search has ended."), "no section");
    assert!(page.contains(&format!("{} of {number} branches are chosen.", report.budget)));
}

#[test]
fn another_seed_searches_otherwise_and_the_same_one_alike() {
    let reports = [5, 5, 6].map(|seed| {
        let (ended, _folder) = run(SearchConfig { seed, ..search() });
        ended.record.search.unwrap()
    });
    assert_eq!(reports[0], reports[1]);
    assert_ne!(reports[0].scores, reports[2].scores);
}

/// A file of weights says what rests in it; read back it is the same function, and its structure the same.
#[test]
fn files_keep_what_rests() {
    let (ended, folder) = run(search());
    let found = Structure::of(&ended.network);
    let main_rests = |layer: &dyrep_burn::LayerStructure| match &layer.form {
        Form::Block(block) => block.main().resting,
        Form::Plain { .. } | Form::Stack(_) => false,
    };
    assert!(found.layers().values().any(main_rests), "k×k is chosen everywhere: nothing is tested");
    assert_eq!(Structure::from_json(&found.to_json()).unwrap(), found);
    let pictures = burn::tensor::Tensor::ones([2, 1, 8, 8], &dyrep_tests::under_test());
    let want = ended.network.forward(pictures.clone()).into_data();
    for preset in [Preset::RepNas, Preset::Plain] {
        let file = folder.path().join(format!("{preset}.bpk"));
        write_burnpack(&ended.network, &Label::default(), &file).unwrap();
        let weights = OpenOptions::default().open(&file).unwrap();
        let (network, _) = Load::strict().into(network_with(preset).valid(), &weights).unwrap();
        assert_eq!(Structure::of(&network), found, "into {preset}");
        assert_eq!(network.forward(pictures.clone()).into_data(), want, "into {preset}");
    }
}

#[test]
fn what_was_found_is_trained_from_scratch() {
    let (ended, folder) = run(search());
    let found = Structure::of(&ended.network);
    let structure = folder.path().join("structure.json");
    found.save(&structure).unwrap();
    // Into a network of its own size, by a run without a search.
    let again = tempfile::tempdir().unwrap();
    let mut options = Options::new(1, again.path());
    options.training.controller = None;
    options.network = found.begin(network_with(Preset::RepNas), 1).unwrap();
    let scratch = options.run().unwrap();
    assert_eq!(Structure::of(&scratch.network), found);
    assert!(scratch.record.search.is_none());

    // By a recipe, whose file may be a run's folder.
    let plan = |path: &std::path::Path, changes: &[&str]| -> Result<Plan, TrainError> {
        let path = format!("strategy.structure={}", path.display());
        let all = ["strategy.name=repnas", "model.width=4", &*path].into_iter();
        let changes: Vec<_> =
            all.chain(changes.iter().copied()).map(|it| it.parse().unwrap()).collect();
        Plan::new(&Recipe::builtin("digits_quick", &changes).unwrap(), &[dyrep_tests::under_test()])
    };
    for path in [folder.path(), &structure] {
        let plan = plan(path, &[]).unwrap();
        assert_eq!(Structure::of(&plan.network), found);
        assert!(plan.training.search.is_none() && plan.training.controller.is_none());
    }
    let weights = |seed: &str| {
        let network = plan(&structure, &[seed]).unwrap().network;
        common::bits(&network)
    };
    assert_eq!(weights("run.seed=3"), weights("run.seed=3"));
    assert_ne!(weights("run.seed=3"), weights("run.seed=4"));
    let error = plan(&structure, &["model.name=resnet34"]).unwrap_err();
    assert!(matches!(error, TrainError::Structure(_)), "{error}");
    let error = plan(&again.path().join("none.json"), &[]).unwrap_err().to_string();
    assert!(error.contains("none.json"), "{error}");
}

#[test]
fn what_is_frozen_is_not_searched() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new(EPOCHS, folder.path()).searching();
    options.training.optimizer.groups = training(1).optimizer.groups;
    options.network = options.network.freeze();
    let error = options.run().unwrap_err();
    assert!(matches!(error, TrainError::Search(_)), "{error}");
}
