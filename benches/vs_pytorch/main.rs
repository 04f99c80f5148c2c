//! Training steps, memory and deployed inference beside PyTorch's, on the CPU with two threads each.
//!
//! ```text
//! DYREP_PYTHON=/path/to/python cargo bench --bench vs_pytorch
//! cargo bench --bench vs_pytorch -- --json
//! ```
//!
//! The limit is what the convolutions' arithmetic would take by its definition, at the speed of large matrix products
//! measured when the program starts: Winograd's way may be below it, everything that is not a product is above.
//!
//! Times are those of a program that keeps freed memory (`keep_freed_memory`); memory is that of one that does not.
//!
//! Both sides build the same networks and take turns, one pass each; the figures are medians. Without PyTorch it
//! says so and measures nothing.

// A program: printing is its work.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod cases;
mod ours;
mod peer;

use std::process::{Command, ExitCode, Stdio};

use clap::Parser;
use dyrep_benches::{exit_code, median, peak};
use dyrep_kernels::keep_freed_memory;
use serde::Serialize;

use cases::{Case, Network, What};
use ours::Ours;
use peer::Peer;

/// As the peer's.
const THREADS: usize = 2;
/// Steps before the peak of memory is read.
const STEPS_TO_PEAK: usize = 3;

/// Compares with PyTorch.
#[derive(Debug, Parser)]
struct Options {
    /// Timed passes of each side; one more warms up.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only cases whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// One JSON object a line instead of the table.
    #[arg(long)]
    json: bool,
    /// Trains this network, given as JSON, and prints the peak: what the program asks of itself.
    #[arg(long, hide = true)]
    peak: Option<String>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    ours: f64,
    peer: f64,
    ratio: f64,
    goal: f64,
    /// Seconds that the convolutions' multiply-adds would take as large matrix products; none for memory.
    limit: Option<f64>,
}

fn main() -> ExitCode {
    exit_code(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), String> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(THREADS)
        .build_global()
        .map_err(|e| e.to_string())?;
    if let Some(network) = &options.peak {
        let network = serde_json::from_str(network).map_err(|e| e.to_string())?;
        println!("{}", own_peak(network)?);
        return Ok(());
    }
    keep_freed_memory();
    let cases = cases::all().into_iter().filter(|case| case.name.contains(&options.only));
    let cases: Vec<Case> = cases.collect();
    if let Some(case) = cases.first() {
        match Peer::start(case.network) {
            Ok((_, version)) => eprintln!("PyTorch {version}; seconds or bytes, medians"),
            Err(reason) => {
                eprintln!(
                    "skipped: no PyTorch to compare with ({reason}); name its Python in DYREP_PYTHON"
                );
                return Ok(());
            }
        }
    }
    if !options.json {
        let columns = ["ours", "PyTorch", "ratio", "goal", "limit"];
        let [ours, peer, ratio, goal, limit] = columns;
        println!("{:<46}{ours:>12}{peer:>12}{ratio:>8}{goal:>8}{limit:>12}", "");
    }
    let peak = peak();
    eprintln!("matrix products: {:.0} GFLOP/s", 1e-9 * peak);
    for case in cases {
        let limit = (case.what != What::Peak)
            .then(|| ours::operations(case.network, case.what == What::Step) / peak);
        let (ours, peer) = measure(&case, options.rounds.max(1))?;
        let Case { name, goal, .. } = case;
        let row = Row { name, ours, peer, ratio: ours / peer, goal, limit };
        if options.json {
            println!("{}", serde_json::to_string(&row).map_err(|e| e.to_string())?);
        } else {
            let figures = match case.what {
                What::Peak => [ours, peer].map(|bytes| format!("{:.0} MiB", bytes / 1048576.0)),
                What::Step | What::Infer => {
                    [ours, peer].map(|time| format!("{:.1} ms", 1e3 * time))
                }
            };
            let limit = limit.map_or(String::new(), |limit| format!("{:.1} ms", 1e3 * limit));
            let [ours, peer] = figures;
            println!("{name:<46}{ours:>12}{peer:>12}{:>8.2}{goal:>8}{limit:>12}", row.ratio);
        }
    }
    Ok(())
}

/// Ours and the peer's.
fn measure(case: &Case, rounds: usize) -> Result<(f64, f64), String> {
    let (mut peer, _) = Peer::start(case.network)?;
    if case.what == What::Peak {
        for _ in 0..STEPS_TO_PEAK {
            peer.seconds("step")?;
        }
        return Ok((peak_apart(case.network)?, peer.peak()?));
    }
    let mut ours = Ours::new(case.network);
    let (mut own_times, mut peer_times) = (vec![], vec![]);
    for _ in 0..=rounds {
        let training = case.what == What::Step;
        own_times.push(if training { ours.step() } else { ours.infer() });
        peer_times.push(peer.seconds(if training { "step" } else { "infer" })?);
    }
    // The first round warms up.
    Ok((median(own_times.split_off(1)), median(peer_times.split_off(1))))
}

/// Peak resident bytes of a process that only trains this network.
fn peak_apart(network: Network) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let network = serde_json::to_string(&network).map_err(|e| e.to_string())?;
    let output = Command::new(program)
        .args(["--peak", &network])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .map_err(|_| format!("the run for memory ended with {}: {text}", output.status))
}

/// Trains here, then reads the peak from Linux's account of this process.
fn own_peak(network: Network) -> Result<f64, String> {
    let mut ours = Ours::new(network);
    for _ in 0..STEPS_TO_PEAK {
        ours.step();
    }
    let status = std::fs::read_to_string("/proc/self/status").map_err(|e| e.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map(|kib| kib * 1024.0).ok_or_else(|| "no VmHWM in /proc/self/status".to_owned())
}
