//! A run's folder belongs to one process at a time.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use super::Progress;
use crate::error::TrainError;

/// A folder that no other process writes to while this lives. The system gives it up with the process, however that ends.
#[derive(Debug)]
pub(super) struct Held {
    _lock: File,
}

impl Held {
    /// Takes the folder, which is made if it is not there.
    ///
    /// # Errors
    /// Another process has it; a folder that cannot be made or written to. Where a file system has no locks that work, the
    /// folder is taken all the same, and it is told.
    pub(super) fn take(folder: &Path, progress: &mut dyn Progress) -> Result<Self, TrainError> {
        let failed = |source| TrainError::Folder { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let open =
            File::options().write(true).create(true).truncate(false).open(folder.join("run.lock"));
        let lock = open.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(TrainError::InUse { path: folder.to_owned() }),
            Err(TryLockError::Error(error)) => {
                progress.on_warning(&format!(
                    "{} cannot be locked ({error}): see to it that no other process trains there",
                    folder.display()
                ));
                Ok(Self { _lock: lock })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;

    #[test]
    fn a_folder_is_one_holders() {
        let folder = tempfile::tempdir().unwrap();
        let held = Held::take(folder.path(), &mut Silent).unwrap();
        let error = Held::take(folder.path(), &mut Silent).unwrap_err();
        assert!(matches!(error, TrainError::InUse { .. }), "{error}");
        drop(held);
        Held::take(folder.path(), &mut Silent).unwrap();
    }
}
