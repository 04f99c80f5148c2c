//! What maps go through as soon as a tile of them is there, while it is in cache.

use rayon::prelude::*;

use crate::lanes::fast;
use crate::moments::{self, Accumulator};
use crate::shape::{ConvShape, ShapeError};
use crate::tile::{Shared, Tile};

/// What follows a convolution where nothing is learnt: `relu?(scale · value + shift + residual?)`.
#[derive(Clone, Copy, Debug)]
pub struct Finish<'a> {
    /// Scale and shift of each output channel: a bias, a batch norm by its running statistics, or both.
    pub lines: &'a [[f32; 2]],
    /// Added, in the output's shape.
    pub residual: Option<&'a [f32]>,
    /// A ReLU at the end. As in PyTorch, not-a-number stays what it is.
    pub relu: bool,
}

impl Finish<'_> {
    pub(crate) fn check(&self, shape: &ConvShape) -> Result<(), ShapeError> {
        ConvShape::check_len("the list of lines", shape.channels[1], self.lines.len())?;
        self.residual.map_or(Ok(()), |residual| {
            ConvShape::check_len("the residual", shape.output_len(), residual.len())
        })
    }

    /// Over a tile of a map.
    pub(crate) fn apply(&self, map: &mut [f32], tile: &Tile) {
        let map = Shared::new(map);
        let channels = self.lines.len();
        self.lines.par_iter().enumerate().for_each(|(channel, line)| {
            for image in tile.images.clone() {
                let place = tile.place(image, channel, channels);
                let residual = self.residual.map(|residual| &residual[place.clone()]);
                // SAFETY: channels and images do not overlap.
                let values = unsafe { map.part(place) };
                self.apply_to(*line, residual, values);
            }
        });
    }

    /// Over one channel of one image.
    pub(crate) fn apply_to_plane(&self, plane: usize, values: &mut [f32]) {
        let start = plane * values.len();
        let residual = self.residual.map(|residual| &residual[start..start + values.len()]);
        self.apply_to(self.lines[plane % self.lines.len()], residual, values);
    }

    fn apply_to(&self, [scale, shift]: [f32; 2], residual: Option<&[f32]>, values: &mut [f32]) {
        let floor = floor(self.relu);
        fast!(match residual {
            None => {
                for value in values {
                    *value = raised(*value * scale + shift, floor);
                }
            }
            Some(residual) => {
                for (value, residual) in values.iter_mut().zip(residual) {
                    *value = raised(*value * scale + shift + residual, floor);
                }
            }
        });
    }
}

/// What a ReLU raises values to: nothing is below negative infinity.
pub(crate) fn floor(relu: bool) -> f32 {
    if relu { 0.0 } else { f32::NEG_INFINITY }
}

/// The value, or `floor` where that is greater. Not-a-number stays.
#[inline(always)]
pub(crate) fn raised(value: f32, floor: f32) -> f32 {
    if value < floor { floor } else { value }
}

/// What is done with each tile of a bundle's maps.
pub(crate) enum After<'a> {
    /// Its moments are gathered, a list for each kernel.
    Measure(&'a mut [Vec<Accumulator>]),
    /// Every map is finished.
    Finish(Finish<'a>),
    /// Nothing.
    Nothing,
}

impl After<'_> {
    pub(crate) fn tile(&mut self, maps: &mut [&mut [f32]], tile: &Tile) {
        match self {
            Self::Measure(moments) => {
                for (moments, map) in moments.iter_mut().zip(maps) {
                    moments::add_tile(moments, map, tile);
                }
            }
            Self::Finish(finish) => maps.iter_mut().for_each(|map| finish.apply(map, tile)),
            Self::Nothing => {}
        }
    }
}
