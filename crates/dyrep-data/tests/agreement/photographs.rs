//! Two photographs, from the file to what a network sees.

use std::fs;

use dyrep_data::{Channels, Image, Resize, SampleRng, Transform};

use crate::golden::{Bound, Difference, crc32, decode, part, path};
use crate::shapes::shapes;

const TURBO: bool = cfg!(feature = "turbojpeg");

/// Their chroma is not subsampled. Measured: 3 levels, a share of 0.0058.
const DECODE: Bound = if TURBO { Bound::EXACT } else { Bound { levels: 3, share: 0.01 } };

/// Averaging over 45 pixels leaves little of the decoder's difference. Measured: 1 level.
const DECODE_AND_RESIZE: Bound = Bound { levels: 2, share: 0.001 };

fn photograph(name: &str) -> Image {
    let file = fs::read(path(&format!("photographs/{name}.jpg"))).unwrap();
    decode(&file, Channels::Rgb).unwrap()
}

#[test]
fn decoded_as_pillow_decodes() {
    let mut sum = Difference::default();
    for shape in shapes("decode") {
        let found = photograph(&shape.source);
        assert_eq!((found.width(), found.height(), found.channels()), (640, 427, 3));
        if TURBO {
            assert_eq!(crc32(found.pixels()), shape.crc, "{}", shape.source);
        }
        let want = shape.image();
        let [left, top] = [0, 1].map(|i| shape.argument(i) as usize);
        let (width, height) = (want.width() as usize, want.height() as usize);
        sum = sum.and(Difference::of(&part(&found, left, top, width, height), &want));
    }
    DECODE.check("decode", sum);
}

#[test]
fn decoded_and_resized_as_pillow_does() {
    let mut sum = Difference::default();
    for shape in shapes("decode and resize") {
        let resize = Resize::new(shape.argument(0)).unwrap();
        let image = photograph(&shape.source);
        let found = resize.apply(image, &mut SampleRng::new(0, 0, 0)).unwrap();
        sum = sum.and(Difference::of(&found, &shape.want()));
    }
    DECODE_AND_RESIZE.check("decode and resize", sum);
}
