//! Recipes that cannot be used: what is wrong, in which line, and what would be right.

use std::fmt;
use std::path::PathBuf;

use super::fault::{Fault, Kind};
use super::overrides::Override;
use super::tree::At;

/// Where something stands in a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// In a file, or in a text of another origin.
    File {
        /// The file's path, or the text's name.
        origin: String,
        /// The line, from 1; none for what is missing from the whole.
        line: Option<usize>,
    },
    /// In an override, given as it was written.
    Override(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { origin, line: Some(line) } => write!(f, "{origin}:{line}"),
            Self::File { origin, line: None } => f.write_str(origin),
            Self::Override(text) => write!(f, "override `{text}`"),
        }
    }
}

/// A recipe that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// A file that cannot be read.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A name that no shipped recipe has.
    #[error("no shipped recipe is called `{name}`{}", hint(*suggestion, known))]
    UnknownRecipe {
        /// The name.
        name: String,
        /// The name that was probably meant.
        suggestion: Option<&'static str>,
        /// The names there are.
        known: &'static [&'static str],
    },
    /// A text that is not TOML.
    #[error("{place}: not TOML: {reason}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser says.
        reason: String,
    },
    /// An override that is none.
    #[error("override `{text}`: {reason}")]
    BadOverride {
        /// The override.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A key that does not exist.
    #[error("{place}: unknown {}{}", key_of("key ", path), hint(*suggestion, known))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key behind its section, joined by dots; a section alone.
        path: String,
        /// The key that was probably meant.
        suggestion: Option<&'static str>,
        /// The keys there are.
        known: &'static [&'static str],
    },
    /// A name that does not exist.
    #[error("{place}: {}: unknown name `{name}`{}", key_of("", path), hint(*suggestion, known))]
    UnknownName {
        /// Where.
        place: Place,
        /// The key behind its section, joined by dots.
        path: String,
        /// The name.
        name: String,
        /// The name that was probably meant.
        suggestion: Option<&'static str>,
        /// The names there are.
        known: &'static [&'static str],
    },
    /// A key or section without a default that is not there.
    #[error("{place}: {}, for example {example}", lack(path))]
    MissingKey {
        /// Where its table is.
        place: Place,
        /// The key behind its section, joined by dots; a section alone.
        path: String,
        /// How it might be written.
        example: &'static str,
    },
    /// A value of another type, or an impossible one.
    #[error("{place}: {}: expected {expected}, found {found}", key_of("", path))]
    Value {
        /// Where.
        place: Place,
        /// The key behind its section, joined by dots; a section alone.
        path: String,
        /// What would be right.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Things that do not go together.
    #[error("{place}: {reason}")]
    Contradiction {
        /// Where.
        place: Place,
        /// What does not go with what.
        reason: String,
    },
    /// What a run that goes on may not change.
    #[error(
        "`{key}` is {now} and was {before} when the run began: a resumed run cannot change it; start a new run with \
         `--weights` if you want to go on from its weights"
    )]
    Changed {
        /// The key of the recipe.
        key: String,
        /// Its value in the run.
        before: String,
        /// Its value now.
        now: String,
    },
    /// A recipe that TOML cannot express.
    #[error("the recipe cannot be written as TOML: {reason}")]
    Unwritable {
        /// Why.
        reason: String,
    },
}

/// `key` in [section], or section [key].
fn key_of(what: &str, path: &str) -> String {
    match path.rsplit_once('.') {
        Some((section, key)) => format!("{what}`{key}` in [{section}]"),
        None => format!("section [{path}]"),
    }
}

fn lack(path: &str) -> String {
    match path.rsplit_once('.') {
        Some((section, key)) => format!("[{section}] lacks `{key}`"),
        None => format!("the section [{path}] is missing"),
    }
}

fn hint(suggestion: Option<&str>, known: &[&str]) -> String {
    let known = format!(" (known: {})", known.join(", "));
    match suggestion {
        Some(suggestion) => format!("; did you mean `{suggestion}`?{known}"),
        None => known,
    }
}

/// The known name that `name` was probably meant to be: at most a third of its letters are other ones.
pub(super) fn suggest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let name = name.to_lowercase();
    let distance = |known: &&'static str| (strsim::damerau_levenshtein(&name, known), *known);
    let (distance, nearest) = known.iter().map(distance).min_by_key(|(distance, _)| *distance)?;
    (distance <= name.chars().count().div_ceil(3)).then_some(nearest)
}

/// What the places of a tree refer to.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) origin: &'a str,
    pub(super) text: &'a str,
    pub(super) overrides: &'a [Override],
}

impl Sources<'_> {
    pub(super) fn place(&self, at: At) -> Place {
        let given = at.source.checked_sub(1).and_then(|number| self.overrides.get(number));
        if let Some(given) = given {
            return Place::Override(given.to_string());
        }
        let before = self.text.as_bytes().get(..at.offset);
        let line = before.map(|before| 1 + before.iter().filter(|byte| **byte == b'\n').count());
        Place::File { origin: self.origin.to_owned(), line }
    }

    /// A fault in words.
    pub(super) fn error(&self, Fault { at, mut path, kind }: Fault) -> RecipeError {
        let place = self.place(at.unwrap_or(At::END));
        match kind {
            Kind::UnknownKey { key, known } => {
                let suggestion = suggest(&key, known);
                path.push(key);
                RecipeError::UnknownKey { place, path: join(&path), suggestion, known }
            }
            Kind::Missing { key } => {
                let example = example(path.last().map_or("", String::as_str), key);
                path.push(key.to_owned());
                RecipeError::MissingKey { place, path: join(&path), example }
            }
            Kind::UnknownName { name, known } => {
                let suggestion = suggest(&name, known);
                RecipeError::UnknownName { place, path: join(&path), name, suggestion, known }
            }
            Kind::Value { expected, found } => {
                RecipeError::Value { place, path: join(&path), expected, found }
            }
            Kind::Contradiction(reason) => RecipeError::Contradiction { place, reason },
        }
    }
}

/// Keys with dots between them; places in lists stand at their key.
fn join(path: &[String]) -> String {
    path.join(".").replace(".[", "[")
}

/// How a key without a default might be written.
fn example(table: &str, key: &str) -> &'static str {
    match (table, key) {
        ("", "model") => "`[model]` with `name = \"resnet18\"`",
        ("", "data") => "`[data]` with `set = \"digits\"`",
        ("", "optimizer") => "`[optimizer]` with `learning_rate = 0.1` and `batch_size = 256`",
        ("", "schedule") => "`[schedule]` with `epochs = 120`",
        ("", "strategy") => "`[strategy]` with `name = \"dyrep\"`",
        (_, "file") => "`file = \"teacher.safetensors\"`",
        ("model", "name") => "`name = \"resnet18\"`",
        ("strategy", "name") => "`name = \"dyrep\"`",
        (_, "set") => "`set = \"digits\"`",
        (_, "learning_rate") => "`learning_rate = 0.1`",
        (_, "batch_size") => "`batch_size = 256`",
        (_, "epochs") => "`epochs = 120`",
        (_, "matching") => "`matching = [\"^layer1\"]`",
        (_, "milestones") => "`milestones = [30, 60, 90]`",
        (_, "alpha") => "`alpha = 0.2`",
        ("cutout", "size") => "`size = 16`",
        (_, "size") => "`size = 224`",
        (_, "magnitude") => "`magnitude = 9.0`",
        (_, "probability") => "`probability = 0.2`",
        (_, "keep") => "`keep = 20`",
        _ => "a value of your own",
    }
}
