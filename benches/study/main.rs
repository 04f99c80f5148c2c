//! Strategies under one recipe: accuracy, time and branches, on a hard split of the shipped digits.
//!
//! ```text
//! cargo bench --bench study                                   # the table of docs/results.md
//! cargo bench --bench study -- --seeds 2 --epochs 20          # a quick look
//! ```
//!
//! Each run is a process with one thread, so that runs beside each other do not share one; the strategies
//! take turns within each seed. Outcomes are appended to a file as they come, and runs found there are not
//! repeated.

// A program: printing is its work, and a run that cannot go on stops it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod nets;
mod run;
mod strategy;
mod table;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;

use clap::Parser;
use dyrep_benches::exit_code;

use nets::Architecture;
use run::{Job, Outcome, Recipe};
use strategy::Strategy;

/// Compares strategies on a hard split of the shipped digits.
#[derive(Debug, Parser)]
struct Options {
    /// Seeds, each with its own training samples and initial values.
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// Training samples, as many of each class; all others are for testing.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(10..=1000))]
    samples: u64,
    #[arg(long, default_value_t = 60)]
    epochs: usize,
    #[arg(long, default_value_t = 20)]
    batch: usize,
    /// Epochs between adjustments.
    #[arg(long, default_value_t = 5)]
    interval: usize,
    /// The networks; all if none is named.
    #[arg(long, value_enum)]
    net: Vec<Architecture>,
    /// Runs beside each other.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Where outcomes are kept, one JSON object a line.
    #[arg(long, default_value = "target/study.jsonl")]
    out: PathBuf,
    /// Runs one job, given as JSON, and prints its outcome: what the program asks of itself.
    #[arg(long, hide = true)]
    job: Option<String>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    exit_code(start(&Options::parse()))
}

fn start(options: &Options) -> Result<(), Failure> {
    if let Some(job) = &options.job {
        println!("{}", serde_json::to_string(&run::run(serde_json::from_str(job)?))?);
        return Ok(());
    }
    let recipe = Recipe {
        samples: options.samples as usize / 10 * 10,
        epochs: options.epochs,
        batch: options.batch,
        interval: options.interval,
    };
    if options.batch == 0 || options.batch > recipe.samples {
        return Err(
            format!("--batch must be 1 to {}, got {}", recipe.samples, options.batch).into()
        );
    }
    let nets = match options.net.as_slice() {
        [] => vec![Architecture::Resnet, Architecture::Vgg, Architecture::VggNoBn],
        named => named.to_vec(),
    };
    let mut jobs = vec![];
    for seed in 0..options.seeds {
        for &net in &nets {
            jobs.extend(Strategy::all().into_iter().map(|strategy| Job {
                net,
                strategy,
                seed,
                recipe,
            }));
        }
    }
    let known = read(&options.out)?;
    let mut outcomes: Vec<Outcome> =
        known.into_iter().filter(|outcome| jobs.contains(&outcome.job)).collect();
    jobs.retain(|job| !outcomes.iter().any(|outcome| outcome.job == *job));
    outcomes.extend(run_all(jobs, options)?);
    print!("{}", table::markdown(&nets, recipe, &outcomes));
    Ok(())
}

/// Outcomes of earlier runs.
fn read(path: &Path) -> Result<Vec<Outcome>, Failure> {
    if !path.exists() {
        return Ok(vec![]);
    }
    let text = std::fs::read_to_string(path)?;
    // A line cut short by a kill is run again.
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn run_all(mut jobs: Vec<Job>, options: &Options) -> Result<Vec<Outcome>, Failure> {
    jobs.reverse();
    let total = jobs.len();
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&options.out)?;
    let shared = Mutex::new((jobs, file, vec![]));
    let work = || -> Result<(), String> {
        loop {
            let next = shared.lock().map_err(|e| e.to_string())?.0.pop();
            let Some(job) = next else { return Ok(()) };
            let line = run_apart(job).map_err(|e| format!("{job:?}: {e}"))?;
            let outcome: Outcome = serde_json::from_str(&line).map_err(|e| e.to_string())?;
            let mut shared = shared.lock().map_err(|e| e.to_string())?;
            let (_, file, outcomes) = &mut *shared;
            writeln!(file, "{line}").map_err(|e| e.to_string())?;
            outcomes.push(outcome.clone());
            eprintln!(
                "{}/{total} {:?}, {}, seed {}: {:.2}% in {:.0} s",
                outcomes.len(),
                job.net,
                job.strategy,
                job.seed,
                100.0 * outcome.accuracy,
                outcome.seconds
            );
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(|worker| worker.join().map_err(|_| "a worker stopped"));
        ended.collect::<Result<Vec<_>, _>>()?.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok::<(), Failure>(())
    })?;
    Ok(shared.into_inner()?.2)
}

/// Runs a job in a process with one thread; returns what it prints.
fn run_apart(job: Job) -> Result<String, Failure> {
    let output = Command::new(std::env::current_exe()?)
        .arg("--job")
        .arg(serde_json::to_string(&job)?)
        .env("RAYON_NUM_THREADS", "1")
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the run ended with {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
