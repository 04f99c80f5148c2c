//! Going on with a run: from which checkpoint, and whether it is this run's.

use std::path::Path;

use burn::module::Module;
use dyrep_burn::Structure;
use dyrep_models::Network;

use super::layout::Layout;
use super::record::{Amendment, RunRecord};
use super::{Progress, Training};
use crate::checkpoint::{Broken, Checkpoints};
use crate::classifier::Classifier;
use crate::device::home;
use crate::dyrep::DyRep;
use crate::error::TrainError;

/// The epoch to go on from, if there is one.
pub(super) fn newest(
    checkpoints: &Checkpoints,
    progress: &mut dyn Progress,
) -> Result<Option<usize>, TrainError> {
    let (newest, mut broken) = checkpoints.newest()?;
    if newest.is_none() && !broken.is_empty() {
        let Broken { epoch, reason } = broken.remove(0);
        return Err(TrainError::Resume { path: checkpoints.folder().to_owned(), epoch, reason });
    }
    for Broken { epoch, reason } in broken {
        progress.on_warning(&format!("the checkpoint of epoch {epoch} is not whole: {reason}"));
    }
    Ok(newest)
}

/// The run's record: a new one, or the folder's up to the checkpoint.
pub(super) fn record(
    layout: &Layout,
    (training, classes): (&Training, &[String]),
    from: Option<usize>,
    folder: &Path,
) -> Result<RunRecord, TrainError> {
    let Training { title, description, recipe, epochs, .. } = training;
    let mut record = match from {
        Some(epoch) => {
            let mut record = RunRecord::load(&RunRecord::path(folder))?;
            if let Some(layer) = difference(&record.start, &layout.structure) {
                let reason = format!("the run began with another network: layer `{layer}` differs");
                let path = folder.to_owned();
                return Err(TrainError::Resume { path, epoch, reason });
            }
            let mut pairs = record.classes.iter().zip(classes);
            if let Some((before, now)) = pairs.find(|(before, now)| before != now) {
                let reason = format!(
                    "the run began with the class `{before}` where its data now have `{now}`"
                );
                return Err(TrainError::Resume { path: folder.to_owned(), epoch, reason });
            }
            record.truncate(epoch);
            if record.recipe != *recipe {
                let before = std::mem::replace(&mut record.recipe, recipe.clone());
                record.history.push(Amendment { epochs: epoch, recipe: before });
            }
            record.title.clone_from(title);
            record.description.clone_from(description);
            record
        }
        None => {
            let start = layout.structure.clone();
            RunRecord::new(title.clone(), description.clone(), recipe.clone(), start)
        }
    };
    record.classes = classes.to_vec();
    record.epochs_planned = *epochs;
    record.layers.clone_from(&layout.layers);
    Ok(record)
}

/// The first layer that is not the same in both.
fn difference<'a>(left: &'a Structure, right: &'a Structure) -> Option<&'a str> {
    let mut paths = left.layers().keys().chain(right.layers().keys());
    let differs = |path: &&String| left.layers().get(*path) != right.layers().get(*path);
    paths.find(differs).map(String::as_str)
}

/// Burn panics at a record that does not fit; this says what is wrong before.
pub(super) fn check_checkpoint<N: Network>(
    model: &DyRep<Classifier<N>>,
    checkpoints: &Checkpoints,
    epoch: usize,
) -> Result<(), TrainError> {
    use burn::store::ModuleRecord;
    use burn_train::checkpoint::Checkpointer;

    let [part, ..] = checkpoints.checkpointers();
    let refused = |reason: String| TrainError::Resume {
        path: checkpoints.folder().to_owned(),
        epoch,
        reason,
    };
    let record: ModuleRecord = part.restore(epoch).map_err(|error| refused(error.to_string()))?;
    // Statistics are shared between clones: a copy of its own is tried.
    let copy = model.clone().fork(&home(model));
    copy.try_load_record(record).map(drop).map_err(|error| refused(error.to_string()))
}
