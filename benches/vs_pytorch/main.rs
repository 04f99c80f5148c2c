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
//! Both sides build the same networks and take turns, one pass each; the figures are medians. Blocks that are one
//! convolution while they train stand beside our own plain network. Without PyTorch the rows that need it say so and are
//! left out.

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

use cases::{Case, Goal, Network, What};
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
    beside: &'static str,
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
    let mut with_peer = false;
    if let Some(case) = cases.iter().find(|case| matches!(case.goal, Goal::PyTorch(_))) {
        match Peer::start(case.network) {
            Ok((_, version)) => {
                with_peer = true;
                eprintln!("PyTorch {version}; seconds or bytes, medians");
            }
            Err(reason) => eprintln!(
                "no PyTorch to compare with ({reason}); name its Python in DYREP_PYTHON: its rows are left out"
            ),
        }
    }
    if !options.json {
        let columns = ["ours", "beside", "", "ratio", "goal", "limit"];
        let [ours, peer, whose, ratio, goal, limit] = columns;
        println!("{:<46}{ours:>12}{peer:>12} {whose:<8}{ratio:>8}{goal:>8}{limit:>12}", "");
    }
    let peak = peak();
    eprintln!("matrix products: {:.0} GFLOP/s", 1e-9 * peak);
    for case in cases {
        let of_peer = matches!(case.goal, Goal::PyTorch(_));
        if of_peer && !with_peer {
            continue;
        }
        let limit = (case.what != What::Peak)
            .then(|| ours::operations(case.network, case.what == What::Step) / peak);
        let rounds = options.rounds.max(1);
        let (ours, peer) = match of_peer {
            true => measure(&case, rounds)?,
            false => measure_plain(&case, rounds)?,
        };
        let name = case.name;
        let goal = match case.goal {
            Goal::PyTorch(goal) | Goal::Plain(goal) => goal,
            Goal::PlainAndCounted(goal) => {
                let counted = match case.what {
                    What::Peak => ours::added_bytes(case.network),
                    What::Step | What::Infer => ours::composing(case.network) / peak,
                };
                goal * (peer + counted) / peer
            }
        };
        let beside = if of_peer { "PyTorch" } else { "plain" };
        let row = Row { name, ours, beside, peer, ratio: ours / peer, goal, limit };
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
            println!(
                "{name:<46}{ours:>12}{peer:>12} {beside:<8}{:>8.2}{goal:>8.2}{limit:>12}",
                row.ratio
            );
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

/// Ours with branches and without.
fn measure_plain(case: &Case, rounds: usize) -> Result<(f64, f64), String> {
    let networks = [case.network, case.network.plain()];
    if case.what == What::Peak {
        return Ok((peak_apart(networks[0])?, peak_apart(networks[1])?));
    }
    let mut sides = networks.map(Ours::new);
    let mut times = [vec![], vec![]];
    for _ in 0..=rounds {
        for (side, times) in sides.iter_mut().zip(&mut times) {
            times.push(if case.what == What::Step { side.step() } else { side.infer() });
        }
    }
    let [ours, plain] = times.map(|mut times| median(times.split_off(1)));
    Ok((ours, plain))
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
