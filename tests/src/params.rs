//! Reading and setting a module's parameters and running statistics by path.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};

/// Sets every float parameter and running statistic to what `value` gives for its path.
///
/// # Panics
/// If a value has another shape than the parameter.
pub fn fill<M: Module>(module: M, value: impl FnMut(&str, &[usize]) -> TensorData) -> M {
    module.map(&mut Filler { path: vec![], value })
}

/// All float parameters and running statistics by path.
pub fn read<M: Module>(module: &M) -> BTreeMap<String, TensorData> {
    let mut reader = Reader { path: vec![], found: BTreeMap::new(), gradients: None };
    module.visit(&mut reader);
    reader.found
}

/// The gradients of all parameters that have one, by path.
pub fn gradients<M: Module>(module: &M, gradients: &Gradients) -> BTreeMap<String, TensorData> {
    let gradients = Some(gradients);
    let mut reader = Reader { path: vec![], found: BTreeMap::new(), gradients };
    module.visit(&mut reader);
    reader.found
}

struct Filler<F> {
    path: Vec<String>,
    value: F,
}

impl<F: FnMut(&str, &[usize]) -> TensorData> ModuleMapper for Filler<F> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        param.map(|old| {
            let shape = old.dims();
            let data = (self.value)(&path, &shape);
            assert_eq!(data.shape()[..], shape[..], "shape of {path}");
            Tensor::from_data(data, &old.device()).set_require_grad(old.is_require_grad())
        })
    }
}

struct Reader<'a> {
    path: Vec<String>,
    found: BTreeMap<String, TensorData>,
    gradients: Option<&'a Gradients>,
}

impl ModuleVisitor for Reader<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = match self.gradients {
            None => Some(param.val().into_data()),
            Some(gradients) => param.val().grad(gradients).map(Tensor::into_data),
        };
        self.found.extend(data.map(|data| (self.path.join("."), data)));
    }
}

/// The ids of all float parameters by path.
pub fn ids<M: Module>(module: &M) -> BTreeMap<String, u64> {
    struct Ids(Vec<String>, BTreeMap<String, u64>);
    impl ModuleVisitor for Ids {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.insert(self.0.join("."), param.id.val());
        }
    }
    let mut ids = Ids(vec![], BTreeMap::new());
    module.visit(&mut ids);
    ids.1
}

/// Whether every learnable parameter wants a gradient.
pub fn trainable<M: Module>(module: &M) -> bool {
    struct All(Vec<String>, bool);
    impl ModuleVisitor for All {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let running = self.0.last().is_some_and(|name| name.starts_with("running_"));
            self.1 &= running || param.is_require_grad();
        }
    }
    let mut all = All(vec![], true);
    module.visit(&mut all);
    all.1
}

/// The ids of all learnable parameters by path.
pub fn trainable_ids<M: Module>(module: &M) -> BTreeMap<String, u64> {
    ids(module).into_iter().filter(|(path, _)| !path.contains("running_")).collect()
}
