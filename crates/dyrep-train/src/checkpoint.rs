//! Checkpoints of a run's folder: whole or not there at all.
//!
//! Burn saves model, optimiser and scheduler from three threads. Each file is written beside its place and renamed;
//! when the third of an epoch is there, a manifest with their lengths and checksums is written in the same way. An
//! epoch without a manifest, or whose files are not what it says, does not count.
//!
//! ```text
//! RUN/checkpoint/model-7.bpk  optim-7.bpk  scheduler-7.bpk  epoch-7.json
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use burn_train::checkpoint::{Checkpoint, Checkpointer, CheckpointerError};
use dyrep_burn::write_atomically;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// What Burn saves of an epoch.
const PARTS: [&str; 3] = ["model", "optim", "scheduler"];
/// The version written; the only one read.
const VERSION: u64 = 1;

/// The checkpoints in a folder.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    /// How many whole ones stay.
    keep: usize,
    /// By epoch, the files that are written.
    written: Arc<Mutex<BTreeMap<usize, BTreeMap<String, Digest>>>>,
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
    epoch: usize,
    files: BTreeMap<String, Digest>,
}

/// A checkpoint that does not count, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its epoch.
    pub epoch: usize,
    /// What is wrong.
    pub reason: String,
}

impl Checkpoints {
    /// Those in `folder`, which is made if it is not there. Once a new one is whole, only the newest `keep` stay.
    ///
    /// # Errors
    /// A folder that cannot be made or written to.
    pub fn open(folder: impl Into<PathBuf>, keep: usize) -> Result<Self, TrainError> {
        let folder = folder.into();
        let failed = |source| TrainError::Folder { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(failed)?;
        // Said now rather than after the first epoch.
        let probe = folder.join("writable.tmp");
        fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(failed)?;
        Ok(Self { keep, ..Self::existing(folder) })
    }

    /// Those in `folder`, to look at: nothing is made, and all stay.
    #[must_use]
    pub fn existing(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), keep: usize::MAX, written: Arc::default() }
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
    pub fn newest(&self) -> Result<(Option<usize>, Vec<Broken>), TrainError> {
        let failed = |source| TrainError::Folder { path: self.folder.clone(), source };
        let epochs = self.epochs().map_err(failed)?;
        let mut broken = vec![];
        for epoch in epochs.into_iter().rev() {
            match self.check(epoch) {
                Ok(()) => return Ok((Some(epoch), broken)),
                Err(reason) => broken.push(Broken { epoch, reason }),
            }
        }
        Ok((None, broken))
    }

    /// Whether there is one, whole or not; a folder that is not there has none.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn any(&self) -> Result<bool, TrainError> {
        match self.epochs() {
            Ok(epochs) => Ok(!epochs.is_empty()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(TrainError::Folder { path: self.folder.clone(), source }),
        }
    }

    /// The epochs that have a manifest, in order.
    fn epochs(&self) -> io::Result<Vec<usize>> {
        let mut epochs = vec![];
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| {
                name.strip_prefix("epoch-")?.strip_suffix(".json")?.parse::<usize>().ok()
            });
            epochs.extend(number);
        }
        epochs.sort_unstable();
        Ok(epochs)
    }

    /// Whether an epoch's files are what its manifest says.
    fn check(&self, epoch: usize) -> Result<(), String> {
        let read =
            |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let path = self.manifest(epoch);
        let manifest: Manifest = serde_json::from_slice(&read(&path)?)
            .map_err(|error| format!("{}: not a manifest: {error}", path.display()))?;
        if manifest.version != VERSION {
            let found = manifest.version;
            return Err(format!("{}: version {found}, not {VERSION}", path.display()));
        }
        for part in PARTS {
            let path = self.path(part, epoch);
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

    /// A checkpointer for one of the three parts, to be given to Burn.
    /// The model's file of an epoch: the record of the wrapper, which tells its structure.
    #[must_use]
    pub fn model(&self, epoch: usize) -> PathBuf {
        self.path(PARTS[0], epoch)
    }

    fn part(&self, name: &'static str) -> Part {
        Part { name, all: self.clone() }
    }

    /// For model, optimiser and scheduler, in the order in which Burn takes them.
    #[must_use]
    pub fn checkpointers(&self) -> [Part; 3] {
        PARTS.map(|name| self.part(name))
    }

    fn path(&self, part: &str, epoch: usize) -> PathBuf {
        self.folder.join(format!("{part}-{epoch}.bpk"))
    }

    fn manifest(&self, epoch: usize) -> PathBuf {
        self.folder.join(format!("epoch-{epoch}.json"))
    }

    /// Notes a file; with the last one the epoch is whole.
    fn wrote(&self, part: &str, epoch: usize, digest: Digest) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let files = written.entry(epoch).or_default();
        files.insert(part.to_owned(), digest);
        if files.len() < PARTS.len() {
            return Ok(());
        }
        let files = written.remove(&epoch).unwrap_or_default();
        let manifest = Manifest { version: VERSION, epoch, files };
        let text = serde_json::to_vec_pretty(&manifest)?;
        write_atomically(&self.manifest(epoch), &text)?;
        // Only now: at every moment one whole checkpoint is there. What claims to come later is of before a resume that
        // did not take it.
        let (mut old, later): (Vec<_>, Vec<_>) =
            self.epochs()?.into_iter().partition(|other| *other <= epoch);
        old.truncate(old.len().saturating_sub(self.keep.max(1)));
        old.into_iter().chain(later).try_for_each(|epoch| self.remove(epoch))
    }

    /// First what says that the epoch is whole.
    fn remove(&self, epoch: usize) -> io::Result<()> {
        let parts = PARTS.map(|part| self.path(part, epoch));
        for path in std::iter::once(self.manifest(epoch)).chain(parts) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Saves, restores and deletes one part of each checkpoint.
#[derive(Debug)]
pub struct Part {
    name: &'static str,
    all: Checkpoints,
}

impl Part {
    fn named(&self, epoch: usize, error: &io::Error) -> CheckpointerError {
        let path = self.all.path(self.name, epoch);
        CheckpointerError::Unknown(format!("{}: {error}", path.display()))
    }
}

impl<R: Checkpoint> Checkpointer<R> for Part {
    fn save(&self, epoch: usize, record: R) -> Result<(), CheckpointerError> {
        let bytes = record.checkpoint_into_bytes().map_err(CheckpointerError::Record)?;
        write_atomically(&self.all.path(self.name, epoch), &bytes)
            .and_then(|()| self.all.wrote(self.name, epoch, Digest::of(&bytes)))
            .map_err(|error| self.named(epoch, &error))
    }

    fn delete(&self, epoch: usize) -> Result<(), CheckpointerError> {
        self.all.remove(epoch).map_err(|error| self.named(epoch, &error))
    }

    fn restore(&self, epoch: usize) -> Result<R, CheckpointerError> {
        let path = self.all.path(self.name, epoch);
        let bytes = fs::read(path).map_err(|error| self.named(epoch, &error))?;
        R::checkpoint_from_bytes(burn::tensor::Bytes::from_bytes_vec(bytes))
            .map_err(CheckpointerError::Record)
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::lr_scheduler::LrSchedulerRecord;

    use super::*;

    type Record = LrSchedulerRecord;

    fn save(checkpoints: &Checkpoints, epoch: usize, parts: usize) {
        for part in &checkpoints.checkpointers()[..parts] {
            let record = Record::new().with_scalar("epoch", epoch as u64);
            Checkpointer::save(part, epoch, record).unwrap();
        }
    }

    fn newest(folder: &Path) -> (Option<usize>, Vec<usize>) {
        let (epoch, broken) = Checkpoints::open(folder, 2).unwrap().newest().unwrap();
        (epoch, broken.iter().map(|broken| broken.epoch).collect())
    }

    #[test]
    fn an_epoch_counts_once_all_its_parts_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(folder.path(), 2).unwrap();
        assert_eq!(newest(folder.path()), (None, vec![]));
        save(&checkpoints, 1, 3);
        save(&checkpoints, 2, 2);
        assert_eq!(newest(folder.path()), (Some(1), vec![]));
        save(&checkpoints, 2, 3);
        assert_eq!(newest(folder.path()), (Some(2), vec![]));
        let [model, ..] = checkpoints.checkpointers();
        let restored: Record = model.restore(2).unwrap();
        assert_eq!(restored.scalar::<u64>("epoch"), Some(2));
        Checkpointer::<Record>::delete(&model, 2).unwrap();
        assert_eq!(newest(folder.path()), (Some(1), vec![]));
        (2..6).for_each(|epoch| save(&checkpoints, epoch, 3));
        assert_eq!(checkpoints.epochs().unwrap(), [4, 5]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 8);
    }

    #[test]
    fn damaged_files_are_told_and_passed_over() {
        type Damage = fn(&mut Vec<u8>);
        let damages: [(&str, Damage); 4] = [
            ("optim-2.bpk", |bytes| bytes.truncate(10)),
            ("model-2.bpk", |bytes| bytes[3] ^= 1),
            ("epoch-2.json", |bytes| bytes.truncate(10)),
            ("scheduler-2.bpk", Vec::clear),
        ];
        for (name, damage) in damages {
            let folder = tempfile::tempdir().unwrap();
            let checkpoints = Checkpoints::open(folder.path(), 2).unwrap();
            save(&checkpoints, 1, 3);
            save(&checkpoints, 2, 3);
            let path = folder.path().join(name);
            let mut bytes = fs::read(&path).unwrap();
            damage(&mut bytes);
            fs::write(&path, bytes).unwrap();
            let (epoch, broken) = checkpoints.newest().unwrap();
            assert_eq!((epoch, broken.len()), (Some(1), 1), "{name}");
            assert!(broken[0].reason.contains(name), "{}", broken[0].reason);
        }
    }

    /// A resume goes on before a checkpoint that was not whole, which is not the newest for its number.
    #[test]
    fn stale_checkpoints_do_not_take_the_place_of_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(folder.path(), 1).unwrap();
        save(&checkpoints, 9, 3);
        fs::write(folder.path().join("model-9.bpk"), "cut").unwrap();
        for epoch in [3, 4] {
            save(&checkpoints, epoch, 3);
            assert_eq!(newest(folder.path()), (Some(epoch), vec![]));
            assert_eq!(checkpoints.epochs().unwrap(), [epoch]);
        }
    }

    #[test]
    fn where_there_is_no_folder_there_is_no_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::existing(folder.path().join("checkpoint"));
        assert!(!checkpoints.any().unwrap());
        let checkpoints = Checkpoints::open(checkpoints.folder(), 1).unwrap();
        assert!(!checkpoints.any().unwrap());
        save(&checkpoints, 1, 3);
        assert!(checkpoints.any().unwrap());
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Checkpoints::open(file.path().join("inside"), 2).unwrap_err().to_string();
        assert!(error.contains("inside"), "{error}");
    }
}
