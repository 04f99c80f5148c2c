//! Running a plan: an iterator over batches, filled by threads or by the caller.
//!
//! With `n` threads, thread `t` makes the batches `t, t + n, t + 2n, …` and hands each over through
//! a channel of its own that holds one. The iterator asks the channels in turn, so batches arrive
//! in order without any reordering, and at most two per thread exist ahead of the caller.
//!
//! A thread ends early in three ways, none of which can pass for the end of the epoch: its error
//! is delivered in its place and ends the iteration; its panic continues in the caller; and when
//! the iterator is dropped, a flag stops every thread before its next sample.

use std::iter::FusedIterator;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use super::plan::{Batch, Plan};
use crate::error::DataError;

/// Finished batches that wait in each thread's channel.
const WAITING: usize = 1;

/// The batches of one epoch, in order.
///
/// The first error takes the place of its batch and ends the epoch. Dropping it early stops its
/// threads and waits for them, which takes about as long as one image.
///
/// # Panics
///
/// `next` panics if the data set or a transform does, in whichever thread it ran.
pub struct Epoch {
    plan: Arc<Plan>,
    next: usize,
    workers: Option<Workers>,
    failure: Option<DataError>,
}

impl Epoch {
    pub(super) fn start(plan: Plan, threads: usize) -> Self {
        let plan = Arc::new(plan);
        // A failure to start is the first item, so that `epoch` has one kind of error, not two.
        let (workers, failure) = match Workers::start(&plan, threads) {
            Ok(workers) => (workers, None),
            Err(error) => (None, Some(error)),
        };
        Self { plan, next: 0, workers, failure }
    }

    fn finish(&mut self) {
        self.next = self.plan.batches();
        self.workers = None;
    }
}

impl Iterator for Epoch {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failure.take() {
            self.finish();
            return Some(Err(error));
        }
        if self.next == self.plan.batches() {
            return None;
        }
        let batch = self.next;
        self.next += 1;
        let result = match &mut self.workers {
            Some(workers) => workers.receive(batch),
            // Nobody stops the calling thread, so this is always a batch or an error.
            None => self.plan.load(batch, || false)?,
        };
        if result.is_err() {
            self.finish();
        }
        Some(result)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.plan.batches() - self.next;
        // An error may come next and end the epoch.
        (left.min(1), Some(left))
    }
}

impl FusedIterator for Epoch {}

impl std::fmt::Debug for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Epoch(batch {} of {})", self.next, self.plan.batches())
    }
}

type Item = Result<Batch, DataError>;

/// The threads of an epoch. Dropping them stops them and waits.
struct Workers {
    stop: Arc<AtomicBool>,
    receivers: Vec<Receiver<Item>>,
    threads: Vec<Option<JoinHandle<()>>>,
}

impl Workers {
    /// Starts the threads, or nothing if there shall be none.
    fn start(plan: &Arc<Plan>, threads: usize) -> Result<Option<Self>, DataError> {
        if threads == 0 {
            return Ok(None);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let mut workers = Self { stop, receivers: Vec::new(), threads: Vec::new() };
        for first in 0..threads {
            let (sender, receiver) = sync_channel(WAITING);
            let (plan, stop) = (Arc::clone(plan), Arc::clone(&workers.stop));
            // On an error, dropping `workers` stops those that have started.
            let thread = Builder::new()
                .name(format!("loader-{first}"))
                .spawn(move || work(&plan, first, threads, &sender, &stop))
                .map_err(|source| DataError::Thread { number: first + 1, threads, source })?;
            workers.receivers.push(receiver);
            workers.threads.push(Some(thread));
        }
        Ok(Some(workers))
    }

    fn receive(&mut self, batch: usize) -> Item {
        let worker = batch % self.receivers.len();
        if let Ok(item) = self.receivers[worker].recv() {
            return item;
        }
        if let Some(Err(panic)) = self.threads[worker].take().map(JoinHandle::join) {
            resume_unwind(panic);
        }
        unreachable!("a thread delivers each of its batches unless it panics or is told to stop")
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the threads that wait for room in their channel.
        self.receivers.clear();
        for thread in self.threads.drain(..).flatten() {
            // A panic in a batch that nobody is going to ask for is of no consequence.
            let _ = thread.join();
        }
    }
}

/// A thread's work: every `step`-th batch from `first` on, until the first error.
fn work(plan: &Plan, first: usize, step: usize, sender: &SyncSender<Item>, stop: &AtomicBool) {
    for batch in (first..plan.batches()).step_by(step) {
        let Some(item) = plan.load(batch, || stop.load(Ordering::Relaxed)) else {
            return;
        };
        let failed = item.is_err();
        if sender.send(item).is_err() || failed {
            return;
        }
    }
}
