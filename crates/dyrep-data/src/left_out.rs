//! What a folder or an archive holds and a data set does not take, counted by the ends of names.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use serde::Serialize;

/// Kinds of names that are told apart, and the longest ending that is one. Names come from strangers.
const MOST_KINDS: usize = 32;
const LONGEST: usize = 16;

/// How many files of each ending were passed over because their names are not those of pictures, in
/// any case of letters; hidden files are not counted.
///
/// ```
/// use dyrep_data::LeftOut;
///
/// let mut left_out = LeftOut::default();
/// ["a.heic", "B.HEIC", "notes.txt"].map(|name| left_out.add(name.as_ref()));
/// assert_eq!(left_out.to_string(), "2 .heic, 1 .txt");
/// assert_eq!(left_out.total(), 3);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct LeftOut(BTreeMap<String, usize>);

impl LeftOut {
    /// Counts a file by its name.
    pub fn add(&mut self, name: &OsStr) {
        let ending = Path::new(name).extension().and_then(OsStr::to_str);
        self.count(match ending {
            None => "without an ending".to_owned(),
            Some(long) if long.len() > LONGEST => "of other endings".to_owned(),
            Some(ending) => format!(".{}", ending.to_lowercase()),
        });
    }

    /// Counts something by what it is.
    pub(crate) fn count(&mut self, what: String) {
        self.count_all(what, 1);
    }

    fn count_all(&mut self, what: String, count: usize) {
        let known = self.0.len() < MOST_KINDS || self.0.contains_key(&what);
        let what = if known { what } else { "of other endings".to_owned() };
        *self.0.entry(what).or_default() += count;
    }

    /// Adds what another one counts.
    pub(crate) fn extend(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            self.count_all(what.clone(), *count);
        }
    }

    /// What there is of each, by name: `.heic` and so on.
    pub fn counts(&self) -> impl Iterator<Item = (&str, usize)> {
        self.0.iter().map(|(what, count)| (what.as_str(), *count))
    }

    /// How many there are in all.
    #[must_use]
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// Whether nothing was passed over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The most frequent first, in one line.
impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: Vec<_> = self.counts().collect();
        counts.sort_by_key(|(what, count)| (std::cmp::Reverse(*count), *what));
        for (at, (what, count)) in counts.into_iter().enumerate() {
            write!(f, "{}{count} {what}", if at > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_strangers_take_no_room() {
        let mut left_out = LeftOut::default();
        (0..1000).for_each(|number| left_out.add(format!("x.{number}").as_ref()));
        left_out.add(format!("x.{}", "y".repeat(300)).as_ref());
        left_out.add("README".as_ref());
        assert_eq!(left_out.total(), 1002);
        assert!(left_out.counts().count() <= MOST_KINDS + 1);
        assert!(left_out.to_string().len() < 500, "{left_out}");
    }
}
