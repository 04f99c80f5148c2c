//! Files in and out: of bounded size, and whole or not at all.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use dyrep_data::{DataError, Dataset, Image, ImageFiles, Reading};

use crate::error::SceneError;

/// A kind of file, and the most bytes of one that are read.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    what: &'static str,
    limit: u64,
}

/// COCO's largest takes 0.45 GB.
pub(crate) const ANNOTATIONS: Wanted = Wanted { what: "annotations in JSON", limit: 1 << 32 };
/// More than any mask of as many pixels as a picture may have.
pub(crate) const MASK: Wanted = Wanted { what: "a PNG of labels", limit: 1 << 29 };

/// All of a file.
///
/// Opening what is no file might wait for ever, and a file's length is looked at before it is believed.
pub(crate) fn read(path: &Path, wanted: Wanted) -> Result<Vec<u8>, SceneError> {
    let failed = |source| unreadable(path, source);
    let found = fs::metadata(path).map_err(failed)?;
    if !found.is_file() {
        return Err(DataError::NotAFile { path: path.to_owned() }.into());
    }
    let Wanted { what: expected, limit } = wanted;
    let mut contents = Vec::new();
    // It may have grown since its length was known.
    let read = |file: File| file.take(limit + 1).read_to_end(&mut contents);
    if found.len() > limit || File::open(path).and_then(read).map_err(failed)? as u64 > limit {
        return Err(SceneError::TooLong { path: path.to_owned(), limit, expected });
    }
    Ok(contents)
}

/// Writes a file beside its place and puts it there once it is complete.
pub(crate) fn write(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), SceneError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written = (|| {
        let mut file = io::BufWriter::new(File::create(&partial)?);
        fill(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&partial, path)
    })();
    written.map_err(|source| {
        // What is left is of no use; that it cannot be removed is the lesser news.
        let _ = fs::remove_file(&partial);
        SceneError::Unwritable { path: path.to_owned(), source }
    })
}

/// A picture of a file in a data set's folder, decoded. A link that leads out of the folder is refused
/// unless links are followed.
pub(crate) fn picture(root: &Path, path: &Path, reading: Reading) -> Result<Image, SceneError> {
    inside(root, path, reading)?;
    // A folder would stand for the pictures in it.
    if !path.is_file() {
        return Err(DataError::NotAFile { path: path.to_owned() }.into());
    }
    Ok(ImageFiles::new([path], reading)?.image(0)?)
}

/// Refuses a link that leads out of a data set's folder.
pub(crate) fn inside(root: &Path, path: &Path, reading: Reading) -> Result<(), SceneError> {
    if reading.follow_links {
        return Ok(());
    }
    let resolved = |path: &Path| path.canonicalize().map_err(|source| unreadable(path, source));
    let target = resolved(path)?;
    if target.starts_with(resolved(root)?) {
        return Ok(());
    }
    Err(DataError::ForbiddenLink { path: path.to_owned(), target }.into())
}

pub(crate) fn unreadable(path: &Path, source: io::Error) -> SceneError {
    DataError::Unreadable { path: path.to_owned(), source }.into()
}
