//! The pictures that a recipe names: their parts, and how they become input.

use std::path::PathBuf;
use std::sync::Arc;

use dyrep_data::{
    Cifar10, Cifar100, Dataset, Decoding, Digits, Idx, Pipeline, Reading, Wanted,
    classes_without_pictures, open_part, open_split,
};
use dyrep_weights::Input;

use crate::error::TrainError;
use crate::input::InputSpec;
use crate::recipe::{DataRecipe, DataSet};

/// A part of a data set.
#[derive(Clone)]
pub struct Part {
    /// Its pictures.
    pub dataset: Arc<dyn Dataset>,
    /// The folder or archive, where it is one.
    pub path: Option<PathBuf>,
    /// What it is for.
    pub wanted: Wanted,
}

/// The two parts of the data that a recipe names: for training, and for validation.
///
/// # Errors
/// Data that cannot be read; a set without a path.
pub fn sets(data: &DataRecipe) -> Result<[Part; 2], TrainError> {
    let in_memory = |[train, validation]: [Arc<dyn Dataset>; 2]| {
        [(train, Wanted::Training), (validation, Wanted::Validation)]
            .map(|(dataset, wanted)| Part { dataset, path: None, wanted })
    };
    let idx = |[train, test]: [Idx; 2]| in_memory([Arc::new(train), Arc::new(test)]);
    Ok(match (data.set, &data.path) {
        (DataSet::Digits, _) => in_memory([Arc::new(Digits::train()), Arc::new(Digits::test())]),
        (set, None) => return Err(TrainError::NoPath { set: set.name() }),
        (DataSet::Imagenet | DataSet::ImageFolder, Some(path)) => {
            let [train, validation] = open_split(path, reading(data))?;
            [of_folder(train, Wanted::Training), of_folder(validation, Wanted::Validation)]
        }
        (DataSet::Cifar10, Some(path)) => {
            in_memory([Arc::new(Cifar10::train(path)?), Arc::new(Cifar10::test(path)?)])
        }
        (DataSet::Cifar100, Some(path)) => {
            in_memory([Arc::new(Cifar100::train(path)?), Arc::new(Cifar100::test(path)?)])
        }
        (DataSet::Idx, Some(path)) => idx(Idx::open(path)?),
        (DataSet::Mnist, Some(path)) => idx(Idx::mnist(path)?),
        (DataSet::FashionMnist, Some(path)) => idx(Idx::fashion_mnist(path)?),
    })
}

/// One part of the data that a recipe names, or all of a folder whose folders are classes. Of a folder, the classes are
/// those given, if any are, in their order.
///
/// # Errors
/// Data that cannot be read; a folder with classes that are not among those given.
pub fn part(
    data: &DataRecipe,
    wanted: Wanted,
    classes: Option<&[String]>,
) -> Result<Part, TrainError> {
    if let (DataSet::Imagenet | DataSet::ImageFolder, Some(path)) = (data.set, &data.path) {
        return Ok(of_folder(open_part(path, wanted, reading(data), classes)?, wanted));
    }
    let [training, validation] = sets(data)?;
    Ok(if wanted == Wanted::Training { training } else { validation })
}

fn of_folder(part: dyrep_data::Part, wanted: Wanted) -> Part {
    Part { dataset: part.dataset, path: Some(part.path), wanted }
}

/// How a folder's files are read.
fn reading(data: &DataRecipe) -> Reading {
    let usual = Decoding::from(data.channels());
    let decoding = Decoding {
        background: data.background.unwrap_or(usual.background),
        max_pixels: data.max_pixels.map_or(usual.max_pixels, |most| most as u64),
        ..usual
    };
    Reading { decoding, follow_links: data.follow_links }
}

/// What should be known of a part before anything is made of its pictures, a line each.
#[must_use]
pub fn notices(part: &Part) -> Vec<String> {
    let Some(path) = &part.path else { return vec![] };
    let (path, mut lines) = (path.display(), vec![]);
    if part.wanted == Wanted::Validation {
        let usual = part.path.as_ref().is_some_and(|path| path.ends_with("val"));
        if !usual {
            lines.push(format!("validation pictures are those of {path}"));
        }
        let without = classes_without_pictures(&*part.dataset);
        if !without.is_empty() {
            lines.push(format!("no validation pictures of {}: {path}", without.join(", ")));
        }
    }
    let left_out = part.dataset.left_out();
    if !left_out.is_empty() {
        lines.push(format!("left out: {left_out}: {path}"));
    }
    lines
}

fn size(pixels: usize) -> u32 {
    u32::try_from(pixels).unwrap_or(u32::MAX)
}

/// How the pictures of a recipe's data become input.
#[must_use]
pub fn input(data: &DataRecipe) -> Input {
    let usual = match (data.set, data.channels().count()) {
        (DataSet::Digits, _) => InputSpec::digits(),
        (DataSet::Cifar10, _) => InputSpec::cifar10(),
        (DataSet::Cifar100, _) => InputSpec::cifar100(),
        (DataSet::Mnist, _) => InputSpec::mnist(),
        (DataSet::FashionMnist, _) => InputSpec::fashion_mnist(),
        (DataSet::Imagenet | DataSet::ImageFolder, 3) => InputSpec::imagenet(),
        (DataSet::Imagenet | DataSet::ImageFolder | DataSet::Idx, _) => InputSpec::grey(),
    };
    let narrow = |values: &Option<Vec<f64>>, usual: Vec<f32>| match values {
        Some(values) => values.iter().map(|value| *value as f32).collect(),
        None => usual,
    };
    let (mean, std) = (narrow(&data.mean, usual.mean), narrow(&data.std, usual.std));
    let resize = data.set.fixed_side().is_none().then(|| data.resized_side());
    Input { resize, side: data.side(), scale: usual.scale, mean, std }
}

/// What is done to a picture before it is evaluated: the shorter side resized and the middle cut out, or nothing.
///
/// # Errors
/// Sizes that no picture can have.
pub fn evaluation(input: &Input) -> Result<Pipeline, TrainError> {
    match input.resize {
        Some(resize) => Ok(Pipeline::imagenet_eval(size(resize), size(input.side))?),
        None => Ok(Pipeline::identity()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dyrep_data::Channels;

    #[test]
    fn every_set_is_normalised_channel_by_channel() {
        for set in DataSet::ALL {
            let recipe = DataRecipe::new(set);
            let found = input(&recipe);
            let channels = recipe.channels().count();
            assert_eq!([found.mean.len(), found.std.len()], [channels; 2], "{}", set.name());
            assert!(found.side >= 8 && found.resize.is_none_or(|resize| resize >= found.side));
        }
    }

    #[test]
    fn what_is_asked_for_is_what_is_read() {
        let grey = DataRecipe {
            channels: Some(Channels::Grey),
            max_pixels: Some(7),
            background: Some([1, 2, 3]),
            follow_links: true,
            ..DataRecipe::new(DataSet::ImageFolder)
        };
        assert_eq!(input(&grey).mean, [0.449]);
        let Reading { decoding, follow_links } = reading(&grey);
        assert_eq!((decoding.channels, decoding.max_pixels), (Channels::Grey, 7));
        assert_eq!((decoding.background, follow_links), ([1, 2, 3], true));
        let own = DataRecipe { mean: Some(vec![0.1]), std: Some(vec![0.2]), ..grey };
        assert_eq!((input(&own).mean, input(&own).std), (vec![0.1], vec![0.2]));
    }

    /// The pictures of a set in memory are those of its file, in the set's own channels.
    #[test]
    fn idx_files_make_both_parts() {
        let root = tempfile::tempdir().expect("a folder");
        for (part, count) in [("train", 3_u8), ("t10k", 2)] {
            let head = [0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 28, 0, 0, 0, 28];
            let pixels = vec![9; usize::from(count) * 784];
            let labels = [&[0, 0, 8, 1, 0, 0, 0, count][..], &vec![1; count.into()]].concat();
            for (name, bytes) in
                [("images-idx3", [&head[..], &pixels].concat()), ("labels-idx1", labels)]
            {
                std::fs::write(root.path().join(format!("{part}-{name}-ubyte")), bytes)
                    .expect("room");
            }
        }
        for set in [DataSet::Idx, DataSet::Mnist, DataSet::FashionMnist] {
            let path = Some(root.path().to_owned());
            let recipe = DataRecipe { path, ..DataRecipe::new(set) };
            let [train, validation] = sets(&recipe).expect("both parts");
            assert_eq!((train.dataset.len(), validation.dataset.len()), (3, 2));
            assert_eq!(train.dataset.channels(), recipe.channels().count());
            let one = part(&recipe, Wanted::Validation, None).expect("a part");
            assert_eq!((one.dataset.len(), notices(&one)), (2, vec![]));
        }
    }
}
