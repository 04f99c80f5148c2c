//! Matrix products, with their bounds checked.

use gemm::{Parallelism, gemm};

/// A view of a matrix in a slice: element (i, j) at `i · row_stride + j · column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows one after the other, `row_stride` apart.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { values, rows, columns, row_stride, column_stride: 1 }
    }

    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn fits(&self) -> bool {
        self.rows == 0
            || self.columns == 0
            || (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride
                < self.values.len()
    }
}

/// `product = left · right`, added to what is there with `add`; rows of `product` lie one after the other.
///
/// On this thread alone: callers run many products side by side.
pub(crate) fn multiply(product: &mut [f32], left: Matrix<'_>, right: Matrix<'_>, add: bool) {
    let (rows, columns, depth) = (left.rows, right.columns, left.columns);
    assert_eq!(depth, right.rows, "inner sizes differ");
    assert_eq!(product.len(), rows * columns, "the product has another size");
    assert!(left.fits() && right.fits(), "a matrix reaches beyond its slice");
    let stride = |stride: usize| stride as isize;
    // SAFETY: all three matrices lie within their slices, as asserted just above, and `product` is borrowed
    // exclusively, so it aliases neither of the others.
    unsafe {
        gemm(
            rows,
            columns,
            depth,
            product.as_mut_ptr(),
            1,
            stride(columns),
            add,
            left.values.as_ptr(),
            stride(left.column_stride),
            stride(left.row_stride),
            right.values.as_ptr(),
            stride(right.column_stride),
            stride(right.row_stride),
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
