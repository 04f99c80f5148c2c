//! What the program shows: a bar and lines while it trains, a table and a summary at the end.

use dyrep_burn::Event;
use dyrep_train::{Accuracy, Cost, Deployment, EpochReport, Progress, StepReport};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// A progress bar on standard error, lines on standard output.
pub(crate) struct Terminal {
    bar: ProgressBar,
    epochs: usize,
    silent: bool,
}

impl Terminal {
    /// Of a training of so many epochs; silent beside a dashboard.
    pub(crate) fn new(epochs: usize, dashboard: bool) -> Self {
        let bar = if dashboard { ProgressBar::hidden() } else { ProgressBar::new(0) };
        let style = ProgressStyle::with_template(
            "{msg:<28} {wide_bar} {pos}/{len} steps, {elapsed} of about {duration}",
        );
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self { bar, epochs, silent: dashboard }
    }

    fn line(&self, text: &str) {
        if !self.silent {
            self.bar.suspend(|| println!("{text}"));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Terminal {
    fn on_steps(&mut self, report: &StepReport) {
        self.bar.set_length((self.epochs * report.steps) as u64);
        self.bar.set_position(((report.epoch - 1) * report.steps + report.step) as u64);
        self.bar
            .set_message(format!("epoch {}/{} loss {:.4}", report.epoch, self.epochs, report.loss));
    }

    fn on_events(&mut self, events: &[Event]) {
        for event in events {
            self.line(&format!("          {event}"));
        }
    }

    fn on_warning(&mut self, warning: &str) {
        self.bar.suspend(|| eprintln!("warning: {warning}"));
    }

    fn on_epoch(&mut self, report: &EpochReport) {
        self.line(&format!(
            "epoch {:>3}  loss {:.4}  accuracy {:.2}%  {} branches  {:.1} s",
            report.epoch,
            report.loss,
            100.0 * report.accuracy,
            report.branches,
            report.train_seconds + report.adjust_seconds,
        ));
    }
}

/// Both forms side by side.
pub(crate) fn print_deployment(deployment: &Deployment) {
    let Deployment { before, after, difference, .. } = deployment;
    for warning in &difference.warnings {
        println!("warning: {warning}");
    }
    let row = |name: &str, before: String, after: String| {
        println!("{name:<26}{before:>16}{after:>16}");
    };
    row("", "trained".to_owned(), "deployed".to_owned());
    let percent = |accuracy: Accuracy| format!("{:.2}%", 100.0 * accuracy.fraction());
    row("accuracy", percent(deployment.accuracy_before), percent(deployment.accuracy_after));
    row("parameters", before.params.to_string(), after.params.to_string());
    let flops = |cost: &Cost| format!("{:.1} M", cost.flops as f64 / 1e6);
    row("multiply-adds per picture", flops(before), flops(after));
    let time = |cost: &Cost| format!("{:.1} ms", 1e3 * cost.seconds);
    row(&format!("inference of {} pictures", deployment.batch), time(before), time(after));
    println!(
        "largest difference of outputs: {:.2e} ({:.2e} of the largest)",
        difference.model.absolute, difference.model.relative
    );
}

/// The summary for machines.
#[derive(Serialize)]
pub(crate) struct Summary<'a> {
    pub(crate) model: &'static str,
    pub(crate) width: usize,
    pub(crate) strategy: &'a str,
    pub(crate) data: &'a str,
    pub(crate) device: &'a str,
    pub(crate) seed: u64,
    pub(crate) accuracy_before_deployment: f64,
    pub(crate) accuracy_after_deployment: f64,
    pub(crate) largest_difference: f64,
    pub(crate) largest_relative_difference: f64,
    pub(crate) events: Vec<&'a Event>,
    pub(crate) epochs: &'a [EpochReport],
    pub(crate) trained: &'a Cost,
    pub(crate) deployed: &'a Cost,
    pub(crate) total_seconds: f64,
}
