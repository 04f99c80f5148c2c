//! Loading: names and shapes are compared, values read and checked, and only then is the module touched.

use std::collections::BTreeMap;

use burn::module::Module;

use crate::describe::Description;
use crate::error::WeightsError;
use crate::params::{fill, shapes};
use crate::report::{Report, ShapeDifference};
use crate::weights::Weights;

/// What loading accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Load {
    partial: bool,
    non_finite: bool,
}

impl Load {
    /// Every parameter must have a tensor of its shape, every tensor a parameter, every value must be a finite number.
    pub fn strict() -> Self {
        Self { partial: false, non_finite: false }
    }

    /// What fits is loaded; the rest is in the [`Report`]. So a network for 10 classes takes the features of one for
    /// 1000.
    pub fn partial() -> Self {
        Self { partial: true, ..Self::strict() }
    }

    /// Values that are infinite or no numbers are loaded as they are.
    pub fn with_non_finite(mut self) -> Self {
        self.non_finite = true;
        self
    }

    /// Gives `module` the weights, grown or deployed first as the file is. Parameters keep their device and whether they
    /// train.
    ///
    /// # Errors
    /// A file of INT8 weights ([`Weights::load_quantized`]). Names or shapes that differ, unless [`partial`](Self::partial); nothing that fits at all; branches that the
    /// module cannot have; values that cannot be read, or are no finite numbers. The module is then gone, but nothing
    /// that it shares with a clone was changed.
    pub fn into<M: Module>(
        self,
        module: M,
        weights: &Weights,
    ) -> Result<(M, Report), WeightsError> {
        if weights.description.as_ref().is_some_and(Description::is_quantized) {
            return Err(WeightsError::IsQuantized { file: weights.file.clone() });
        }
        self.without(module, weights, |_| false)
    }

    /// As [`into`](Self::into), for a file that need not have the parameters that `absent` chooses by PyTorch's name; the
    /// module keeps its own then.
    pub(crate) fn without<M: Module>(
        self,
        module: M,
        weights: &Weights,
        absent: impl Fn(&str) -> bool,
    ) -> Result<(M, Report), WeightsError> {
        let file = || weights.file.clone();
        let weights = &*weights.for_module(&module)?;
        let structure = weights.structure(&module)?;
        let failed = |source| WeightsError::Structure { file: file(), source: Box::new(source) };
        let module = structure.apply(module).map_err(failed)?;
        let mut wanted = shapes(&module, weights.layout);
        wanted.retain(|name, _| !absent(name) || weights.tensors.contains_key(name));
        let report = compare(&wanted, weights);
        if report.applied.is_empty() || !(self.partial || report.is_complete()) {
            return Err(WeightsError::Mismatch { file: file(), report: Box::new(report) });
        }
        weights.check_size(report.applied.iter().map(|name| &weights.tensors[name]))?;
        let mut values = BTreeMap::new();
        for name in &report.applied {
            values.insert(name.clone(), self.read(name, weights)?);
        }
        Ok((fill(module, values, weights.layout), report))
    }

    fn read(self, name: &str, weights: &Weights) -> Result<Vec<f32>, WeightsError> {
        let stored = &weights.tensors[name];
        let (file, tensor) = (weights.file.clone(), stored.origin.clone());
        if let Some(found) = stored.number.whole() {
            return Err(WeightsError::Type { file, tensor, found: found.to_owned() });
        }
        let mut values = match stored.values() {
            Ok(values) => values,
            Err(reason) => return Err(WeightsError::Tensor { file, tensor, reason }),
        };
        if weights.shift != 0.0 && name.ends_with("running_var") {
            for value in &mut values {
                *value = (f64::from(*value) + weights.shift) as f32;
            }
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) if !self.non_finite => {
                let value = values[index];
                Err(WeightsError::NotFinite { file, tensor, index, value })
            }
            _ => Ok(values),
        }
    }
}

/// Holds the shapes of parameters, in the weights' layout, against the weights'.
pub(crate) fn compare(wanted: &BTreeMap<String, Vec<usize>>, weights: &Weights) -> Report {
    let mut report = Report {
        format: weights.format.clone(),
        applied: vec![],
        missing: vec![],
        unused: vec![],
        shapes: vec![],
        passed_over: weights.passed_over.clone(),
        notes: weights.notes.clone(),
    };
    for (name, shape) in wanted {
        match weights.tensors.get(name) {
            None => report.missing.push(name.clone()),
            Some(tensor) if tensor.shape == *shape => report.applied.push(name.clone()),
            Some(tensor) => report.shapes.push(ShapeDifference {
                name: name.clone(),
                expected: shape.clone(),
                found: tensor.shape.clone(),
            }),
        }
    }
    let unused = weights.tensors.keys().filter(|name| !wanted.contains_key(*name));
    report.unused = unused.cloned().collect();
    report
}
