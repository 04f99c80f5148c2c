//! `dyrep train --find-rate`: which learning rate a training may have.

use std::fmt;

use burn::tensor::Device;
use dyrep_train::recipe::Recipe;
use dyrep_train::{Plan, RatePoint, RateSearch};
use serde::Serialize;

use crate::Failure;
use crate::answer::Answer;
use crate::terminal::bar;

/// Lines of the table.
const LINES: usize = 20;

#[derive(Debug, Serialize)]
struct Found {
    model: String,
    /// Of the recipe.
    learning_rate: f64,
    #[serde(flatten)]
    search: RateSearch,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RateSearch { points, steepest, lowest } = &self.search;
        writeln!(f, "{:>10}{:>12}{:>12}", "rate", "loss", "smoothed")?;
        let every = points.len().div_ceil(LINES).max(1);
        for RatePoint { rate, loss, smoothed } in points.iter().step_by(every) {
            writeln!(f, "{rate:>10.2e}{loss:>12.4}{smoothed:>12.4}")?;
        }
        match steepest {
            Some(rate) => writeln!(f, "the loss falls most at {rate:.2e}")?,
            None => writeln!(f, "the loss never falls")?,
        }
        if let Some(rate) = lowest {
            writeln!(f, "it is lowest at {rate:.2e}, of which a tenth is {:.2e}", rate / 10.0)?;
        }
        write!(f, "the recipe has {:.2e}", self.learning_rate)
    }
}

/// Trains for some steps, and writes nothing.
pub(super) fn run(recipe: &Recipe, devices: &[Device]) -> Result<Answer, Failure> {
    let plan = Plan::new(recipe, devices)?;
    let bar = bar(0, "steps");
    let search = plan.search_rate(devices, |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    let (model, learning_rate) = (recipe.model.name.clone(), recipe.optimizer.learning_rate);
    Answer::new(&Found { model, learning_rate, search })
}
