//! Which branches of a network that is searched for run: those of `fixed_path`, which a checkpoint has beside the weights, or
//! else those with the largest α of all layers.

use std::collections::BTreeMap;

use super::branch::{Branch, KINDS};
use super::fixed::Fixed;
use super::{ALPHAS, LAYERS};
use crate::naming::Unfit;
use crate::reading::Reading;
use crate::tensor::Stored;

/// The part of all branches that runs.
const SHARE: f64 = 0.34;
/// The branch of a layer without any, not even an identity: `kxk`.
const FALLBACK: usize = 2;

/// A choice, layer by layer.
pub(super) struct Choice {
    runs: Vec<[bool; KINDS.len()]>,
    /// What told it.
    by: String,
    fixed: bool,
}

impl Choice {
    /// What the file says; `None` of a network that was found, or is deployed.
    ///
    /// # Errors
    /// Numbers that are none, or of another shape; an α that is the last to run and the first not to.
    pub(super) fn of(reading: &mut Reading) -> Result<Option<Self>, Unfit> {
        let (alphas, fixed) = (reading.tensors.remove(ALPHAS), Fixed::take(reading));
        reading.passed_over.extend(alphas.iter().map(|one| one.origin.clone()));
        reading.passed_over.extend(fixed.iter().map(Fixed::origin));
        match (alphas, fixed) {
            (_, Some(fixed)) => Ok(Some(Self::new(fixed.origin(), &fixed.chosen()?, true))),
            (Some(alphas), None) => Self::best(&alphas).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn best(stored: &Stored) -> Result<Self, Unfit> {
        let values = numbers(stored)?;
        let count = (SHARE * values.len() as f64) as usize;
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|one, other| values[*other].total_cmp(&values[*one]));
        let [last, next] = [order[count - 1], order[count]].map(|at| values[at]);
        if last == next {
            let reason = format!(
                "the {count} largest run, and its largest values {count} and {} are both {last}: which branches were chosen is not \
                 known",
                count + 1
            );
            return Err(unfit(stored, reason));
        }
        Ok(Self::new(stored.origin.clone(), &order[..count], false))
    }

    fn new(by: String, chosen: &[usize], fixed: bool) -> Self {
        let mut runs = vec![[false; KINDS.len()]; LAYERS];
        for at in chosen {
            runs[at / KINDS.len()][at % KINDS.len()] = true;
        }
        Self { runs, by, fixed }
    }

    /// Holds the branches of a layer against those that are chosen from.
    pub(super) fn check(
        &self,
        layer: usize,
        branches: &BTreeMap<usize, Branch>,
    ) -> Result<(), Unfit> {
        for (at, kind) in KINDS.iter().enumerate() {
            let reason = match branches.get(&at) {
                Some(branch) if branch.kind == at => continue,
                Some(branch) => {
                    format!(
                        "branch {at} of layer {layer} is a {}, expected {kind}",
                        KINDS[branch.kind]
                    )
                }
                None => format!(
                    "it chooses from 6 branches, and layer {layer} has no {kind}, its branch {at}"
                ),
            };
            return Err(Unfit { tensor: self.by.clone(), reason });
        }
        Ok(())
    }

    /// Whether a branch runs.
    pub(super) fn runs(&self, layer: usize, branch: usize, has_identity: bool) -> bool {
        let runs = self.runs[layer];
        let none = !has_identity && !runs.contains(&true);
        runs.get(branch).copied().unwrap_or(false) || (none && branch == FALLBACK)
    }

    /// What it is, in a sentence.
    pub(super) fn told(&self) -> String {
        let count = self.runs.iter().flatten().filter(|runs| **runs).count();
        let by = &self.by;
        match self.fixed {
            true => format!(
                "the network is of a search: the {count} branches that `{by}` fixes run, and the others rest"
            ),
            false => format!(
                "the network is of a search: the {count} branches with the largest `{by}` run, and the others rest"
            ),
        }
    }
}

/// The numbers of all layers' branches.
pub(super) fn numbers(stored: &Stored) -> Result<Vec<f32>, Unfit> {
    let expected = [LAYERS, KINDS.len()];
    if stored.shape != expected {
        let reason = format!(
            "its shape is {:?}, expected {expected:?}: a number for each branch of each layer",
            stored.shape
        );
        return Err(unfit(stored, reason));
    }
    let values = stored.numbers().map_err(|reason| unfit(stored, reason))?;
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => {
            Err(unfit(stored, format!("value {at} is {}, expected a finite number", values[at])))
        }
        None => Ok(values),
    }
}

pub(super) fn unfit(stored: &Stored, reason: String) -> Unfit {
    Unfit { tensor: stored.origin.clone(), reason }
}
