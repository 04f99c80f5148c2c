//! Grouped convolution is dense convolutions side by side (DBB, section 3.2, "concatenation").
//!
//! Each group sees its own slice of the input channels and writes its own slice of the outputs, so a law
//! for dense kernels holds for grouped ones group by group.

use burn::tensor::Tensor;

use crate::kernel::Kernel;

/// One kernel with `kernels.len()` groups that does what each kernel does on its own slice of channels.
///
/// # Panics
/// If there is no kernel, or their geometries differ.
#[must_use]
pub fn concat_groups(kernels: &[Kernel]) -> Kernel {
    let first = kernels.first().expect("at least one group");
    assert!(
        kernels.iter().all(|kernel| kernel.geometry() == first.geometry()),
        "all groups must have the geometry {}",
        first.geometry()
    );
    let weight = Tensor::cat(kernels.iter().map(Kernel::weight).collect(), 0);
    let bias = kernels
        .iter()
        .any(|kernel| kernel.bias().is_some())
        .then(|| Tensor::cat(kernels.iter().map(Kernel::bias_or_zero).collect(), 0));
    Kernel::new(weight, bias, first.geometry().repeated(kernels.len()))
}

/// The kernel of each group, dense, in order: the inverse of [`concat_groups`].
#[must_use]
pub fn split_groups(kernel: &Kernel) -> Vec<Kernel> {
    let groups = kernel.geometry().groups();
    let geometry = kernel.geometry().one_group();
    let biases: Vec<Option<Tensor<1>>> = match kernel.bias() {
        Some(bias) => bias.chunk(groups, 0).into_iter().map(Some).collect(),
        None => vec![None; groups],
    };
    kernel
        .weight()
        .chunk(groups, 0)
        .into_iter()
        .zip(biases)
        .map(|(weight, bias)| Kernel::new(weight, bias, geometry.clone()))
        .collect()
}
