//! A module's parameters under PyTorch's names and in its layouts.
//!
//! Burn calls a norm's scale and shift `gamma` and `beta`, PyTorch `weight` and `bias`; a linear layer's weight is `[in,
//! out]` in Burn, `[out, in]` in PyTorch. Everything else is the same on both sides.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

/// How the values of linear layers lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `[out, in]`.
    Torch,
    /// `[in, out]`.
    Burn,
}

/// Where the path ends, with the types of the modules that it passes, and the layout of what is given or wanted.
struct Place {
    path: Vec<String>,
    container: Vec<String>,
    layout: Layout,
}

impl Place {
    fn new(layout: Layout) -> Self {
        Self { path: vec![], container: vec![], layout }
    }

    fn enter(&mut self, name: &str, container: &str) {
        self.path.push(name.to_owned());
        self.container.push(container.to_owned());
    }

    fn exit(&mut self) {
        self.path.pop();
        self.container.pop();
    }

    /// PyTorch's name.
    fn name(&self) -> String {
        torch_name(&self.path.join("."))
    }

    fn turns(&self) -> bool {
        self.layout == Layout::Torch
            && self.container.last().is_some_and(|container| container == "Struct:Linear")
            && self.path.last().is_some_and(|name| name == "weight")
    }

    /// A shape in the other layout; the same both ways.
    fn turned(&self, mut shape: Vec<usize>) -> Vec<usize> {
        if self.turns() {
            shape.reverse();
        }
        shape
    }

    /// Values of `shape` in the other layout.
    fn turned_values(&self, values: Vec<f32>, shape: &[usize]) -> Vec<f32> {
        match shape {
            &[rows, columns] if self.turns() => transposed(&values, rows, columns),
            _ => values,
        }
    }
}

/// A parameter's name as PyTorch says it.
pub(crate) fn torch_name(path: &str) -> String {
    let (parent, name) = path.rsplit_once('.').map_or(("", path), |(parent, name)| (parent, name));
    let name = match name {
        "gamma" => "weight",
        "beta" => "bias",
        name => name,
    };
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

/// `[rows, columns]` as `[columns, rows]`.
pub(crate) fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut turned = Vec::with_capacity(values.len());
    for column in 0..columns {
        turned.extend((0..rows).map(|row| values[row * columns + column]));
    }
    turned
}

/// The shape in `layout` of every parameter and running statistic, by PyTorch's name. Nothing is initialised.
pub(crate) fn shapes<M: Module>(module: &M, layout: Layout) -> BTreeMap<String, Vec<usize>> {
    struct Shapes(Place, BTreeMap<String, Vec<usize>>);
    impl ModuleVisitor for Shapes {
        fn enter_module(&mut self, name: &str, container_type: &str) {
            self.0.enter(name, container_type);
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let shape = param.lazy_shape().dims::<D>().to_vec();
            self.1.insert(self.0.name(), self.0.turned(shape));
        }
    }
    let mut found = Shapes(Place::new(layout), BTreeMap::new());
    module.visit(&mut found);
    found.1
}

/// The values of every parameter and running statistic, with shapes, by PyTorch's name and in its layout.
pub(crate) fn values<M: Module>(module: &M) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    struct Values(Place, BTreeMap<String, (Vec<usize>, Vec<f32>)>);
    impl ModuleVisitor for Values {
        fn enter_module(&mut self, name: &str, container_type: &str) {
            self.0.enter(name, container_type);
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let tensor = param.val();
            let shape = tensor.dims().to_vec();
            let values = tensor.into_data().iter::<f32>().collect();
            let values = self.0.turned_values(values, &shape);
            self.1.insert(self.0.name(), (self.0.turned(shape), values));
        }
    }
    let mut found = Values(Place::new(Layout::Torch), BTreeMap::new());
    module.visit(&mut found);
    found.1
}

/// The module with the given values, which have `layout` and the parameters' shapes; a parameter of which there is none
/// stays.
pub(crate) fn fill<M: Module>(module: M, values: BTreeMap<String, Vec<f32>>, layout: Layout) -> M {
    struct Filler(Place, BTreeMap<String, Vec<f32>>);
    impl ModuleMapper for Filler {
        fn enter_module(&mut self, name: &str, container_type: &str) {
            self.0.enter(name, container_type);
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.exit();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let Some(values) = self.1.remove(&self.0.name()) else {
                return param;
            };
            let shape = param.lazy_shape().dims::<D>();
            let values = self.0.turned_values(values, &self.0.turned(shape.to_vec()));
            let data = TensorData::new(values, shape);
            let tensor = Tensor::from_data(data, &param.lazy_device());
            let id = param.id;
            param.transform_for_load(tensor, id)
        }
    }
    module.map(&mut Filler(Place::new(layout), values))
}
