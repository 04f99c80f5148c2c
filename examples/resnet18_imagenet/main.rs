//! Trains ResNet-18 while its convolutions grow branches and lose weak ones (DyRep, CVPR 2022), deploys it,
//! and shows that nothing changed but the cost.
//!
//! ```text
//! cargo run --release --example resnet18_imagenet                            # the shipped digits, on the CPU
//! cargo run --release --example resnet18_imagenet --features cuda -- --data /data/imagenet
//! ```
//!
//! It is `dyrep train` with options for what one changes most. What happens is in `dyrep_cli::job`: a recipe becomes a
//! `Plan` (network, data, options), the plan a `Run`, and its end a `Deployment`. `examples/custom_loop` shows the method
//! without any of these.

// A program: printing is its work.
#![allow(clippy::print_stdout)]

mod options;

use std::process::ExitCode;

use clap::Parser;
use dyrep_burn::ops::keep_freed_memory;
use dyrep_cli::job::{Job, Outcome};
use dyrep_cli::terminal::Lines;
use dyrep_cli::{Failure, INTERRUPTED};

use options::Options;

fn main() -> ExitCode {
    keep_freed_memory();
    run(&Options::parse()).unwrap_or_else(|error| dyrep_cli::complain(&error))
}

fn run(options: &Options) -> Result<ExitCode, Failure> {
    let (recipe, resume) = options.recipe()?;
    let job = Job {
        recipe,
        devices: options.device.clone(),
        folder: options.folder(),
        resume,
        dashboard: options.dashboard,
        lines: Lines::Output,
        resume_with: "--resume",
    };
    match job.run()? {
        Outcome::Stopped(stopped) => {
            println!("{stopped}");
            Ok(ExitCode::from(INTERRUPTED))
        }
        Outcome::Finished(summary) => {
            println!("{summary}");
            if options.json {
                println!("{}", serde_json::to_string(&summary)?);
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
