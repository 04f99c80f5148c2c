//! Which of a file's tensors are a network's, and under which names.
//!
//! Names in a file are the paths through its dictionaries, lists and modules, joined by dots. Weights lie inside other
//! things, at any depth: `{"state_dict": …, "optimizer": …}`, `[{"best": …}]`, `module.model.conv1.weight`. What is
//! around them can be told by the usual words ([`words`]), and is when nothing is known of the network
//! ([`Entries::usual`]). With a network it need not be guessed: its own names are looked for at the end of the file's
//! ([`Entries::of`]), and what stands in front of most of them is the prefix. What lies outside of it, and what training
//! and its tools leave behind, is passed over and told. Anything else that the network has no parameter for stays, and
//! makes a strict load fail: a network with more layers is another network.
//!
//! No values here, but for two questions: whether two parts that may both be meant are the same, and what a search has
//! chosen.

mod averages;
mod fit;
mod usual;
mod wanted;
mod words;

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::str::FromStr;
use std::sync::OnceLock;

use regex::Regex;

use crate::forms::AllTold;
use crate::naming::{Dialect, Naming, Unfit, dialects};
use crate::tensor::{Edit, Stored};
pub(crate) use wanted::Wanted;

/// The part of its names that a file must have to be looked at as a network's.
const FEW: f64 = 0.3;

/// Which weights of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Those that were trained; their average if the file has nothing else.
    #[default]
    Trained,
    /// Their moving average (EMA).
    Average,
    /// Those under a key of the file: the outermost one, or a path of keys and places in lists, joined by dots.
    Key(String),
}

impl FromStr for Part {
    type Err = Infallible;

    /// `average`, or a key.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "average" => Self::Average,
            key => Self::Key(key.to_owned()),
        })
    }
}

/// A tensor, and its name taken apart, without what adds no level.
#[derive(Clone)]
struct Entry {
    parts: Vec<String>,
    stored: Stored,
}

/// A part of a name in a dialect.
struct Candidate {
    entry: usize,
    /// How many parts stand in front.
    from: usize,
    dialect: usize,
    name: String,
}

/// All tensors of a file, as far as a [`Part`] of it is meant.
pub(crate) struct Entries {
    list: Vec<Entry>,
    /// What is no tensor and says something of them.
    beside: Vec<Entry>,
    average: bool,
    dialects: Vec<&'static Dialect>,
    candidates: OnceLock<Vec<Candidate>>,
}

/// Tensors under this library's names.
pub(crate) struct Reading {
    pub(crate) tensors: BTreeMap<String, Stored>,
    pub(crate) naming: Naming,
    /// The keys and modules around the weights.
    pub(crate) inside: String,
    /// Names in the file of tensors that are no parameters of the network.
    pub(crate) passed_over: Vec<String>,
    /// What of the weights is not as it was trained, or was chosen.
    pub(crate) notes: Vec<String>,
    /// What no tensor shows.
    pub(crate) told: AllTold,
}

/// Why a file cannot be read as asked for.
#[derive(Debug)]
pub(crate) enum ReadingError {
    /// The part is not there: the parts that are.
    NoPart(Vec<String>),
    /// Two tensors for one parameter.
    Twice { name: String, first: String, second: String },
    /// What is called an average is what was averaged: its name.
    Swapped { name: String },
    /// Several parts may be meant.
    Several(Vec<String>),
    /// A tensor that is not what the names around it ask for.
    Unfit(Unfit),
}

impl From<Unfit> for ReadingError {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit)
    }
}

impl Entries {
    /// The tensors of the `part` that is meant, and what stands `beside` them, renamed by `renames` in turn: what a pattern
    /// matches is replaced.
    ///
    /// # Errors
    /// The part is not there.
    pub(crate) fn new(
        [tensors, beside]: [&BTreeMap<String, Stored>; 2],
        part: &Part,
        renames: &[(Regex, String)],
    ) -> Result<Self, ReadingError> {
        let heads = || {
            let heads = tensors.keys().filter(|name| !words::is_counter(name));
            let mut heads: Vec<String> =
                heads.filter_map(|name| Some(name.split('.').next()?.to_owned())).collect();
            heads.dedup();
            heads
        };
        let below = |name: &str| match part {
            Part::Key(key) => name.strip_prefix(key.as_str())?.strip_prefix('.').map(str::to_owned),
            _ => Some(name.to_owned()),
        };
        let entry = |(name, stored): (&String, &Stored)| {
            let mut name = below(name)?;
            for (pattern, replacement) in renames {
                name = pattern.replace_all(&name, replacement.as_str()).into_owned();
            }
            let parts = name.split('.').filter(|part| !words::is_shell(part));
            Some(Entry { parts: parts.map(str::to_owned).collect(), stored: stored.clone() })
        };
        let mut list: Vec<Entry> = tensors.iter().filter_map(&entry).collect();
        let beside = beside.iter().filter_map(entry).collect();
        let average = *part == Part::Average;
        if average {
            if let Some(name) = averages::swapped(&list) {
                return Err(ReadingError::Swapped { name });
            }
            let dotted = averages::with_dots(&list);
            let flat: HashSet<&str> = dotted.iter().map(|one| one.stored.origin.as_str()).collect();
            list.retain(|entry| !flat.contains(entry.stored.origin.as_str()));
            list.extend(dotted);
        }
        let has_average =
            || list.iter().any(|entry| entry.parts.iter().any(|part| words::is_average(part)));
        if list.is_empty() || (average && !has_average()) {
            return Err(ReadingError::NoPart(heads()));
        }
        let parts = list.iter().flat_map(|entry| &entry.parts).map(String::as_str);
        let dialects = dialects(&parts.collect());
        Ok(Self { list, beside, average, dialects, candidates: OnceLock::new() })
    }

    /// Every end of every name in every dialect that the file may have.
    fn candidates(&self) -> &[Candidate] {
        self.candidates.get_or_init(|| {
            let mut all = vec![];
            for (entry, Entry { parts, .. }) in self.list.iter().enumerate() {
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                for from in 0..parts.len() {
                    for (dialect, known) in self.dialects.iter().enumerate() {
                        let name = known.translate(&parts[from..]).name;
                        all.push(Candidate { entry, from, dialect, name });
                    }
                }
            }
            all
        })
    }

    /// Puts what the dialect asks for beside the weights and is no tensor into the reading.
    ///
    /// # Errors
    /// Two of one name.
    fn read_beside(
        &self,
        prefix: &[String],
        dialect: &Dialect,
        reading: &mut Reading,
    ) -> Result<(), ReadingError> {
        let Some((_, around)) = prefix.split_last() else { return Ok(()) };
        for entry in &self.beside {
            if let Some(name @ [key, ..]) = entry.parts.strip_prefix(around)
                && dialect.beside.contains(&key.as_str())
            {
                insert(&mut reading.tensors, name.join("."), &entry.stored, Edit::None)?;
            }
        }
        Ok(())
    }
}

/// The name of an entry outside of `prefix` that lies beside what that leads to, if the dialect asks for it.
fn wanted_beside<'a>(entry: &'a Entry, prefix: &[String], dialect: &Dialect) -> Option<&'a str> {
    let (_, around) = prefix.split_last()?;
    match entry.parts.strip_prefix(around)? {
        [name] if dialect.beside.contains(&name.as_str()) => Some(name),
        _ => None,
    }
}

/// Puts a tensor under its name.
fn insert(
    tensors: &mut BTreeMap<String, Stored>,
    name: String,
    stored: &Stored,
    edit: Edit,
) -> Result<(), ReadingError> {
    if let Some(first) = tensors.get(&name) {
        let (first, second) = (first.origin.clone(), stored.origin.clone());
        return Err(ReadingError::Twice { name, first, second });
    }
    tensors.insert(name, stored.clone().edited(edit));
    Ok(())
}
