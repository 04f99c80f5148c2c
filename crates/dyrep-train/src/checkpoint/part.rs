//! One of the files that a checkpoint consists of, as Burn saves and restores it.

use std::fs;
use std::io;

use burn::optim::OptimizerRecord;
use burn::optim::lr_scheduler::LrSchedulerRecord;
use burn::store::ModuleRecord;
use burn_train::checkpoint::{Checkpoint, Checkpointer, CheckpointerError};

use super::{Checkpoints, Digest, Moment, PARTS};

/// Saves, restores and deletes one part of each checkpoint.
#[derive(Debug)]
pub struct Part {
    name: &'static str,
    all: Checkpoints,
}

impl Checkpoints {
    /// For model, optimiser and scheduler, in the order in which Burn takes them.
    #[must_use]
    pub fn checkpointers(&self) -> [Part; 3] {
        PARTS.map(|name| Part { name, all: self.clone() })
    }

    /// Writes a whole checkpoint now, in the caller's thread.
    pub(crate) fn save(
        &self,
        moment: Moment,
        model: ModuleRecord,
        optimizer: OptimizerRecord,
        scheduler: LrSchedulerRecord,
    ) -> Result<(), CheckpointerError> {
        let [of_model, of_optimizer, of_scheduler] = self.checkpointers();
        of_model.write(moment, model)?;
        of_optimizer.write(moment, optimizer)?;
        of_scheduler.write(moment, scheduler)
    }

    /// The wrapper's record of a moment.
    pub(crate) fn record(&self, moment: Moment) -> Result<ModuleRecord, CheckpointerError> {
        let [of_model, ..] = self.checkpointers();
        of_model.read(moment)
    }
}

impl Part {
    fn named(&self, moment: Moment, error: &io::Error) -> CheckpointerError {
        let path = self.all.path(self.name, moment);
        CheckpointerError::Unknown(format!("{}: {error}", path.display()))
    }

    fn write<R: Checkpoint>(&self, moment: Moment, record: R) -> Result<(), CheckpointerError> {
        let bytes = record.checkpoint_into_bytes().map_err(CheckpointerError::Record)?;
        self.all
            .disk
            .write(&self.all.path(self.name, moment), &bytes)
            .and_then(|()| self.all.wrote(self.name, moment, Digest::of(&bytes)))
            .map_err(|error| self.named(moment, &error))
    }

    fn read<R: Checkpoint>(&self, moment: Moment) -> Result<R, CheckpointerError> {
        let path = self.all.path(self.name, moment);
        let bytes = fs::read(path).map_err(|error| self.named(moment, &error))?;
        R::checkpoint_from_bytes(burn::tensor::Bytes::from_bytes_vec(bytes))
            .map_err(CheckpointerError::Record)
    }
}

impl<R: Checkpoint> Checkpointer<R> for Part {
    fn save(&self, epoch: usize, record: R) -> Result<(), CheckpointerError> {
        self.write(self.all.moment(epoch), record)
    }

    fn delete(&self, epoch: usize) -> Result<(), CheckpointerError> {
        let moment = self.all.moment(epoch);
        self.all.remove(moment).map_err(|error| self.named(moment, &error))
    }

    fn restore(&self, epoch: usize) -> Result<R, CheckpointerError> {
        self.read(self.all.moment(epoch))
    }
}
