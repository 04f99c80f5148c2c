//! `fixed_path` beside the weights of a published RepNAS search: in every form that it may have, the same branches run.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;
mod packed;
mod pickled;
mod states;

use common::assert_close;
use dyrep_burn::Structure;
use dyrep_models::Model;
use dyrep_tests::under_test;
use dyrep_weights::{Report, WeightsError, open};
use packed::{expected_of, packed};
use pickled::{Value, checkpoint};
use rstest::rstest;
use safetensors::Dtype;
use states::{State, exported, fresh, state};

const KEY: &str = "fixed_path";

fn searched() -> State {
    let (_folder, path) = packed("repnas_search.safetensors");
    state(&path)
}

/// The branches that run, layer by layer.
fn chosen() -> Vec<[bool; 6]> {
    let values = expected_of::<2>("repnas", "repnas_search_fixed/chosen").into_data();
    let values: Vec<bool> = values.iter::<f32>().map(|value| value == 1.0).collect();
    values.as_chunks::<6>().0.to_vec()
}

fn numbers(layer: &[bool; 6]) -> Vec<i64> {
    (0..6).filter(|at| layer[*at as usize]).collect()
}

fn ints(values: Vec<i64>) -> Vec<Value> {
    values.into_iter().map(|value| Value::Int(i32::try_from(value).unwrap())).collect()
}

fn built(value: &Value) -> Result<(Model, Report), WeightsError> {
    let (_folder, path) = checkpoint(&searched(), KEY, value);
    open(path)?.build(&under_test())
}

fn each(of_layer: impl Fn(&[bool; 6]) -> Value) -> Value {
    Value::List(chosen().iter().map(of_layer).collect())
}

#[rstest]
#[case::lists_of_numbers(each(|layer| Value::List(ints(numbers(layer)))))]
#[case::tuples_of_fractions(Value::Tuple(
    chosen()
        .iter()
        .map(|layer| Value::Tuple(numbers(layer).iter().map(|at| Value::Float(*at as f64)).collect()))
        .collect()
))]
#[case::tensors_of_numbers(each(|layer| {
    let numbers = numbers(layer);
    Value::whole(&[numbers.len()], &numbers)
}))]
#[case::tensors_of_one_number(each(|layer| match numbers(layer)[..] {
    [only] => Value::whole(&[], &[only]),
    ref all => Value::whole(&[all.len(), 1], all),
}))]
#[case::lists_of_tensors(each(|layer| {
    Value::List(numbers(layer).iter().map(|at| Value::whole(&[], &[*at])).collect())
}))]
#[case::lists_of_truth_values(each(|layer| {
    Value::List(layer.iter().map(|runs| Value::Bool(*runs)).collect())
}))]
#[case::tensors_of_zeros_and_ones(each(|layer| {
    Value::whole(&[6], &layer.map(i64::from))
}))]
#[case::a_tensor_of_truth_values(Value::Tensor(
    Dtype::BOOL,
    vec![22, 6],
    chosen().as_flattened().iter().map(|runs| u8::from(*runs)).collect(),
))]
#[case::a_tensor_of_whole_numbers(Value::whole(
    &[22, 6],
    &chosen().as_flattened().iter().map(|runs| i64::from(*runs)).collect::<Vec<_>>(),
))]
fn the_same_branches_run_whatever_the_form(#[case] value: Value) {
    let (network, report) = built(&value).unwrap();
    assert!(report.is_complete(), "{report}");
    let note = &report.notes[0];
    assert!(note.contains("the 41 branches that `fixed_path` fixes run"), "{note}");
    assert!(report.passed_over.iter().any(|name| name == KEY), "{:?}", report.passed_over);
    let want = expected_of("repnas", "repnas_search_fixed");
    assert_close("fixed", network.forward(expected_of("repnas", "input")), want);
}

/// The control: a branch more is another network, and nothing at all leaves it to the scores.
#[test]
fn another_choice_is_another_network() {
    let branches = |value: &Value| Structure::of(&built(value).unwrap().0);
    let as_chosen = each(|layer| Value::List(ints(numbers(layer))));
    let mut more = chosen();
    let other = more[4].iter().position(|runs| !runs).unwrap();
    more[4][other] = true;
    let more = Value::List(more.iter().map(|layer| Value::List(ints(numbers(layer)))).collect());
    assert_ne!(branches(&as_chosen), branches(&more));

    let (network, report) = built(&Value::None).unwrap();
    assert!(report.notes[0].contains("the 44 branches with the largest"), "{:?}", report.notes);
    let want = expected_of("repnas", "repnas_search");
    assert_close("scores", network.forward(expected_of("repnas", "input")), want);
}

fn with(layer: usize, value: Value) -> Value {
    let lists = |(number, one): (usize, &[bool; 6])| match number {
        _ if number == layer => None,
        _ => Some(Value::List(ints(numbers(one)))),
    };
    let mut all: Vec<Value> = chosen().iter().enumerate().filter_map(lists).collect();
    all.insert(layer, value);
    Value::List(all)
}

#[rstest]
#[case::layers(Value::List(vec![Value::List(vec![]), Value::Int(1)]), "`fixed_path`: it is a list of 2")]
#[case::nothing(Value::List(vec![]), "`fixed_path`: its shape is [0]")]
#[case::text(Value::Text("kxk"), "`fixed_path`: it is text")]
#[case::one(Value::Int(3), "`fixed_path`: its shape is []")]
#[case::names(Value::Dict(vec![("0", Value::Int(1))]), "`fixed_path`: it is a dictionary")]
#[case::object(Value::Object("numpy", "ndarray"), "`fixed_path`: it is an object")]
#[case::deep(
    with(5, Value::List(vec![Value::List(vec![Value::List(vec![Value::List(vec![])])])])),
    "`fixed_path`: it is more than is looked at"
)]
#[case::many(with(5, Value::List((0..600).map(Value::Int).collect())), "`fixed_path`: it is more than is looked at")]
#[case::large(with(7, Value::List(ints(vec![2, 6]))), "`fixed_path.7`: it holds [2.0, 6.0]")]
#[case::negative(with(7, Value::List(ints(vec![-1]))), "`fixed_path.7`: it holds [-1.0]")]
#[case::fraction(with(7, Value::List(vec![Value::Float(0.5)])), "`fixed_path.7`: it holds [0.5]")]
#[case::twice(with(7, Value::whole(&[2], &[3, 3])), "`fixed_path.7`: it holds [3.0, 3.0]")]
#[case::absent(with(7, Value::None), "`fixed_path.7`: it is nothing")]
#[case::inside(with(7, Value::List(vec![Value::Text("1x1")])), "`fixed_path.7.0`: it is text")]
#[case::tensor(Value::whole(&[22, 1], &[2; 22]), "`fixed_path`: its shape is [22, 1]")]
fn what_is_no_choice_is_refused(#[case] value: Value, #[case] reason: &str) {
    let error = built(&value).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, WeightsError::Tensor { .. }), "{text}");
    assert!(text.contains(reason), "{text}");
    assert!(
        text.contains("expected a tensor [22, 6] of 0 and 1, or a list of the 22 layers"),
        "{text}"
    );
}

/// In no other file does the key mean anything.
#[rstest]
#[case(Value::Text("/data"))]
#[case(Value::List((0..2000).map(Value::Int).collect()))]
fn other_files_may_have_the_key(#[case] value: Value) {
    let (_folder, path) = checkpoint(&exported(&fresh()), KEY, &value);
    let (_, report) = open(path).unwrap().load_into(fresh()).unwrap();
    assert!(report.is_complete() && report.passed_over.is_empty(), "{report}");
}
