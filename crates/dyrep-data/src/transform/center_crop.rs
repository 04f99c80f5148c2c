//! torchvision's `CenterCrop`: upper left corner at `round((side − size) / 2)`, halves to even.
//!
//! DIFFERENCE: an image smaller than the crop is an error here; torchvision pads it with black,
//! which hides that a resize is missing.

use dyrep_resample::Region;

use super::Cut;
use super::checks::checked_side;
use crate::error::DataError;
use crate::resample::Window;
use crate::rng::SampleRng;

/// Cuts a square from the centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CenterCrop {
    size: u32,
}

impl CenterCrop {
    /// A crop of `size × size` pixels.
    ///
    /// # Errors
    ///
    /// If `size` is 0 or above 9459.
    pub fn new(size: u32) -> Result<Self, DataError> {
        Ok(Self { size: checked_side("CenterCrop", size)? })
    }
}

impl Cut for CenterCrop {
    fn cut(&self, width: u32, height: u32, _rng: &mut SampleRng) -> Result<Window, DataError> {
        let size = self.size;
        if width < size || height < size {
            return Err(DataError::ImageTooSmall { width, height, size });
        }
        let (left, top) = (offset(width, size), offset(height, size));
        Ok(Window::crop(Region { left, top, width: size, height: size }))
    }
}

/// Python's `round`, which torchvision uses, takes halves to the even neighbour.
fn offset(side: u32, size: u32) -> u32 {
    (f64::from(side - size) / 2.0).round_ties_even() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(8, 8, 0)]
    #[case(9, 8, 0)] // 0.5
    #[case(10, 8, 1)]
    #[case(11, 8, 2)] // 1.5
    #[case(13, 8, 2)] // 2.5
    fn halves_go_to_the_even_neighbour(#[case] side: u32, #[case] size: u32, #[case] want: u32) {
        assert_eq!(offset(side, size), want);
    }
}
