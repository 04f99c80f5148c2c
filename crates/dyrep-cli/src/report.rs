//! `dyrep report`: how a run went.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use dyrep_burn::write_atomically;
use dyrep_train::report::{Compared, render_comparison};
use dyrep_train::{RunRecord, TrainError};
use serde::Serialize;

use crate::Failure;
use crate::answer::Answer;
use crate::file::check_free;
use crate::terminal;
use crate::text::{number, wrapped};

/// Tell how a run went, and write its report.html anew; of several runs, a page that compares them
///
/// A run writes its report after every epoch; this is for one of an older version, or for another place. With --json it
/// answers with the whole record, of several with what the page's table tells.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  dyrep report runs/digits\n  dyrep report runs/digits --out digits.html --json\n  dyrep report runs/plain runs/dbb runs/dyrep --out compared.html"
)]
pub(crate) struct ReportArgs {
    /// The run's folder; of several runs, theirs
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// Where the report goes [default: report.html in the run's folder; of several runs, comparison.html here]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Replace the file of --out if it is there, or the comparison.html
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Serialize)]
struct Reported {
    report: PathBuf,
    record: RunRecord,
}

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, record } = self;
        writeln!(f, "{}", wrapped(&format!("{}, {}", record.title, record.description), 2))?;
        let (standing, epochs) = (record.standing(), record.epochs.len());
        writeln!(f, "{standing}, {epochs} of {} epochs", record.epochs_planned)?;
        let best = record
            .best_epoch()
            .and_then(|best| record.epochs.iter().find(|report| report.epoch == best));
        for (what, epoch) in [("best", best), ("last", record.epochs.last())] {
            if let Some(epoch) = epoch {
                writeln!(
                    f,
                    "{what} epoch {:>4}  loss {:.4}  accuracy {:.2}%  {} branches",
                    epoch.epoch,
                    epoch.loss,
                    100.0 * epoch.accuracy,
                    epoch.branches
                )?;
            }
        }
        for event in record.adjustments.iter().flat_map(|adjustment| &adjustment.events) {
            writeln!(f, "{}", wrapped(&event.to_string(), 2))?;
        }
        if !record.left_out.is_empty() {
            let left_out = number(record.left_out.len(), "picture", "pictures");
            writeln!(f, "{left_out} left out because their files cannot be used")?;
        }
        if let Some(deployment) = &record.deployment {
            writeln!(f, "{}", terminal::deployment(deployment))?;
        }
        write!(f, "wrote {}", report.display())
    }
}

impl ReportArgs {
    pub(crate) fn run(&self) -> Result<Answer, Failure> {
        let [run] = &self.runs[..] else { return self.compare() };
        if let Some(out) = &self.out {
            check_free(out, self.force)?;
        }
        let record = RunRecord::load(&RunRecord::path(run))?;
        let report = self.out.clone().unwrap_or_else(|| run.join("report.html"));
        write_atomically(&report, record.report().as_bytes())
            .map_err(|error| format!("{}: {error}", report.display()))?;
        Answer::new(&Reported { report, record })
    }

    fn compare(&self) -> Result<Answer, Failure> {
        let page = self.out.clone().unwrap_or_else(|| PathBuf::from("comparison.html"));
        check_free(&page, self.force)?;
        let load = |run: &PathBuf| {
            let record = RunRecord::load(&RunRecord::path(run))?;
            Ok(record.compared(run.display().to_string()))
        };
        let runs: Vec<Compared> = self.runs.iter().map(load).collect::<Result<_, TrainError>>()?;
        write_atomically(&page, render_comparison(&runs).as_bytes())
            .map_err(|error| format!("{}: {error}", page.display()))?;
        Answer::new(&Comparison { page, runs: runs.iter().map(Row::of).collect() })
    }
}

/// Several runs beside each other.
#[derive(Debug, Serialize)]
struct Comparison {
    page: PathBuf,
    runs: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    run: String,
    title: String,
    state: String,
    epochs: usize,
    best_accuracy: Option<f64>,
    last_accuracy: Option<f64>,
    deployed_accuracy: Option<f64>,
}

impl Row {
    fn of(run: &Compared) -> Self {
        let last = run.epochs.last().and_then(|epoch| epoch.valid_accuracy);
        Self {
            run: run.name.clone(),
            title: run.title.clone(),
            state: run.state.clone(),
            epochs: run.epochs.len(),
            best_accuracy: run.best().map(|(_, accuracy)| accuracy),
            last_accuracy: last,
            deployed_accuracy: run.deployed.map(|(accuracy, ..)| accuracy),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |it: Option<f64>| {
            it.map_or("–".to_owned(), |accuracy| format!("{:.2}%", 100.0 * accuracy))
        };
        writeln!(f, "{:>9}{:>9}{:>9}{:>9}  run", "epochs", "best", "last", "deployed")?;
        for row in &self.runs {
            let figures =
                [row.best_accuracy, row.last_accuracy, row.deployed_accuracy].map(percent);
            let [best, last, deployed] = figures;
            let (epochs, run, title, state) = (row.epochs, &row.run, &row.title, &row.state);
            writeln!(f, "{epochs:>9}{best:>9}{last:>9}{deployed:>9}  {run}: {title}, {state}")?;
        }
        write!(f, "wrote {}", self.page.display())
    }
}
