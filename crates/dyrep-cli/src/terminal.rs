//! What is seen while something takes long: a bar on standard error, lines of a training.

use std::io::Write;

use dyrep_burn::Event;
use dyrep_train::{Accuracy, Cost, Deployment, EpochReport, Progress, StepReport};
use indicatif::{ProgressBar, ProgressStyle};

use crate::answer::print;
use crate::text::wrapped;

/// Where lines under an epoch begin.
const INDENT: usize = 10;

/// A bar of `length` things, of which `message` says what they are. Hidden where standard error is no terminal.
pub(crate) fn bar(length: u64, message: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let style = "{msg:<24} {wide_bar} {pos}/{len}, {elapsed} of about {duration}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.with_message(message.to_owned())
}

/// Where the lines of a training go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// To standard output.
    Output,
    /// To standard error, since standard output is for machines.
    Error,
    /// Nowhere: a dashboard has the terminal.
    Hidden,
}

/// A bar and lines, one for each epoch and each change of structure.
pub(crate) struct Terminal {
    bar: ProgressBar,
    epochs: usize,
    lines: Lines,
}

impl Terminal {
    /// Of a training of so many epochs.
    pub(crate) fn new(epochs: usize, lines: Lines) -> Self {
        let bar = if lines == Lines::Hidden { ProgressBar::hidden() } else { bar(0, "") };
        if let Ok(style) = ProgressStyle::with_template(
            "{msg:<24} {wide_bar} {pos}/{len} steps, {elapsed} of about {duration}",
        ) {
            bar.set_style(style);
        }
        Self { bar, epochs, lines }
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| say(self.lines, text));
    }
}

/// Writes a line of a training.
pub(crate) fn say(lines: Lines, text: &str) {
    // A closed output does not end a training.
    let _ = match lines {
        Lines::Output => print(&wrapped(text, INDENT)),
        Lines::Error => writeln!(std::io::stderr(), "{text}"),
        Lines::Hidden => Ok(()),
    };
}

/// Says something beside the results.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "note: {text}");
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// What is known of an epoch's validation beside its accuracy.
fn beside(report: &EpochReport) -> String {
    let parts = [("top 5", report.top5_accuracy), ("without the average", report.weights_accuracy)];
    let told: Vec<String> = parts
        .into_iter()
        .filter_map(|(name, figure)| Some(format!("{name} {:.2}%", 100.0 * figure?)))
        .collect();
    if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) }
}

impl Progress for Terminal {
    fn on_steps(&mut self, report: &StepReport) {
        self.bar.set_length((self.epochs * report.steps) as u64);
        self.bar.set_position(((report.epoch - 1) * report.steps + report.step) as u64);
        let message = format!(
            "epoch {}/{} loss {:.4} rate {:.2e}",
            report.epoch, self.epochs, report.loss, report.learning_rate
        );
        self.bar.set_message(message);
    }

    fn on_events(&mut self, events: &[Event]) {
        for event in events {
            self.line(&format!("{:INDENT$}{event}", ""));
        }
    }

    fn on_warning(&mut self, warning: &str) {
        self.bar.suspend(|| {
            let _ = writeln!(std::io::stderr(), "warning: {warning}");
        });
    }

    fn on_epoch(&mut self, report: &EpochReport) {
        let speed = report.pictures_per_second().map(|speed| format!("  {speed:.0}/s"));
        self.line(&format!(
            "epoch {:>3}  loss {:.4}  accuracy {:.2}%{}  rate {:.2e}  {} branches  {:.1} s{}",
            report.epoch,
            report.loss,
            100.0 * report.accuracy,
            beside(report),
            report.learning_rate,
            report.branches,
            report.train_seconds + report.adjust_seconds,
            speed.unwrap_or_default(),
        ));
    }
}

/// Both forms of a network side by side.
pub(crate) fn deployment(deployment: &Deployment) -> String {
    let Deployment { before, after, difference, .. } = deployment;
    let mut lines: Vec<String> =
        difference.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
    let mut row = |name: &str, before: String, after: String| {
        lines.push(format!("{name:<26}{before:>16}{after:>16}"));
    };
    row("", "trained".to_owned(), "deployed".to_owned());
    let percent = |accuracy: Accuracy| format!("{:.2}%", 100.0 * accuracy.fraction());
    row("accuracy", percent(deployment.accuracy_before), percent(deployment.accuracy_after));
    row("parameters", before.params.to_string(), after.params.to_string());
    let flops = |cost: &Cost| format!("{:.1} M", cost.flops as f64 / 1e6);
    row("multiply-adds per picture", flops(before), flops(after));
    let time = |cost: &Cost| format!("{:.1} ms", 1e3 * cost.seconds);
    row(&format!("inference of {} pictures", deployment.batch), time(before), time(after));
    lines.push(format!(
        "largest difference of outputs: {:.2e} ({:.2e} of the largest)",
        difference.model.absolute, difference.model.relative
    ));
    lines.join("\n")
}
