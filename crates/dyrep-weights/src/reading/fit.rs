//! Reading with a network at hand: its names are looked for at the ends of the file's.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::usual::below;
use super::words::{is_average, is_counter, is_head, is_left_over, rank};
use super::{Candidate, Entries, Entry, Reading, ReadingError, Wanted, insert, wanted_beside};
use crate::forms::AllTold;
use crate::tensor::{Edit, Stored};

/// The part of a network's names that a prefix must have, of all that another has.
const MOST: f64 = 0.9;

/// What was found behind one prefix in one dialect.
struct Group<'a> {
    prefix: Vec<String>,
    dialect: usize,
    /// The network's names.
    found: BTreeMap<String, &'a Candidate>,
    /// Layers that there is something of.
    units: HashSet<String>,
}

impl Entries {
    /// The tensors of the network that has the names `wanted`; `None` if the file has next to none of them.
    ///
    /// # Errors
    /// Two tensors for one parameter; several prefixes that may be meant, with different values behind them.
    pub(crate) fn of(&self, wanted: &Wanted) -> Result<Option<Reading>, ReadingError> {
        let Some(group) = self.group(wanted)? else { return Ok(None) };
        let dialect = self.dialects[group.dialect];
        let mut reading = Reading {
            tensors: BTreeMap::new(),
            naming: dialect.naming,
            inside: group.prefix.join("."),
            passed_over: vec![],
            notes: vec![],
            told: AllTold::new(),
        };
        let (mut beside, mut strange) = (vec![], vec![]);
        for entry in &self.list {
            if is_counter(&entry.stored.origin) {
                continue;
            }
            let Some(parts) = below(entry, &group.prefix) else {
                match wanted_beside(entry, &group.prefix, dialect) {
                    Some(name) => {
                        let name = name.to_owned();
                        insert(&mut reading.tensors, name, &entry.stored, Edit::None)?;
                    }
                    None => beside.push(entry),
                }
                continue;
            };
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let translated = dialect.translate(&parts);
            match wanted.find(&translated.name) {
                Some(known) => {
                    insert(&mut reading.tensors, known.name, &entry.stored, translated.edit)?;
                }
                None if is_left_over(parts.iter().copied()) => {
                    reading.passed_over.push(entry.stored.origin.clone());
                }
                None => strange.push((translated.name, entry)),
            }
        }
        let head = self.head(wanted, &group, &reading, &beside, &strange);
        if let Some(head) = &head {
            for (leaf, entry) in &head.tensors {
                let name = format!("{}.{leaf}", head.path);
                insert(&mut reading.tensors, name, &entry.stored, Edit::None)?;
            }
        }
        let is_heads = |entry: &Entry| {
            head.iter().flat_map(|head| &head.tensors).any(|(_, one)| std::ptr::eq(*one, entry))
        };
        for (name, entry) in strange.into_iter().filter(|(_, entry)| !is_heads(entry)) {
            insert(&mut reading.tensors, name, &entry.stored, Edit::None)?;
        }
        for entry in beside.into_iter().filter(|entry| !is_heads(entry)) {
            // What stands between the features and a classifier elsewhere would change the logits.
            let parts = entry.parts.iter().map(String::as_str);
            let between = |head: &Head<'_>| head.outside && below(entry, &head.common).is_some();
            match head.as_ref().is_some_and(between) && !is_left_over(parts) {
                true => {
                    let name = entry.parts.join(".");
                    insert(&mut reading.tensors, name, &entry.stored, Edit::None)?;
                }
                false => reading.passed_over.push(entry.stored.origin.clone()),
            }
        }
        self.read_beside(&group.prefix, dialect, &mut reading)?;
        dialect.finish(&mut reading)?;
        Ok(Some(reading))
    }

    /// The prefix and dialect that are meant.
    fn group(&self, wanted: &Wanted) -> Result<Option<Group<'_>>, ReadingError> {
        let groups = self.groups(wanted);
        let right = |group: &&Group<'_>| group.is_average() == self.average;
        let mut groups: Vec<Group<'_>> = match groups.iter().any(|group| right(&group)) {
            true => groups.into_iter().filter(|group| right(&group)).collect(),
            false if self.average => vec![],
            false => groups,
        };
        let most = groups.iter().map(|group| group.units.len()).max().unwrap_or(0);
        if (most as f64) < super::FEW * wanted.units as f64 {
            return Ok(None);
        }
        groups.retain(|group| group.units.len() as f64 >= MOST * most as f64);
        groups.sort_by_key(Group::rank);
        let Some(first) = groups.first() else { return Ok(None) };
        let rivals = groups.iter().filter(|other| other.rank() == first.rank());
        let rivals: Vec<&Group<'_>> = rivals
            .filter(|other| other.prefix != first.prefix && !self.same(first, other))
            .collect();
        if !rivals.is_empty() {
            let prefixes = [first].into_iter().chain(rivals);
            let shown = |group: &Group<'_>| match group.prefix.is_empty() {
                true => "(the outermost)".to_owned(),
                false => group.prefix.join("."),
            };
            return Err(ReadingError::Several(prefixes.map(shown).collect()));
        }
        Ok(Some(groups.swap_remove(0)))
    }

    /// All prefixes behind which there is something of the network, each in the dialect that knows most of it.
    fn groups(&self, wanted: &Wanted) -> Vec<Group<'_>> {
        let mut all: HashMap<(&[String], usize), Group<'_>> = HashMap::new();
        for candidate in self.candidates() {
            if let Some(known) = wanted.find(&candidate.name) {
                let prefix = &self.list[candidate.entry].parts[..candidate.from];
                let dialect = candidate.dialect;
                let group = all.entry((prefix, dialect)).or_insert_with(|| Group {
                    prefix: prefix.to_vec(),
                    dialect,
                    found: BTreeMap::new(),
                    units: HashSet::new(),
                });
                group.found.insert(known.name, candidate);
                group.units.insert(known.unit);
            }
        }
        let mut best: BTreeMap<&[String], Group<'_>> = BTreeMap::new();
        for ((prefix, _), group) in all {
            let score = |group: &Group<'_>| {
                (group.units.len(), group.found.len(), usize::MAX - group.dialect)
            };
            match best.get(prefix) {
                Some(other) if score(other) >= score(&group) => {}
                _ => {
                    best.insert(prefix, group);
                }
            }
        }
        best.into_values().collect()
    }

    /// Whether two groups have the same values: one object under two names.
    fn same(&self, one: &Group<'_>, other: &Group<'_>) -> bool {
        one.found.len() == other.found.len()
            && one.found.iter().zip(&other.found).all(|((name, one), (same, other))| {
                let [one, other] = [one, other].map(|c| &self.list[c.entry].stored);
                name == same && one.shape == other.shape && same_values(one, other)
            })
    }

    /// The last linear layer, if the network's names do not lead to it: a sequence has it at the end, or it lies beside
    /// the features.
    fn head<'a>(
        &self,
        wanted: &Wanted,
        group: &Group<'_>,
        reading: &Reading,
        beside: &[&'a Entry],
        strange: &[(String, &'a Entry)],
    ) -> Option<Head<'a>> {
        let lacks = |path: &&String| !reading.tensors.contains_key(&format!("{path}.weight"));
        let mut missing = wanted.linears.iter().filter(lacks);
        let (Some(path), None) = (missing.next(), missing.next()) else { return None };
        let inside = strange.iter().map(|(_, entry)| *entry);
        let outside = beside.iter().copied().filter(|entry| group.goes_with(entry));
        let mut layers: BTreeMap<&[String], BTreeMap<&str, &'a Entry>> = BTreeMap::new();
        for entry in inside.chain(outside) {
            let Some((leaf, layer)) = entry.parts.split_last() else { continue };
            let dimensions = match leaf.as_str() {
                "weight" => 2,
                "bias" => 1,
                _ => continue,
            };
            let own = &layer[common(layer, &group.prefix)..];
            if own.iter().all(|part| is_head(part)) && entry.stored.shape.len() == dimensions {
                layers.entry(layer).or_default().insert(leaf, entry);
            }
        }
        layers.retain(|_, tensors| {
            let rows = |leaf: &str| tensors.get(leaf).and_then(|entry| entry.stored.shape.first());
            rows("weight").is_some() && rows("weight") == rows("bias")
        });
        let mut layers = layers.into_iter();
        let (Some((layer, tensors)), None) = (layers.next(), layers.next()) else { return None };
        let common = common(layer, &group.prefix);
        Some(Head {
            path: path.clone(),
            tensors: tensors.into_iter().collect(),
            outside: common < group.prefix.len(),
            common: group.prefix[..common].to_vec(),
        })
    }
}

/// A linear layer under another name.
struct Head<'a> {
    /// The network's path for it.
    path: String,
    tensors: Vec<(&'a str, &'a Entry)>,
    /// Whether it lies beside the prefix of everything else.
    outside: bool,
    /// What both lie in.
    common: Vec<String>,
}

impl Group<'_> {
    fn is_average(&self) -> bool {
        self.prefix.iter().any(|part| is_average(part))
    }

    /// How unlikely it is that this one is meant.
    fn rank(&self) -> usize {
        let ranks = self.prefix.iter().map(|part| rank(part) + 1);
        ranks.max().unwrap_or(0)
    }

    /// Whether an entry outside may be a part of this network: an average goes with an average.
    fn goes_with(&self, entry: &Entry) -> bool {
        entry.parts.iter().any(|part| is_average(part)) == self.is_average()
    }
}

/// How many parts two paths begin with in common.
fn common(one: &[String], other: &[String]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

fn same_values(one: &Stored, other: &Stored) -> bool {
    one.number == other.number
        && matches!((one.bytes(), other.bytes()), (Ok(one), Ok(other)) if one == other)
}
