//! Choosing layers by their paths.

use regex::{Regex, RegexBuilder};
use serde::de::{Deserializer, Error, Unexpected};
use serde::{Deserialize, Serialize};

use crate::error::PatternError;

/// The most patterns, and the most bytes that one may take: those in a file from a stranger must not fill the memory.
const MOST: usize = 1000;
const LARGEST: usize = 1 << 16;

/// Regular expressions, any of which may match anywhere in a path, as in Burn's parameter groups.
///
/// `layer3` chooses a stage, `\.conv2$` every second convolution of a residual block, `^stem$` one layer.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(into = "Vec<String>")]
pub struct PathPatterns(Vec<Regex>);

impl PathPatterns {
    /// Patterns from their texts.
    ///
    /// # Errors
    /// The first text that is not a regular expression or takes more than 64 KiB; the first after a thousand.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, PatternError> {
        let parse = |(i, pattern): (usize, S)| {
            let pattern = pattern.as_ref();
            if i == MOST {
                return Err(too_many(pattern));
            }
            build(pattern)
        };
        patterns.into_iter().enumerate().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether any of them matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(path))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first pattern that matches none of `paths`.
    #[must_use]
    pub fn unmatched<S: AsRef<str>>(&self, paths: &[S]) -> Option<&str> {
        let idle = |pattern: &&Regex| !paths.iter().any(|path| pattern.is_match(path.as_ref()));
        self.0.iter().find(idle).map(Regex::as_str)
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Regex::as_str)
    }
}

fn build(pattern: &str) -> Result<Regex, PatternError> {
    let built = RegexBuilder::new(pattern).size_limit(LARGEST).build();
    built.map_err(|error| PatternError { pattern: pattern.to_owned(), reason: error.to_string() })
}

fn too_many(pattern: &str) -> PatternError {
    PatternError { pattern: pattern.to_owned(), reason: format!("there are more than {MOST}") }
}

/// A pattern, checked where it stands.
struct Pattern(Regex);

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = "a regular expression on paths";
        let refused = |_| D::Error::invalid_value(Unexpected::Str(&text), &expected);
        build(&text).map(Self).map_err(refused)
    }
}

impl<'de> Deserialize<'de> for PathPatterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let patterns = Vec::<Pattern>::deserialize(deserializer)?;
        if let Some(Pattern(first)) = patterns.get(MOST) {
            return Err(D::Error::custom(too_many(first.as_str())));
        }
        Ok(Self(patterns.into_iter().map(|pattern| pattern.0).collect()))
    }
}

impl PartialEq for PathPatterns {
    fn eq(&self, other: &Self) -> bool {
        self.texts().eq(other.texts())
    }
}

impl From<PathPatterns> for Vec<String> {
    fn from(patterns: PathPatterns) -> Self {
        patterns.texts().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_pattern_may_match_anywhere() {
        let patterns = PathPatterns::new(["^stem$", r"layer[34]\..*conv2$"]).unwrap();
        assert!(patterns.matches("stem") && patterns.matches("layer3.0.conv2"));
        assert!(!patterns.matches("stem.0") && !patterns.matches("layer2.0.conv2"));
        assert!(!PathPatterns::default().matches("stem"));
    }

    #[test]
    fn a_pattern_without_a_path_is_found() {
        let patterns = PathPatterns::new(["^stem$", "layer9"]).unwrap();
        assert_eq!(patterns.unmatched(&["stem", "layer1"]), Some("layer9"));
        assert_eq!(patterns.unmatched(&["stem", "layer9"]), None);
        assert_eq!(PathPatterns::default().unmatched::<&str>(&[]), None);
    }

    #[test]
    fn patterns_take_little_memory() {
        assert!(PathPatterns::new([r"^\w+\.(\d+)\..*conv[12]$"]).is_ok());
        let error = PathPatterns::new([r"\w{200}"]).unwrap_err().to_string();
        assert!(error.contains("size limit"), "{error}");
        assert!(PathPatterns::new(["conv"; 1000]).is_ok());
        let error = PathPatterns::new(["conv"; 1001]).unwrap_err().to_string();
        assert!(error.contains("more than 1000"), "{error}");
    }

    #[test]
    fn a_broken_pattern_is_named() {
        let error = PathPatterns::new(["ok", "layer["]).unwrap_err();
        assert!(error.to_string().contains("`layer[`"), "{error}");
        assert!(serde_json::from_str::<PathPatterns>(r#"["("]"#).is_err());
        let text = serde_json::to_string(&PathPatterns::new(["a", "b"]).unwrap()).unwrap();
        assert_eq!(text, r#"["a","b"]"#);
    }
}
