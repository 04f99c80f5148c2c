//! Pictures for a trained network: a data set with classes, files without, or tensors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use clap::Args;
use dyrep_data::{
    Channels, Dataset, Decoding, ImageFiles, LeftOut, Loader, LoaderConfig, Subset, Wanted,
};
use dyrep_train::recipe::{DataRecipe, DataSet};
use dyrep_train::{DataPart, InputSpec, evaluation, notices, part};
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;

use crate::Failure;
use crate::network::Loaded;
use crate::text::number;

/// Labelled pictures that may be left out without a word because their files cannot be used.
const MAX_SKIPPED: usize = 100;
/// As many as there are, where they are told.
const ANY: usize = usize::MAX;

/// How pictures are loaded.
#[derive(Clone, Debug, Args)]
pub(crate) struct LoadArgs {
    /// Pictures in a batch
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    pub(crate) batch_size: usize,

    /// Threads that decode pictures [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// Most pixels, width × height, that a picture may have [default: 89478485]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    max_pixels: Option<usize>,
}

/// What becomes of a picture that cannot be used.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct StrictArgs {
    /// Stop at the first picture that cannot be used; otherwise the others are done, it is told, and the exit code is 1
    #[arg(long)]
    strict: bool,
}

impl StrictArgs {
    /// The first is one too many.
    pub(crate) const STOP: Self = Self { strict: true };

    /// How many may be left out.
    fn max_skipped(self) -> usize {
        if self.strict { 0 } else { ANY }
    }
}

/// A count of at least one.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number above 0".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// A data set with classes.
#[derive(Clone, Debug, Args)]
pub(crate) struct DataArgs {
    /// Folder of the pictures: with `val` in it (or `validation`, `valid`, `test`), or one folder a class; or the files of
    /// CIFAR or MNIST [default: the data of the run that the network is of]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// What the pictures are: `image_folder`, `imagenet`, `cifar10`, `cifar100`, `idx`, `mnist`, `fashion_mnist` or `digits`,
    /// which are part of the program
    #[arg(long, value_name = "NAME", value_parser = parse_set)]
    set: Option<DataSet>,

    /// Follow links to folders, and out of the folder of the pictures
    #[arg(long)]
    follow_links: bool,

    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

fn parse_set(name: &str) -> Result<DataSet, String> {
    let all = DataSet::ALL;
    let names = all.map(DataSet::name).join(", ");
    all.into_iter().find(|set| set.name() == name).ok_or(format!("expected one of {names}"))
}

/// Pictures that are measured on.
pub(crate) struct Pictures {
    pub(crate) loader: Loader,
    /// What they are called.
    pub(crate) name: String,
    /// What should be known of them.
    pub(crate) notices: Vec<String>,
}

impl DataArgs {
    /// The pictures of a part to evaluate `loaded` on.
    pub(crate) fn open(
        &self,
        loaded: &Loaded,
        wanted: Wanted,
        strict: StrictArgs,
    ) -> Result<Pictures, Failure> {
        let part = self.part(loaded, wanted)?;
        let path = part.path.as_ref().map(|path| path.display().to_string());
        let name = match path {
            Some(path) => path,
            None => self.recipe(loaded)?.set.name().to_owned(),
        };
        let notices = notices(&part);
        let config = LoaderConfig {
            max_skipped: strict.max_skipped(),
            keep_classes: false,
            ..LoaderConfig::default()
        };
        let loader = loader(part.dataset, loaded, &self.load, config)?;
        Ok(Pictures { loader, name, notices })
    }

    /// Some pictures of a part, the same each time.
    pub(crate) fn some(
        &self,
        loaded: &Loaded,
        wanted: Wanted,
        count: usize,
    ) -> Result<Loader, Failure> {
        let part = self.part(loaded, wanted)?;
        let sample = Arc::new(Subset::sample(part.dataset, count, 0));
        // Of a few pictures, a class may well have none that can be used.
        let config = LoaderConfig {
            max_skipped: MAX_SKIPPED,
            keep_classes: false,
            ..LoaderConfig::default()
        };
        loader(sample, loaded, &self.load, config)
    }

    /// A part of a set, or the whole of a folder that has no parts.
    fn part(&self, loaded: &Loaded, wanted: Wanted) -> Result<DataPart, Failure> {
        let recipe = self.recipe(loaded)?;
        let names = &loaded.label.class_names;
        let part = part(&recipe, wanted, (!names.is_empty()).then_some(names.as_slice()))?;
        check(loaded, &*part.dataset)?;
        Ok(part)
    }

    /// The set that is meant, where it lies and how it is read: as asked for, or as in the run that the network is of. The
    /// network's channels decide those of a folder's pictures.
    fn recipe(&self, loaded: &Loaded) -> Result<DataRecipe, Failure> {
        let known = loaded.recipe.as_ref().map(|recipe| &recipe.data);
        let set = match (self.set, &self.data, known) {
            (Some(set), _, _) => set,
            (None, _, Some(known)) => known.set,
            (None, Some(_), None) => DataSet::ImageFolder,
            (None, None, None) => {
                return Err("which pictures? --data names their folder, or --set digits".into());
            }
        };
        let mut recipe = match known {
            Some(known) => DataRecipe { set, ..known.clone() },
            None => DataRecipe::new(set),
        };
        recipe.path = self.data.clone().or(recipe.path);
        recipe.channels = if set.is_folder() { Some(channels(loaded)?) } else { None };
        recipe.max_pixels = self.load.max_pixels.or(recipe.max_pixels);
        recipe.follow_links |= self.follow_links;
        Ok(recipe)
    }
}

/// The channels that files are read in for a network.
fn channels(loaded: &Loaded) -> Result<Channels, Failure> {
    let count = loaded.config.in_channels();
    Channels::of_count(count)
        .ok_or_else(|| format!("the network reads {count} channels; pictures have 1 or 3").into())
}

/// Whether the network is one for these pictures.
fn check(loaded: &Loaded, dataset: &dyn Dataset) -> Result<(), Failure> {
    let (config, file) = (&loaded.config, loaded.file.display());
    let channels = |count| number(count, "channel", "channels");
    if dataset.channels() != config.in_channels() {
        let (found, expected) = (channels(dataset.channels()), channels(config.in_channels()));
        return Err(format!("{file} reads pictures of {expected}; these have {found}").into());
    }
    let (classes, names) = (dataset.classes(), &loaded.label.class_names);
    if classes.len() != config.classes() {
        let found = number(classes.len(), "class", "classes");
        return Err(format!(
            "{file} tells {} classes apart; the pictures have {found}",
            config.classes()
        )
        .into());
    }
    match names.iter().zip(classes).position(|(known, found)| known != found) {
        Some(at) => Err(format!(
            "{file} calls class {at} `{}`; of these pictures it is `{}`",
            names[at], classes[at]
        )
        .into()),
        None => Ok(()),
    }
}

fn loader(
    dataset: Arc<dyn Dataset>,
    loaded: &Loaded,
    args: &LoadArgs,
    config: LoaderConfig,
) -> Result<Loader, Failure> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let config = LoaderConfig {
        batch_size: args.batch_size,
        threads: args.threads.unwrap_or_else(cores),
        ..config
    };
    Ok(Loader::new(dataset, evaluation(&loaded.input())?, config)?)
}

/// Files of pictures, in the order given.
pub(crate) struct Files {
    names: Vec<String>,
    loader: Loader,
    spec: InputSpec,
}

impl Files {
    pub(crate) fn open(
        paths: &[PathBuf],
        loaded: &Loaded,
        args: &LoadArgs,
        strict: StrictArgs,
    ) -> Result<Self, Failure> {
        let usual = Decoding::from(channels(loaded)?);
        let background = loaded.recipe.as_ref().and_then(|recipe| recipe.data.background);
        let max_pixels = args.max_pixels.map_or(usual.max_pixels, |most| most as u64);
        let background = background.unwrap_or(usual.background);
        let files = ImageFiles::new(paths, Decoding { max_pixels, background, ..usual })?;
        let names = files.files().iter().map(|file| file.display().to_string()).collect();
        let config = LoaderConfig { max_skipped: strict.max_skipped(), ..LoaderConfig::default() };
        let loader = loader(Arc::new(files), loaded, args, config)?;
        Ok(Self { names, loader, spec: InputSpec::from(&loaded.input()) })
    }

    /// How many there are, those that cannot be used among them.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Batches `[batch, channels, height, width]` of those that can be used.
    pub(crate) fn batches(
        &self,
        device: &Device,
    ) -> impl Iterator<Item = Result<Tensor<4>, Failure>> {
        self.loader.epoch(0).map(|batch| Ok(self.spec.images(&batch?, device)))
    }

    /// After the batches: the names of those that were in them, in their order, and what is wrong with each of the others.
    pub(crate) fn told(&self) -> (Vec<String>, Vec<Unusable>) {
        let skipped = self.loader.skipped_samples();
        let unusable = skipped.iter().map(|(index, reason)| Unusable {
            input: self.names[*index].clone(),
            reason: reason.clone(),
        });
        let used = self.names.iter().enumerate();
        let used = used.filter(|(index, _)| !skipped.contains_key(index));
        (used.map(|(_, name)| name.clone()).collect(), unusable.collect())
    }

    /// Files in the folders that are no pictures.
    pub(crate) fn left_out(&self) -> LeftOut {
        self.loader.dataset().left_out()
    }
}

/// A picture that cannot be used.
#[derive(Debug, Serialize)]
pub(crate) struct Unusable {
    pub(crate) input: String,
    pub(crate) reason: String,
}

/// A batch from a safetensors file, `[batch, channels, height, width]`: of its tensors the one called `name`, or the only
/// one.
pub(crate) fn tensors(
    file: &Path,
    name: Option<&str>,
    channels: usize,
    device: &Device,
) -> Result<Tensor<4>, Failure> {
    let refused = |reason: String| -> Failure { format!("{}: {reason}", file.display()).into() };
    let bytes = std::fs::read(file).map_err(|error| refused(error.to_string()))?;
    let all = SafeTensors::deserialize(&bytes)
        .map_err(|error| refused(format!("not a whole safetensors file: {error}")))?;
    let mut names = all.names();
    names.sort_unstable();
    let name = match (name, names.as_slice()) {
        (Some(name), _) => name,
        (None, [only]) => only,
        (None, _) => return Err(refused(format!("--tensor chooses one of {}", names.join(", ")))),
    };
    let view = all
        .tensor(name)
        .map_err(|_| refused(format!("no tensor `{name}`; it holds {}", names.join(", "))))?;
    let &[count, found, height, width] = view.shape() else {
        return Err(refused(format!(
            "`{name}` has shape {:?}, expected [batch, channels, height, width]",
            view.shape()
        )));
    };
    if found != channels || count * height * width == 0 {
        return Err(refused(format!(
            "`{name}` has shape {:?}, expected [batch, {channels}, height, width]",
            view.shape()
        )));
    }
    if view.dtype() != Dtype::F32 {
        return Err(refused(format!("`{name}` holds {:?}, expected F32", view.dtype())));
    }
    let values = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    let data = TensorData::new(values.collect::<Vec<f32>>(), [count, found, height, width]);
    Ok(Tensor::from_data(data, device))
}
