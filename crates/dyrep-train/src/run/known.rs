//! What is known of a run before it begins.

use std::path::PathBuf;
use std::sync::Arc;

use dyrep_burn::{Cost, InputSizes};
use dyrep_data::Loader;

use super::ending::Ending;
use super::folder::Held;
use crate::checkpoint::Moment;
use crate::disk::Disk;
use crate::epoch_steps::EpochSteps;
use crate::schedule::Schedule;

/// What the recorder must know of the run.
pub(super) struct Known {
    /// Held until the run's last file is written.
    #[allow(dead_code, reason = "it is held")]
    pub(super) held: Held,
    pub(super) folder: PathBuf,
    pub(super) schedule: Schedule,
    pub(super) disk: Arc<dyn Disk>,
    /// Whether files for TensorBoard are written.
    pub(super) tensorboard: bool,
    /// Where it begins.
    pub(super) from: Moment,
    /// Batches and steps of an epoch.
    pub(super) epoch: EpochSteps,
    /// Of training and of validation.
    pub(super) loaders: [Arc<Loader>; 2],
    /// What the whole network costs beyond its layers: parameters and multiply-adds.
    pub(super) rest: Cost,
    /// What the layers cost at the start.
    pub(super) layers: Cost,
    /// Of the layers' inputs.
    pub(super) sizes: InputSizes,
    pub(super) ending: Ending,
}
