//! `dyrep report`: how a run went.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use dyrep_burn::write_atomically;
use dyrep_train::{RunRecord, RunState};
use serde::Serialize;

use crate::Failure;
use crate::answer::Answer;
use crate::file::check_free;
use crate::terminal;
use crate::text::{number, wrapped};

/// Tell how a run went, and write its report.html anew
///
/// A run writes its report after every epoch; this is for one of an older version, or for another place. With --json it
/// answers with the whole record.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  dyrep report runs/digits\n  dyrep report runs/digits --out digits.html --json"
)]
pub(crate) struct ReportArgs {
    /// The run's folder
    run: PathBuf,

    /// Where the report goes [default: report.html in the run's folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Replace the file of --out if it is there
    #[arg(long, requires = "out")]
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
        let state = match &record.state {
            RunState::Running => "running, or killed".to_owned(),
            RunState::Measuring => "trained, being measured, or killed then".to_owned(),
            RunState::Finished if record.early => "finished early".to_owned(),
            RunState::Finished => "finished".to_owned(),
            RunState::Stopped(reason) => format!("stopped by {reason}"),
            RunState::Failed(reason) => format!("failed: {reason}"),
        };
        writeln!(f, "{state}, {} of {} epochs", record.epochs.len(), record.epochs_planned)?;
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
        if let Some(out) = &self.out {
            check_free(out, self.force)?;
        }
        let record = RunRecord::load(&RunRecord::path(&self.run))?;
        let report = self.out.clone().unwrap_or_else(|| self.run.join("report.html"));
        write_atomically(&report, record.report().as_bytes())
            .map_err(|error| format!("{}: {error}", report.display()))?;
        Answer::new(&Reported { report, record })
    }
}
