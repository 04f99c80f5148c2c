//! `dyrep train --dry-run`: everything is opened, and nothing is trained.

use std::fmt;

use burn::tensor::Device;
use dyrep_train::recipe::Recipe;
use dyrep_train::{Plan, Trial, Trials};
use serde::Serialize;

use crate::Failure;
use crate::answer::Answer;
use crate::text::number;

/// What was tried.
#[derive(Debug, Serialize)]
struct Tried {
    model: String,
    strategy: &'static str,
    /// Pictures for training and for validation.
    pictures: [usize; 2],
    epochs: usize,
    device: String,
    #[serde(flatten)]
    trials: Trials,
    notices: Vec<String>,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, strategy, pictures: [train, validation], epochs, device, trials, .. } =
            self;
        writeln!(f, "{model}, {strategy}, on {device}: nothing was trained or written")?;
        self.notices.iter().try_for_each(|notice| writeln!(f, "{notice}"))?;
        let steps = trials.steps_per_epoch;
        writeln!(
            f,
            "{train} pictures for training, {validation} for validation; {epochs} epochs of {}",
            number(steps, "step", "steps")
        )?;
        let all =
            [("as it starts", Some(&trials.start)), ("at its largest", trials.largest.as_ref())];
        let rows = all.into_iter().filter_map(|(name, trial)| Some((name, trial?)));
        for (at, (name, trial)) in rows.enumerate() {
            let end = if at > 0 { "\n" } else { "" };
            write!(f, "{end}{name:<15}{}", told(trial, steps))?;
        }
        Ok(())
    }
}

fn told(trial: &Trial, steps: usize) -> String {
    let Trial { branches, params, macs, pictures, seconds, memory } = trial;
    let memory = memory.map_or_else(
        || "memory unknown".to_owned(),
        |bytes| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20)),
    );
    format!(
        "{branches} branches, {params} parameters, {:.1} M multiply-adds per picture; a step of {pictures} pictures {:.1} \
         ms, an epoch about {:.0} s; at most {memory}",
        *macs as f64 / 1e6,
        1e3 * seconds,
        seconds * steps as f64
    )
}

/// Opens data, weights and devices, and runs some steps.
pub(super) fn run(
    recipe: &Recipe,
    names: &[String],
    devices: &[Device],
) -> Result<Answer, Failure> {
    let plan = Plan::new(recipe, devices)?;
    let trials = plan.trial(devices)?;
    Answer::new(&Tried {
        model: recipe.model.name.clone(),
        strategy: recipe.strategy.name(),
        pictures: [&plan.train, &plan.validation].map(|loader| loader.dataset().len()),
        epochs: recipe.schedule.epochs,
        device: names.join(", "),
        trials,
        notices: plan.notices,
    })
}
