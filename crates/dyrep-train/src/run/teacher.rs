//! The teacher's logits that a run learns from: a copy in its folder, so that it goes on without the file that they came
//! from.

use std::path::{Path, PathBuf};

use crate::disk::{Disk, keep_copy};
use crate::distillation::Distillation;
use crate::error::TrainError;

/// Where a run's folder has them.
pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join("teacher.safetensors")
}

/// [Keeps](keep_copy) the copy of a run.
pub(super) fn keep(
    teacher: Option<&Distillation>,
    folder: &Path,
    begins: bool,
    disk: &dyn Disk,
) -> Result<(), TrainError> {
    let Some(Distillation { teacher, .. }) = teacher else { return Ok(()) };
    keep_copy(disk, path(folder), begins, teacher.bytes())
}
