//! Going on with a run: from which checkpoint, and whether it is this run's.

use std::path::Path;

use burn::module::Module;
use dyrep_burn::Structure;
use dyrep_models::Network;

use super::layout::Layout;
use super::record::{Amendment, RunRecord};
use super::scales;
use super::{Progress, Training};
use crate::checkpoint::{Broken, Checkpoints, Moment};
use crate::classifier::Classifier;
use crate::device::home;
use crate::dyrep::DyRep;
use crate::error::TrainError;

/// The moment to go on from, if there is one.
pub(super) fn newest(
    checkpoints: &Checkpoints,
    progress: &mut dyn Progress,
) -> Result<Option<Moment>, TrainError> {
    let (newest, mut broken) = checkpoints.newest()?;
    if newest.is_none() && !broken.is_empty() {
        let Broken { moment, reason } = broken.remove(0);
        return Err(TrainError::Resume { path: checkpoints.folder().to_owned(), moment, reason });
    }
    for Broken { moment, reason } in broken {
        progress.on_warning(&format!("the checkpoint of {moment} does not count: {reason}"));
    }
    Ok(newest)
}

/// The record of a run that begins.
pub(super) fn begun(layout: &Layout, (training, classes): (&Training, &[String])) -> RunRecord {
    let Training { title, description, recipe, epochs, .. } = training;
    let start = layout.structure.clone();
    let mut record = RunRecord::new(title.clone(), description.clone(), recipe.clone(), start);
    record.classes = classes.to_vec();
    record.epochs_planned = *epochs;
    record.teacher = training.distillation.as_ref().map(|it| it.teacher.checksum());
    record.scales = scales::checksum(training.rep_optimizer.as_ref());
    record.layers.clone_from(&layout.layers);
    record
}

/// The folder's record up to the checkpoint.
///
/// # Errors
/// What the checkpoint does not go together with.
pub(super) fn gone_on(
    former: RunRecord,
    layout: &Layout,
    (training, classes): (&Training, &[String]),
    moment: Moment,
    folder: &Path,
) -> Result<RunRecord, TrainError> {
    let mut record = former;
    let refused = |reason| Err(TrainError::Resume { path: folder.to_owned(), moment, reason });
    if moment > Moment::after(training.epochs) {
        let epochs = training.epochs;
        return refused(format!("the run is further than the {epochs} epochs that it is to have"));
    }
    if let Some(layer) = difference(&record.start, &layout.structure) {
        return refused(format!("the run began with another network: layer `{layer}` differs"));
    }
    let mut pairs = record.classes.iter().zip(classes);
    if let Some((before, now)) = pairs.find(|(before, now)| before != now) {
        return refused(format!(
            "the run began with the class `{before}` where its data now have `{now}`"
        ));
    }
    let now = begun(layout, (training, classes));
    if record.teacher != now.teacher {
        return refused(match (record.teacher, now.teacher) {
            (None, _) => "the run began without a teacher".to_owned(),
            (_, None) => "the run began with a teacher's logits".to_owned(),
            _ => "the run began with other logits of its teacher".to_owned(),
        });
    }
    if record.scales != now.scales {
        return refused("the run began with other scales of its blocks".to_owned());
    }
    record.truncate(moment);
    if record.recipe != now.recipe {
        let before = std::mem::replace(&mut record.recipe, now.recipe);
        record.history.push(Amendment { epochs: moment.epochs, recipe: before });
    }
    (record.title, record.description) = (now.title, now.description);
    (record.classes, record.epochs_planned, record.layers) =
        (now.classes, now.epochs_planned, now.layers);
    Ok(record)
}

/// The first layer that is not the same in both.
fn difference<'a>(left: &'a Structure, right: &'a Structure) -> Option<&'a str> {
    let mut paths = left.layers().keys().chain(right.layers().keys());
    let differs = |path: &&String| left.layers().get(*path) != right.layers().get(*path);
    paths.find(differs).map(String::as_str)
}

/// The model of a checkpoint: `model` as it was then. Burn panics at a record that does not fit; this says what is wrong
/// before.
pub(super) fn restored<N: Network>(
    model: &DyRep<Classifier<N>>,
    checkpoints: &Checkpoints,
    moment: Moment,
) -> Result<DyRep<Classifier<N>>, TrainError> {
    let refused = |reason: String| TrainError::Resume {
        path: checkpoints.folder().to_owned(),
        moment,
        reason,
    };
    let record = checkpoints.record(moment).map_err(|error| refused(error.to_string()))?;
    // Statistics are shared between clones: a copy of its own is loaded.
    let copy = model.clone().fork(&home(model));
    copy.try_load_record(record).map_err(|error| refused(error.to_string()))
}
