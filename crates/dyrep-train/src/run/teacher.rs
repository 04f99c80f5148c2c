//! The teacher's logits that a run learns from: a copy in its folder, so that it goes on without the file that they came
//! from.

use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::distillation::Distillation;
use crate::error::TrainError;

/// Where a run's folder has them.
pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join("teacher.safetensors")
}

/// Writes the copy of a run that begins, before its record: a run that has one has the other. Where it was lost, a run
/// that goes on writes it again.
pub(super) fn keep(
    teacher: Option<&Distillation>,
    folder: &Path,
    begins: bool,
    disk: &dyn Disk,
) -> Result<(), TrainError> {
    let (path, Some(Distillation { teacher, .. })) = (path(folder), teacher) else {
        return Ok(());
    };
    if !begins && path.exists() {
        return Ok(());
    }
    disk.write(&path, teacher.bytes()).map_err(|source| TrainError::Folder { path, source })
}
