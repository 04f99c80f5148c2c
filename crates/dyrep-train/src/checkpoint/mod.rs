//! Checkpoints of a run's folder: whole or not there at all.
//!
//! Burn saves model, optimiser and scheduler from three threads. Each file is written beside its place and renamed;
//! when the third of a moment is there, a manifest with their lengths and checksums is written in the same way. A
//! moment without a manifest, or whose files are not what it says, does not count, and neither does one of another run.
//!
//! ```text
//! RUN/checkpoint/model-7.bpk      optim-7.bpk      scheduler-7.bpk      epoch-7.json        after epoch 7
//! RUN/checkpoint/model-7+120.bpk  optim-7+120.bpk  scheduler-7+120.bpk  epoch-7+120.json    120 steps later
//! ```

mod moment;
mod part;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

pub use moment::Moment;
pub use part::Part;

use crate::disk::{Disk, SystemDisk};
use crate::error::TrainError;

/// What Burn saves of a moment.
const PARTS: [&str; 3] = ["model", "optim", "scheduler"];
/// The version written; the only one read.
const VERSION: u64 = 1;
/// The folder of checkpoints in a run's.
const FOLDER: &str = "checkpoint";

/// The checkpoints in a folder. Clones are the same.
#[derive(Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    /// How many whole ones stay.
    keep: usize,
    disk: Arc<dyn Disk>,
    state: Arc<Mutex<State>>,
}

/// What all clones know.
#[derive(Debug, Default)]
struct State {
    /// The run that they are of; nothing where nobody asks.
    run: Option<String>,
    /// By moment, the files that are written of it.
    written: BTreeMap<Moment, BTreeMap<String, Digest>>,
    /// Those that were made whole here.
    own: BTreeSet<Moment>,
    /// The one that stays, however old it is.
    best: Option<Moment>,
    /// What Burn's numbers mean where they are not whole epochs.
    numbers: BTreeMap<usize, Moment>,
}

/// What a file must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Digest {
    bytes: u64,
    crc32: u32,
}

impl Digest {
    fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, crc32: crc32fast::hash(bytes) }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u64,
    /// The run that it is of; older ones do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    epoch: usize,
    /// Steps of the epoch after that.
    #[serde(default, skip_serializing_if = "is_zero")]
    steps: usize,
    files: BTreeMap<String, Digest>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(steps: &usize) -> bool {
    *steps == 0
}

/// A checkpoint that does not count, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// When it was made.
    pub moment: Moment,
    /// What is wrong.
    pub reason: String,
}

impl std::fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoints")
            .field("folder", &self.folder)
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}

impl Checkpoints {
    /// Those of a run's folder, which is made if it is not there. Once a new one is whole, only the newest `keep` whole
    /// epochs stay, with the best one, and what was made since.
    ///
    /// # Errors
    /// A folder that cannot be made or written to.
    pub fn open(run: &Path, keep: usize, disk: Arc<dyn Disk>) -> Result<Self, TrainError> {
        let folder = run.join(FOLDER);
        let failed = |source| TrainError::Folder { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(failed)?;
        // Said now rather than after the first epoch.
        let probe = folder.join("writable.tmp");
        fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(failed)?;
        Ok(Self { keep, disk, ..Self::existing(run) })
    }

    /// Those of a run's folder, to look at: nothing is made, and all stay.
    #[must_use]
    pub fn existing(run: &Path) -> Self {
        let disk = SystemDisk::shared();
        Self { folder: run.join(FOLDER), keep: usize::MAX, disk, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of this run alone: of what others left, nothing counts.
    pub fn of_run(&self, id: &str) {
        self.state().run = Some(id.to_owned());
    }

    /// Keeps this one.
    pub(crate) fn keep_best(&self, best: Option<usize>) {
        self.state().best = best.map(Moment::after);
    }

    /// Burn counts epochs; by `number` it means this moment from now on.
    pub(crate) fn number(&self, number: usize, moment: Moment) {
        self.state().numbers.insert(number, moment);
    }

    fn moment(&self, number: usize) -> Moment {
        self.state().numbers.get(&number).copied().unwrap_or(Moment::after(number))
    }

    /// Where they are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The newest whole checkpoint, and those after it that are not whole.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn newest(&self) -> Result<(Option<Moment>, Vec<Broken>), TrainError> {
        let mut broken = vec![];
        for moment in self.there()?.into_iter().rev() {
            match self.check(moment) {
                Ok(()) => return Ok((Some(moment), broken)),
                Err(reason) => broken.push(Broken { moment, reason }),
            }
        }
        Ok((None, broken))
    }

    /// Whether there is one, whole or not; a folder that is not there has none.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn any(&self) -> Result<bool, TrainError> {
        Ok(!self.there()?.is_empty())
    }

    /// Those that have a manifest, in order; a folder that is not there has none.
    fn there(&self) -> Result<Vec<Moment>, TrainError> {
        match self.moments() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(vec![]),
            moments => {
                moments.map_err(|source| TrainError::Folder { path: self.folder.clone(), source })
            }
        }
    }

    fn moments(&self) -> io::Result<Vec<Moment>> {
        let mut moments = vec![];
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let stem =
                name.to_str().and_then(|name| name.strip_prefix("epoch-")?.strip_suffix(".json"));
            moments.extend(stem.and_then(|stem| stem.parse::<Moment>().ok()));
        }
        moments.sort_unstable();
        Ok(moments)
    }

    /// Whether a checkpoint's files are what its manifest says, and of this run.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, moment: Moment) -> Result<(), String> {
        let read =
            |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let path = self.manifest(moment);
        let manifest: Manifest = serde_json::from_slice(&read(&path)?)
            .map_err(|error| format!("{}: not a manifest: {error}", path.display()))?;
        if manifest.version != VERSION {
            let found = manifest.version;
            return Err(format!("{}: version {found}, not {VERSION}", path.display()));
        }
        if let (Some(found), Some(run)) = (&manifest.run, &self.state().run)
            && found != run
        {
            return Err(format!("{}: of the run {found}, not {run}", path.display()));
        }
        for part in PARTS {
            let path = self.path(part, moment);
            let Some(expected) = manifest.files.get(part) else {
                return Err(format!("{}: says nothing of `{part}`", path.display()));
            };
            let found = Digest::of(&read(&path)?);
            if found.bytes != expected.bytes {
                let (found, expected) = (found.bytes, expected.bytes);
                return Err(format!("{}: {found} bytes instead of {expected}", path.display()));
            }
            if found != *expected {
                return Err(format!("{}: its checksum is another", path.display()));
            }
        }
        Ok(())
    }

    /// The model's file of a moment: the record of the wrapper, which tells its structure.
    #[must_use]
    pub fn model(&self, moment: Moment) -> PathBuf {
        self.path(PARTS[0], moment)
    }

    fn path(&self, part: &str, moment: Moment) -> PathBuf {
        self.folder.join(format!("{part}-{}.bpk", moment.stem()))
    }

    fn manifest(&self, moment: Moment) -> PathBuf {
        self.folder.join(format!("epoch-{}.json", moment.stem()))
    }

    /// Notes a file; with the last one the moment is whole.
    fn wrote(&self, part: &str, moment: Moment, digest: Digest) -> io::Result<()> {
        let mut state = self.state();
        let files = state.written.entry(moment).or_default();
        files.insert(part.to_owned(), digest);
        if files.len() < PARTS.len() {
            return Ok(());
        }
        let files = state.written.remove(&moment).unwrap_or_default();
        let Moment { epochs: epoch, steps } = moment;
        let manifest = Manifest { version: VERSION, run: state.run.clone(), epoch, steps, files };
        let text = serde_json::to_vec_pretty(&manifest)?;
        self.disk.write(&self.manifest(moment), &text)?;
        state.own.insert(moment);
        // Only now: at every moment one whole checkpoint is there.
        let old = state.superseded(&self.moments()?, moment, self.keep);
        drop(state);
        old.into_iter().try_for_each(|moment| self.remove(moment))
    }

    /// First what says that it is whole.
    fn remove(&self, moment: Moment) -> io::Result<()> {
        let parts = PARTS.map(|part| self.path(part, moment));
        for path in std::iter::once(self.manifest(moment)).chain(parts) {
            self.disk.remove(&path)?;
        }
        Ok(())
    }
}

impl State {
    /// Those of `all` that nobody needs once `new` is whole.
    fn superseded(&self, all: &[Moment], new: Moment, keep: usize) -> Vec<Moment> {
        let whole = |moment: &Moment| moment.steps == 0;
        let newest: Vec<Moment> =
            all.iter().rev().filter(|it| **it <= new && whole(it)).take(keep).copied().collect();
        let stays = |moment: &Moment| {
            // What claims to come later and was not made here is of before a resume that did not take it.
            let known = *moment <= new || self.own.contains(moment);
            let wanted = *moment >= new || newest.contains(moment) || self.best == Some(*moment);
            known && wanted
        };
        all.iter().copied().filter(|moment| !stays(moment)).collect()
    }
}
