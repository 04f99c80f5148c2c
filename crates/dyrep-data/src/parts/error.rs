//! What may be wrong with the folders of a data set: its parts, its classes, links among them.

use std::path::PathBuf;

/// Folders that are no parts, or not the parts or classes that they should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// A link to a folder that holds the link, or that another link leads to: its pictures would count
    /// without end, or twice.
    #[error("{}: symbolic link to {}, which is read already", path.display(), target.display())]
    LinkedTwice {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },

    /// A data set lacks a part.
    #[error("{}: no {part} part; expected a folder named {names}", path.display())]
    PartMissing {
        /// The data set's folder.
        path: PathBuf,
        /// `training` or `validation`.
        part: &'static str,
        /// The names that it may have.
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
