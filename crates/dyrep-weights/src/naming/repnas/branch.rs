//! A branch of a RepNAS layer, told by the names and shapes of its tensors.

use std::collections::BTreeMap;

use dyrep_burn::BranchName;

use crate::naming::Unfit;
use crate::reading::Reading;
use crate::tensor::{Edit, Stored};

/// The branches of a layer in the order of their numbers, as this library calls them.
pub(super) const KINDS: [&str; 6] = ["1x1", "1x1_avg", "kxk", "1x1_kxk", "1xk", "kx1"];
const KXK: &str = "kxk";

/// The parts of a 1×1 and an average, and of a 1×1 and a k×k, theirs and ours.
const AVERAGE: [(&str, &str); 3] =
    [("conv1.conv.", "conv."), ("conv1.bn.bn.", "bn."), ("bn2.", "avgbn.")];
const SEQUENCE: [(&str, &str); 4] = [
    ("conv1.weight", "conv1.weight"),
    ("bn1.bn.", "bn1."),
    ("conv2.conv.", "conv2."),
    ("conv2.bn.", "bn2."),
];
/// The second at a stride of 2 is a k×k convolution.
const SECOND: [(&str, &str); 2] = [("conv2.conv.", "conv."), ("conv2.bn.", "bn.")];
const SIMPLE: [(&str, &str); 2] = [("conv.", "conv."), ("bn.", "bn.")];

/// A branch, and its tensors under our names.
pub(super) struct Branch {
    /// Its number among those of a search.
    pub(super) kind: usize,
    /// What it is for us: at a stride of 2 a `1x1_kxk` is another `kxk`.
    ours: &'static str,
    parts: BTreeMap<String, Stored>,
    channels: [usize; 2],
}

impl Branch {
    /// The branch that has these tensors, by their names below it.
    ///
    /// # Errors
    /// Tensors that are none of the six branches'.
    pub(super) fn of(parts: &BTreeMap<String, Stored>) -> Result<Self, Unfit> {
        let has = |name: &str| parts.get(name).filter(|stored| stored.shape.len() == 4);
        let (kind, names, first): (usize, &[(&str, &str)], _) = match () {
            () if let Some(first) = has("conv1.conv.weight") => (1, &AVERAGE, first),
            () if let Some(first) = has("conv1.weight") => (3, &SEQUENCE, first),
            () if let Some(first) = has("conv2.conv.weight") => (3, &SECOND, first),
            () if let Some(first) = has("conv.weight") => {
                let kind = match first.shape[2..] {
                    [1, 1] => 0,
                    [1, 3] => 4,
                    [3, 1] => 5,
                    _ => 2,
                };
                (kind, &SIMPLE, first)
            }
            () => return Err(unknown(parts.values().next())),
        };
        let last = has("conv2.conv.weight").unwrap_or(first);
        let channels = [first.shape[1], last.shape[0]];
        let ours = if names == SECOND { KXK } else { KINDS[kind] };
        let mut named = BTreeMap::new();
        for (name, stored) in parts {
            let found = names
                .iter()
                .find_map(|(theirs, ours)| Some(format!("{ours}{}", name.strip_prefix(theirs)?)));
            let Some(name) = found else { return Err(unknown(Some(stored))) };
            // What a 1×1 in front of a k×k adds to the identity.
            let edit = if names == SEQUENCE && name == "conv1.weight" {
                Edit::AddIdentity
            } else {
                Edit::None
            };
            named.insert(name, stored.clone().edited(edit));
        }
        Ok(Self { kind, ours, parts: named, channels })
    }

    /// Inputs of each group, and outputs.
    pub(super) fn channels(&self) -> [usize; 2] {
        self.channels
    }

    /// Puts it into the layer at `path`, and gives its name there.
    ///
    /// # Errors
    /// A branch that is there already.
    pub(super) fn put(self, path: &str, reading: &mut Reading) -> Result<BranchName, Unfit> {
        let mut own: BranchName =
            self.ours.parse().unwrap_or_else(|_| unreachable!("it is a branch"));
        let main = format!("{path}.{KXK}.conv.weight");
        if own == BranchName::MAIN && reading.tensors.contains_key(&main) {
            own.nth = 2;
        }
        let name = format!("{path}.{own}");
        for (part, stored) in self.parts {
            let name = format!("{name}.{part}");
            if let Some(other) = reading.tensors.get(&name) {
                let reason = format!("it and `{}` stand for `{name}`", other.origin);
                return Err(Unfit { tensor: stored.origin, reason });
            }
            reading.tensors.insert(name, stored);
        }
        Ok(own)
    }
}

fn unknown(stored: Option<&Stored>) -> Unfit {
    let tensor = stored.map(|stored| stored.origin.clone()).unwrap_or_default();
    let reason = format!(
        "it is of none of the branches that a layer of RepNAS may have: {}",
        KINDS.join(", ")
    );
    Unfit { tensor, reason }
}
