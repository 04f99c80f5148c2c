//! `scales.json` in a run's folder: the scales of the blocks that its steps are those of, so that it goes on without the
//! file that they came from; or those that a search has found.

use std::path::{Path, PathBuf};

use dyrep_models::Network;

use crate::disk::{Disk, keep_copy};
use crate::error::TrainError;
use crate::rep_optimizer::{RepOptimizer, Scales};

/// Where a run's folder has them.
pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join("scales.json")
}

/// What tells the scales that a run multiplies by from others.
pub(super) fn checksum(of: Option<&RepOptimizer>) -> Option<u32> {
    match of {
        Some(RepOptimizer::Multiplied(scales)) => Some(scales.checksum()),
        Some(RepOptimizer::Search) | None => None,
    }
}

/// [Keeps](keep_copy) those of a run.
pub(super) fn keep(
    of: Option<&RepOptimizer>,
    folder: &Path,
    begins: bool,
    disk: &dyn Disk,
) -> Result<(), TrainError> {
    let Some(RepOptimizer::Multiplied(scales)) = of else { return Ok(()) };
    keep_copy(disk, path(folder), begins, &scales.bytes())
}

/// Writes what a search has found.
pub(super) fn found<N: Network>(
    network: &N,
    folder: &Path,
    disk: &dyn Disk,
) -> Result<(), TrainError> {
    write(&Scales::of_blocks(network)?, folder, disk)
}

fn write(scales: &Scales, folder: &Path, disk: &dyn Disk) -> Result<(), TrainError> {
    let path = path(folder);
    disk.write(&path, &scales.bytes()).map_err(|source| TrainError::Folder { path, source })
}
