//! Batches of pictures as Burn's loop takes them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::tensor::{Device, Int, Tensor, TensorData};
use dyrep_data::{Batch, Epoch, Loader, Mix, Mixer};

use crate::distillation::{Distillation, SoftTargets};
use crate::input::InputSpec;
use crate::step_gradients::Place;

/// A batch on a device.
#[derive(Clone, Debug)]
pub struct Pictures {
    /// Normalised, `[batch, channels, height, width]`.
    pub images: Tensor<4>,
    /// `[batch]`.
    pub classes: Tensor<1, Int>,
    /// The classes that were mixed in, `[batch]`, and the share that `classes` keep.
    pub mixed: Option<(Tensor<1, Int>, f64)>,
    /// What a teacher says of them, where there is one.
    pub soft: Option<SoftTargets>,
    /// Where the batch stands in its epoch.
    pub place: Place,
}

impl Pictures {
    /// Moves a batch to a device.
    #[must_use]
    pub fn new(batch: &Batch, input: &InputSpec, device: &Device) -> Self {
        let (images, classes) = (input.images(batch, device), input.targets(batch, device));
        Self { images, classes, mixed: None, soft: None, place: Place::default() }
    }

    /// Mixes a batch and moves it to a device. Boxes are copied as bytes; blending is of normalised values, which
    /// loses nothing to rounding.
    #[must_use]
    pub fn mixed(mut batch: Batch, mix: &Mix, input: &InputSpec, device: &Device) -> Self {
        let partners: Vec<i64> = mix.partner.iter().map(|partner| *partner as i64).collect();
        let partners = TensorData::new(partners, [mix.partner.len()]);
        let partners = Tensor::<1, Int>::from_data(partners, device);
        if mix.region.is_some() {
            mix.apply(&mut batch);
        }
        let Self { images, classes, .. } = Self::new(&batch, input, device);
        let images = match mix.region {
            Some(_) => images,
            None => {
                let others = images.clone().select(0, partners.clone());
                images * mix.lambda + others * (1.0 - mix.lambda)
            }
        };
        let mixed = Some((classes.clone().select(0, partners), mix.lambda));
        Self { images, classes, mixed, soft: None, place: Place::default() }
    }

    /// Adds what a teacher, if there is one, says of these samples of the data set, mixed as they are.
    #[must_use]
    pub fn taught(
        self,
        teacher: Option<&Distillation>,
        samples: &[usize],
        mix: Option<&Mix>,
    ) -> Self {
        let device = self.images.device();
        Self { soft: teacher.map(|teacher| teacher.targets(samples, mix, &device)), ..self }
    }
}

/// Which epochs a loader gives, one after the other.
#[derive(Debug)]
enum Epochs {
    /// This one without so many of its first batches, and those after it.
    From(AtomicU64, AtomicUsize),
    /// Always the first: evaluation.
    Same,
}

/// A [`Loader`] as Burn's data loader.
///
/// Each [`iter`](DataLoader::iter) is the next epoch, a function of (seed, epoch) alone; a resumed training starts
/// from the epoch that comes next. A slice gives those samples of each epoch's order, so that the shares of several
/// devices are the epoch.
pub struct Batches {
    loader: Arc<Loader>,
    input: InputSpec,
    device: Device,
    range: Range<usize>,
    epochs: Epochs,
    mixer: Option<Mixer>,
    teacher: Option<Distillation>,
    leave: Option<Arc<Leave>>,
}

/// Asked before each batch whether to leave off.
type Leave = dyn Fn() -> bool + Send + Sync;

impl std::fmt::Debug for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches")
            .field("loader", &self.loader)
            .field("device", &self.device)
            .field("range", &self.range)
            .field("epochs", &self.epochs)
            .finish_non_exhaustive()
    }
}

impl Batches {
    /// Training: `first_epoch`, counted from 1, and those after it.
    #[must_use]
    pub fn training(loader: Arc<Loader>, input: InputSpec, first_epoch: usize) -> Self {
        let first = AtomicU64::new(first_epoch as u64);
        Self::new(loader, input, Epochs::From(first, AtomicUsize::new(0)))
    }

    /// Leaves out so many batches of the first epoch: they were trained on before. Of slices, each leaves out as many.
    #[must_use]
    pub fn without_first(mut self, batches: usize) -> Self {
        if let Epochs::From(_, done) = &mut self.epochs {
            *done.get_mut() = batches;
        }
        self
    }

    /// Asks before each batch whether the epoch is to end there.
    #[must_use]
    pub fn until(self, leave: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { leave: Some(Arc::new(leave)), ..self }
    }

    /// Evaluation: the same pictures each time.
    #[must_use]
    pub fn evaluation(loader: Arc<Loader>, input: InputSpec) -> Self {
        Self::new(loader, input, Epochs::Same)
    }

    fn new(loader: Arc<Loader>, input: InputSpec, epochs: Epochs) -> Self {
        let range = 0..loader.samples();
        // Burn moves the loader to the device that it trains on.
        let device = Device::default();
        let (mixer, teacher, leave) = (None, None, None);
        Self { loader, input, device, range, epochs, mixer, teacher, leave }
    }

    /// Mixes its batches.
    #[must_use]
    pub fn with_mixer(self, mixer: Option<Mixer>) -> Self {
        Self { mixer, ..self }
    }

    /// Adds what a teacher says of the pictures.
    #[must_use]
    pub fn with_teacher(self, teacher: Option<Distillation>) -> Self {
        Self { teacher, ..self }
    }

    fn with(&self, device: Device, range: Range<usize>) -> Self {
        let epochs = match &self.epochs {
            Epochs::From(next, done) => Epochs::From(
                AtomicU64::new(next.load(Ordering::Relaxed)),
                AtomicUsize::new(done.load(Ordering::Relaxed)),
            ),
            Epochs::Same => Epochs::Same,
        };
        let (loader, input) = (Arc::clone(&self.loader), self.input.clone());
        let (mixer, teacher, leave) = (self.mixer, self.teacher.clone(), self.leave.clone());
        Self { loader, input, device, range, epochs, mixer, teacher, leave }
    }
}

impl DataLoader<Pictures> for Batches {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Pictures> + 'a> {
        let (epoch, done) = match &self.epochs {
            Epochs::From(next, done) => {
                (next.fetch_add(1, Ordering::Relaxed), done.swap(0, Ordering::Relaxed))
            }
            Epochs::Same => (0, 0),
        };
        let done = self.range.len().min(done.saturating_mul(self.loader.config().batch_size));
        let batches = self.loader.part(epoch, self.range.start + done..self.range.end);
        Box::new(Iter { from: self, batches, epoch, done })
    }

    fn num_items(&self) -> usize {
        self.range.len()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<Pictures>> {
        Arc::new(self.with(device.clone(), self.range.clone()))
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<Pictures>> {
        let range = self.range.start + start..self.range.start + end;
        Arc::new(self.with(self.device.clone(), range))
    }
}

struct Iter<'a> {
    from: &'a Batches,
    batches: Epoch,
    epoch: u64,
    done: usize,
}

impl Iterator for Iter<'_> {
    type Item = Result<Pictures, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.from.leave.as_ref().is_some_and(|leave| leave()) {
            return None;
        }
        let batch = self.batches.next()?;
        Some(batch.map_err(DatasetError::new).map(|mut batch| {
            let Batches { loader, input, device, range, mixer, teacher, .. } = self.from;
            let config = loader.config();
            // By its place, not by counting: where a file cannot be used, a batch is smaller.
            let number = batch.start / config.batch_size;
            self.done = range.end.min(batch.start + config.batch_size) - range.start;
            let plan =
                |mixer: &Mixer| mixer.plan(config.seed, self.epoch, number as u64, batch.shape);
            let mix = mixer.as_ref().and_then(plan);
            let samples = std::mem::take(&mut batch.samples);
            let (epoch, first) = (self.epoch, batch.start);
            let round = (first - range.start) / config.batch_size;
            let pictures = match &mix {
                Some(mix) => Pictures::mixed(batch, mix, input, device),
                None => Pictures::new(&batch, input, device),
            };
            let pictures = pictures.taught(teacher.as_ref(), &samples, mix.as_ref());
            Pictures { place: Place { epoch, round, first }, ..pictures }
        }))
    }
}

impl DataLoaderIterator<Pictures> for Iter<'_> {
    fn progress(&self) -> Progress {
        Progress::new(self.done, self.from.range.len(), Some("items".to_owned()))
    }
}
