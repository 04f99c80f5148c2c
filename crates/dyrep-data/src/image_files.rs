//! Pictures by their paths, of no known class: what a trained network is asked about.

use std::path::{Path, PathBuf};

use crate::dataset::{Contents, Dataset, decoded};
use crate::error::DataError;
use crate::image::Image;
use crate::left_out::LeftOut;
use crate::reading::Reading;
use crate::scan::{Bounds, Scan, check_regular, read_file};

/// Files of pictures in the order given. They have one class, `unknown`.
#[derive(Clone, Debug)]
pub struct ImageFiles {
    files: Vec<PathBuf>,
    reading: Reading,
    left_out: LeftOut,
    classes: [String; 1],
}

impl ImageFiles {
    /// The files of `paths`; a folder stands for the images in it, by name, without those in folders below. A link is
    /// followed: whoever names it means what it points to.
    ///
    /// # Errors
    ///
    /// A path that is not there or is no file, and a folder without images. Contents are looked at when they are loaded.
    pub fn new<P: AsRef<Path>>(
        paths: impl IntoIterator<Item = P>,
        reading: impl Into<Reading>,
    ) -> Result<Self, DataError> {
        let reading = reading.into();
        let (mut files, mut left_out) = (vec![], LeftOut::default());
        for path in paths {
            let path = path.as_ref();
            if !path.is_dir() {
                check_regular(path)?;
                files.push(path.to_owned());
                continue;
            }
            let mut scan = Scan::new(path, reading.follow_links)?;
            let found = scan.loose_images()?;
            let others = scan.into_left_out();
            if found.is_empty() {
                return Err(DataError::NoImages { path: path.to_owned(), left_out: others });
            }
            left_out.extend(&others);
            files.extend(found.into_iter().map(|file| path.join(file)));
        }
        Ok(Self { files, reading, left_out, classes: ["unknown".to_owned()] })
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

impl Dataset for ImageFiles {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn channels(&self) -> usize {
        self.reading.decoding.channels.count()
    }

    fn label(&self, index: usize) -> usize {
        assert!(index < self.len(), "sample {index} of {}", self.len());
        0
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        decoded(self, index)
    }

    fn read(&self, index: usize, buffer: &mut Vec<u8>) -> Result<Contents, DataError> {
        let (path, decoding) = (&self.files[index], self.reading.decoding);
        // What a link points to.
        let target = path.canonicalize().map_err(|source| crate::scan::unreadable(path, source))?;
        read_file(&Bounds::file(target.clone()), &target, buffer)?;
        Ok(Contents::File { path: path.clone(), decoding })
    }

    fn name(&self, index: usize) -> String {
        self.files[index].display().to_string()
    }

    fn left_out(&self) -> LeftOut {
        self.left_out.clone()
    }
}
