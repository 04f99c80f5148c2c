//! The steps of `tests/golden/search.json`, one after the other.

use std::collections::BTreeMap;

use burn::module::{Module as _, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use dyrep_config::SearchConfig;
use serde::Deserialize;

use super::super::act::{gate_gradients, with_resting};
use super::super::plan::{Phases, Scores, highest, ranks, slope};
use super::super::{Search, SearchPhase};
use super::Net;
use crate::ops::{Kernels, with_kernels};

/// Shape and values.
type Values = (Vec<usize>, Vec<f64>);

#[derive(Deserialize)]
struct Golden {
    share: f64,
    budget: usize,
    rate: f64,
    betas: [f64; 2],
    weight_decay: f64,
    layers: Vec<(String, [usize; 2], usize, Vec<String>)>,
    params: BTreeMap<String, Values>,
    x: Values,
    grad_y: Values,
    steps: Vec<Step>,
    found: Vec<usize>,
}

#[derive(Deserialize)]
struct Step {
    draws: Vec<[f64; 2]>,
    before: Vec<f64>,
    ranks: Vec<f64>,
    mask: Vec<u8>,
    gradient: Vec<f64>,
    /// Of the first one.
    rate: f64,
    after: Vec<f64>,
    loss: f64,
}

/// Numbers of plain arithmetic in double precision; seen: 3e-17.
const ROUNDING: f64 = 1e-12;
/// Of the largest gradient of a step, since the network computes in single precision; seen: 7e-7.
const GRADIENT: f64 = 2e-5;
/// Scores that learn from such gradients; seen: 6e-9. Adam divides by their size, so small ones are as far off as they are
/// inexact.
const SCORE: f64 = 1e-5;

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../tests/golden/search.json")).unwrap()
}

fn data((shape, values): &Values) -> TensorData {
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    TensorData::new(values, shape.clone())
}

/// Fills a network by path.
struct Fill<'a>(&'a BTreeMap<String, Values>, Vec<String>, usize);

impl ModuleMapper for Fill<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.1.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.1.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.1.join(".");
        let values = &self.0[&path];
        self.2 += 1;
        param.map(|old| {
            assert_eq!(old.dims().to_vec(), values.0, "{path}");
            Tensor::from_data(data(values), &old.device()).set_require_grad(old.is_require_grad())
        })
    }
}

fn net(golden: &Golden) -> Net {
    let device = Device::flex().autodiff();
    let mut fill = Fill(&golden.params, vec![], 0);
    let net = Net::new(&device).map(&mut fill);
    assert_eq!(fill.2, golden.params.len(), "parameters left over");
    net
}

fn close(what: &str, got: &[f64], want: &[f64], allowed: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= allowed, "{what}, branch {at}: {got} where {want} is right");
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

/// The reference's options.
fn config(golden: &Golden) -> SearchConfig {
    SearchConfig {
        share: golden.share,
        random_until: 0,
        search_until: golden.steps.len(),
        alpha_learning_rate: golden.rate,
        alpha_betas: golden.betas,
        alpha_weight_decay: golden.weight_decay,
        seed: 0,
    }
}

#[test]
fn ranks_masks_and_scores_are_the_reference_s() {
    let golden = golden();
    let config = config(&golden);
    let search = Search::begin(config.clone(), &net(&golden), 1).unwrap();
    assert_eq!(search.budget(), golden.budget);
    for (layer, (path, _, _, branches)) in search.layers().iter().zip(&golden.layers) {
        let names: Vec<_> = layer.branches.iter().map(ToString::to_string).collect();
        assert_eq!((&layer.path, &names), (path, branches));
    }
    let phases = Phases::of(&config, 1);
    let mut scores = Scores::zeros(12);
    for (number, step) in golden.steps.iter().enumerate() {
        close("scores before", &scores.alpha, &step.before, ROUNDING);
        let found = ranks(&scores.alpha, &step.draws);
        close("ranks", &found, &step.ranks, ROUNDING);
        let mask: Vec<bool> = step.mask.iter().map(|chosen| *chosen == 1).collect();
        assert_eq!(highest(&found, golden.budget), mask, "step {number}");
        assert_eq!(phases.at(number as u64), SearchPhase::Search);
        let factor = phases.cosine(number as u64);
        assert!((factor - step.rate).abs() < ROUNDING, "{factor} {}", step.rate);
        // Of the reference's own gradients, so that Adam alone is looked at.
        scores.update(&step.gradient, golden.rate * factor, &config);
        close("scores after", &scores.alpha, &step.after, ROUNDING);
    }
    let found = highest(&scores.alpha, golden.budget);
    let found: Vec<_> = (0..12).filter(|at| found[*at]).collect();
    assert_eq!(found, golden.found);
}

#[test]
fn gates_have_the_gradients_that_they_would_have_in_the_graph() {
    let golden = golden();
    let net = net(&golden);
    let device = net.devices()[0].clone();
    let search = Search::begin(SearchConfig::default(), &net, 1).unwrap();
    for kernels in [Kernels::Fast, Kernels::Composed] {
        for step in &golden.steps {
            let chosen: Vec<bool> = step.mask.iter().map(|chosen| *chosen == 1).collect();
            let masked = with_resting(net.clone(), |path| {
                let at = search.layers().iter().position(|layer| layer.path == path)?;
                let layer = &search.layers()[at];
                let resting = layer.branches.iter().zip(&chosen[6 * at..]);
                Some(resting.filter(|(_, chosen)| !**chosen).map(|(name, _)| *name).collect())
            });
            // Every pass begins with the same statistics, which the border shows.
            let masked = masked.valid().train();
            let loss = with_kernels(kernels, || {
                let output = masked.forward(Tensor::from_data(data(&golden.x), &device));
                (output * Tensor::from_data(data(&golden.grad_y), &device)).sum()
            });
            let gradients = GradientsParams::from_grads(loss.backward(), &masked);
            let loss = f64::from(loss.into_scalar::<f32>());
            assert!((loss - step.loss).abs() < 1e-3, "{loss} where {} is right", step.loss);
            let gates = gate_gradients(&masked, search.layers(), &chosen, &gradients);
            let found: Vec<f64> =
                gates.iter().zip(&step.ranks).map(|(gate, rank)| gate * slope(*rank)).collect();
            let size = largest(&step.gradient);
            close("gradients", &found, &step.gradient, GRADIENT * size);
            // The control: one per cent more is noticed.
            let off = found.iter().zip(&step.gradient).map(|(got, want)| (got * 1.01 - want).abs());
            assert!(off.fold(0.0, f64::max) > GRADIENT * size);
        }
    }
}

#[test]
fn a_whole_search_finds_what_the_reference_finds() {
    let golden = golden();
    let net = net(&golden);
    let device = net.devices()[0].clone();
    let config = config(&golden);
    let mut search = Search::begin(config, &net, 1).unwrap();
    for step in &golden.steps {
        // The reference's draws in place of the generator's.
        search.ranks = ranks(search.scores(), &step.draws);
        search.chosen = highest(&search.ranks, search.budget());
        let masked = search.apply(net.clone()).valid().train();
        let output = masked.forward(Tensor::from_data(data(&golden.x), &device));
        let loss = (output * Tensor::from_data(data(&golden.grad_y), &device)).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &masked);
        search.observe(&masked, &gradients);
        search.step();
        close("scores", search.scores(), &step.after, SCORE);
    }
    assert_eq!(search.phase(), SearchPhase::Final);
    let found: Vec<_> = (0..12).filter(|at| search.chosen()[*at]).collect();
    assert_eq!(found, golden.found);
}
