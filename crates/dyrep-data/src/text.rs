//! Small text files beside a data set: lists of classes and labels.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::scan::{check_regular, unreadable};

/// The longest text file that is read; the labels of 1.3 million pictures take 60 MB.
const MAX_BYTES: u64 = 1 << 28;

/// All of a text file, without the empty space at its end.
pub(crate) fn read(path: &Path) -> Result<String, DataError> {
    check_regular(path)?;
    let mut text = String::new();
    let bytes = File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text))
        .map_err(|source| unreadable(path, source))?;
    if bytes as u64 > MAX_BYTES {
        let long = format!("more than {MAX_BYTES} bytes");
        return Err(unreadable(path, io::Error::new(io::ErrorKind::InvalidData, long)));
    }
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// The lines of a text and their numbers, from 1. An empty line is one, too: labels count lines.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.trim_start_matches('\u{FEFF}').lines().map(str::trim))
}

/// Paths as they are listed in an error.
pub(crate) fn paths(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
