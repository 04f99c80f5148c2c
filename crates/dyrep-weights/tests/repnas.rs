//! Files with the names of the published RepNAS code load: the network that a search is at, the one that it found, deployed.
//!
//! The files come from `golden/orepa/repnas.py`.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;
mod packed;
mod states;

use burn::tensor::{Tensor, f16};
use common::assert_close;
use dyrep_burn::{
    BranchKind, Form, Preset, Search, SearchConfig, Structure, deploy, without_resting,
};
use dyrep_models::{Model, ModelConfig, RepVggConfig};
use dyrep_tests::{params, under_test};
use dyrep_weights::{Export, Naming, Report, WeightsError, open};
use packed::{expected_of, packed};
use rstest::rstest;
use safetensors::Dtype;
use states::{State, state, written};

const SEARCH: &str = "repnas_search.safetensors";

fn wanted<const D: usize>(name: &str) -> Tensor<D> {
    expected_of("repnas", name)
}

fn values(name: &str) -> Vec<f32> {
    wanted::<2>(name).into_data().iter::<f32>().collect()
}

fn searched() -> State {
    let (_folder, path) = packed(SEARCH);
    state(&path)
}

/// A checkpoint of the search with the branches that its last phase has fixed, beside the weights.
fn with_fixed(chosen: &[f32]) -> State {
    let mut all: State =
        searched().into_iter().map(|(name, one)| (format!("model.{name}"), one)).collect();
    let bytes = chosen.iter().flat_map(|value| value.to_le_bytes()).collect();
    all.insert("fixed_path".to_owned(), (Dtype::F32, vec![22, 6], bytes));
    all
}

fn built(state: &State) -> Result<(Model, Report), WeightsError> {
    let (_folder, path) = written(state);
    open(path)?.build(&under_test())
}

#[track_caller]
fn check(what: &str, (network, report): (Model, Report)) {
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.format.naming, Naming::RepNas);
    assert_close(what, network.forward(wanted("input")), wanted(what));
    assert_close("deployed", deploy(&network).forward(wanted("input")), wanted(what));
}

#[rstest]
#[case(SEARCH, "repnas_search")]
#[case("repnas_found.pt", "repnas_found")]
#[case("repnas_found_deployed.safetensors", "repnas_found")]
fn networks_are_known_by_their_tensors(#[case] file: &str, #[case] logits: &str) {
    let (_folder, path) = packed(file);
    let weights = open(path).unwrap();
    assert_eq!(weights.format().naming, Naming::RepNas);
    let candidates = weights.candidates(&under_test());
    let [(name, config)] = &candidates[..] else { panic!("{candidates:?}") };
    assert_eq!((name.name(), config.width(), config.classes()), ("repvgg_a2", 1, 5));
    check(logits, weights.build(&under_test()).unwrap());
}

/// Of a search every branch is loaded, and those rest that are not chosen. What never runs is passed over.
#[test]
fn branches_that_are_not_chosen_rest() {
    let by_alpha = built(&searched()).unwrap();
    let by_path = built(&with_fixed(&values("repnas_search_fixed/chosen"))).unwrap();
    for (file, (network, report)) in
        [("repnas_search", &by_alpha), ("repnas_search_fixed", &by_path)]
    {
        let chosen = values(&format!("{file}/chosen"));
        let structure = Structure::of(network);
        let layers = structure.layers();
        for number in 0..22 {
            let path = match number {
                0 => "stem.conv".to_owned(),
                1..3 => format!("stages.0.{}.conv", number - 1),
                3..7 => format!("stages.1.{}.conv", number - 3),
                7..21 => format!("stages.2.{}.conv", number - 7),
                _ => "stages.3.0.conv".to_owned(),
            };
            let strided = [0, 1, 3, 7, 21].contains(&number);
            let mut chosen: Vec<bool> =
                chosen[6 * number..][..6].iter().map(|one| *one == 1.0).collect();
            if strided && !chosen.contains(&true) {
                chosen[2] = true;
            }
            let Form::Block(block) = &layers[&path].form else { panic!("{path}: no block") };
            let second = if strided { "kxk.2" } else { "1x1_kxk" };
            for (name, runs) in ["1x1", "1x1_avg", "kxk", second, "1xk", "kx1"].iter().zip(chosen) {
                let branch = block.branches.iter().find(|branch| branch.name.to_string() == *name);
                assert_eq!(branch.unwrap().resting, !runs, "{file} {path}: {name}");
            }
            let others = block.branches.iter().filter(|it| it.name.kind == BranchKind::IDENTITY);
            assert_eq!(
                others.map(|it| it.resting).collect::<Vec<_>>(),
                vec![false; usize::from(!strided)]
            );
            assert_eq!(block.branches.len(), 6 + usize::from(!strided));
        }
        // Running, they are the branches that a search of this library starts with.
        assert_eq!(awake(&structure), started());
        assert!(
            report.passed_over.iter().any(|name| name.ends_with("features.0.conv.conv.weight"))
        );
        assert!(report.passed_over.iter().any(|name| name.ends_with("alphas")));
        assert_eq!(report.notes.len(), 1, "{:?}", report.notes);
    }
    assert!(by_alpha.1.notes[0].contains("the 44 branches with the largest `alphas` run, and"));
    assert!(by_path.1.notes[0].contains("the 41 branches that `fixed_path` fixes run, and"));
    check("repnas_search", by_alpha);
    check("repnas_search_fixed", by_path);
}

/// The structure with everything running.
fn awake(structure: &Structure) -> Structure {
    let mut layers = structure.layers().clone();
    for layer in layers.values_mut() {
        let Form::Block(block) = &mut layer.form else { continue };
        block.branches.iter_mut().for_each(|branch| branch.resting = false);
    }
    Structure::new(layers).unwrap()
}

/// That of the same network as a search begins with it.
fn started() -> Structure {
    Structure::of(&config().init(&under_test()).unwrap())
}

fn config() -> ModelConfig {
    let config = RepVggConfig::repvgg_a2(5).with_width(1).with_branches(Preset::RepNas);
    ModelConfig::RepVgg(config)
}

/// What rests has the file's values, which count for nothing until a search goes on.
#[test]
fn a_search_goes_on_from_what_is_loaded() {
    let all = searched();
    let (network, _) = built(&all).unwrap();
    let values = params::read(&network);
    let structure = Structure::of(&network);
    let Form::Block(block) = &structure.layers()["stages.1.0.conv"].form else {
        panic!("no block")
    };
    assert!(block.branches.iter().any(|branch| branch.resting));
    for (branch, published) in [("kxk", 2), ("kxk.2", 3), ("1xk", 4)] {
        let middle = if published == 3 { "conv2." } else { "" };
        let (dtype, shape, bytes) =
            &all[&format!("features.3._ops.{published}.{middle}conv.weight")];
        assert_eq!(*dtype, Dtype::F16);
        let halves = bytes.as_chunks::<2>().0.iter().map(|two| f16::from_le_bytes(*two).to_f32());
        let found = &values[&format!("stages.1.0.conv.{branch}.conv.weight")];
        assert_eq!(found.shape().to_vec(), *shape, "{branch}");
        assert_eq!(found.iter::<f32>().collect::<Vec<_>>(), halves.collect::<Vec<_>>(), "{branch}");
    }
    let search = Search::begin(SearchConfig::default(), &network, 10).unwrap();
    assert_eq!((search.layers().len(), search.scores().len(), search.budget()), (22, 132, 44));
    // Whatever rests in the network before, it is what the file says afterwards.
    let masked = search.apply(config().init(&under_test()).unwrap());
    let (_folder, path) = written(&all);
    let (loaded, _) = open(path).unwrap().load_into(masked).unwrap();
    assert_eq!(Structure::of(&loaded), structure);
}

/// Law 5, and the network that is left without what rests: `kxk` alone stays where it rests.
#[test]
fn what_rests_is_noted_and_can_be_left_out() {
    let (_folder, path) = written(&searched());
    let weights = open(path).unwrap();
    let label = weights.label(&under_test()).unwrap();
    let (network, _) = weights.build(&under_test()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("search.safetensors");
    Export::of(&network).labelled(&label).unwrap().safetensors(&file).unwrap();
    let (same, report) = open(&file).unwrap().build(&under_test()).unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!(Structure::of(&same), Structure::of(&network));
    assert_close("again", same.forward(wanted("input")), wanted("repnas_search"));

    let without = without_resting(network);
    for (path, layer) in Structure::of(&without).layers() {
        let Form::Block(block) = &layer.form else { panic!("{path}: no block") };
        assert!(block.branches[1..].iter().all(|branch| !branch.resting), "{path}");
    }
    assert_close("without", without.forward(wanted("input")), wanted("repnas_search"));
}

/// A found network has no k×k convolution where none was chosen; nothing of the one that a block has counts.
#[test]
fn a_found_layer_without_a_kxk_has_one_that_rests() {
    let (_folder, path) = packed("repnas_found.pt");
    let (network, report) = open(path).unwrap().build(&under_test()).unwrap();
    let note = &report.notes[0];
    assert!(note.contains("is 0 there, and rests") && report.notes.len() == 1, "{note}");
    let values = params::read(&network);
    let mut resting = 0;
    for (path, layer) in Structure::of(&network).layers() {
        let Form::Block(block) = &layer.form else { panic!("{path}: no block") };
        assert!(block.branches[1..].iter().all(|branch| !branch.resting), "{path}");
        assert_eq!(note.contains(&format!("`{path}`")), block.branches[0].resting, "{path}");
        if block.branches[0].resting {
            let weight = &values[&format!("{path}.kxk.conv.weight")];
            assert!(weight.iter::<f32>().all(|value| value == 0.0), "{path}");
            resting += 1;
        }
    }
    assert!((1..22).contains(&resting), "{resting}");
}

#[test]
fn what_does_not_tell_the_branches_is_refused() {
    let refused = |state: State, reason: &str| {
        let error = built(&state).unwrap_err();
        assert!(matches!(error, WeightsError::Tensor { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    };
    let alphas = |values: &dyn Fn(usize) -> f32, shape: [usize; 2]| {
        let mut all = searched();
        let bytes = (0..shape[0] * shape[1]).flat_map(|at| values(at).to_le_bytes()).collect();
        all.insert("alphas".to_owned(), (Dtype::F32, shape.to_vec(), bytes));
        all
    };
    // As they are before the search has begun.
    refused(alphas(&|_| 0.0, [22, 6]), "its largest values 44 and 45 are both 0");
    refused(alphas(&|at| at as f32, [22, 5]), "its shape is [22, 5], expected [22, 6]");
    let nan = |at| if at == 7 { f32::NAN } else { at as f32 };
    refused(alphas(&nan, [22, 6]), "value 7 is NaN, expected a finite number");
    refused(with_fixed(&[0.5; 132]), "value 0 is 0.5, expected 0 or 1");

    let mut all = searched();
    all.retain(|name, _| !name.starts_with("features.4._ops.5."));
    refused(all, "layer 4 has no kx1, its branch 5");
    let mut all = searched();
    all.remove("features.4._ops.1.conv1.conv.weight").unwrap();
    refused(all, "it is of none of the branches");
    let mut all = searched();
    let other = all["features.4._ops.4.conv.weight"].clone();
    let (dtype, mut shape, bytes) = other;
    shape.swap(2, 3);
    all.insert("features.4._ops.4.conv.weight".to_owned(), (dtype, shape, bytes));
    refused(all, "branch 4 of layer 4 is a kx1, expected 1xk");
}

/// Every file of the folder in the names that it has, and no doubt about them.
#[test]
fn all_files_have_their_own_names() {
    let folder = common::golden("orepa");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(file) = name.strip_suffix(".gz").filter(|name| !name.starts_with("expected"))
        else {
            continue;
        };
        let wanted = match file {
            "orepa_repvgg_a2_deployed.safetensors" => Naming::RepVgg,
            _ if file.starts_with("orepa_") => Naming::Orepa,
            _ => Naming::RepNas,
        };
        let (_folder, path) = packed(file);
        let weights = open(path).unwrap();
        assert_eq!(weights.format().naming, wanted, "{file}");
        assert!(weights.candidates(&under_test()).len() <= 1, "{file}");
        count += 1;
    }
    assert_eq!(count, 11);
    // Files of other code.
    for entry in std::fs::read_dir(common::golden("")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| {
            ["pth", "pt", "safetensors"].iter().any(|known| extension == *known)
        }) {
            let naming = open(&path).unwrap().format().naming;
            assert!(![Naming::Orepa, Naming::RepNas].contains(&naming), "{}", path.display());
        }
    }
}
