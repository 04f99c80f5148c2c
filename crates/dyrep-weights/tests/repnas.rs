//! Files with the names of the published RepNAS code load: the network that a search is at, the one that it found, deployed.
//!
//! The files come from `golden/orepa/repnas.py`.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;
mod packed;
mod states;

use burn::tensor::Tensor;
use common::assert_close;
use dyrep_burn::{AdjustOptions, BranchKind, Calibration, Structure, cut, deploy};
use dyrep_models::Model;
use dyrep_tests::under_test;
use dyrep_weights::{Naming, Report, WeightsError, open};
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

/// Of a search those branches are loaded that run; the rest is passed over, with what never runs, and told.
#[test]
fn branches_that_run_are_loaded() {
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
            let kxk = usize::from(chosen[2]) + usize::from(strided && chosen[3]);
            let rest = [0, 1, 4, 5].iter().filter(|at| chosen[**at]).count();
            let wanted =
                kxk.max(1) + rest + usize::from(chosen[3] && !strided) + usize::from(!strided);
            let form = &layers[&path].form;
            assert_eq!(form.branch_count(), wanted, "{file} {path}: {form}");
            assert_eq!(form.to_string().starts_with("kxk:constant"), kxk == 0, "{path}: {form}");
        }
        assert!(
            report.passed_over.iter().any(|name| name.ends_with("features.0.conv.conv.weight"))
        );
        assert!(report.passed_over.iter().any(|name| name.ends_with("alphas")));
        assert!(report.notes[1].contains("0 times a constant"), "{:?}", report.notes);
    }
    assert!(by_alpha.1.notes[0].contains("the 44 branches with the largest `alphas`"));
    assert!(by_path.1.notes[0].contains("the 41 branches that `fixed_path` fixes"));
    check("repnas_search", by_alpha);
    check("repnas_search_fixed", by_path);
}

/// The k×k convolution that stands for none takes up what is cut, exactly.
#[test]
fn what_is_cut_goes_into_a_convolution_that_rested() {
    let (network, _) = built(&searched()).unwrap();
    let structure = Structure::of(&network);
    let resting = structure.layers().iter().find(|(_, layer)| {
        let form = layer.form.to_string();
        form.starts_with("kxk:constant") && form.matches(" + ").count() > 1
    });
    let (path, _) = resting.unwrap();
    let Model::RepVgg(network) = network else { panic!("no RepVGG") };
    let mut run = |_: &dyrep_models::RepVgg, _: usize| unreachable!("no statistics are needed");
    let mut calibration = Calibration::new(1, &mut run);
    let identity = [BranchKind::IDENTITY.into()];
    let network =
        cut(&network, path, &identity, &AdjustOptions::default(), &mut calibration).unwrap();
    assert_close("cut", network.forward(wanted("input")), wanted("repnas_search"));
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
