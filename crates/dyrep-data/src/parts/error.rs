//! What may be wrong with the folders of a data set: its parts, its classes, links among them.

use std::path::PathBuf;

/// Folders that are no parts, or not the parts or classes that they should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// A folder that links lead to and that is read already, or that holds the link: its pictures would
    /// count twice, or without end.
    #[error(
        "{}: by symbolic links this is {}, which is read already", path.display(), target.display()
    )]
    LinkedTwice {
        /// The link, or a folder that is reached otherwise, too.
        path: PathBuf,
        /// The folder without links.
        target: PathBuf,
    },

    /// A data set lacks a part.
    #[error("{}: no {part} part; expected {names}", path.display())]
    PartMissing {
        /// The data set's folder.
        path: PathBuf,
        /// `training` or `validation`.
        part: &'static str,
        /// What it may be, with the names that it may have.
        names: String,
    },

    /// Some folders have the names of parts, others have not: they may all be classes.
    #[error(
        "{}: {} may be a part of the data set or a class beside {}; expected parts alone, such as train and val, or \
         classes alone: name the folder of one part, or rename what is a class",
        path.display(), list(parts), list(others)
    )]
    PartsOrClasses {
        /// The data set's folder.
        path: PathBuf,
        /// Those named as parts.
        parts: Vec<String>,
        /// The others.
        others: Vec<String>,
    },

    /// All that would be classes are parts of a data set.
    #[error(
        "{}: holds the parts {} of a data set and no classes; expected <root>/<class>/<image>",
        path.display(), list(parts)
    )]
    PartsForClasses {
        /// The folder or archive.
        path: PathBuf,
        /// The names.
        parts: Vec<String>,
    },

    /// A folder has classes that are none of those asked for.
    #[error(
        "{}: unknown classes: {}; of those expected it lacks: {}",
        path.display(), list(unknown), list(missing)
    )]
    UnknownClasses {
        /// The folder.
        path: PathBuf,
        /// Its classes that are not among those expected.
        unknown: Vec<String>,
        /// Expected ones that it has no folder of.
        missing: Vec<String>,
    },

    /// A class is asked for twice: its pictures would count under two labels.
    #[error("the class `{class}` is asked for twice")]
    ClassTwice {
        /// Its name.
        class: String,
    },

    /// A part has classes that the part with the labels has not.
    #[error(
        "{} and {} have different classes; only in the first: {}; only in the second: {}",
        first.display(), second.display(), list(only_first), list(only_second)
    )]
    ClassesDiffer {
        /// The part whose classes are the reference.
        first: PathBuf,
        /// The part compared with it.
        second: PathBuf,
        /// Classes that the second part lacks.
        only_first: Vec<String>,
        /// Classes that the first part lacks.
        only_second: Vec<String>,
    },
}

/// Names, shortened: a thousand missing classes tell no more than the first few and their number.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 5;
    match names.len() {
        0 => "none".to_owned(),
        n if n <= SHOWN => names.join(", "),
        n => format!("{} and {} more", names[..SHOWN].join(", "), n - SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_of_classes_are_shortened() {
        let names: Vec<String> = (0..7).map(|i| format!("c{i}")).collect();
        assert_eq!(list(&names), "c0, c1, c2, c3, c4 and 2 more");
        assert_eq!(list(&names[..2]), "c0, c1");
        assert_eq!(list(&[]), "none");
    }
}
