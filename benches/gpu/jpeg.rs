//! From JPEG files to training steps: pictures a second of the loader alone, of steps alone, and of both together.

#[path = "../loader/pictures.rs"]
mod files;

use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Device;
use clap::Args;
use dyrep_data::{Channels, ImageFolder, Loader, LoaderConfig, Pipeline};
use dyrep_train::InputSpec;
use serde_json::json;

use crate::line::say;
use crate::subject::{Subject, Trained, first_value, text, timed};

#[derive(Debug, Args)]
pub(crate) struct PicturesArgs {
    #[command(flatten)]
    subject: Subject,
    /// Files; each is a part of one of two photographs
    #[arg(long, default_value_t = 2048)]
    images: usize,
    /// Epochs that are counted, after one that is not
    #[arg(long, default_value_t = 3)]
    epochs: u64,
    /// Threads that decode [default: as many as there are processors]
    #[arg(long)]
    threads: Option<usize>,
    /// Where the files are written; the folder must not be there
    #[arg(long, default_value = "pictures")]
    folder: std::path::PathBuf,
}

impl PicturesArgs {
    pub(crate) fn run(&self) -> Result<(), String> {
        let Subject { batch, size, .. } = self.subject;
        if self.folder.exists() {
            return Err(format!("{} is there already", self.folder.display()));
        }
        if self.images < batch {
            return Err(format!("{} pictures are no batch of {batch}", self.images));
        }
        let device = self.subject.open()?;
        let bytes = files::write(&self.folder, self.images)?;
        let outcome = self.measure(&device, batch, size, bytes);
        let removed = std::fs::remove_dir_all(&self.folder);
        outcome.and(removed.map_err(text))
    }

    fn measure(
        &self,
        device: &Device,
        batch: usize,
        size: usize,
        bytes: f64,
    ) -> Result<(), String> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.unwrap_or_else(cores);
        let config = LoaderConfig {
            batch_size: batch,
            shuffle: true,
            drop_last: true,
            threads,
            ..LoaderConfig::default()
        };
        let data = ImageFolder::open(&self.folder, Channels::Rgb).map_err(text)?;
        let size = u32::try_from(size).map_err(text)?;
        let pipeline = Pipeline::imagenet_train(size).map_err(text)?;
        let loader = Loader::new(Arc::new(data), pipeline, config).map_err(text)?;

        let mut trained = Trained::new(&self.subject, device)?;
        let classes = trained.classes(batch);
        let noise = self.subject.pictures(device);
        let (mut alone, mut together, mut steps) = (vec![], vec![], vec![]);
        for epoch in 0..=self.epochs {
            let started = Instant::now();
            let mut seen = 0;
            for batch in loader.epoch(epoch) {
                seen += batch.map_err(text)?.labels.len();
            }
            alone.push(seen as f64 / started.elapsed().as_secs_f64());

            let (took, images) =
                timed(device, || self.epoch(&loader, epoch, &mut trained, device))?;
            together.push(images? as f64 / took);
            let (took, loss) = timed(device, || trained.step(noise.clone(), classes.clone()))?;
            let _value = first_value(loss);
            steps.push(batch as f64 / took);
        }
        // The first of each warms up.
        let [alone, together, steps] =
            [alone, together, steps].map(|mut rates| dyrep_benches::median(rates.split_off(1)));
        let found = json!({
            "images": self.images,
            "threads": threads,
            "bytes_a_picture": bytes,
            "loader_per_second": alone,
            "steps_per_second": steps,
            "together_per_second": together,
        });
        say("pictures", &self.subject, &found)
    }

    /// Trains on an epoch of files; the loss is read at its end only, so that steps and loading overlap.
    fn epoch(
        &self,
        loader: &Loader,
        epoch: u64,
        trained: &mut Trained,
        device: &Device,
    ) -> Result<usize, String> {
        let input = InputSpec::imagenet();
        let mut images = 0;
        let mut last = None;
        for batch in loader.epoch(epoch) {
            let batch = batch.map_err(text)?;
            images += batch.labels.len();
            let pictures = self.subject.as_input(input.images(&batch, device));
            let classes = input.targets(&batch, &device.clone().autodiff());
            last = Some(trained.step(pictures, classes));
        }
        let _value = last.map(first_value);
        Ok(images)
    }
}
