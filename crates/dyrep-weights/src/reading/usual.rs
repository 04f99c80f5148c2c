//! Reading by the usual words alone, where no network is known.

use std::collections::{BTreeMap, BTreeSet};

use super::words::{is_average, is_counter, is_left_over, is_number, is_wrapper, rank};
use super::{Entries, Entry, Reading, ReadingError, insert, wanted_beside};
use crate::forms::AllTold;
use crate::tensor::Edit;

impl Entries {
    /// The likeliest network's tensors.
    ///
    /// # Errors
    /// Two tensors for one parameter; one that is not what the names around it ask for.
    pub(crate) fn usual(&self) -> Result<Reading, ReadingError> {
        let prefix = self.usual_prefix();
        let dialect = self.dialects[0];
        let mut reading = Reading {
            tensors: BTreeMap::new(),
            naming: dialect.naming,
            inside: prefix.join("."),
            passed_over: vec![],
            notes: vec![],
            told: AllTold::new(),
        };
        for entry in &self.list {
            let origin = &entry.stored.origin;
            let Some(parts) = below(entry, &prefix) else {
                match wanted_beside(entry, &prefix, dialect) {
                    Some(name) => {
                        let name = name.to_owned();
                        insert(&mut reading.tensors, name, &entry.stored, Edit::None)?;
                    }
                    None => reading.passed_over.push(origin.clone()),
                }
                continue;
            };
            if is_counter(origin) {
                continue;
            }
            if is_left_over(parts.iter().map(String::as_str)) {
                reading.passed_over.push(origin.clone());
                continue;
            }
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let translated = dialect.translate(&parts);
            insert(&mut reading.tensors, translated.name, &entry.stored, translated.edit)?;
        }
        self.read_beside(&prefix, dialect, &mut reading)?;
        dialect.finish(&mut reading)?;
        Ok(reading)
    }

    fn usual_prefix(&self) -> Vec<String> {
        let mut prefix = vec![];
        while let Some(key) = self.inner(&prefix) {
            prefix.push(key);
        }
        prefix
    }

    /// The key below which the weights lie, if what lies below `prefix` is not a network yet.
    fn inner(&self, prefix: &[String]) -> Option<String> {
        let names: Vec<&[String]> = self
            .list
            .iter()
            .filter(|entry| !is_counter(&entry.stored.origin))
            .filter_map(|entry| below(entry, prefix))
            .collect();
        let heads: BTreeSet<&str> =
            names.iter().filter(|name| name.len() > 1).map(|name| name[0].as_str()).collect();
        let chosen = |head: &&&str| is_wrapper(head);
        let wanted = heads.iter().filter(chosen).min_by_key(|head| {
            // Averages come last, unless they are what is wanted.
            (is_average(head) != self.average, rank(head))
        })?;
        if heads.len() == 1 {
            // The first part of a sequence is no list of networks.
            let deep = !is_number(wanted) || names.iter().any(|name| name.len() > 2);
            return deep.then(|| (*wanted).to_owned());
        }
        // A network may have a part called `model`; then what lies beside it are weights, too.
        let beside = names.iter().any(|name| {
            let last = name.last().is_some_and(|last| last == "weight");
            let known = is_wrapper(&name[0]);
            last && !known && !is_left_over(name.iter().map(String::as_str))
        });
        (!beside && !is_number(wanted)).then(|| (*wanted).to_owned())
    }
}

/// What follows `prefix` in a name.
pub(super) fn below<'a>(entry: &'a Entry, prefix: &[String]) -> Option<&'a [String]> {
    entry.parts.strip_prefix(prefix).filter(|rest| !rest.is_empty())
}
