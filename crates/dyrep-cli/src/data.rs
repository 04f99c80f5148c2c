//! Pictures for a trained network: a data set with classes, files without, or tensors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use clap::Args;
use dyrep_data::{Channels, Dataset, ImageFiles, ImageFolder, Loader, LoaderConfig, Subset};
use dyrep_train::recipe::{DataRecipe, DataSet};
use dyrep_train::{InputSpec, evaluation};
use safetensors::{Dtype, SafeTensors};

use crate::Failure;
use crate::network::Loaded;
use crate::text::number;

/// Labelled pictures that may be left out because their files cannot be used.
const MAX_SKIPPED: usize = 100;

/// How pictures are loaded.
#[derive(Clone, Debug, Args)]
pub(crate) struct LoadArgs {
    /// Pictures in a batch
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    pub(crate) batch_size: usize,

    /// Threads that decode pictures [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
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
    /// Folder of the pictures: with `val` in it, or one folder a class; or CIFAR's files [default: the data of the run that
    /// the network is of]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// What the pictures are: `image_folder`, `imagenet`, `cifar10`, `cifar100` or `digits`, which are part of the program
    #[arg(long, value_name = "NAME", value_parser = parse_set)]
    set: Option<DataSet>,

    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

fn parse_set(name: &str) -> Result<DataSet, String> {
    let all = [
        DataSet::ImageFolder,
        DataSet::Imagenet,
        DataSet::Cifar10,
        DataSet::Cifar100,
        DataSet::Digits,
    ];
    let names = all.map(DataSet::name).join(", ");
    all.into_iter().find(|set| set.name() == name).ok_or(format!("expected one of {names}"))
}

impl DataArgs {
    /// The pictures to evaluate `loaded` on: their loader, and what they are called.
    pub(crate) fn open(&self, loaded: &Loaded) -> Result<(Loader, String), Failure> {
        let (set, path) = self.named(loaded)?;
        let name = path.as_ref().map_or(set.name().to_owned(), |path| path.display().to_string());
        let dataset = open_set(set, path, Part::Validation)?;
        check(loaded, &*dataset)?;
        Ok((loader(dataset, loaded, &self.load, MAX_SKIPPED)?, name))
    }

    /// Some pictures of a part, the same each time.
    pub(crate) fn some(
        &self,
        loaded: &Loaded,
        part: Part,
        count: usize,
    ) -> Result<Loader, Failure> {
        let (set, path) = self.named(loaded)?;
        let dataset = open_set(set, path, part)?;
        check(loaded, &*dataset)?;
        let sample = Arc::new(Subset::sample(dataset, count, 0));
        loader(sample, loaded, &self.load, MAX_SKIPPED)
    }

    /// The set that is meant, and where it lies: as asked for, or as in the run that the network is of.
    fn named(&self, loaded: &Loaded) -> Result<(DataSet, Option<PathBuf>), Failure> {
        let recipe = loaded.recipe.as_ref().map(|recipe| &recipe.data);
        let set = match (self.set, &self.data, recipe) {
            (Some(set), _, _) => set,
            (None, _, Some(recipe)) => recipe.set,
            (None, Some(_), None) => DataSet::ImageFolder,
            (None, None, None) => {
                return Err("which pictures? --data names their folder, or --set digits".into());
            }
        };
        let path = self.data.clone().or_else(|| recipe.and_then(|recipe| recipe.path.clone()));
        Ok((set, path))
    }
}

/// What pictures are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Training,
    Validation,
}

/// A part of a set, or the whole of a folder that has no parts.
fn open_set(set: DataSet, path: Option<PathBuf>, part: Part) -> Result<Arc<dyn Dataset>, Failure> {
    if let (DataSet::ImageFolder | DataSet::Imagenet, Some(path)) = (set, &path)
        && !path.join("val").exists()
    {
        return Ok(Arc::new(ImageFolder::open(path, Channels::Rgb)?));
    }
    let data = DataRecipe { set, path, image_size: None, evaluation_resize: None };
    let [training, validation] = dyrep_train::sets(&data)?;
    Ok(if part == Part::Training { training } else { validation })
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
    max_skipped: usize,
) -> Result<Loader, Failure> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let config = LoaderConfig {
        batch_size: args.batch_size,
        threads: args.threads.unwrap_or_else(cores),
        max_skipped,
        ..LoaderConfig::default()
    };
    Ok(Loader::new(dataset, evaluation(&loaded.input())?, config)?)
}

/// Files of pictures, in the order given: names, and batches `[batch, channels, height, width]`. One that cannot be used is
/// an error.
pub(crate) fn pictures(
    paths: &[PathBuf],
    loaded: &Loaded,
    args: &LoadArgs,
    device: &Device,
) -> Result<(Vec<String>, impl Iterator<Item = Result<Tensor<4>, Failure>>), Failure> {
    let channels = match loaded.config.in_channels() {
        1 => Channels::Grey,
        3 => Channels::Rgb,
        other => {
            return Err(format!("the network reads {other} channels; pictures have 1 or 3").into());
        }
    };
    let files = ImageFiles::new(paths, channels)?;
    let names = files.files().iter().map(|file| file.display().to_string()).collect();
    let loader = loader(Arc::new(files), loaded, args, 0)?;
    let (spec, device) = (InputSpec::from(&loaded.input()), device.clone());
    let batches = loader.epoch(0).map(move |batch| Ok(spec.images(&batch?, &device)));
    Ok((names, batches))
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
