//! Trains ResNet-18 while its convolutions grow branches and lose weak ones (DyRep, CVPR 2022), deploys it,
//! and shows that nothing changed but the cost.
//!
//! ```text
//! cargo run --release --example resnet18_imagenet                            # the shipped digits, on the CPU
//! cargo run --release --example resnet18_imagenet --features cuda -- --data /data/imagenet
//! ```

// A program: printing is its work.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod options;
mod terminal;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Device;
use clap::Parser;
use dyrep_burn::ops::keep_freed_memory;
use dyrep_burn::{EventLog, write_atomically};
use dyrep_models::ModelName;
use dyrep_train::{Deployment, Interrupter, Plan, Run, save_structure, save_weights};

use options::Options;
use terminal::{Summary, Terminal};

/// What goes wrong is said in one line.
type Failure = Box<dyn std::error::Error>;

/// The exit status of a program that was interrupted, as shells have it.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    keep_freed_memory();
    let names = options.device_names();
    let devices: Vec<Device> =
        names.iter().map(|name| dyrep_train::device(name)).collect::<Result<_, _>>()?;
    let recipe = options.recipe()?;
    let folder = options.folder();
    let mut plan = Plan::new(&recipe, &devices)?;
    let (strategy, epochs) = (recipe.strategy.name(), recipe.schedule.epochs);
    let data = recipe
        .data
        .path
        .as_ref()
        .map_or("the shipped digits".to_owned(), |path| path.display().to_string());
    let pictures = format!(
        "{} pictures for training, {} for validation",
        plan.train.dataset().len(),
        plan.validation.dataset().len()
    );
    let model: ModelName = recipe.model.name.parse()?;
    let width = recipe.model.width.unwrap_or(model.config(1).width());
    let title = if model.name() == "resnet18" { "ResNet-18" } else { model.name() };
    let on = names.join(", ");
    plan.training.title = format!("{title} of width {width}, {strategy}");
    plan.training.description = format!("{data}: {pictures}, {epochs} epochs on {on}");
    println!("{}, {}", plan.training.title, plan.training.description);

    let interrupter = Interrupter::new();
    stop_on_ctrl_c(&interrupter)?;
    let (train, validation) = (Arc::clone(&plan.train), Arc::clone(&plan.validation));
    let input = plan.training.input.clone();
    let run = Run {
        training: plan.training,
        network: plan.network,
        train,
        validation: Arc::clone(&validation),
        devices: &devices,
        folder: folder.clone(),
        resume: options.resume.is_some(),
        interrupter,
        dashboard: options.dashboard,
        progress: Box::new(Terminal::new(epochs, options.dashboard)),
    };
    let mut ended = run.train()?;
    if let Some(reason) = &ended.stopped {
        println!("stopped by {reason}; go on with `--resume {}`", folder.display());
        return Ok(ExitCode::from(INTERRUPTED));
    }

    let (deployed, deployment) =
        Deployment::measure(&ended.network, &validation, &input, &devices[0])?;
    terminal::print_deployment(&deployment);
    ended.deployed(&deployment)?;

    let file = |name: &str| folder.join(name);
    save_weights(&deployed, &file("deployed.bpk"))?;
    save_weights(&ended.network, &file("trained.bpk"))?;
    save_structure(&ended.network, &file("structure.json"))?;
    let summary = Summary {
        model: model.name(),
        width,
        strategy,
        data: &data,
        device: &on,
        seed: recipe.run.seed,
        accuracy_before_deployment: deployment.accuracy_before.fraction(),
        accuracy_after_deployment: deployment.accuracy_after.fraction(),
        largest_difference: deployment.difference.model.absolute,
        largest_relative_difference: deployment.difference.model.relative,
        events: ended.log.iter().flat_map(EventLog::events).collect(),
        epochs: &ended.record.epochs,
        trained: &deployment.before,
        deployed: &deployment.after,
        total_seconds: started.elapsed().as_secs_f64(),
    };
    let line = serde_json::to_string(&summary)?;
    write_atomically(&file("summary.json"), line.as_bytes())
        .map_err(|error| format!("{}: {error}", file("summary.json").display()))?;
    println!(
        "wrote deployed.bpk, trained.bpk, structure.json, summary.json and report.html to {}",
        folder.display()
    );
    if options.json {
        println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Ctrl-C ends the training at the next step; a second one ends the program.
fn stop_on_ctrl_c(interrupter: &Interrupter) -> Result<(), Failure> {
    let interrupter = interrupter.clone();
    Ok(ctrlc::set_handler(move || {
        if interrupter.should_stop() {
            std::process::exit(INTERRUPTED.into());
        }
        interrupter.stop(Some("Ctrl-C"));
    })?)
}
