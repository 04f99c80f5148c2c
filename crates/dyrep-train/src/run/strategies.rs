//! What Burn asks after each epoch: whether to save, and whether to stop.

use burn_train::EarlyStoppingStrategy;
use burn_train::checkpoint::{CheckpointingAction, CheckpointingStrategy};
use burn_train::metric::store::{Aggregate, EventStoreClient, Split};

use super::ending::Ending;
use super::record::RunRecord;
use super::recorder::Recorder;
use super::sums::LOSS;
use crate::checkpoint::Checkpoints;

/// Waits until all events have come that were sent before now.
fn catch_up(epoch: usize, store: &EventStoreClient) {
    let _ = store.find_metric(LOSS, epoch, Aggregate::Mean, &Split::Valid);
}

/// Saves after every epoch, but none of a training that has failed. What is old is removed once the new is whole.
pub(super) struct Save {
    pub(super) recorder: Recorder,
    pub(super) ending: Ending,
    pub(super) checkpoints: Checkpoints,
    /// Whether checkpoints are written at all.
    pub(super) save: bool,
}

impl CheckpointingStrategy for Save {
    fn checkpointing(
        &mut self,
        epoch: usize,
        store: &EventStoreClient,
    ) -> Vec<CheckpointingAction> {
        catch_up(epoch, store);
        if !self.save || self.ending.burn().should_stop() {
            return vec![];
        }
        if let Some(moment) = self.recorder.left_validation(epoch) {
            self.checkpoints.number(epoch, moment);
            return vec![CheckpointingAction::Save];
        }
        let (last, best) = self.recorder.look(|it| (it.epochs.last().copied(), it.best_epoch()));
        if last.is_some_and(|last| !last.valid_loss.is_finite()) {
            self.recorder.warn(&format!(
                "no checkpoint of epoch {epoch}: its validation loss is no finite number"
            ));
            return vec![];
        }
        self.checkpoints.keep_best(best);
        vec![CheckpointingAction::Save]
    }
}

/// Stops when the validation accuracy has not risen for so many epochs, or when an end was asked for. It looks at the
/// record, and so forgets nothing when a run is resumed.
#[derive(Clone)]
pub(super) struct Patience {
    pub(super) recorder: Recorder,
    pub(super) ending: Ending,
    pub(super) epochs: Option<usize>,
}

impl EarlyStoppingStrategy for Patience {
    fn should_stop(&mut self, epoch: usize, store: &EventStoreClient) -> bool {
        catch_up(epoch, store);
        let over = |epochs| self.recorder.look(RunRecord::epochs_since_best) >= epochs;
        self.ending.reason().is_some() || self.epochs.is_some_and(over)
    }
}
