//! Loading pictures beside torchvision and Pillow: images a second.
//!
//! ```text
//! DYREP_PYTHON=/path/to/python cargo bench -p dyrep-loader-bench
//! cargo bench -p dyrep-loader-bench --features turbojpeg -- --rounds 9
//! ```
//!
//! Every side reads JPEG files of 500×375, cuts a random box, resizes it to 224×224, flips half of
//! them, and batches by 64, with the same number of worker threads or processes. `u8` leaves the
//! normalisation to the device; `f32` normalises on the CPU. The sides take turns, an epoch each;
//! figures are medians. Without torchvision it says so and measures our side alone.

// A program: printing is its work.
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "../peer.rs"]
mod peer;
mod pictures;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use dyrep_data::{Channels, ImageFolder, Loader, LoaderConfig, Pipeline, StageTimes};
use peer::Peer;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const SIZE: u32 = 224;
const BATCH: usize = 64;
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Compares with torchvision and Pillow.
#[derive(Debug, Parser)]
struct Options {
    /// Pictures in an epoch.
    #[arg(long, default_value_t = 512)]
    images: usize,
    /// Timed epochs of each side; one more warms up.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Numbers of worker threads or processes.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    threads: Vec<usize>,
    /// Measures our side alone.
    #[arg(long)]
    alone: bool,
    /// One JSON object a line instead of the table.
    #[arg(long)]
    json: bool,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Serialize)]
struct Row {
    threads: usize,
    side: String,
    images_per_second: f64,
    lowest: f64,
    highest: f64,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let bytes = pictures::write(folder.path(), options.images)?;
    if !options.json {
        let decoder = if cfg!(feature = "turbojpeg") { "libjpeg-turbo" } else { "zune-jpeg" };
        println!(
            "{} pictures of {:.0} KB; ours decodes with {decoder}",
            options.images,
            bytes / 1e3
        );
    }
    for &threads in &options.threads {
        measure(options, folder.path(), threads)?;
    }
    Ok(())
}

/// One of those who load.
enum Side {
    Ours { loader: Loader, normalised: Option<Vec<f32>> },
    Theirs(Peer),
}

#[derive(Deserialize)]
struct Answer {
    images_per_second: f64,
}

impl Side {
    fn ours(folder: &Path, threads: usize, normalise: bool) -> Result<Self, String> {
        let text = |error: dyrep_data::DataError| error.to_string();
        let data = ImageFolder::open(folder, Channels::Rgb).map_err(text)?;
        let config =
            LoaderConfig { batch_size: BATCH, shuffle: true, threads, ..LoaderConfig::default() };
        let pipeline = Pipeline::imagenet_train(SIZE).map_err(text)?;
        let loader = Loader::new(Arc::new(data), pipeline, config).map_err(text)?;
        Ok(Self::Ours { loader, normalised: normalise.then(Vec::new) })
    }

    fn theirs(folder: &Path, workers: usize, mode: &str) -> Result<Self, String> {
        let mut peer = Peer::start("loader/peer.py", &[("OMP_NUM_THREADS", "1")])?;
        let asked = json!({ "folder": folder, "mode": mode, "workers": workers,
            "batch": BATCH, "size": SIZE });
        let _versions: Value = peer.ask(&asked)?;
        Ok(Self::Theirs(peer))
    }

    /// Images a second of one epoch.
    fn epoch(&mut self, epoch: u64) -> Result<f64, String> {
        match self {
            Self::Ours { loader, normalised } => {
                let started = Instant::now();
                let mut images = 0;
                for batch in loader.epoch(epoch) {
                    let batch = batch.map_err(|error| error.to_string())?;
                    images += batch.labels.len();
                    if let Some(target) = normalised {
                        normalise(&batch.pixels, target);
                    }
                }
                Ok(images as f64 / started.elapsed().as_secs_f64())
            }
            Self::Theirs(peer) => {
                peer.ask::<Answer>(&json!({ "do": "epoch" })).map(|answer| answer.images_per_second)
            }
        }
    }
}

/// Bytes to `(byte / 255 − mean) / std`, into a buffer that is used again.
fn normalise(pixels: &[u8], target: &mut Vec<f32>) {
    target.resize(pixels.len(), 0.0);
    let plane = (SIZE * SIZE) as usize;
    let planes = pixels.chunks_exact(plane).zip(target.chunks_exact_mut(plane));
    for (index, (bytes, values)) in planes.enumerate() {
        let (scale, shift) = (1.0 / (255.0 * STD[index % 3]), MEAN[index % 3] / STD[index % 3]);
        for (value, &byte) in values.iter_mut().zip(bytes) {
            *value = f32::from(byte) * scale - shift;
        }
    }
}

fn measure(options: &Options, folder: &Path, threads: usize) -> Result<(), String> {
    let mut sides = vec![
        ("dyrep u8".to_owned(), Side::ours(folder, threads, false)?),
        ("dyrep f32".to_owned(), Side::ours(folder, threads, true)?),
    ];
    if !options.alone {
        for mode in ["pil", "native", "native-u8", "pillow"] {
            sides.push((mode.to_owned(), Side::theirs(folder, threads, mode)?));
        }
    }
    let mut rates = vec![Vec::new(); sides.len()];
    for round in 0..=options.rounds {
        for ((_, side), rates) in sides.iter_mut().zip(&mut rates) {
            let rate = side.epoch(round as u64)?;
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    let rows = sides.iter().zip(rates).map(|((name, _), mut rates)| {
        rates.sort_by(f64::total_cmp);
        let [lowest, images_per_second, highest] =
            [0, rates.len() / 2, rates.len() - 1].map(|at| rates[at]);
        Row { threads, side: name.clone(), images_per_second, lowest, highest }
    });
    let times = sides.iter().find_map(|(_, side)| match side {
        Side::Ours { loader, .. } => Some(loader.times()),
        Side::Theirs(_) => None,
    });
    print(options, &rows.collect::<Vec<_>>(), times.unwrap_or_default())
}

fn print(options: &Options, rows: &[Row], times: StageTimes) -> Result<(), String> {
    if options.json {
        for row in rows {
            println!("{}", serde_json::to_string(row).map_err(|error| error.to_string())?);
        }
        return Ok(());
    }
    let rate =
        |name: &str| rows.iter().find(|row| row.side == name).map(|row| row.images_per_second);
    println!("\n{} workers | images/s (range) | to pil | to native", rows[0].threads);
    for row in rows {
        let ratio = |base: &str| {
            rate(base)
                .map_or_else(|| "-".into(), |base| format!("{:.2}", row.images_per_second / base))
        };
        println!(
            "{:10} | {:6.0} ({:.0}-{:.0}) | {} | {}",
            row.side,
            row.images_per_second,
            row.lowest,
            row.highest,
            ratio("pil"),
            ratio("native")
        );
    }
    let each = |time: std::time::Duration| time.as_secs_f64() * 1e6 / times.samples as f64;
    println!(
        "dyrep u8, µs an image: read {:.0}, decode {:.0}, transform {:.0}, collate {:.0}; decoding \
         alone would give {:.0} images/s",
        each(times.read),
        each(times.decode),
        each(times.transform),
        each(times.collate),
        rows[0].threads as f64 * 1e6 / each(times.decode)
    );
    Ok(())
}
