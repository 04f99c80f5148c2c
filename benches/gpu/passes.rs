//! Training steps and forward passes: the first, in which kernels are compiled and tried, apart; then the median.

use std::process::Command;
use std::time::Instant;

use burn::tensor::{Device, Tensor};
use clap::Args;
use dyrep_benches::median;
use serde::Serialize;
use serde_json::json;

use crate::line::say;
use crate::subject::{Subject, Trained, first_value, timed};

/// Passes that count, whatever they take.
const FEWEST: usize = 3;

#[derive(Debug, Args)]
pub(crate) struct PassesArgs {
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    pace: Pace,
}

/// How many passes.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Pace {
    /// Passes after the first that are not counted
    #[arg(long, default_value_t = 5)]
    pub(crate) warmup: usize,
    /// Passes that are counted …
    #[arg(long, default_value_t = 20)]
    pub(crate) steps: usize,
    /// … or as many as there are in these seconds, three at least
    #[arg(long, default_value_t = 8.0)]
    pub(crate) seconds: f64,
}

/// What passes took.
#[derive(Debug, Serialize)]
struct Measured {
    parameters: usize,
    first_seconds: f64,
    median_seconds: f64,
    lowest_seconds: f64,
    highest_seconds: f64,
    steps: usize,
    /// The first loss or logit, and the last: NaN here says more than any time.
    value_first: f64,
    value_last: f64,
    #[serde(flatten)]
    memory: Memory,
}

/// Bytes on the device, where it says so.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    /// What live tensors take after the last pass.
    bytes_in_use: Option<u64>,
    /// What the allocator holds: it gives little back, so this is near the peak.
    bytes_reserved: Option<u64>,
    /// What the card's own account says, contexts and other programs included.
    card_bytes: Option<u64>,
}

impl PassesArgs {
    /// Steps of SGD.
    pub(crate) fn train(&self) -> Result<(), String> {
        let device = self.subject.open()?;
        let mut trained = Trained::new(&self.subject, &device)?;
        let parameters = trained.parameters();
        let pictures = self.subject.pictures(&device);
        let classes = trained.classes(self.subject.batch);
        self.measure("train", parameters, &device, || {
            trained.step(pictures.clone(), classes.clone())
        })
    }

    /// Forward passes of the network as it is shipped.
    pub(crate) fn infer(&self) -> Result<(), String> {
        let device = self.subject.open()?;
        let network = self.subject.deployed(&device)?;
        let pictures = self.subject.pictures(&device);
        let parameters = network.params();
        self.measure("infer", parameters, &device, || network.forward(pictures.clone()))
    }

    fn measure<const D: usize>(
        &self,
        kind: &str,
        parameters: usize,
        device: &Device,
        mut pass: impl FnMut() -> Tensor<D>,
    ) -> Result<(), String> {
        let (first_seconds, result) = timed(device, &mut pass)?;
        let value_first = first_value(result);
        // Told at once: what follows may be cut short.
        let found = json!({ "first_seconds": first_seconds, "value_first": value_first });
        say(&format!("{kind}_first"), &self.subject, &found)?;
        for _ in 0..self.pace.warmup {
            timed(device, &mut pass)?;
        }
        let (mut seconds, mut value_last) = (vec![], value_first);
        let started = Instant::now();
        while seconds.len() < self.pace.steps.max(1)
            && (seconds.len() < FEWEST || started.elapsed().as_secs_f64() < self.pace.seconds)
        {
            let (took, result) = timed(device, &mut pass)?;
            seconds.push(took);
            value_last = first_value(result);
        }
        let measured = Measured {
            parameters,
            first_seconds,
            lowest_seconds: seconds.iter().copied().fold(f64::INFINITY, f64::min),
            highest_seconds: seconds.iter().copied().fold(0.0, f64::max),
            steps: seconds.len(),
            median_seconds: median(seconds),
            value_first,
            value_last,
            memory: Memory::of(device),
        };
        say(kind, &self.subject, &measured)
    }
}

impl Memory {
    /// As it is now.
    pub(crate) fn of(device: &Device) -> Self {
        let usage = device.memory_pool_usage();
        Self {
            bytes_in_use: usage.as_ref().map(|usage| usage.bytes_in_use),
            bytes_reserved: usage.as_ref().map(|usage| usage.bytes_reserved),
            card_bytes: card_bytes(),
        }
    }
}

/// The first card's used memory, by NVIDIA's program where there is one.
fn card_bytes() -> Option<u64> {
    let query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits"];
    let output = Command::new("nvidia-smi").args(query).output().ok()?;
    let mebibytes: u64 =
        String::from_utf8(output.stdout).ok()?.lines().next()?.trim().parse().ok()?;
    Some(mebibytes << 20)
}
