//! What the layer, the method and the networks do on a GPU, as lines of JSON; one program, so that it can travel to a machine
//! without Rust. `run.sh` calls it step by step beside `peer.py`, [`table`] turns the lines into `docs/gpu.md`'s tables.
//!
//! ```text
//! cargo bench --bench gpu --features cuda -- train --model resnet50 --branches dbb --device cuda
//! cargo bench --bench gpu -- laws --device flex --cases 3
//! ```

// A program: printing is its work.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod decisions;
mod devices;
mod digits;
mod jpeg;
mod kernels;
mod laws;
mod line;
mod passes;
mod subject;
mod table;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dyrep_benches::exit_code;

/// Measures on a device, a JSON object a line.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:\n  gpu devices\n  gpu laws --device cuda\n  \
                        gpu train --model resnet50 --branches dyrep --dtype bf16 --device cuda\n  \
                        gpu table results/")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Passed by cargo.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Which backends this program has, and which of them find a device
    Devices,
    /// Random layers and all presets: the device in f32 beside the CPU in f64
    Laws(laws::LawsArgs),
    /// Trains the shipped digits by the recipe `digits_quick`
    Digits(digits::DigitsArgs),
    /// Training steps: the first one apart, then the median
    Train(passes::PassesArgs),
    /// Forward passes of the deployed network
    Infer(passes::PassesArgs),
    /// Where the time of a training step goes, by kernel
    Kernels(kernels::KernelsArgs),
    /// From JPEG files to training steps
    Pictures(jpeg::PicturesArgs),
    /// What autotune chose, from the file that CubeCL writes
    Decisions(decisions::DecisionsArgs),
    /// Writes a line about a step that failed or was left out
    Note(line::NoteArgs),
    /// The tables of docs/gpu.md from a folder's results.jsonl
    Table(table::TableArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    dyrep_kernels::keep_freed_memory();
    exit_code(match cli.command {
        Command::Devices => devices::run(),
        Command::Laws(args) => args.run(),
        Command::Digits(args) => args.run(),
        Command::Train(args) => args.train(),
        Command::Infer(args) => args.infer(),
        Command::Kernels(args) => args.run(),
        Command::Pictures(args) => args.run(),
        Command::Decisions(args) => args.run(),
        Command::Note(args) => args.run(),
        Command::Table(args) => args.run(),
    })
}
