//! Which picture is of which class, where folders do not say it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::error::GroundTruthError;
use super::synsets::Synsets;
use crate::error::DataError;
use crate::text;

const CSV_HEADER: &str = "ImageId,PredictionString";

/// The classes of the pictures of a flat folder.
///
/// Three forms of text files are read, told apart by their first line:
///
/// | form | a line | belongs to |
/// |---|---|---|
/// | the development kit's | a class's number, the ILSVRC2012_ID, from 1 | the picture whose name ends with the line's number: the first line to `ILSVRC2012_val_00000001.JPEG` |
/// | likewise with classes | `n01751748` | likewise |
/// | Kaggle's `LOC_val_solution.csv` | `ILSVRC2012_val_00048981,n03995372 85 1 499 272`: a picture, its class, boxes that are not used | the picture named |
///
/// The ILSVRC2012_ID is no label: labels count the classes in alphabetical order, as folders and
/// torchvision do. So numbers need [`Synsets`] in their own order.
#[derive(Clone, Debug)]
pub struct GroundTruth {
    path: PathBuf,
    classes: Vec<String>,
    /// The line of each picture, from 0, where it is not that of the picture's number.
    named: Option<HashMap<String, usize>>,
}

impl GroundTruth {
    /// Reads a ground truth; `synsets` are the classes' numbers, if it uses them.
    ///
    /// # Errors
    ///
    /// [`GroundTruthError`] if it uses numbers and there are no synsets, they are in alphabetical
    /// order, or lack one; if a line is malformed, or a picture named twice. Or if the file cannot
    /// be read.
    pub fn read(path: impl AsRef<Path>, synsets: Option<&Synsets>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let text = text::read(path)?;
        let first = text::lines(&text).next().map_or("", |(_, line)| line);
        let mut named = None;
        let classes = if first == CSV_HEADER {
            let (names, classes) = named_classes(path, &text)?;
            named = Some(names);
            classes
        } else if first.parse::<usize>().is_ok() {
            let missing =
                || GroundTruthError::NoSynsets { path: path.to_owned(), looked_for: Vec::new() };
            let synsets = synsets.ok_or_else(missing)?.numbered()?;
            let expected = format!("a number from 1 to {}", synsets.len());
            let class = |line: &str| synsets.wnid(line.parse().ok()?);
            each(path, &text, &expected, class)?
        } else {
            each(path, &text, "one class", |line| {
                (!line.is_empty() && !line.contains(char::is_whitespace)).then_some(line)
            })?
        };
        Ok(Self { path: path.to_owned(), classes, named })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Number of pictures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there are no pictures.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// The line, from 0, of the picture of the given file name.
    pub(crate) fn line(&self, file: &OsStr) -> Option<usize> {
        let stem = Path::new(file).file_stem()?.to_str()?;
        if let Some(named) = &self.named {
            return named.get(stem).copied();
        }
        let digits = stem.len() - stem.bytes().rev().take_while(u8::is_ascii_digit).count();
        let number: usize = stem[digits..].parse().ok()?;
        number.checked_sub(1).filter(|&line| line < self.len())
    }

    /// The class that a line tells.
    pub(crate) fn class(&self, line: usize) -> &str {
        &self.classes[line]
    }

    /// What a line's picture is called.
    pub(crate) fn image(&self, line: usize) -> String {
        let named = self.named.iter().flatten().find(|(_, found)| **found == line);
        named.map_or_else(|| format!("picture {}", line + 1), |(name, _)| name.clone())
    }
}

/// One class from each line.
fn each<'a>(
    path: &Path,
    text: &'a str,
    expected: &str,
    class: impl Fn(&'a str) -> Option<&'a str>,
) -> Result<Vec<String>, GroundTruthError> {
    let read = |(line, found): (usize, &'a str)| {
        class(found).map(str::to_owned).ok_or_else(|| wrong(path, line, found, expected))
    };
    text::lines(text).map(read).collect()
}

/// The pictures and classes of Kaggle's list.
fn named_classes(
    path: &Path,
    text: &str,
) -> Result<(HashMap<String, usize>, Vec<String>), GroundTruthError> {
    let (mut names, mut classes) = (HashMap::new(), Vec::new());
    for (line, found) in text::lines(text).skip(1) {
        let parts = found.split_once(',').and_then(|(name, boxes)| {
            let class = boxes.split_whitespace().next()?;
            (!name.is_empty()).then_some((name, class))
        });
        let (name, class) = parts.ok_or_else(|| wrong(path, line, found, "picture,class boxes"))?;
        if names.insert(name.to_owned(), classes.len()).is_some() {
            return Err(wrong(path, line, found, "a picture that no other line has"));
        }
        classes.push(class.to_owned());
    }
    Ok((names, classes))
}

fn wrong(path: &Path, line: usize, found: &str, expected: &str) -> GroundTruthError {
    let (path, expected) = (path.to_owned(), expected.to_owned());
    GroundTruthError::Line { path, line, found: found.to_owned(), expected }
}
