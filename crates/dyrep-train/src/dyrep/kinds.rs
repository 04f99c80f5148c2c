//! Whether a record's tensors hold what a module's parameters hold: Burn panics where fractions are expected and others
//! are found.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::store::RecordError;
use burn::tensor::{Bool, DType, Int, Tensor};

/// What a parameter holds: in words, and the types that are read as such.
type Kind = (&'static str, fn(&DType) -> bool);

const FRACTIONS: Kind = ("fractions", DType::is_float);
const WHOLE: Kind = ("whole numbers", |dtype| dtype.is_int() || dtype.is_uint());
const TRUTH: Kind = ("truth values", DType::is_bool);

/// Checks the tensors of a record, which have `module`'s paths; others are left to Burn.
///
/// # Errors
/// The first tensor of another kind, with what was expected.
pub(super) fn check<'a, M: Module>(
    module: &M,
    tensors: impl IntoIterator<Item = (&'a str, DType)>,
) -> Result<(), RecordError> {
    let mut kinds = Kinds::default();
    module.visit(&mut kinds);
    for (path, dtype) in tensors {
        let Some((expected, holds)) = kinds.found.get(path) else { continue };
        if !holds(&dtype) {
            let reason = format!("its `{path}` holds {dtype:?}, expected {expected}");
            return Err(RecordError::Validation(reason));
        }
    }
    Ok(())
}

/// The kind of every parameter by path.
#[derive(Default)]
struct Kinds {
    path: Vec<String>,
    found: BTreeMap<String, Kind>,
}

impl Kinds {
    fn note(&mut self, kind: Kind) {
        self.found.insert(self.path.join("."), kind);
    }
}

impl ModuleVisitor for Kinds {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<D>>) {
        self.note(FRACTIONS);
    }

    fn visit_int<const D: usize>(&mut self, _param: &Param<Tensor<D, Int>>) {
        self.note(WHOLE);
    }

    fn visit_bool<const D: usize>(&mut self, _param: &Param<Tensor<D, Bool>>) {
        self.note(TRUTH);
    }
}
