//! What a run leaves to be looked at, and to go on from: `run.json` in its folder.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};

use dyrep_burn::{Adjustment, SearchReport, Structure};
use serde::{Deserialize, Serialize};

use super::progress::EpochReport;
use super::sums::Sums;
use crate::checkpoint::Moment;
use crate::deployment::Deployment;
use crate::disk::Disk;
use crate::error::TrainError;
use crate::report::{Compared, render};

/// The version written; the only one read.
const VERSION: u64 = 1;

/// How a run stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RunState {
    /// It trains, or was killed while it did.
    Running,
    /// It has trained; its weights are written and are being measured, or it was killed while they were.
    Measuring,
    /// All of it is done.
    Finished,
    /// Somebody stopped it.
    Stopped(String),
    /// It cannot go on.
    Failed(String),
}

/// What was seen of an epoch that was left before its end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unfinished {
    /// Where it was left.
    pub at: Moment,
    /// Sums over its training pictures, and how many there were.
    pub seen: Sums,
}

/// A resume with another recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amendment {
    /// Epochs that were done.
    pub epochs: usize,
    /// The recipe until then, as TOML.
    pub recipe: String,
}

/// Everything about a run but its weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    version: u64,
    /// What tells it from other runs: its checkpoints carry it, too.
    #[serde(default = "new_id")]
    pub id: String,
    /// What is trained.
    pub title: String,
    /// On what, and where.
    pub description: String,
    /// The recipe that it is trained by now, as TOML.
    pub recipe: String,
    /// The names of its classes, in the order of the logits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// How the recipe was before each resume that changed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Amendment>,
    /// When it began and when this was written, in seconds since 1970.
    pub times: [u64; 2],
    /// Epochs that it is to have.
    pub epochs_planned: usize,
    /// How it stands.
    pub state: RunState,
    /// Whether it ended before its last epoch because no more were worth it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub early: bool,
    /// Every layer that can be a block, in the network's order: path, geometry, and multiply-adds for one picture as a
    /// plain convolution.
    pub layers: Vec<(String, String, u64)>,
    /// The structure at its start.
    pub start: Structure,
    /// What each adjustment saw and did.
    pub adjustments: Vec<Adjustment>,
    /// How the search of its branches stands, if they are searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchReport>,
    /// Every epoch.
    pub epochs: Vec<EpochReport>,
    /// The epoch that it was stopped in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<Unfinished>,
    /// The pictures that were left out because their files cannot be used: the name of each, and what is wrong.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// The CRC-32 of the teacher's logits that it learns from, where there is a teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<u32>,
    /// The CRC-32 of the scales of blocks that its steps are those of, where there are such scales.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scales: Option<u32>,
    /// What else should be known: growths that were undone, steps that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
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
            id: new_id(),
            title,
            description,
            recipe,
            classes: vec![],
            history: vec![],
            times: [now, now],
            epochs_planned: 0,
            state: RunState::Running,
            early: false,
            layers: vec![],
            start,
            adjustments: vec![],
            search: None,
            epochs: vec![],
            unfinished: None,
            left_out: vec![],
            teacher: None,
            scales: None,
            notes: vec![],
            deployment: None,
        }
    }

    /// Where a run's folder has it.
    #[must_use]
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("run.json")
    }

    /// Forgets what came after a moment: a resumed run does it again.
    pub fn truncate(&mut self, moment: Moment) {
        self.epochs.truncate(moment.epochs);
        self.adjustments.retain(|adjustment| adjustment.epoch <= moment.epochs);
        self.unfinished = self.unfinished.filter(|unfinished| unfinished.at == moment);
        self.deployment = None;
        self.search = None;
        self.state = RunState::Running;
        self.early = false;
    }

    /// The epoch with the best validation accuracy, counted from 1; of several the first.
    #[must_use]
    pub fn best_epoch(&self) -> Option<usize> {
        let figures = self.epochs.iter().map(|report| (report.epoch, report.accuracy));
        let best = figures.fold(None, |best: Option<(usize, f64)>, (epoch, figure)| match best {
            _ if figure.is_nan() => best,
            Some((_, highest)) if figure <= highest => best,
            _ => Some((epoch, figure)),
        });
        best.map(|(epoch, _)| epoch)
    }

    /// Epochs since the validation accuracy was best for the first time.
    #[must_use]
    pub fn epochs_since_best(&self) -> usize {
        self.epochs.len() - self.best_epoch().unwrap_or(0).min(self.epochs.len())
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// What the system says, with the path.
    pub fn save(&mut self, path: &Path, disk: &dyn Disk) -> Result<(), TrainError> {
        self.times[1] = now();
        let text = serde_json::to_vec(self)
            .unwrap_or_else(|error| unreachable!("strings and numbers: {error}"));
        let failed = |source| TrainError::Folder { path: path.to_owned(), source };
        disk.write(path, &text).map_err(failed)
    }

    /// The report: one HTML document.
    ///
    /// # Panics
    /// If it was changed so that its adjustments do not follow from its start, or its layers are not the start's.
    #[must_use]
    pub fn report(&self) -> String {
        render(&super::report::page(self))
    }

    /// How it stands, in words.
    #[must_use]
    pub fn standing(&self) -> String {
        match &self.state {
            RunState::Running => "running, or killed".to_owned(),
            RunState::Measuring => "trained, being measured, or killed then".to_owned(),
            RunState::Finished if self.early => "finished early".to_owned(),
            RunState::Finished => "finished".to_owned(),
            RunState::Stopped(reason) => format!("stopped by {reason}"),
            RunState::Failed(reason) => format!("failed: {reason}"),
        }
    }

    /// The run among others on a page of several.
    #[must_use]
    pub fn compared(&self, name: String) -> Compared {
        super::report::compared(self, name)
    }

    /// Reads it.
    ///
    /// # Errors
    /// A file that cannot be read, or is not a whole record of this version; adjustments that do not follow from the
    /// start, or layers that it has not.
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        let failed = |source| TrainError::Folder { path: path.to_owned(), source };
        let bytes = std::fs::read(path).map_err(failed)?;
        let refused = |reason: String| TrainError::Record { path: path.to_owned(), reason };
        let record: Self =
            serde_json::from_slice(&bytes).map_err(|error| refused(error.to_string()))?;
        match record.version {
            VERSION => record.check().map_err(refused)?,
            found => return Err(refused(format!("version {found}, not {VERSION}"))),
        }
        Ok(record)
    }

    /// Whether what was changed and what is shown are of one structure.
    fn check(&self) -> Result<(), String> {
        let mut structure = self.start.clone();
        for event in self.adjustments.iter().flat_map(|adjustment| &adjustment.events) {
            event.change.apply(&mut structure).map_err(|error| error.to_string())?;
        }
        self.search.as_ref().map_or(Ok(()), |it| it.applied(&self.start).map(drop))?;
        let known = |path: &String| self.start.layers().contains_key(path);
        match self.layers.iter().find(|(path, ..)| !known(path)) {
            Some((path, ..)) => Err(format!("its structure has no layer `{path}`")),
            None => Ok(()),
        }
    }
}

/// A name that no other run has: from the system's random keys, the time and the process.
fn new_id() -> String {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(now());
    hasher.write_u32(std::process::id());
    format!("{:016x}", hasher.finish())
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a record of one plain convolution, to which `change` was done.
    fn refused(change: impl FnOnce(&mut serde_json::Value)) -> Option<String> {
        let start = r#"{"version":1,"layers":{"conv":{"geometry":{"channels":[2,2],"kernel_size":[3,3],
            "stride":[1,1],"dilation":[1,1],"groups":1,"padding":{"explicit":[1,1,1,1]}},
            "form":{"plain":{"bias":true}}}}}"#;
        let start = Structure::from_json(start).unwrap();
        let record = RunRecord::new("run".into(), "of a test".into(), String::new(), start);
        let mut value = serde_json::to_value(&record).unwrap();
        value["layers"] = serde_json::json!([["conv", "2→2, 3×3", 36]]);
        change(&mut value);
        let folder = tempfile::tempdir().unwrap();
        let path = RunRecord::path(folder.path());
        std::fs::write(&path, value.to_string()).unwrap();
        match RunRecord::load(&path) {
            Ok(record) => {
                assert!(record.report().contains("of a test"));
                None
            }
            Err(error) => Some(error.to_string()),
        }
    }

    #[test]
    fn what_is_not_of_one_run_is_refused() {
        assert_eq!(refused(|_| {}), None);
        let event = |path: &str| {
            let chosen = serde_json::json!({ "path": path, "score": 1.0 });
            let plan = serde_json::json!({
                "chosen": chosen, "rank": 1, "runner_up": null, "candidates": 1
            });
            let change = serde_json::json!({
                "grew": { "score": "snip", "plan": plan, "branches": ["1x1", "kxk"] }
            });
            let cost = serde_json::json!({ "params": u64::MAX, "macs": u64::MAX });
            serde_json::json!([{ "epoch": 1, "steps": 1, "score": "snip", "scores": [], "events": [
                { "number": 0, "epoch": 1, "change": change, "before": cost, "after": cost }
            ] }])
        };
        assert_eq!(refused(|run| run["adjustments"] = event("conv")), None);
        let error = refused(|run| run["adjustments"] = event("conv9")).unwrap();
        assert!(error.contains("`conv9` cannot be changed so"), "{error}");
        let error = refused(|run| run["layers"][0][0] = "conv9".into()).unwrap();
        assert!(error.contains("no layer `conv9`"), "{error}");
        let error = refused(|run| run["version"] = 2.into()).unwrap();
        assert!(error.contains("version 2, not 1"), "{error}");
    }

    #[test]
    fn times_far_away_are_written_at_once() {
        assert_eq!(refused(|run| run["times"] = serde_json::json!([0, u64::MAX])), None);
    }
}
