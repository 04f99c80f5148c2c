//! Matrix products, with their bounds checked, many of them side by side.
//!
//! A product is cut into blocks by its size alone, never by the number of threads: each block is one call of the
//! `gemm` crate on one thread, so results are the same however many threads there are.

use std::marker::PhantomData;
use std::ops::Range;

use gemm::{Parallelism, gemm};
use rayon::prelude::*;

use crate::shape::{ConvShape, ShapeError};

/// Floating-point operations worth a task of their own.
const TASK: usize = 6_000_000;
/// Blocks of one product at most.
const BLOCKS: usize = 16;
/// Rows and columns that a block is a multiple of: no less than the registers of any `gemm` kernel hold.
const GRAIN: usize = 48;

/// A view of a matrix in a slice: element (i, j) at `i · row_stride + j · column_stride`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows `row_stride` apart.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self::strided(values, [rows, columns], [row_stride, 1])
    }

    /// Rows and columns so far apart.
    pub(crate) fn strided(
        values: &'a [f32],
        [rows, columns]: [usize; 2],
        [row_stride, column_stride]: [usize; 2],
    ) -> Self {
        let last = |count: usize, stride: usize| count.saturating_sub(1) * stride;
        assert!(
            rows * columns == 0
                || last(rows, row_stride) + last(columns, column_stride) < values.len(),
            "a matrix reaches beyond its slice"
        );
        Self { values, rows, columns, row_stride, column_stride }
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

    pub(crate) fn row_count(&self) -> usize {
        self.rows
    }

    pub(crate) fn rows(self, rows: &Range<usize>) -> Self {
        assert!(rows.end <= self.rows, "no such rows");
        let values = &self.values[rows.start * self.row_stride..];
        Self { values, rows: rows.len(), ..self }
    }

    pub(crate) fn columns(self, columns: &Range<usize>) -> Self {
        self.transposed().rows(columns).transposed()
    }
}

/// A matrix to be written: rows `row_stride` apart, values of a row one after the other.
#[derive(Debug)]
pub(crate) struct MatrixMut<'a> {
    start: *mut f32,
    rows: usize,
    columns: usize,
    row_stride: usize,
    slice: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for an exclusive borrow of the slice that it was made from, which is `Send`.
unsafe impl Send for MatrixMut<'_> {}

impl<'a> MatrixMut<'a> {
    /// Rows `row_stride` apart.
    pub(crate) fn new(
        values: &'a mut [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> Self {
        // Checks the bounds.
        let _view = Matrix::new(values, rows, columns, row_stride);
        assert!(columns <= row_stride || rows <= 1, "rows overlap");
        Self { start: values.as_mut_ptr(), rows, columns, row_stride, slice: PhantomData }
    }

    /// The same matrix in blocks of rows or of columns, whichever there are more of, `size` in each.
    fn blocks(self, size: usize) -> impl Iterator<Item = (Self, Range<usize>, Range<usize>)> {
        let by_column = self.columns >= self.rows;
        let along = if by_column { self.columns } else { self.rows };
        (0..along).step_by(size).map(move |start| {
            let range = start..(start + size).min(along);
            let (rows, columns) =
                if by_column { (0..self.rows, range) } else { (range, 0..self.columns) };
            let offset = rows.start * self.row_stride + columns.start;
            let block = Self {
                // SAFETY: the block's first value lies within the matrix, whose bounds `new` has checked.
                start: unsafe { self.start.add(offset) },
                rows: rows.len(),
                columns: columns.len(),
                row_stride: self.row_stride,
                slice: PhantomData,
            };
            (block, rows, columns)
        })
    }
}

/// `target = Σ left · right`, or added to what is there.
#[derive(Debug)]
pub(crate) struct Product<'a> {
    pub(crate) target: MatrixMut<'a>,
    /// Left and right factors, at least one pair.
    pub(crate) terms: Vec<[Matrix<'a>; 2]>,
    pub(crate) add: bool,
}

impl<'a> Product<'a> {
    pub(crate) fn new(target: MatrixMut<'a>, left: Matrix<'a>, right: Matrix<'a>) -> Self {
        Self { target, terms: vec![[left, right]], add: false }
    }

    fn tasks(self) -> impl Iterator<Item = Self> {
        let MatrixMut { rows, columns, .. } = self.target;
        let depth: usize = self.terms.iter().map(|[left, _]| left.columns).sum();
        let blocks = (2 * rows * columns * depth / TASK).clamp(1, BLOCKS);
        let size = rows.max(columns).div_ceil(blocks).next_multiple_of(GRAIN);
        self.target.blocks(size).map(move |(target, rows, columns)| {
            let terms =
                self.terms.iter().map(|[left, right]| [left.rows(&rows), right.columns(&columns)]);
            Self { target, terms: terms.collect(), add: self.add }
        })
    }

    /// Computes it on this thread.
    pub(crate) fn run(self) {
        let target = self.target;
        for (number, [left, right]) in self.terms.into_iter().enumerate() {
            assert_eq!([target.rows, target.columns], [left.rows, right.columns], "sizes differ");
            assert_eq!(left.columns, right.rows, "inner sizes differ");
            let stride = |stride: usize| stride as isize;
            // SAFETY: all three matrices lie within their slices, as their constructors have checked, and
            // `target` is borrowed exclusively, so it aliases neither of the others.
            unsafe {
                gemm(
                    target.rows,
                    target.columns,
                    left.columns,
                    target.start,
                    1,
                    stride(target.row_stride),
                    self.add || number > 0,
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
    }
}

/// Runs `body` among the threads that it gives work to. From outside each of its parallel steps would wake them and
/// wait. Large results are allocated outside: an allocator keeps what each thread has freed for that thread.
pub(crate) fn on_workers<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| body())
}

/// `product = left · right`, rows one after the other: what everything else here is made of.
///
/// # Shapes
/// - left `[rows, depth]`, right `[depth, columns]`, product `[rows, columns]`
///
/// # Errors
/// A slice of another length.
pub fn multiply(
    [rows, depth, columns]: [usize; 3],
    left: &[f32],
    right: &[f32],
    product: &mut [f32],
) -> Result<(), ShapeError> {
    ConvShape::check_len("the left matrix", rows * depth, left.len())?;
    ConvShape::check_len("the right matrix", depth * columns, right.len())?;
    ConvShape::check_len("the product", rows * columns, product.len())?;
    let (left, right) =
        (Matrix::new(left, rows, depth, depth), Matrix::new(right, depth, columns, columns));
    let target = MatrixMut::new(product, rows, columns, columns);
    multiply_all([Product::new(target, left, right)]);
    Ok(())
}

/// Computes products side by side.
pub(crate) fn multiply_all<'a>(products: impl IntoIterator<Item = Product<'a>>) {
    let tasks: Vec<Product<'_>> = products.into_iter().flat_map(Product::tasks).collect();
    tasks.into_par_iter().with_max_len(1).for_each(Product::run);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_give_what_the_definition_gives() {
        for (rows, columns, depth) in [(3, 500, 7), (700, 5, 300), (200, 190, 300), (1, 1, 1)] {
            let value = |seed: usize| ((seed * 7919) % 13) as f32 - 6.0;
            let left: Vec<f32> = (0..rows * depth).map(value).collect();
            let right: Vec<f32> = (0..depth * columns).map(|i| value(i + 5)).collect();
            let stride = columns + 3;
            let mut target = vec![1.0; rows * stride];
            let factors = [
                Matrix::new(&left, rows, depth, depth),
                Matrix::new(&right, depth, columns, columns),
            ];
            let [a, b] = factors;
            let view = MatrixMut::new(&mut target, rows, columns, stride);
            multiply_all([Product { target: view, terms: vec![[a, b], [a, b]], add: true }]);
            for row in 0..rows {
                for column in 0..stride {
                    let sum: f32 = (0..depth)
                        .map(|k| {
                            left[row * depth + k] * right[k * columns + column.min(columns - 1)]
                        })
                        .sum();
                    let expected = if column < columns { 1.0 + 2.0 * sum } else { 1.0 };
                    assert_eq!(target[row * stride + column], expected);
                }
            }
            let mut product = vec![f32::NAN; rows * columns];
            multiply([rows, depth, columns], &left, &right, &mut product).unwrap();
            for (row, values) in product.chunks_exact(columns).enumerate() {
                for (column, value) in values.iter().enumerate() {
                    assert_eq!(1.0 + 2.0 * value, target[row * stride + column]);
                }
            }
            let error = multiply([rows, depth, columns + 1], &left, &right, &mut product);
            assert!(error.unwrap_err().to_string().starts_with("the right matrix must have"));
        }
    }
}
