//! Which folders of a data set are its parts, and which are its classes: a decision about names.
//!
//! A part taken for a class would give an accuracy that means nothing, so what could be either is
//! asked about and never guessed.

mod error;

use std::path::{Path, PathBuf};

pub use self::error::PartError;

use crate::error::DataError;
use crate::scan::folder_names;

/// Names of the training part, in any case of letters, the preferred first.
pub(crate) const TRAINING: [&str; 2] = ["train", "training"];
/// Names of the validation part. Only where there is no other, the part for testing is it.
pub(crate) const VALIDATION: [&str; 5] = ["val", "validation", "valid", "test", "testing"];
/// Archives that the training part may be, in place of a folder.
pub(crate) const ARCHIVES: [&str; 2] = ["train.tar", "ILSVRC2012_img_train.tar"];

/// What a folder's folders are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One folder a class.
    Classes,
    /// Parts, each with its path.
    Parts { training: Option<PathBuf>, validation: Option<PathBuf> },
}

impl Layout {
    /// The layout of the folder at `root`.
    ///
    /// # Errors
    ///
    /// [`PartError::PartsOrClasses`](crate::PartError::PartsOrClasses) if some folders have names of parts and others have not, unless
    /// there are both parts; and if the folder cannot be read.
    pub(crate) fn of(root: &Path) -> Result<Self, DataError> {
        let archive = ARCHIVES.iter().find(|name| root.join(name).exists());
        let folders = folder_names(root)?;
        let (parts, others): (Vec<_>, Vec<_>) = folders.into_iter().partition(|name| is_part(name));
        let find = |names: &[&str]| {
            // The spelling in small letters, if there are several.
            let named = |name: &&str| {
                let same = |part: &&String| part.eq_ignore_ascii_case(name);
                parts.iter().find(|part| part == name).or_else(|| parts.iter().find(same))
            };
            names.iter().find_map(named).map(|part| root.join(part))
        };
        let archived = archive.map(|name| root.join(name));
        let (training, validation) = (find(&TRAINING).or(archived), find(&VALIDATION));
        if parts.is_empty() && training.is_none() {
            return Ok(Self::Classes);
        }
        let both = training.is_some() && validation.is_some();
        if !both && !others.is_empty() {
            let parts = parts.into_iter().chain(archive.map(|name| (*name).to_owned())).collect();
            return Err(DataError::Parts(PartError::PartsOrClasses {
                path: root.to_owned(),
                parts,
                others,
            }));
        }
        Ok(Self::Parts { training, validation })
    }
}

/// Whether a folder of this name is taken for a part.
pub(crate) fn is_part(name: &str) -> bool {
    TRAINING.iter().chain(&VALIDATION).any(|part| name.eq_ignore_ascii_case(part))
}

/// Holds the classes that are there against those asked for, whose order decides.
///
/// # Errors
///
/// One asked for twice; [`PartError::UnknownClasses`] if one is there that is not asked for.
pub(crate) fn check_among(
    root: &Path,
    found: &[String],
    classes: &[String],
) -> Result<(), DataError> {
    let mut sorted: Vec<&String> = classes.iter().collect();
    sorted.sort_unstable();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(DataError::Parts(PartError::ClassTwice { class: twice[0].clone() }));
    }
    let not_among = |names: &[String], others: &[String]| -> Vec<String> {
        names.iter().filter(|name| !others.contains(name)).cloned().collect()
    };
    let unknown = not_among(found, classes);
    match unknown.is_empty() {
        true => Ok(()),
        false => {
            let (path, missing) = (root.to_owned(), not_among(classes, found));
            Err(DataError::Parts(PartError::UnknownClasses { path, unknown, missing }))
        }
    }
}

/// Refuses classes that are parts, all of them.
pub(crate) fn refuse_parts(root: &Path, classes: &[String]) -> Result<(), DataError> {
    match classes.iter().all(|class| is_part(class)) {
        true => Err(DataError::Parts(PartError::PartsForClasses {
            path: root.to_owned(),
            parts: classes.to_vec(),
        })),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::fs;

    fn layout(folders: &[&str]) -> Result<Layout, DataError> {
        let root = tempfile::tempdir().expect("a folder");
        for folder in folders {
            fs::create_dir(root.path().join(folder)).expect("a folder");
        }
        let relative = |path: Option<PathBuf>| {
            path.map(|path| path.file_name().map(PathBuf::from).unwrap_or_default())
        };
        Ok(match Layout::of(root.path())? {
            Layout::Parts { training, validation } => {
                Layout::Parts { training: relative(training), validation: relative(validation) }
            }
            Layout::Classes => Layout::Classes,
        })
    }

    #[rstest]
    #[case(&["train", "val"], "train val")]
    #[case(&["train", "validation"], "train validation")]
    #[case(&["train", "valid"], "train valid")]
    #[case(&["train", "test"], "train test")]
    #[case(&["train", "test", "valid"], "train valid")]
    #[case(&["train", "test", "valid", "validation"], "train validation")]
    #[case(&["test", "train", "val", "validation"], "train val")]
    #[case(&["Training", "Testing"], "Training Testing")]
    #[case(&["Train", "train", "Val"], "train Val")]
    #[case(&["train", "val", "ILSVRC2012_devkit_t12"], "train val")]
    #[case(&["train"], "train -")]
    #[case(&["val"], "- val")]
    #[case(&["test"], "- test")]
    fn parts_are_known_by_name(#[case] folders: &[&str], #[case] want: &str) {
        let (training, validation) = want.split_once(' ').expect("two");
        let part = |name: &str| (name != "-").then(|| PathBuf::from(name));
        let want = Layout::Parts { training: part(training), validation: part(validation) };
        assert_eq!(layout(folders).expect("parts"), want);
    }

    #[rstest]
    #[case(&[])]
    #[case(&["cat", "dog"])]
    #[case(&["trains", "tests"])]
    fn other_folders_are_classes(#[case] folders: &[&str]) {
        assert_eq!(layout(folders).expect("classes"), Layout::Classes);
    }

    #[rstest]
    #[case(&["cat", "dog", "test"], "test", "cat, dog")]
    #[case(&["cat", "train"], "train", "cat")]
    #[case(&["boat", "plane", "Train"], "Train", "boat, plane")]
    #[case(&["val", "devkit"], "val", "devkit")]
    fn what_could_be_either_is_not_guessed(
        #[case] folders: &[&str],
        #[case] parts: &str,
        #[case] others: &str,
    ) {
        let error = layout(folders).expect_err("ambiguous");
        assert!(matches!(error, DataError::Parts(PartError::PartsOrClasses { .. })), "{error}");
        let text = error.to_string();
        assert!(text.contains(parts) && text.contains(others), "{text}");
    }
}
