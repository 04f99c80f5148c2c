//! What serde finds wrong, kept as data: where it is and what would be right are told by [`super::error`].

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use super::tree::At;

/// A mistake in a recipe. Serde knows what is wrong and not where; the reader adds the place and the path on
/// the way up.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    /// Where it is.
    pub(super) at: Option<At>,
    /// The keys that lead to it: to the value, or to the table for a key that is unknown or missing.
    pub(super) path: Vec<String>,
    /// What it is.
    pub(super) kind: Kind,
}

/// Kinds of mistakes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A key that no table of this kind has.
    UnknownKey { key: String, known: &'static [&'static str] },
    /// A name that is none of a list.
    UnknownName { name: String, known: &'static [&'static str] },
    /// A key without a default that is not there.
    Missing { key: &'static str },
    /// A value of another type, or outside its bounds.
    Value { expected: String, found: String },
    /// Anything else, in a sentence.
    Contradiction(String),
}

impl Fault {
    pub(super) fn new(kind: Kind) -> Self {
        Self { at: None, path: vec![], kind }
    }

    /// The fault with its place, unless a deeper one is known.
    pub(super) fn at(mut self, at: At) -> Self {
        self.at.get_or_insert(at);
        self
    }

    /// The fault seen from the table that has `key`.
    pub(super) fn within(mut self, key: &str, at: At) -> Self {
        self.path.insert(0, key.to_owned());
        self.at(at)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.path.join("."), self.kind)
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Kind::Contradiction(message.to_string()))
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expectation(expected);
        Self::new(Kind::Value { expected, found: describe(unexpected) })
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let found = format!("a list of {length}");
        Self::new(Kind::Value { expected: expectation(expected), found })
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownKey { key: key.to_owned(), known })
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownName { name: name.to_owned(), known })
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(Kind::Missing { key })
    }
}

/// Serde's words for types, in TOML's.
fn expectation(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "a sequence" => "a list".to_owned(),
        "path string" => "a string".to_owned(),
        "a boolean" => "true or false".to_owned(),
        other if other.starts_with("struct") => "a table".to_owned(),
        other => other.to_owned(),
    }
}

fn describe(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(value) => value.to_string(),
        Unexpected::Signed(value) => value.to_string(),
        Unexpected::Float(value) => format!("{value:?}"),
        Unexpected::Str(text) => format!("{text:?}"),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        Unexpected::Other(text) => text.to_owned(),
        other => other.to_string(),
    }
}
