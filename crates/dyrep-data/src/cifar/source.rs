//! Where CIFAR's files are: in a folder, in the published folder inside it, or in the archive.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use tar::Archive;

use super::error::CifarError;
use crate::error::DataError;
use crate::scan::{check_regular, unreadable};

/// More than either archive holds. A bomb would otherwise unpack for hours.
const MAX_UNPACKED: u64 = 1 << 30;

/// The names under which a set is published.
pub(super) struct Published {
    pub(super) set: &'static str,
    pub(super) folder: &'static str,
    pub(super) archive: &'static str,
}

/// A file of the set.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) name: &'static str,
    pub(super) length: Length,
}

/// How long a file may be, in bytes.
#[derive(Clone, Copy)]
pub(super) enum Length {
    Exactly(u64),
    AtMost(u64),
}

/// A file's contents, and its name in errors.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

/// Reads files of the set below `root`, in the order asked for.
pub(super) fn read(
    root: &Path,
    published: &Published,
    wanted: &[Wanted],
) -> Result<Vec<Found>, DataError> {
    if root.is_file() {
        return unpack(root, wanted);
    }
    let folders = [root.to_owned(), root.join(published.folder)];
    let archive = root.join(published.archive);
    // The first file stands for all: if another is missing, that one is the error.
    if let Some(folder) = folders.iter().find(|folder| folder.join(wanted[0].name).exists()) {
        let read = |wanted: &Wanted| {
            let path = folder.join(wanted.name);
            let length = check_regular(&path)?;
            let file = File::open(&path).map_err(|source| unreadable(&path, source))?;
            take(path, file, length, wanted.length)
        };
        return wanted.iter().map(read).collect();
    }
    if archive.is_file() {
        return unpack(&archive, wanted);
    }
    if let Err(source) = fs::metadata(root) {
        return Err(match source.kind() {
            std::io::ErrorKind::NotFound => DataError::FolderMissing { path: root.to_owned() },
            _ => unreadable(root, source),
        });
    }
    let mut looked_for: Vec<PathBuf> =
        folders.iter().map(|folder| folder.join(wanted[0].name)).collect();
    looked_for.push(archive);
    Err(CifarError::NotFound { set: published.set, root: root.to_owned(), looked_for }.into())
}

/// Reads files from the archive, wherever in it they are. Nothing else of it is kept.
fn unpack(path: &Path, wanted: &[Wanted]) -> Result<Vec<Found>, DataError> {
    let failed = |source| unreadable(path, source);
    check_regular(path)?;
    let packed = File::open(path).map_err(failed)?;
    let mut archive = Archive::new(GzDecoder::new(packed).take(MAX_UNPACKED));
    let mut found: Vec<Option<Found>> = wanted.iter().map(|_| None).collect();
    for entry in archive.entries().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let inside = entry.path().map_err(failed)?.into_owned();
        let place =
            wanted.iter().position(|wanted| inside.file_name() == Some(wanted.name.as_ref()));
        let Some(place) = place.filter(|_| entry.header().entry_type().is_file()) else { continue };
        let length = entry.size();
        found[place] = Some(take(path.join(inside), entry, length, wanted[place].length)?);
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    let missing = |wanted: &Wanted| {
        DataError::from(CifarError::NotInArchive { path: path.to_owned(), missing: wanted.name })
    };
    found
        .into_iter()
        .zip(wanted)
        .map(|(found, wanted)| found.ok_or_else(|| missing(wanted)))
        .collect()
}

/// Reads a file of known length, if it is the expected one.
fn take(
    path: PathBuf,
    reader: impl Read,
    length: u64,
    expected: Length,
) -> Result<Found, DataError> {
    let (Length::Exactly(limit) | Length::AtMost(limit)) = expected;
    let wrong = |path, found| Err(CifarError::WrongLength { path, found, expected: limit }.into());
    let fits = |found: u64| match expected {
        Length::Exactly(limit) => found == limit,
        Length::AtMost(limit) => found <= limit,
    };
    if !fits(length) {
        return wrong(path, length);
    }
    let mut bytes = Vec::with_capacity(length as usize + 1);
    match reader.take(limit + 1).read_to_end(&mut bytes) {
        // It may have changed in the meantime, or an archive may end too early.
        Ok(found) if !fits(found as u64) => wrong(path, found as u64),
        Ok(_) => Ok(Found { path, bytes }),
        Err(source) => Err(unreadable(&path, source)),
    }
}
