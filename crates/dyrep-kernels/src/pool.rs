//! Max pooling and its gradient, plane by plane.
//!
//! As in PyTorch, padding counts as negative infinity, the first of equal maxima is taken, and not-a-number
//! beats every number (the last one, where a window holds several).

use pulp::Arch;
use rayon::prelude::*;

use crate::shape::{ConvShape, ShapeError, reach};

/// Values that one thread takes at least.
const SHARE: usize = 1 << 14;

/// A max pooling and the sizes it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolShape {
    /// Images times channels.
    pub planes: usize,
    /// Input height and width.
    pub input: [usize; 2],
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Along height and width.
    pub stride: [usize; 2],
    /// On both sides, along height and width: less than the window, which so never lies in padding alone.
    pub padding: [usize; 2],
}

impl PoolShape {
    /// Checks that the pooling can be.
    ///
    /// # Errors
    /// The first size that makes no sense.
    pub fn check(&self) -> Result<(), ShapeError> {
        let sizes = [
            ("planes", self.planes),
            ("input height", self.input[0]),
            ("input width", self.input[1]),
            ("window height", self.kernel[0]),
            ("window width", self.kernel[1]),
            ("stride along the height", self.stride[0]),
            ("stride along the width", self.stride[1]),
        ];
        if let Some((name, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(ShapeError::Zero { name });
        }
        for (axis, name) in ["height", "width"].into_iter().enumerate() {
            let (span, padding) = (self.kernel[axis], self.padding[axis]);
            let padded = self.input[axis] + 2 * padding;
            if padding >= span {
                return Err(ShapeError::Padding { axis: name, padding, kernel: span });
            }
            if span > padded {
                return Err(ShapeError::TooSmall { axis: name, span, padded });
            }
        }
        // Places within a plane are `u32`.
        let most = u32::MAX as usize;
        if self.pixels_in() > most {
            let (expected, found) = (most, self.pixels_in());
            return Err(ShapeError::Length { name: "a plane", expected, found });
        }
        Ok(())
    }

    /// Output height and width.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            (self.input[axis] + 2 * self.padding[axis] - self.kernel[axis]) / self.stride[axis] + 1
        })
    }

    /// Values of the input.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.planes * self.pixels_in()
    }

    /// Values of the output.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.planes * self.pixels_out()
    }

    fn pixels_in(&self) -> usize {
        self.input[0] * self.input[1]
    }

    fn pixels_out(&self) -> usize {
        let [height, width] = self.output();
        height * width
    }

    /// Planes that one thread takes at least.
    fn least(&self) -> usize {
        (SHARE / self.pixels_in()).max(1)
    }
}

/// The maximum of each window, and its place within the plane, `row · width + column`.
///
/// # Shapes
/// Input `[planes, height, width]`, output and places `[planes, height', width']`.
///
/// # Errors
/// A shape that cannot be, or a slice of another length.
pub fn max_pool(
    shape: &PoolShape,
    input: &[f32],
    output: &mut [f32],
    places: &mut [u32],
) -> Result<(), ShapeError> {
    shape.check()?;
    ConvShape::check_len("the input", shape.input_len(), input.len())?;
    ConvShape::check_len("the output", shape.output_len(), output.len())?;
    ConvShape::check_len("the places", shape.output_len(), places.len())?;
    let each = shape.pixels_out();
    let planes = input.par_chunks_exact(shape.pixels_in());
    let outputs = output.par_chunks_exact_mut(each).zip(places.par_chunks_exact_mut(each));
    planes.zip(outputs).with_min_len(shape.least()).for_each(|(plane, (output, places))| {
        let targets = (output, places);
        Arch::new().dispatch(
            // Gives away what it captures, and so is inlined into the chosen instructions.
            #[inline(always)]
            || {
                let (output, places) = targets;
                pool_plane(shape, plane, output, places);
            },
        );
    });
    Ok(())
}

#[inline(always)]
fn pool_plane(shape: &PoolShape, plane: &[f32], output: &mut [f32], places: &mut [u32]) {
    let [height, width] = shape.input;
    let [stride, step] = shape.stride;
    let [_, columns] = shape.output();
    let rows = output.chunks_exact_mut(columns).zip(places.chunks_exact_mut(columns));
    for (row, (output, places)) in rows.enumerate() {
        let first = (row * stride).saturating_sub(shape.padding[0]);
        let end = (row * stride + shape.kernel[0] - shape.padding[0]).min(height);
        output.fill(f32::NEG_INFINITY);
        // Where all of a window is negative infinity, its first place is the maximum's.
        for (column, place) in places.iter_mut().enumerate() {
            *place = (first * width + (column * step).saturating_sub(shape.padding[1])) as u32;
        }
        for high in first..end {
            for tap in 0..shape.kernel[1] {
                let (range, start) = reach(tap, 1, step, shape.padding[1], width, columns);
                if range.is_empty() {
                    continue;
                }
                let read = plane[high * width + start..(high + 1) * width].iter().step_by(step);
                let mut place = (high * width + start) as u32;
                let best = output[range.clone()].iter_mut().zip(&mut places[range]);
                for ((output, best), value) in best.zip(read) {
                    let greater = *value > *output || value.is_nan();
                    *output = if greater { *value } else { *output };
                    *best = if greater { place } else { *best };
                    place = place.wrapping_add(step as u32);
                }
            }
        }
    }
}

/// Gradient of the input from that of the output and the maxima's places.
///
/// # Errors
/// As [`max_pool`].
///
/// # Panics
/// Where a place lies outside its plane.
pub fn max_pool_backward(
    shape: &PoolShape,
    output_gradient: &[f32],
    places: &[u32],
    input_gradient: &mut [f32],
) -> Result<(), ShapeError> {
    shape.check()?;
    ConvShape::check_len("the output's gradient", shape.output_len(), output_gradient.len())?;
    ConvShape::check_len("the places", shape.output_len(), places.len())?;
    ConvShape::check_len("the input's gradient", shape.input_len(), input_gradient.len())?;
    let each = shape.pixels_out();
    let sources = output_gradient.par_chunks_exact(each).zip(places.par_chunks_exact(each));
    let planes = input_gradient.par_chunks_exact_mut(shape.pixels_in());
    planes.zip(sources).with_min_len(shape.least()).for_each(|(plane, (gradients, places))| {
        plane.fill(0.0);
        for (gradient, place) in gradients.iter().zip(places) {
            plane[*place as usize] += gradient;
        }
    });
    Ok(())
}
