//! Where a loader's time goes.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A part of the work on one sample, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Read,
    Decode,
    Transform,
    Collate,
}

const STAGES: usize = 4;

/// Time spent, added up over samples and threads: with two busy threads, two seconds each second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Reading files.
    pub read: Duration,
    /// Decoding.
    pub decode: Duration,
    /// Resizing and all other transforms.
    pub transform: Duration,
    /// Writing planes into the batch.
    pub collate: Duration,
    /// How long the caller waited for batches.
    pub wait: Duration,
    /// Samples that were made.
    pub samples: u64,
}

impl StageTimes {
    /// The work on samples: all but the waiting.
    #[must_use]
    pub fn work(&self) -> Duration {
        self.read + self.decode + self.transform + self.collate
    }
}

/// Takes the time of the stages of one sample after the other.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    last: Instant,
    spent: [Duration; STAGES],
    samples: u64,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self { last: Instant::now(), spent: [Duration::ZERO; STAGES], samples: 0 }
    }
}

impl Stopwatch {
    /// A sample begins.
    pub(crate) fn start(&mut self) {
        self.last = Instant::now();
        self.samples += 1;
    }

    /// What was done since the last call was `stage`.
    pub(crate) fn lap(&mut self, stage: Stage) {
        let now = Instant::now();
        self.spent[stage as usize].add_assign(now - self.last);
        self.last = now;
    }

    /// Adds what was measured to the totals, and forgets it.
    pub(crate) fn hand_over(&mut self, totals: &Totals) {
        for (total, spent) in totals.nanoseconds.iter().zip(&mut self.spent) {
            total.fetch_add(nanoseconds(std::mem::take(spent)), Ordering::Relaxed);
        }
        totals.samples.fetch_add(std::mem::take(&mut self.samples), Ordering::Relaxed);
    }
}

/// The sums of all threads of a loader.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    nanoseconds: [AtomicU64; STAGES],
    wait: AtomicU64,
    samples: AtomicU64,
}

impl Totals {
    /// The caller waited since `from`.
    pub(crate) fn waited(&self, from: Instant) {
        self.wait.fetch_add(nanoseconds(from.elapsed()), Ordering::Relaxed);
    }

    pub(crate) fn times(&self) -> StageTimes {
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let of = |stage: Stage| Duration::from_nanos(read(&self.nanoseconds[stage as usize]));
        StageTimes {
            read: of(Stage::Read),
            decode: of(Stage::Decode),
            transform: of(Stage::Transform),
            collate: of(Stage::Collate),
            wait: Duration::from_nanos(read(&self.wait)),
            samples: read(&self.samples),
        }
    }
}

/// 584 years fit.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
