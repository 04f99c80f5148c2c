//! Reading and setting a module's parameters and running statistics by path.

use std::collections::BTreeMap;

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Gradients, Tensor, TensorData};

/// Sets every float parameter and running statistic to what `value` gives for its path.
///
/// # Panics
/// If a value has another shape than the parameter.
pub fn fill<M: Module>(module: M, mut value: impl FnMut(&str, &[usize]) -> TensorData) -> M {
    let value = move |path: &str, shape: &[usize]| Some(value(path, shape));
    module.map(&mut Filler { path: vec![], value })
}

/// Sets the parameters and running statistics that `choose` knows, by the last part of their path, to values around a
/// middle: `(middle, spread)`. No two parameters get the same; all others stay.
pub fn scatter<M: Module>(module: M, choose: impl Fn(&str) -> Option<(f32, f32)>) -> M {
    let mut salt = 0.0;
    let value = move |path: &str, shape: &[usize]| {
        let (middle, spread) = choose(path.rsplit('.').next().unwrap_or(path))?;
        salt += 1.0;
        let value = |i: usize| middle + spread * (12.9 * i as f32 + 7.3 * salt).sin();
        let values = (0..shape.iter().product()).map(value).collect();
        Some(TensorData::new(values, shape.to_vec()))
    };
    module.map(&mut Filler { path: vec![], value })
}

/// All float parameters and running statistics by path.
pub fn read<M: Module>(module: &M) -> BTreeMap<String, TensorData> {
    let seen = Reader::visit(module, None);
    seen.into_iter().map(|(path, seen)| (path, seen.value)).collect()
}

/// The gradients of all parameters that have one, by path.
pub fn gradients<M: Module>(module: &M, gradients: &Gradients) -> BTreeMap<String, TensorData> {
    let seen = Reader::visit(module, Some(gradients));
    seen.into_iter().filter_map(|(path, seen)| Some((path, seen.gradient?))).collect()
}

/// The ids of all float parameters and running statistics by path.
pub fn ids<M: Module>(module: &M) -> BTreeMap<String, u64> {
    Reader::visit(module, None).into_iter().map(|(path, seen)| (path, seen.id)).collect()
}

/// The ids of all flags, in the order of visiting.
pub fn flags<M: Module>(module: &M) -> Vec<u64> {
    struct Flags(Vec<u64>);
    impl ModuleVisitor for Flags {
        fn visit_flag(&mut self, flag: &Param<Flag>) {
            self.0.push(flag.id.val());
        }
    }
    let mut found = Flags(vec![]);
    module.visit(&mut found);
    found.0
}

/// The ids of all learnable parameters by path.
pub fn trainable_ids<M: Module>(module: &M) -> BTreeMap<String, u64> {
    ids(module).into_iter().filter(|(path, _)| !is_statistic(path)).collect()
}

/// Whether every learnable parameter wants a gradient.
pub fn trainable<M: Module>(module: &M) -> bool {
    Reader::visit(module, None).iter().all(|(path, seen)| is_statistic(path) || seen.trains)
}

fn is_statistic(path: &str) -> bool {
    path.rsplit('.').next().is_some_and(|name| name.starts_with("running_") || name == "constant")
}

/// The module in another float type, running statistics included; those of clones are the same.
pub fn cast<M: Module>(module: M, dtype: DType) -> M {
    module.map(&mut Cast(dtype))
}

struct Cast(DType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|value| {
            value.clone().cast(self.0).detach().set_require_grad(value.is_require_grad())
        })
    }
}

struct Filler<F> {
    path: Vec<String>,
    value: F,
}

impl<F: FnMut(&str, &[usize]) -> Option<TensorData>> ModuleMapper for Filler<F> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let shape = param.lazy_shape().dims::<D>();
        let Some(data) = (self.value)(&path, &shape) else { return param };
        param.map(|old| {
            assert_eq!(data.shape()[..], shape[..], "shape of {path}");
            Tensor::from_data(data, &old.device()).set_require_grad(old.is_require_grad())
        })
    }
}

/// What a visit finds of a parameter.
struct Seen {
    id: u64,
    trains: bool,
    value: TensorData,
    gradient: Option<TensorData>,
}

struct Reader<'a> {
    path: Vec<String>,
    found: BTreeMap<String, Seen>,
    gradients: Option<&'a Gradients>,
}

impl<'a> Reader<'a> {
    fn visit<M: Module>(module: &M, gradients: Option<&'a Gradients>) -> BTreeMap<String, Seen> {
        let mut reader = Self { path: vec![], found: BTreeMap::new(), gradients };
        module.visit(&mut reader);
        reader.found
    }
}

impl ModuleVisitor for Reader<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = self.gradients.and_then(|gradients| param.val().grad(gradients));
        let seen = Seen {
            id: param.id.val(),
            trains: param.is_require_grad(),
            value: param.val().into_data(),
            gradient: gradient.map(Tensor::into_data),
        };
        self.found.insert(self.path.join("."), seen);
    }
}
