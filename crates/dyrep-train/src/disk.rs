//! How a run's files get onto the disk.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dyrep_burn::write_atomically;

use crate::error::TrainError;

/// Where a run's files go: everything that it writes and removes passes here. A disk that fails, or dies in the middle of a
/// file, can stand in for the system's.
pub trait Disk: Send + Sync {
    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// What the system says; what was at `path` is then still there.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Adds to the end of a file, which is made if it is not there. What is added may be there in part.
    ///
    /// # Errors
    /// What the system says.
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Removes a file; one that is not there is removed already.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// Writes the copy of a file that a run reads, before the run's record if it begins: a run that has one has the other. Where
/// it was lost, a run that goes on writes it again.
pub(crate) fn keep_copy(
    disk: &dyn Disk,
    path: PathBuf,
    begins: bool,
    bytes: &[u8],
) -> Result<(), TrainError> {
    if !begins && path.exists() {
        return Ok(());
    }
    disk.write(&path, bytes).map_err(|source| TrainError::Folder { path, source })
}

/// The system's disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl SystemDisk {
    /// For all parts of a run.
    #[must_use]
    pub fn shared() -> Arc<dyn Disk> {
        Arc::new(Self)
    }
}

impl Disk for SystemDisk {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        write_atomically(path, bytes)
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(bytes)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
