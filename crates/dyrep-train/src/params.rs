//! A module's parameters by their paths.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// Gives `f` every parameter and statistic: the names on its path, its own last, and its values, which are read when they
/// are asked for.
pub(crate) fn for_each<M: Module>(module: &M, f: impl FnMut(&[String], &dyn Fn() -> Vec<f32>)) {
    struct Paths<F>(Vec<String>, F);
    impl<F: FnMut(&[String], &dyn Fn() -> Vec<f32>)> ModuleVisitor for Paths<F> {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            (self.1)(&self.0, &|| param.val().into_data().iter().collect());
        }
    }
    module.visit(&mut Paths(vec![], f));
}
