//! Turning, shearing and shifting: every target pixel looks up its place in the source, bilinear.
//!
//! ```text
//! x' = a·(x + ½) + b·(y + ½) + c        from the centre of target pixel (x, y)
//! y' = d·(x + ½) + e·(y + ½) + f
//! ```
//!
//! A place outside the source gets the fill. Inside, the value lies between the four pixels whose
//! centres surround the place, those at the border being repeated, and is rounded down, as Pillow
//! does. So the fill never bleeds in, and a shift by whole pixels copies them.

use crate::image::Image;

/// `[a, b, c, d, e, f]`, from target to source.
pub(super) struct Affine(pub(super) [f64; 6]);

impl Affine {
    /// Turns an image of the given size counter-clockwise around its centre.
    pub(super) fn rotation(degrees: f64, width: f64, height: f64) -> Self {
        // To 15 digits, as Pillow does: the last bit depends on the mathematics library.
        let rounded = |value: f64| (value * 1e15).round() / 1e15;
        let angle = -degrees.to_radians();
        let (sin, cos) = (rounded(angle.sin()), rounded(angle.cos()));
        let (x, y) = (width / 2.0, height / 2.0);
        Self([cos, sin, (-cos * x - sin * y) + x, -sin, cos, (sin * x - cos * y) + y])
    }

    pub(super) fn warp(&self, image: &mut Image, fill: &[u8]) {
        let Self([a, b, c, d, e, f]) = *self;
        let source = image.clone();
        let (width, channels) = (source.width() as usize, source.channels());
        let rows = image.pixels_mut().chunks_exact_mut(width * channels);
        for (y, row) in rows.enumerate() {
            let y = y as f64 + 0.5;
            for (x, target) in row.chunks_exact_mut(channels).enumerate() {
                let x = x as f64 + 0.5;
                let place = (a * x + b * y + c, d * x + e * y + f);
                match Corners::around(&source, place) {
                    Some(corners) => corners.write(source.pixels(), target),
                    None => target.copy_from_slice(fill),
                }
            }
        }
    }
}

/// Where the four pixels around a place start, and how far it is from the first of them.
struct Corners {
    starts: [[usize; 2]; 2],
    right: f64,
    down: f64,
}

impl Corners {
    fn around(image: &Image, (x, y): (f64, f64)) -> Option<Self> {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let inside = (0.0..width as f64).contains(&x) && (0.0..height as f64).contains(&y);
        if !inside {
            return None;
        }
        let [(columns, right), (rows, down)] =
            [(x - 0.5, width), (y - 0.5, height)].map(neighbours);
        let start = |y: usize, x: usize| (y * width + x) * image.channels();
        let starts = rows.map(|y| columns.map(|x| start(y, x)));
        Some(Self { starts, right, down })
    }

    fn write(&self, pixels: &[u8], target: &mut [u8]) {
        let between = |from: f64, to: f64, share: f64| from + (to - from) * share;
        for (channel, value) in target.iter_mut().enumerate() {
            let pixel = |start: usize| f64::from(pixels[start + channel]);
            let [upper, lower] =
                self.starts.map(|[left, right]| between(pixel(left), pixel(right), self.right));
            *value = between(upper, lower, self.down) as u8;
        }
    }
}

/// The pixels on both sides of a place counted from the first pixel's centre, and its distance from
/// the lower one, 0 to 1. The place is at least −½ and less than `side` − ½.
fn neighbours((place, side): (f64, usize)) -> ([usize; 2], f64) {
    if place < 0.0 {
        return ([0, 0], place + 1.0);
    }
    // The conversion rounds down, and is much faster than `floor` where that is a call.
    let lower = place as usize;
    ([lower, (lower + 1).min(side - 1)], place - lower as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warped(pixels: &[u8], width: u32, affine: &Affine) -> Vec<u8> {
        let height = pixels.len() as u32 / width;
        let mut image = Image::new(width, height, 1, pixels.to_vec()).unwrap();
        affine.warp(&mut image, &[99]);
        image.into_pixels()
    }

    #[test]
    fn no_turn_leaves_every_byte() {
        let pixels: Vec<u8> = (0..35).map(|i| i * 7).collect();
        assert_eq!(warped(&pixels, 7, &Affine::rotation(0.0, 7.0, 5.0)), pixels);
        assert_eq!(warped(&[5], 1, &Affine::rotation(0.0, 1.0, 1.0)), [5]);
    }

    #[test]
    fn a_quarter_turns_counter_clockwise() {
        let turned = warped(&[1, 2, 3, 4, 5, 6, 7, 8, 9], 3, &Affine::rotation(90.0, 3.0, 3.0));
        assert_eq!(turned, [3, 6, 9, 2, 5, 8, 1, 4, 7]);
    }

    #[test]
    fn shifts_fill_what_they_uncover() {
        let shift = |by: f64| warped(&[10, 20, 30, 40], 4, &Affine([1.0, 0.0, by, 0.0, 1.0, 0.0]));
        assert_eq!(shift(1.0), [20, 30, 40, 99]);
        assert_eq!(shift(-2.0), [99, 99, 10, 20]);
        // Half a pixel: between two neighbours, and at the border the border itself.
        assert_eq!(shift(0.25), [12, 22, 32, 40]);
        assert_eq!(shift(-0.25), [10, 17, 27, 37]);
        assert_eq!(shift(9.0), [99; 4]);
    }

    #[test]
    fn shears_move_rows_by_their_distance() {
        let sheared = warped(&[1, 2, 3, 1, 2, 3], 3, &Affine([1.0, 2.0, -1.0, 0.0, 1.0, 0.0]));
        assert_eq!(sheared, [1, 2, 3, 3, 99, 99]); // by 0 and 2 at the rows' centres
    }
}
