//! What a run leaves to be looked at, and to go on from: `run.json` in its folder.

use std::path::{Path, PathBuf};

use dyrep_burn::{Adjustment, Structure, write_atomically};
use serde::{Deserialize, Serialize};

use super::progress::EpochReport;
use crate::deployment::Deployment;
use crate::error::TrainError;
use crate::report::render;

/// The version written; the only one read.
const VERSION: u64 = 1;

/// How a run stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RunState {
    /// It is on its way, or was killed on it.
    Running,
    /// All epochs are done, or no more were worth it.
    Finished,
    /// Somebody stopped it.
    Stopped(String),
    /// It cannot go on.
    Failed(String),
}

/// Everything about a run but its weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    version: u64,
    /// What is trained.
    pub title: String,
    /// On what, and where.
    pub description: String,
    /// The recipe, as TOML.
    pub recipe: String,
    /// When it began and when this was written, in seconds since 1970.
    pub times: [u64; 2],
    /// Epochs that it is to have.
    pub epochs_planned: usize,
    /// How it stands.
    pub state: RunState,
    /// Every layer that can be a block, in the network's order: path, geometry, and multiply-adds for one picture as a
    /// plain convolution.
    pub layers: Vec<(String, String, u64)>,
    /// The structure at its start.
    pub start: Structure,
    /// What each adjustment saw and did.
    pub adjustments: Vec<Adjustment>,
    /// Every epoch.
    pub epochs: Vec<EpochReport>,
    /// The pictures that were left out because their files cannot be used: the name of each, and what is wrong.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// What deployment changed, once it is done.
    pub deployment: Option<Deployment>,
}

impl RunRecord {
    /// A run at its start.
    #[must_use]
    pub fn new(title: String, description: String, recipe: String, start: Structure) -> Self {
        let now = now();
        Self {
            version: VERSION,
            title,
            description,
            recipe,
            times: [now, now],
            epochs_planned: 0,
            state: RunState::Running,
            layers: vec![],
            start,
            adjustments: vec![],
            epochs: vec![],
            left_out: vec![],
            deployment: None,
        }
    }

    /// Where a run's folder has it.
    #[must_use]
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("run.json")
    }

    /// Forgets what came after the first `epochs` epochs: a resumed run does it again.
    pub fn truncate(&mut self, epochs: usize) {
        self.epochs.truncate(epochs);
        self.adjustments.retain(|adjustment| adjustment.epoch <= epochs);
        self.deployment = None;
        self.state = RunState::Running;
    }

    /// Epochs since the validation accuracy was best for the first time.
    #[must_use]
    pub fn epochs_since_best(&self) -> usize {
        let figures = self.epochs.iter().map(|epoch| epoch.accuracy).enumerate();
        let best = figures.fold(None, |best: Option<(usize, f64)>, (epoch, figure)| match best {
            Some((_, highest)) if figure.is_nan() || figure <= highest => best,
            _ => Some((epoch, figure)),
        });
        best.map_or(0, |(epoch, _)| self.epochs.len() - 1 - epoch)
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// What the system says, with the path.
    pub fn save(&mut self, path: &Path) -> Result<(), TrainError> {
        self.times[1] = now();
        let text = serde_json::to_vec(self)
            .unwrap_or_else(|error| unreachable!("strings and numbers: {error}"));
        let failed = |source| TrainError::Folder { path: path.to_owned(), source };
        write_atomically(path, &text).map_err(failed)
    }

    /// The report: one HTML document.
    #[must_use]
    pub fn report(&self) -> String {
        render(&super::report::page(self))
    }

    /// Reads it.
    ///
    /// # Errors
    /// A file that cannot be read, or is not a whole record of this version.
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        let failed = |source| TrainError::Folder { path: path.to_owned(), source };
        let bytes = std::fs::read(path).map_err(failed)?;
        let refused = |reason: String| TrainError::Record { path: path.to_owned(), reason };
        let record: Self =
            serde_json::from_slice(&bytes).map_err(|error| refused(error.to_string()))?;
        match record.version {
            VERSION => Ok(record),
            found => Err(refused(format!("version {found}, not {VERSION}"))),
        }
    }
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
