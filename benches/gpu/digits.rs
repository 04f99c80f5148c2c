//! The whole method on a device: the recipe `digits_quick`, as `dyrep train digits_quick` runs it, growths and cuts included.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use dyrep_train::recipe::{Override, Recipe};
use dyrep_train::{Deployment, Interrupter, Plan, Run, Silent, SystemDisk};
use serde_json::json;

use crate::line::say;
use crate::subject::text;

#[derive(Debug, Args)]
pub(crate) struct DigitsArgs {
    /// The device
    #[arg(long, default_value_t = dyrep_train::default_name().to_owned())]
    device: String,
    /// Epochs instead of the recipe's
    #[arg(long)]
    epochs: Option<usize>,
    /// Channels of the first convolution instead of the recipe's
    #[arg(long)]
    width: Option<usize>,
    /// Where the run's folder is made
    #[arg(long, default_value = "digits_run")]
    out: std::path::PathBuf,
}

impl DigitsArgs {
    pub(crate) fn run(&self) -> Result<(), String> {
        let started = Instant::now();
        let devices = [dyrep_train::device(&self.device).map_err(text)?];
        let recipe = self.recipe()?;
        let plan = Plan::new(&recipe, &devices).map_err(text)?;
        let (validation, input) = (Arc::clone(&plan.validation), plan.training.input.clone());
        let run = Run {
            training: plan.training,
            network: plan.network,
            train: plan.train,
            validation: Arc::clone(&validation),
            devices: &devices,
            folder: self.out.clone(),
            resume: false,
            disk: SystemDisk::shared(),
            interrupter: Interrupter::new(),
            dashboard: false,
            progress: Box::new(Silent),
        };
        let ended = run.train().map_err(text)?;
        let (_, deployment) =
            Deployment::measure(&ended.network, &validation, &input, &devices[0]).map_err(text)?;
        let seconds: Vec<f64> =
            ended.record.epochs.iter().map(|epoch| epoch.train_seconds).collect();
        let losses: Vec<f64> = ended.record.epochs.iter().map(|epoch| epoch.loss).collect();
        let branches = ended.record.epochs.last().map(|epoch| epoch.branches);
        let found = json!({
            "accuracy": deployment.accuracy_before.fraction(),
            "accuracy_deployed": deployment.accuracy_after.fraction(),
            "relative_difference": deployment.difference.model.relative,
            "branches": branches,
            "losses": losses,
            "train_seconds": seconds,
            "seconds": started.elapsed().as_secs_f64(),
        });
        say(
            "digits",
            &json!({ "device": self.device, "epochs": recipe.schedule.epochs, "width": self.width }),
            &found,
        )
    }

    fn recipe(&self) -> Result<Recipe, String> {
        let mut changes = vec![];
        if let Some(width) = self.width {
            changes.push(format!("model.width={width}"));
        }
        if let Some(epochs) = self.epochs {
            changes.push(format!("schedule.epochs={epochs}"));
            changes.push(format!("strategy.last_epoch={}", epochs.saturating_sub(1).max(1)));
        }
        let changes = changes.iter().map(|change| change.parse());
        let changes = changes.collect::<Result<Vec<Override>, _>>().map_err(text)?;
        Recipe::builtin("digits_quick", &changes).map_err(text)
    }
}
