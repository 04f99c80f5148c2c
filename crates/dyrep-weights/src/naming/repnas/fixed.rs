//! `fixed_path`: the branches that a search has decided on.
//!
//! | in the file | the branches that run |
//! |---|---|
//! | a tensor `[22, 6]` | where it is 1, elsewhere 0 |
//! | a list of the 22 layers: of each a list, or a tensor, of numbers from 0 to 5 | those with these numbers |
//! | the same, of each layer six values 0 and 1 | where it is 1 |
//!
//! Six numbers of branches are never 0 and 1 alone, since none is there twice.

use std::collections::BTreeMap;

use super::branch::KINDS;
use super::choice::{numbers, unfit};
use super::{FIXED, LAYERS};
use crate::naming::Unfit;
use crate::reading::Reading;
use crate::tensor::Stored;

/// What was found.
pub(super) enum Fixed {
    Tensor(Stored),
    /// What lists hold, by the places that lead there.
    Lists(BTreeMap<Vec<usize>, Stored>),
}

impl Fixed {
    /// Takes it out of the reading, if it is there.
    pub(super) fn take(reading: &mut Reading) -> Option<Self> {
        let below = format!("{FIXED}.");
        let mut lists = BTreeMap::new();
        reading.tensors.retain(|name, stored| {
            let Some(rest) = name.strip_prefix(&below) else { return true };
            let places: Result<Vec<usize>, _> = rest.split('.').map(str::parse).collect();
            let is_place = places.is_ok();
            lists.extend(places.ok().map(|places| (places, stored.clone())));
            !is_place
        });
        let tensor = reading.tensors.remove(FIXED).map(Self::Tensor);
        tensor.or((!lists.is_empty()).then_some(Self::Lists(lists)))
    }

    /// What the file calls it.
    pub(super) fn origin(&self) -> String {
        match self {
            Self::Tensor(stored) => stored.origin.clone(),
            Self::Lists(lists) => {
                let whole = lists.iter().next().and_then(|(places, stored)| {
                    let below: String = places.iter().map(|place| format!(".{place}")).collect();
                    stored.origin.strip_suffix(&below)
                });
                whole.unwrap_or(FIXED).to_owned()
            }
        }
    }

    /// The numbers of the branches that run, counted through all layers.
    ///
    /// # Errors
    /// What is none of what a file may have.
    pub(super) fn chosen(&self) -> Result<Vec<usize>, Unfit> {
        match self {
            Self::Tensor(stored) => of_tensor(stored),
            Self::Lists(lists) => of_lists(lists, &self.origin()),
        }
    }
}

fn of_tensor(stored: &Stored) -> Result<Vec<usize>, Unfit> {
    if stored.shape != [LAYERS, KINDS.len()] {
        let shape = || format!("its shape is {:?}", stored.shape);
        // What is no tensor in the file has no dimensions here.
        let other = stored.shape.is_empty().then(|| stored.numbers().err()).flatten();
        let found = other.unwrap_or_else(shape);
        return Err(unfit(stored, format!("{found}; expected {}", expected())));
    }
    let values = numbers(stored)?;
    if let Some(at) = values.iter().position(|value| ![0.0, 1.0].contains(value)) {
        return Err(unfit(stored, format!("value {at} is {}, expected 0 or 1", values[at])));
    }
    Ok((0..values.len()).filter(|at| values[*at] == 1.0).collect())
}

fn of_lists(lists: &BTreeMap<Vec<usize>, Stored>, origin: &str) -> Result<Vec<usize>, Unfit> {
    let mut layers: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
    for (places, stored) in lists {
        let values = stored
            .numbers()
            .map_err(|reason| unfit(stored, format!("{reason}; expected {}", expected())))?;
        layers.entry(places[0]).or_default().extend(values);
    }
    let refused = |tensor: String, reason: String| Unfit { tensor, reason };
    let count = layers.len();
    if count != LAYERS {
        let reason = format!("it is a list of {count}, expected {}", expected());
        return Err(refused(origin.to_owned(), reason));
    }
    let mut chosen = vec![];
    for (layer, values) in layers {
        let of_layer = branches(&values).ok_or_else(|| {
            let reason = format!("it holds {values:?}, expected {}", expected());
            refused(format!("{origin}.{layer}"), reason)
        })?;
        chosen.extend(of_layer.into_iter().map(|branch| KINDS.len() * layer + branch));
    }
    Ok(chosen)
}

/// The numbers of a layer's branches that run.
fn branches(values: &[f32]) -> Option<Vec<usize>> {
    let all = 0..KINDS.len();
    if values.len() == KINDS.len() && values.iter().all(|value| [0.0, 1.0].contains(value)) {
        return Some(all.filter(|at| values[*at] == 1.0).collect());
    }
    let number = |value: &f32| all.clone().find(|number| *number as f32 == *value);
    let mut found = values.iter().map(number).collect::<Option<Vec<_>>>()?;
    found.sort_unstable();
    let count = found.len();
    found.dedup();
    (found.len() == count).then_some(found)
}

fn expected() -> String {
    let (layers, kinds) = (LAYERS, KINDS.len());
    format!(
        "a tensor [{layers}, {kinds}] of 0 and 1, or a list of the {layers} layers: of each the numbers, 0 to {}, of the \
         branches that run",
        kinds - 1
    )
}
