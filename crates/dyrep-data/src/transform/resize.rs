//! torchvision's `Resize(size)`: the shorter side becomes `size`, the longer one
//! `⌊size · long / short⌋`, bilinear with antialiasing as Pillow does it.

use dyrep_resample::Region;

use super::Cut;
use super::checks::checked_side;
use crate::error::DataError;
use crate::image::checked_size;
use crate::resample::Window;
use crate::rng::SampleRng;

/// Scales an image so that its shorter side has a given length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    size: u32,
}

impl Resize {
    /// A resize of the shorter side to `size` pixels, keeping the proportions.
    ///
    /// # Errors
    ///
    /// If `size` is 0 or above 9459.
    pub fn new(size: u32) -> Result<Self, DataError> {
        Ok(Self { size: checked_side("Resize", size)? })
    }
}

impl Cut for Resize {
    fn cut(
        &self,
        from_width: u32,
        from_height: u32,
        _rng: &mut SampleRng,
    ) -> Result<Window, DataError> {
        let (width, height) = resized(from_width, from_height, self.size)?;
        Ok(Window { region: Region::whole(from_width, from_height), width, height })
    }
}

/// Width and height once the shorter side is `size`.
fn resized(width: u32, height: u32, size: u32) -> Result<(u32, u32), DataError> {
    let size = u64::from(size);
    let scaled = |long: u32, short: u32| size * u64::from(long) / u64::from(short);
    if width <= height {
        checked_size(size, scaled(height, width))
    } else {
        checked_size(scaled(width, height), size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Image;
    use crate::transform::Transform;
    use rstest::rstest;

    #[test]
    fn a_strip_is_not_blown_up() {
        let strip = Image::new(1, 1_000_000, 1, vec![0; 1_000_000]).unwrap();
        let resize = Resize::new(256).unwrap();
        let error = resize.apply(strip, &mut SampleRng::new(0, 0, 0)).unwrap_err();
        let DataError::OutputTooLarge { width, height, .. } = error else { panic!("{error}") };
        assert_eq!((width, height), (256, 256_000_000));
    }

    #[rstest]
    #[case(500, 375, 256, (341, 256))] // 341.33
    #[case(375, 500, 256, (256, 341))]
    #[case(500, 334, 256, (383, 256))] // 383.23
    #[case(256, 300, 256, (256, 300))]
    #[case(100, 100, 7, (7, 7))]
    fn the_longer_side_is_rounded_down(
        #[case] width: u32,
        #[case] height: u32,
        #[case] size: u32,
        #[case] want: (u32, u32),
    ) {
        assert_eq!(resized(width, height, size).unwrap(), want);
    }
}
