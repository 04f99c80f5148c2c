//! Sets of files that are spoiled, for `hostile.rs` and `skipping.rs`.

use std::io::Cursor;
use std::path::Path;

use dyrep_data::{Channels, ImageFolder};
use image::ImageFormat;
use tempfile::{TempDir, tempdir};

use crate::common::{rgb, save};

pub(crate) fn encode(format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    rgb(64, 48).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A set of two classes with `good` pictures in each, and whatever `bad` puts into the second.
pub(crate) fn folder(good: usize, bad: impl FnOnce(&Path)) -> TempDir {
    let root = tempdir().unwrap();
    for class in ["a", "b"] {
        for number in 0..good {
            save(&root.path().join(class).join(format!("good{number:02}.png")), rgb(20, 16));
        }
    }
    bad(&root.path().join("b"));
    root
}

pub(crate) fn open(root: &TempDir) -> ImageFolder {
    ImageFolder::open(root.path(), Channels::Rgb).unwrap()
}
