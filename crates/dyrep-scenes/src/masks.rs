//! Pictures with a mask each: two folders whose files share their stems, or Cityscapes.
//!
//! Cityscapes' label ids become its 19 train ids by the table of `cityscapesScripts`
//! (`helpers/labels.py`); every other label is [`Mask::IGNORE`]
//! (M. Cordts et al., *The Cityscapes Dataset for Semantic Urban Scene Understanding*, arXiv 1604.01685).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use dyrep_data::{DataError, Dataset, ImageFiles, LeftOut, Reading};

use crate::counts::{Counts, Reason};
use crate::error::SceneError;
use crate::file;
use crate::mask_file::read_mask;
use crate::scene::{Mask, Scene};

/// Cityscapes' classes by train id: their names, and the label ids of its files.
pub const CITYSCAPES: [(&str, u8); 19] = [
    ("road", 7),
    ("sidewalk", 8),
    ("building", 11),
    ("wall", 12),
    ("fence", 13),
    ("pole", 17),
    ("traffic light", 19),
    ("traffic sign", 20),
    ("vegetation", 21),
    ("terrain", 22),
    ("sky", 23),
    ("person", 24),
    ("rider", 25),
    ("car", 26),
    ("truck", 27),
    ("bus", 28),
    ("train", 31),
    ("motorcycle", 32),
    ("bicycle", 33),
];

/// The largest of Cityscapes' label ids; a licence plate's −1 is 255 in its files.
const LARGEST_ID: u8 = 33;

const PICTURES: &str = "leftImg8bit";
const LABELS: &str = "gtFine";

/// What the labels in files are here, or nothing for those that should not be there.
type Table = [Option<u8>; 256];

/// Pictures with a mask each, in the order of their paths.
#[derive(Clone, Debug)]
pub struct Masks {
    roots: [PathBuf; 2],
    pairs: Vec<[PathBuf; 2]>,
    reading: Reading,
    classes: Vec<String>,
    table: Table,
    expected: String,
    counts: Counts,
    left_out: LeftOut,
}

impl Masks {
    /// The pictures in the folder `images`, each with the mask of its stem in the folder `masks`,
    /// `masks/1.png` for `images/1.jpg`: a PNG of labels below the number of `classes` and of
    /// [`Mask::IGNORE`]. Files are looked into when they are loaded.
    ///
    /// # Errors
    ///
    /// A folder that cannot be read, two pictures of one stem, no or more than 255 classes, or no
    /// picture with a mask.
    pub fn open(
        images: impl AsRef<Path>,
        masks: impl AsRef<Path>,
        classes: Vec<String>,
        reading: impl Into<Reading>,
    ) -> Result<Self, SceneError> {
        let (images, masks, reading) = (images.as_ref(), masks.as_ref(), reading.into());
        if !(1..=usize::from(Mask::IGNORE)).contains(&classes.len()) {
            let told = format!("{} classes given; expected 1 to 255", classes.len());
            return Err(SceneError::Nothing { path: masks.into(), what: "labels", told });
        }
        let mut table = [None; 256];
        let known = (0..Mask::IGNORE).take(classes.len()).chain([Mask::IGNORE]);
        known.for_each(|label| table[usize::from(label)] = Some(label));
        let expected = format!("0 to {}, or 255", classes.len() - 1);
        let files = ImageFiles::new([images], reading)?;
        let of =
            |picture: &Path| Some(masks.join(picture.file_stem()?).with_added_extension("png"));
        let (pairs, counts) = paired(files.files(), of, pngs([masks])?)?;
        let roots = [images.to_owned(), masks.to_owned()];
        let left_out = files.left_out();
        Self { roots, pairs, reading, classes, table, expected, counts, left_out }.not_empty()
    }

    /// A part of Cityscapes: `train`, `val` or `test`. Pictures are
    /// `leftImg8bit/<split>/<city>/<name>_leftImg8bit.png` below `root`, masks
    /// `gtFine/<split>/<city>/<name>_gtFine_labelIds.png`; labels become [`CITYSCAPES`]' train ids.
    ///
    /// # Errors
    ///
    /// A folder that cannot be read, a city without pictures, or no picture with a mask.
    pub fn open_cityscapes(
        root: impl AsRef<Path>,
        split: &str,
        reading: impl Into<Reading>,
    ) -> Result<Self, SceneError> {
        let (root, reading) = (root.as_ref(), reading.into());
        let roots = [PICTURES, LABELS].map(|part| root.join(part).join(split));
        let cities = folders(&roots[0])?;
        let files = ImageFiles::new(cities.iter().map(|city| roots[0].join(city)), reading)?;
        let ending = format!("_{PICTURES}.png");
        let of = |picture: &Path| {
            let name = picture.file_name()?.to_str()?.strip_suffix(&ending)?;
            let city = picture.parent()?.file_name()?;
            Some(roots[1].join(city).join(format!("{name}_{LABELS}_labelIds.png")))
        };
        let masks = folders(&roots[1])?.into_iter().map(|city| roots[1].join(city));
        let mut masks = pngs(masks)?;
        // Beside each lie its instances, its colours and its polygons.
        masks.retain(|mask| mask.to_string_lossy().ends_with("_labelIds.png"));
        let (pairs, counts) = paired(files.files(), of, masks)?;
        let classes = CITYSCAPES.map(|(name, _)| name.to_owned()).to_vec();
        let (table, expected) = (train_ids(), format!("0 to {LARGEST_ID}, or 255"));
        let left_out = files.left_out();
        Self { roots, pairs, reading, classes, table, expected, counts, left_out }.not_empty()
    }

    fn not_empty(self) -> Result<Self, SceneError> {
        if self.pairs.is_empty() {
            let told =
                format!("{}; masks are looked for in {}", self.counts, self.roots[1].display());
            let path = self.roots[0].clone();
            return Err(SceneError::Nothing { path, what: "pictures with masks", told });
        }
        Ok(self)
    }

    /// Number of pictures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Never: there is at least one picture.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Names of the classes, by label.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// What was skipped.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What lies among the pictures and is none.
    #[must_use]
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// The files of a picture and of its mask.
    ///
    /// # Panics
    ///
    /// If `index >= len()`.
    #[must_use]
    pub fn paths(&self, index: usize) -> [&Path; 2] {
        self.pairs[index].each_ref().map(PathBuf::as_path)
    }

    /// A picture with its mask, without objects.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or decoded, the two differ in size, or a label is unknown.
    ///
    /// # Panics
    ///
    /// If `index >= len()`.
    pub fn scene(&self, index: usize) -> Result<Scene, SceneError> {
        let [picture, path] = &self.pairs[index];
        let image = file::picture(&self.roots[0], picture, self.reading)?;
        file::inside(&self.roots[1], path, self.reading)?;
        let mask = read_mask(path)?;
        let (found, expected) = ((image.width(), image.height()), (mask.width(), mask.height()));
        if found != expected {
            let (path, by) = (picture.clone(), format!("its mask {}", path.display()));
            return Err(SceneError::SizeDiffers { path, found, by, expected });
        }
        let known = |(at, label): (usize, &u8)| {
            self.table[usize::from(*label)].ok_or_else(|| {
                let at = at as u32;
                let at = (at % mask.width(), at / mask.width());
                let (path, expected) = (path.clone(), self.expected.clone());
                SceneError::UnknownLabel { path, label: *label, at, expected }
            })
        };
        let labels = mask.labels().iter().enumerate().map(known).collect::<Result<_, _>>()?;
        Scene::new(image, vec![], Some(Mask::new(mask.width(), mask.height(), labels)?))
    }
}

/// Train ids by label id.
fn train_ids() -> Table {
    let mut table = [None; 256];
    for label in (0..=LARGEST_ID).chain([Mask::IGNORE]) {
        let class = (0..).zip(CITYSCAPES).find(|(_, (_, id))| *id == label);
        table[usize::from(label)] = Some(class.map_or(Mask::IGNORE, |(class, _)| class));
    }
    table
}

/// Pictures with the masks that `of` says are theirs, as far as they are there.
fn paired(
    pictures: &[PathBuf],
    of: impl Fn(&Path) -> Option<PathBuf>,
    mut masks: BTreeSet<PathBuf>,
) -> Result<(Vec<[PathBuf; 2]>, Counts), SceneError> {
    let (mut pairs, mut counts) = (vec![], Counts::default());
    let mut taken: BTreeMap<PathBuf, &PathBuf> = BTreeMap::new();
    for picture in pictures {
        let Some(mask) = of(picture) else {
            counts.add(Reason::OtherName, 1);
            continue;
        };
        if let Some(other) = taken.insert(mask.clone(), picture) {
            return Err(SceneError::StemTwice { paths: [other.clone(), picture.clone()], mask });
        }
        match masks.take(&mask) {
            Some(mask) => pairs.push([picture.clone(), mask]),
            None => counts.add(Reason::MissingMask, 1),
        }
    }
    counts.add(Reason::MissingPicture, masks.len());
    Ok((pairs, counts))
}

/// Names in a folder, without hidden ones.
fn names(folder: &Path) -> Result<Vec<String>, SceneError> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(
        |source| match folder.exists() {
            false => DataError::FolderMissing { path: folder.to_owned() }.into(),
            true => file::unreadable(folder, source),
        },
    )?;
    let names = entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort_unstable();
    Ok(names)
}

/// Names of the folders in a folder, sorted.
fn folders(folder: &Path) -> Result<Vec<String>, SceneError> {
    let mut names = names(folder)?;
    names.retain(|name| folder.join(name).is_dir());
    Ok(names)
}

/// The PNG files in folders.
fn pngs<P: AsRef<Path>>(
    folders: impl IntoIterator<Item = P>,
) -> Result<BTreeSet<PathBuf>, SceneError> {
    let mut found = BTreeSet::new();
    for folder in folders {
        let names = names(folder.as_ref())?.into_iter().filter(|name| name.ends_with(".png"));
        found.extend(names.map(|name| folder.as_ref().join(name)));
    }
    Ok(found)
}
