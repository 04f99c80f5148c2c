//! Trains ResNet-18 by DyRep, deploys it, and shows that nothing changed but the cost.
//!
//! ```text
//! cargo run --release --example resnet18_imagenet                            # the shipped digits, on the CPU
//! cargo run --release --example resnet18_imagenet --features cuda -- --data /data/imagenet
//! ```

// A program: printing is its work.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod options;
mod report;
mod task;

use std::process::ExitCode;
use std::time::Instant;

use burn::tensor::Tensor;
use clap::Parser;
use dyrep_burn::ops::keep_freed_memory;
use dyrep_burn::write_atomically;
use dyrep_models::ResNet;
use dyrep_train::{Deployment, ModelFns, Trainer, save_structure, save_weights};

use options::Options;
use report::{Summary, Terminal};
use task::Task;

/// What goes wrong is said in one line.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let started = Instant::now();
    keep_freed_memory();
    let device = dyrep_train::device(options.device_name())?;
    let task = Task::open(options)?;
    std::fs::create_dir_all(&options.out)
        .map_err(|error| format!("output folder {}: {error}", options.out.display()))?;

    device.seed(options.seed);
    let training_device = device.clone().autodiff();
    training_device.seed(options.seed);
    let model = task.model(options)?.init(&training_device)?;
    let forward = |model: &ResNet, images: Tensor<4>| model.forward(images);
    println!(
        "ResNet-18 of width {}, {} on {}, {} for {} epochs on {}",
        task.width,
        options.strategy,
        task.name,
        task.counts(),
        task.epochs,
        options.device_name(),
    );

    let mut terminal = Terminal::new(task.epochs);
    let trainer = Trainer {
        config: task.trainer_config(options),
        train: &task.train,
        validation: &task.validation,
        device: device.clone(),
    };
    let fitted = trainer.fit(model, &forward, &mut terminal)?;
    terminal.finish();

    let fns = ModelFns {
        forward: &forward,
        params: &|model: &ResNet| model.params(),
        flops: &|model: &ResNet, picture| model.flops(picture),
    };
    let (deployed, deployment) =
        Deployment::measure(&fitted.model, &fns, &task.validation, &task.input, &device)?;
    report::print_deployment(&deployment);

    let file = |name: &str| options.out.join(name);
    save_weights(&deployed, &file("deployed.bpk"))?;
    save_weights(&fitted.model, &file("trained.bpk"))?;
    save_structure(&fitted.model, &file("structure.json"))?;
    println!("wrote deployed.bpk, trained.bpk and structure.json to {}", options.out.display());

    let summary = Summary::new(&fitted, &deployment, options, &task, started.elapsed());
    let line = serde_json::to_string(&summary)?;
    write_atomically(&file("summary.json"), line.as_bytes())
        .map_err(|error| format!("{}: {error}", file("summary.json").display()))?;
    if options.json {
        println!("{line}");
    }
    Ok(())
}
