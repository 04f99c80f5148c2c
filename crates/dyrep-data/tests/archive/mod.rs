//! Archives made for tests.

// Each test file uses some of it.
#![allow(dead_code)]

use std::fs;

use dyrep_data::{Channels, DataError, TarFolder};
use tar::{Builder, EntryType, Header};
use tempfile::{TempDir, tempdir};

use crate::common::rgb;

pub(crate) fn png() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    rgb(5, 4).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A header whose name is written as it is, whatever it may be.
pub(crate) fn header(name: &[u8], kind: EntryType, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

/// An archive of files of the given names and contents.
pub(crate) fn tar_of(files: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, contents) in files {
        tar.append(&header(name, EntryType::Regular, contents.len()), *contents).unwrap();
    }
    tar.into_inner().unwrap()
}

/// Writes an archive and opens it.
pub(crate) fn open(archive: &[u8]) -> (TempDir, Result<TarFolder, DataError>) {
    let root = tempdir().unwrap();
    let path = root.path().join("x.tar");
    fs::write(&path, archive).unwrap();
    let opened = TarFolder::open(&path, Channels::Rgb);
    (root, opened)
}
