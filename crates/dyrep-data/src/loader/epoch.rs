//! Running a plan: an iterator over batches, made ahead by threads or on demand by the caller.
//!
//! Each of a few *makers* makes every so-manieth batch and holds it until the caller takes it, so
//! that is how many batches exist ahead of the caller. The samples of a batch are shared out among
//! the loader's threads, and while one batch waits for its last sample, the next one is under way.
//! The iterator asks the makers in turn, so batches arrive in order without any reordering.
//!
//! An epoch ends early in three ways, none of which can pass for its end: an error is delivered in
//! its place and ends the iteration; a panic continues in the caller; and when the iterator is
//! dropped, a flag stops every thread before its next sample.

use std::iter::FusedIterator;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use super::batch::Batch;
use super::plan::{Made, Plan};
use crate::error::DataError;

/// The batches of one epoch, in order.
///
/// A sample whose file cannot be used is left out, as long as the loader may skip it. Any other
/// error takes the place of its batch and ends the epoch. Dropping it early stops its threads and
/// waits for them, which takes about as long as one image.
///
/// # Panics
///
/// `next` panics if the data set or a transform does, in whichever thread it ran.
pub struct Epoch {
    plan: Arc<Plan>,
    next: usize,
    delivered: bool,
    makers: Option<Makers>,
    failure: Option<DataError>,
}

impl Epoch {
    pub(super) fn start(plan: Plan) -> Self {
        let plan = Arc::new(plan);
        // A failure to start is the first item, so that `epoch` has one kind of error, not two.
        let (makers, failure) = match Makers::start(&plan) {
            Ok(makers) => (makers, None),
            Err(error) => (None, Some(error)),
        };
        Self { plan, next: 0, delivered: false, makers, failure }
    }

    fn finish(&mut self) {
        self.next = self.plan.batches();
        self.makers = None;
    }

    /// The next batch that has samples; nothing at the end.
    fn advance(&mut self) -> Result<Option<Batch>, DataError> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let shared = Arc::clone(&self.plan.shared);
        while self.next < self.plan.batches() {
            let waiting = Instant::now();
            let item = match &mut self.makers {
                Some(makers) => makers.receive(self.next),
                None => self
                    .plan
                    .load(self.next, || false)
                    .unwrap_or_else(|| unreachable!("nothing stops a batch that the caller makes")),
            };
            shared.totals.waited(waiting);
            self.next += 1;
            let Made { batch, unusable } = item?;
            // Counted here, in the epoch's order, so that which sample is one too many does not
            // depend on the threads.
            shared.skip(unusable)?;
            if batch.is_some() {
                self.delivered = true;
                return Ok(batch);
            }
        }
        if !self.delivered && self.plan.batches() > 0 {
            self.delivered = true;
            return Err(DataError::NothingUsable { samples: shared.skipped() });
        }
        Ok(None)
    }
}

impl Iterator for Epoch {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.advance().transpose();
        match &item {
            Some(Err(_)) => {
                self.delivered = true;
                self.finish();
            }
            Some(Ok(_)) if self.next == self.plan.batches() => self.makers = None,
            _ => {}
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.plan.batches() - self.next;
        // An error may come next and end the epoch.
        (left.min(1), Some(left.max(usize::from(!self.delivered))))
    }
}

impl FusedIterator for Epoch {}

impl std::fmt::Debug for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Epoch(batch {} of {})", self.next, self.plan.batches())
    }
}

type Item = Result<Made, DataError>;

/// Those who make the batches of an epoch. Dropping them stops them and waits.
struct Makers {
    stop: Arc<AtomicBool>,
    receivers: Vec<Receiver<Item>>,
    threads: Vec<Option<JoinHandle<()>>>,
}

impl Makers {
    /// Starts them, or nothing if the loader has no threads.
    fn start(plan: &Arc<Plan>) -> Result<Option<Self>, DataError> {
        if plan.shared.threads.is_none() {
            return Ok(None);
        }
        let makers = plan.shared.config.prefetch.max(1).min(plan.batches());
        let stop = Arc::new(AtomicBool::new(false));
        let mut all = Self { stop, receivers: Vec::new(), threads: Vec::new() };
        for first in 0..makers {
            // Of length zero: what is finished waits in the hands of its maker.
            let (sender, receiver) = sync_channel(0);
            let (plan, stop) = (Arc::clone(plan), Arc::clone(&all.stop));
            // On an error, dropping `all` stops those that have started.
            let thread = Builder::new()
                .name(format!("batches-{first}"))
                .spawn(move || work(&plan, first, makers, &sender, &stop))
                .map_err(|source| DataError::Thread { threads: makers, source })?;
            all.receivers.push(receiver);
            all.threads.push(Some(thread));
        }
        Ok(Some(all))
    }

    fn receive(&mut self, batch: usize) -> Item {
        let maker = batch % self.receivers.len();
        if let Ok(item) = self.receivers[maker].recv() {
            return item;
        }
        if let Some(Err(panic)) = self.threads[maker].take().map(JoinHandle::join) {
            resume_unwind(panic);
        }
        unreachable!("a maker delivers each of its batches unless it panics or is told to stop")
    }
}

impl Drop for Makers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the makers that wait for the caller.
        self.receivers.clear();
        for thread in self.threads.drain(..).flatten() {
            // A panic in a batch that nobody is going to ask for is of no consequence.
            let _ = thread.join();
        }
    }
}

/// A maker's work: every `step`-th batch from `first` on, until the first error.
fn work(plan: &Plan, first: usize, step: usize, sender: &SyncSender<Item>, stop: &AtomicBool) {
    let Some(threads) = &plan.shared.threads else { return };
    for batch in (first..plan.batches()).step_by(step) {
        let stopped = || stop.load(Ordering::Relaxed);
        let Some(item) = threads.install(|| plan.load(batch, stopped)) else {
            return;
        };
        let failed = item.is_err();
        if sender.send(item).is_err() || failed {
            return;
        }
    }
}
