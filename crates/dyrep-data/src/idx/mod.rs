//! Grey pictures in IDX files, as MNIST and Fashion-MNIST are published.
//!
//! | part | pictures | labels |
//! |---|---|---|
//! | training | `train-images-idx3-ubyte` | `train-labels-idx1-ubyte` |
//! | test | `t10k-images-idx3-ubyte` | `t10k-labels-idx1-ubyte` |
//!
//! Also spelled with a dot (`train-images.idx3-ubyte`), with `test` for `t10k`, and packed
//! (`.gz`, which is known by the contents). Both files are read and checked at opening: 60,000
//! pictures of MNIST take 47 MB.
//!
//! Y. LeCun, C. Cortes, C. Burges, *The MNIST database of handwritten digits*, 1998; H. Xiao,
//! K. Rasul, R. Vollgraf, *Fashion-MNIST*, arXiv 1708.07747.

mod error;
mod file;

use std::fs;
use std::path::{Path, PathBuf};

pub use self::error::IdxError;

use self::file::Values;
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::image::Image;
use crate::scan::unreadable;

/// The classes of Fashion-MNIST, as its authors name them.
const FASHION: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];
/// The side of a picture of either set, in pixels.
const SIDE: u32 = 28;

/// One part of a set in IDX files: grey pictures of one size and their labels.
pub struct Idx {
    classes: Vec<String>,
    pictures: Values<3>,
    labels: Values<1>,
}

/// Which part of a set.
#[derive(Clone, Copy)]
enum Part {
    Training,
    Test,
}

impl Idx {
    /// Both parts of any set in the folder `root`: for training, and for testing. Its classes are the
    /// numbers from 0 to the largest label for training.
    ///
    /// # Errors
    ///
    /// [`IdxError`] if a file is missing, a field of a header is wrong, a length is not the declared
    /// one, pictures and labels are not as many, or a label for testing is above all for training;
    /// and if a file cannot be read.
    pub fn open(root: impl AsRef<Path>) -> Result<[Self; 2], DataError> {
        let root = root.as_ref();
        let labels = Part::Training.labels(root)?;
        let classes = labels.bytes.iter().max().map_or(0, |&most| usize::from(most) + 1);
        let classes: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
        let train = Self::new(root, Part::Training, labels, classes.clone(), None)?;
        let test = Self::new(root, Part::Test, Part::Test.labels(root)?, classes, None)?;
        Ok([train, test])
    }

    /// MNIST's parts in the folder `root`: handwritten digits of 28×28 in ten classes.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and for pictures of another size and labels above 9.
    pub fn mnist(root: impl AsRef<Path>) -> Result<[Self; 2], DataError> {
        Self::of_ten(root.as_ref(), (0..10).map(|digit| digit.to_string()).collect())
    }

    /// Fashion-MNIST's parts in the folder `root`: clothes of 28×28 in ten classes.
    ///
    /// # Errors
    ///
    /// As [`mnist`](Self::mnist).
    pub fn fashion_mnist(root: impl AsRef<Path>) -> Result<[Self; 2], DataError> {
        Self::of_ten(root.as_ref(), FASHION.map(str::to_owned).to_vec())
    }

    fn of_ten(root: &Path, classes: Vec<String>) -> Result<[Self; 2], DataError> {
        let open =
            |part: Part, classes| Self::new(root, part, part.labels(root)?, classes, Some(SIDE));
        Ok([open(Part::Training, classes.clone())?, open(Part::Test, classes)?])
    }

    /// A part whose pictures have the given side, if one is given.
    fn new(
        root: &Path,
        part: Part,
        labels: Values<1>,
        classes: Vec<String>,
        side: Option<u32>,
    ) -> Result<Self, DataError> {
        let out_of_range = |label: &u8| usize::from(*label) >= classes.len();
        if let Some(record) = labels.bytes.iter().position(out_of_range) {
            let (path, found) = (labels.path.clone(), labels.bytes[record]);
            let classes = classes.len();
            return Err(IdxError::LabelOutOfRange { path, record, found, classes }.into());
        }
        let path = find(root, part.what(true), &part.stems(), "images", 3)?;
        let pictures = Values::read(path, |sizes: &[u32; 3]| check_sides(sizes, side))?;
        let (of_pictures, of_labels) = (pictures.sizes[0].into(), labels.sizes[0].into());
        if of_pictures != of_labels {
            return Err(IdxError::CountsDiffer {
                of_pictures: pictures.path,
                pictures: of_pictures,
                of_labels: labels.path,
                labels: of_labels,
            }
            .into());
        }
        Ok(Self { classes, pictures, labels })
    }

    /// Height and width of every picture, in pixels.
    #[must_use]
    pub fn size(&self) -> [u32; 2] {
        let [_, height, width] = self.pictures.sizes;
        [height, width]
    }
}

/// A picture has pixels, no more than any other, and the side that is asked for.
fn check_sides(sizes: &[u32; 3], side: Option<u32>) -> Result<(), (&'static str, u64, String)> {
    let [_, height, width] = *sizes;
    for (field, found) in [("height", height), ("width", width)] {
        match side {
            Some(side) if found != side => return Err((field, found.into(), side.to_string())),
            None if found == 0 => return Err((field, 0, "at least 1".to_owned())),
            _ => {}
        }
    }
    let area = u64::from(height) * u64::from(width);
    match area <= Image::MAX_PIXELS {
        true => Ok(()),
        false => Err(("height", height.into(), format!("at most {} pixels", Image::MAX_PIXELS))),
    }
}

impl Part {
    fn labels(self, root: &Path) -> Result<Values<1>, DataError> {
        let path = find(root, self.what(false), &self.stems(), "labels", 1)?;
        Values::read(path, |_| Ok(()))
    }

    fn what(self, pictures: bool) -> &'static str {
        match (self, pictures) {
            (Self::Training, true) => "training pictures",
            (Self::Training, false) => "training labels",
            (Self::Test, true) => "test pictures",
            (Self::Test, false) => "test labels",
        }
    }

    /// What names of files begin with.
    fn stems(self) -> Vec<&'static str> {
        match self {
            Self::Training => vec!["train"],
            Self::Test => vec!["t10k", "test"],
        }
    }
}

/// The first file that is there, in any spelling.
fn find(
    root: &Path,
    what: &'static str,
    stems: &[&str],
    of: &str,
    sizes: usize,
) -> Result<PathBuf, DataError> {
    fs::metadata(root).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => DataError::FolderMissing { path: root.to_owned() },
        _ => unreadable(root, source),
    })?;
    let name = |stem: &&str| ['-', '.'].map(|mark| format!("{stem}-{of}{mark}idx{sizes}-ubyte"));
    let looked_for: Vec<String> = stems.iter().flat_map(name).collect();
    let paths = looked_for.iter().flat_map(|name| [name.clone(), format!("{name}.gz")]);
    // Some unpack each file into a folder of its name.
    let paths = paths.flat_map(|name| [root.join(&name), root.join(&name).join(&name)]);
    match paths.into_iter().find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => Err(IdxError::NotFound { what, root: root.to_owned(), looked_for }.into()),
    }
}

impl Dataset for Idx {
    fn len(&self) -> usize {
        self.labels.bytes.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn channels(&self) -> usize {
        1
    }

    fn label(&self, index: usize) -> usize {
        self.labels.bytes[index].into()
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        let [height, width] = self.size();
        let area = height as usize * width as usize;
        let pixels = self.pictures.bytes[index * area..][..area].to_vec();
        Image::new(width, height, 1, pixels)
    }

    fn name(&self, index: usize) -> String {
        format!("{}, picture {index}", self.pictures.path.display())
    }
}

/// The counts without the pictures.
impl std::fmt::Debug for Idx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ([height, width], classes) = (self.size(), self.classes.len());
        write!(f, "Idx({} pictures of {width}x{height}, {classes} classes)", self.len())
    }
}
