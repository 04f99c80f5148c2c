//! Lists of synsets: the classes' ids in WordNet, their numbers and their names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::error::GroundTruthError;
use crate::error::DataError;
use crate::text;

/// Classes by number, with their names in words.
///
/// Two forms of text files are read, one class a line:
///
/// * `wnid id words`, as in `map_clsloc.txt` of the later development kits: `n02119789 1 kit_fox`.
///   The numbers are 1 to the number of lines, in any order.
/// * `wnid words`, where a class's number is that of its line. It must be the order of the numbers:
///   `LOC_synset_mapping.txt` and Caffe's `synsets.txt` are in alphabetical order and good for the
///   words only.
///
/// The kit of 2012 has its numbers in `meta.mat` alone, which is not read; those of the later kits
/// are the same.
#[derive(Clone, Debug)]
pub struct Synsets {
    path: PathBuf,
    /// By number, from 1.
    wnids: Vec<String>,
    words: HashMap<String, String>,
    numbered: bool,
}

impl Synsets {
    /// Reads a list of classes.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is empty or has an empty line, or names a class or a number twice.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let text = text::read(path)?;
        let number = |line: &str| line.split_whitespace().nth(1).and_then(|id| id.parse().ok());
        let numbers: Option<Vec<usize>> =
            text::lines(&text).map(|(_, line)| number(line)).collect();
        let count = text::lines(&text).count();
        let mut wnids = vec![String::new(); count];
        let mut words = HashMap::with_capacity(count);
        for (line, content) in text::lines(&text) {
            let wrong = |expected: String| GroundTruthError::Line {
                path: path.to_owned(),
                line,
                found: content.to_owned(),
                expected,
            };
            let number = numbers.as_ref().map_or(line, |numbers| numbers[line - 1]);
            let parts = if numbers.is_some() { 3 } else { 2 };
            let mut parts = content.splitn(parts, char::is_whitespace);
            let wnid = parts.next().filter(|wnid| !wnid.is_empty());
            let wnid = wnid.ok_or_else(|| wrong("a class".to_owned()))?;
            let place = number.checked_sub(1).and_then(|place| wnids.get_mut(place));
            let place = place.filter(|place| place.is_empty());
            let free = || wrong(format!("a number from 1 to {count} that no other class has"));
            wnid.clone_into(place.ok_or_else(free)?);
            let name = parts.last().unwrap_or_default().trim().to_owned();
            if words.insert(wnid.to_owned(), name).is_some() {
                return Err(wrong("a class that no other line has".to_owned()).into());
            }
        }
        Ok(Self { path: path.to_owned(), wnids, words, numbered: numbers.is_some() })
    }

    /// The class of a number, from 1.
    #[must_use]
    pub fn wnid(&self, number: usize) -> Option<&str> {
        self.wnids.get(number.checked_sub(1)?).map(String::as_str)
    }

    /// A class's name in words, as the list has it; nothing if it has none.
    #[must_use]
    pub fn words(&self, wnid: &str) -> Option<&str> {
        self.words.get(wnid).map(String::as_str).filter(|words| !words.is_empty())
    }

    /// Number of classes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.wnids.len()
    }

    /// Whether there are no classes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wnids.is_empty()
    }

    /// The list, if its numbers can be those of a ground truth.
    pub(super) fn numbered(&self) -> Result<&Self, GroundTruthError> {
        if !self.numbered && self.len() > 1 && self.wnids.is_sorted() {
            return Err(GroundTruthError::Alphabetical { path: self.path.clone() });
        }
        Ok(self)
    }
}
