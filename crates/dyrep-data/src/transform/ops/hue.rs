//! Turning the hue in HSV, with hue and saturation kept in a byte, as Pillow keeps them.
//!
//! ```text
//! V = max,  S = 255 · (max − min) / max,  H = 255 · h / 6 with h the place on the hexagon
//! red 0, green 2, blue 4, and between them by the other two channels
//! ```
//!
//! The hue moves by `trunc(255 · shift)` steps of 1/256 of the circle and wraps. So the way there
//! and back loses up to a few levels even without a shift, as Pillow's does; grey pixels lose none.

use crate::image::Image;

/// Turns the hue by `shift` of the circle; grey images have none and stay.
pub(super) fn turn(image: &mut Image, shift: f64) {
    if image.channels() != 3 {
        return;
    }
    // A negative number of steps wraps to the byte that has the same effect.
    let steps = (shift * 255.0) as i32 as u8;
    for pixel in image.pixels_mut().chunks_exact_mut(3) {
        let [hue, saturation, value] = to_hsv([pixel[0], pixel[1], pixel[2]]);
        pixel.copy_from_slice(&to_rgb([hue.wrapping_add(steps), saturation, value]));
    }
}

fn to_hsv([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let max = red.max(green).max(blue);
    let min = red.min(green).min(blue);
    if max == min {
        return [0, 0, max];
    }
    let spread = f32::from(max - min);
    let below = |channel: u8| f32::from(max - channel) / spread;
    let [r, g, b] = [below(red), below(green), below(blue)];
    // Rounded to `f32` at the same places as Pillow: a hue beside a step would fall to another.
    let place = if red == max {
        b - g
    } else if green == max {
        (2.0 + f64::from(r) - f64::from(b)) as f32
    } else {
        (4.0 + f64::from(g) - f64::from(r)) as f32
    };
    let turned = f64::from(place) / 6.0;
    let hue = if turned < 0.0 { turned + 1.0 } else { (turned + 1.0) - 1.0 };
    let saturation = spread / f32::from(max);
    [(f64::from(hue as f32) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, max]
}

fn to_rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let place = f64::from(hue) * 6.0 / 255.0;
    let side = place as u8;
    let along = (place - f64::from(side)) as f32;
    let saturation = (f64::from(saturation) / 255.0) as f32;
    let dimmed = |share: f64| rounded(f64::from(value) * (1.0 - share));
    let low = dimmed(saturation.into());
    let falling = dimmed((saturation * along).into());
    let rising = dimmed(f64::from(saturation) * (1.0 - f64::from(along)));
    match side % 6 {
        0 => [value, rising, low],
        1 => [falling, value, low],
        2 => [low, value, rising],
        3 => [low, falling, value],
        4 => [rising, low, value],
        _ => [value, low, falling],
    }
}

/// The nearest level, halves up. Not `round`, which is a call on processors without an instruction.
fn rounded(value: f64) -> u8 {
    let down = value as u8;
    if value - f64::from(down) < 0.5 { down } else { down + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case([255, 0, 0], [0, 255, 255])]
    #[case([0, 255, 0], [85, 255, 255])] // 2/6
    #[case([0, 0, 255], [170, 255, 255])] // 4/6
    #[case([200, 100, 150], [233, 127, 200])] // h = −0.5, 11/12 · 255 = 233.75
    #[case([0, 0, 0], [0, 0, 0])]
    #[case([9, 9, 9], [0, 0, 9])]
    fn hues_lie_on_the_hexagon(#[case] rgb: [u8; 3], #[case] hsv: [u8; 3]) {
        assert_eq!(to_hsv(rgb), hsv);
    }

    #[test]
    fn a_third_of_the_circle_leads_from_red_to_green() {
        let mut image = Image::new(2, 1, 3, vec![255, 0, 0, 70, 70, 70]).unwrap();
        turn(&mut image, 1.0 / 3.0);
        assert_eq!(image.pixels(), [0, 255, 0, 70, 70, 70]);
        turn(&mut image, -1.0 / 3.0);
        assert_eq!(image.pixels(), [255, 0, 0, 70, 70, 70]);
    }

    /// Measured: 7 levels. It is the price of a byte of hue, 6 · 255 levels a circle.
    #[test]
    fn there_and_back_loses_few_levels() {
        let mut worst = 0;
        for red in (0..=255).step_by(3) {
            for green in (0..=255).step_by(3) {
                for blue in (0..=255).step_by(3) {
                    let rgb = [red, green, blue];
                    let back = to_rgb(to_hsv(rgb));
                    let differences = rgb.iter().zip(back).map(|(&a, b)| a.abs_diff(b));
                    worst = worst.max(differences.max().unwrap());
                }
            }
        }
        assert!(worst <= 7, "{worst}");
    }
}
