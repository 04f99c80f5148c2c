//! Some of the taps of a block's kernel: those that a smaller convolution has.

use crate::shape::{ConvShape, ShapeError};

/// Taps of a smaller kernel among the block's: tap `i` lies at `start + i · step`, along height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First tap.
    pub start: [usize; 2],
    /// Taps.
    pub size: [usize; 2],
    /// From one tap to the next: a smaller kernel's dilation, in units of the block's.
    pub step: [usize; 2],
}

impl Window {
    /// All taps of a kernel.
    #[must_use]
    pub fn whole(kernel: [usize; 2]) -> Self {
        Self { start: [0, 0], size: kernel, step: [1, 1] }
    }

    /// How many taps there are.
    #[must_use]
    pub fn count(self) -> usize {
        self.size[0] * self.size[1]
    }

    /// The places of its taps among those of a kernel so wide, row by row.
    pub(crate) fn taps(self, wide: usize) -> impl Iterator<Item = usize> {
        let row = move |row| (self.start[0] + row * self.step[0]) * wide;
        let column = move |column| self.start[1] + column * self.step[1];
        (0..self.count()).map(move |tap| row(tap / self.size[1]) + column(tap % self.size[1]))
    }

    /// Whether no tap is left out between the first and the last.
    pub(crate) fn is_dense(self) -> bool {
        (0..2).all(|axis| self.size[axis] == 1 || self.step[axis] == 1)
    }

    pub(crate) fn check(self, kernel: [usize; 2]) -> Result<(), ShapeError> {
        for (axis, kernel) in kernel.into_iter().enumerate() {
            let [start, size, step] = [self.start, self.size, self.step].map(|of| of[axis]);
            if size == 0 {
                return Err(ShapeError::Zero { name: "the size of a window" });
            }
            if step == 0 {
                return Err(ShapeError::Zero { name: "the step of a window" });
            }
            let end = start + (size - 1) * step + 1;
            ConvShape::check_len("the kernel around a window", kernel.max(end), kernel)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_lie_a_step_apart_within_the_kernel() {
        let window = Window { start: [1, 0], size: [2, 3], step: [3, 2] };
        assert_eq!(window.taps(5).collect::<Vec<_>>(), [5, 7, 9, 20, 22, 24]);
        assert_eq!((window.check([5, 5]), window.is_dense()), (Ok(()), false));
        assert!(Window { start: [4, 0], size: [1, 5], step: [9, 1] }.is_dense());
        let error = window.check([4, 5]).unwrap_err().to_string();
        assert_eq!(error, "the kernel around a window must have 5 values, got 4");
        let zero = Window { step: [1, 0], ..window }.check([5, 5]).unwrap_err().to_string();
        assert_eq!(zero, "the step of a window must be at least 1");
        assert_eq!(Window::whole([2, 3]).taps(3).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    }
}
