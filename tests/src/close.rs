//! Comparing tensors by the largest difference, relative to the largest value.

use burn::tensor::Tensor;

use crate::device::allowed;

/// The largest absolute difference between two tensors, over the largest absolute value of the second.
///
/// # Panics
/// If the shapes differ.
pub fn relative_difference<const D: usize>(got: Tensor<D>, want: Tensor<D>) -> f64 {
    assert_eq!(got.dims(), want.dims(), "shapes differ");
    let got: Vec<f64> = got.into_data().iter::<f64>().collect();
    let want: Vec<f64> = want.into_data().iter::<f64>().collect();
    relative_difference_of(&got, &want)
}

/// The same for slices. NaN anywhere is an infinite difference.
pub fn relative_difference_of(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len(), "lengths differ");
    let largest = want.iter().fold(f64::MIN_POSITIVE, |most, value| most.max(value.abs()));
    got.iter().zip(want).fold(0.0, |most: f64, (got, want)| {
        let difference = (got - want).abs();
        if difference.is_nan() { f64::INFINITY } else { most.max(difference / largest) }
    })
}

/// Fails if `got` differs from `want` by more than `tolerance` of the largest value, or what is [`allowed`] for it.
///
/// # Panics
/// Then, with `what` and the figure.
pub fn assert_close<const D: usize>(what: &str, got: Tensor<D>, want: Tensor<D>, tolerance: f64) {
    let (difference, tolerance) = (relative_difference(got, want), allowed(tolerance));
    assert!(
        difference <= tolerance,
        "{what}: differs by {difference:.2e} of the largest value, more than {tolerance:.0e}"
    );
}
