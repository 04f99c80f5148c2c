//! Files of many kinds, decoded as Pillow decodes them.
//!
//! Pillow decodes with libjpeg-turbo. The feature `turbojpeg` does too, and has to agree to the
//! byte. The decoder in Rust, zune-jpeg 0.5, rounds twice where chroma is upsampled in two
//! directions, and differently where in one, so that many pixels are off by two or three levels. At
//! the right edge of an even width its upsampling sees the samples that fill up the last block,
//! where libjpeg repeats the last column: in noise that is off by tens of levels, in a photograph
//! by few, since encoders fill up with copies of the edge.

use std::fs;

use dyrep_data::{Channels, DataError, Decoding, Image, Orientation};
use rstest::rstest;

use crate::golden::{Bound, Difference, decode, part, path, png, table};

const TURBO: bool = cfg!(feature = "turbojpeg");

/// A file, and what Pillow decodes it to.
pub(crate) struct File {
    how: String,
    pub(crate) bytes: Vec<u8>,
    want: Image,
}

impl File {
    /// All files of a kind.
    pub(crate) fn all(kind: &str) -> Vec<Self> {
        let bytes = fs::read(path("golden/decode.bin")).unwrap();
        let pictures = png("golden/decode.png");
        let file = |row: &[String]| {
            let number = |i: usize| row[i].parse::<usize>().unwrap();
            Self {
                how: format!("{} of {} × {}", row[1], row[2], row[3]),
                bytes: bytes[number(5)..][..number(6)].to_vec(),
                want: part(&pictures, 0, number(4), number(2), number(3)),
            }
        };
        let table = table("golden/decode.csv");
        let files: Vec<_> =
            table.iter().filter(|row| row[0] == kind).map(|row| file(row)).collect();
        assert!(!files.is_empty(), "{kind} is not in decode.csv");
        files
    }

    fn decode(&self) -> Result<Image, DataError> {
        decode(&self.bytes, Channels::Rgb)
    }
}

/// The difference over all files of a kind.
fn check(kind: &str, bound: Bound) {
    let differences = File::all(kind).into_iter().map(|file| {
        let found = file.decode().unwrap_or_else(|error| panic!("{kind}, {}: {error}", file.how));
        Difference::of(&found, &file.want)
    });
    bound.check(kind, differences.fold(Difference::default(), Difference::and));
}

/// The levels and the share of pixels off by more than one that are accepted; behind each case,
/// what was measured.
#[rstest]
#[case("4:4:4", 2, 0.02)] // 2, 0.0075
#[case("4:2:2", 3, 0.2)] // 3, 0.1401
#[case("4:2:0", 3, 0.3)] // 3, 0.2404
#[case("4:4:0", 3, 0.2)] // 3, 0.1257
#[case("4:1:1", 2, 0.01)] // 2, 0.0026
#[case("4:2:2 by twos", 3, 0.2)] // 2, 0.1320
#[case("4:4:0 by twos", 3, 0.2)] // 2, 0.1114
#[case("4:1:0", 2, 0.01)] // 1, 0
#[case("4:4:1", 2, 0.01)] // 1, 0
#[case("uneven", 3, 0.15)] // 2, 0.0870
#[case("noise, 4:4:4", 3, 0.04)] // 2, 0.0245
#[case("noise, 4:2:2", 40, 0.2)] // 34, 0.1520
#[case("noise, 4:2:0", 30, 0.3)] // 23, 0.2688
#[case("noise, 4:4:0", 4, 0.2)] // 3, 0.1291
#[case("noise, 4:1:1", 3, 0.02)] // 2, 0.0065
#[case("grey", 1, 0.0)] // 1, 0
#[case("RGB", 1, 0.0)] // 1, 0
fn jpegs_are_close(#[case] kind: &str, #[case] levels: u8, #[case] share: f64) {
    check(kind, if TURBO { Bound::EXACT } else { Bound { levels, share } });
}

/// Inks become light by (255 − ink)·(255 − black) / 255, which each decoder rounds by itself; so no
/// feature makes them exact.
#[rstest]
#[case("CMYK", 1, 0.0)] // 1, 0
#[case("YCCK", 3, 0.2)] // 3, 0.1253
fn inks_are_close(#[case] kind: &str, #[case] levels: u8, #[case] share: f64) {
    check(kind, Bound { levels, share });
}

#[test]
fn pngs_are_exact() {
    check("PNG", Bound::EXACT);
}

/// DIFFERENCE: Pillow drops the lower byte of 16-bit RGB and cuts 16-bit grey off at 255; here both
/// are scaled to nearest. So colours differ by a level at most, and grey is not comparable.
#[test]
fn sixteen_bits_are_scaled_and_not_cut() {
    let [rgb, grey] = &File::all("PNG of 16 bits")[..] else { panic!("not two files") };
    // The formula of the script.
    let samples = |count: u32| (0..count).map(|at| at * 40_503 % 65_536);
    let scaled = |sample: u32| (f64::from(sample) / 257.0).round() as u8;

    let found = rgb.decode().unwrap();
    assert!(found.pixels().iter().copied().eq(samples(768).map(scaled)));
    assert!(rgb.want.pixels().iter().copied().eq(samples(768).map(|sample| (sample >> 8) as u8)));
    assert_eq!(Difference::of(&found, &rgb.want).levels, 1);

    let found = decode(&grey.bytes, Channels::Grey).unwrap();
    assert!(found.pixels().iter().copied().eq(samples(256).map(scaled)));
    let clipped = samples(256).flat_map(|sample| [sample.min(255) as u8; 3]);
    assert!(grey.want.pixels().iter().copied().eq(clipped));
}

/// As torchvision, which never asks for it: all eight are the same picture.
#[test]
fn an_orientation_is_not_applied() {
    let mut files = File::all("4:4:4");
    files.retain(|file| file.how.starts_with("orientation"));
    assert_eq!(files.len(), 8);
    for file in &files {
        assert_eq!(file.want, files[0].want);
        assert_eq!(file.decode().unwrap(), files[0].decode().unwrap());
    }
}

/// Where the pixel at `(x, y)` is stored, given the last column and row as stored.
type Place = fn(u32, u32, u32, u32) -> (u32, u32);

/// For a picture to be seen upright, by its EXIF orientation, 1 to 8.
const STORED_AT: [Place; 8] = [
    |x, y, _, _| (x, y),
    |x, y, right, _| (right - x, y),
    |x, y, right, bottom| (right - x, bottom - y),
    |x, y, _, bottom| (x, bottom - y),
    |x, y, _, _| (y, x),
    |x, y, _, bottom| (y, bottom - x),
    |x, y, right, bottom| (right - y, bottom - x),
    |x, y, right, _| (right - y, x),
];

/// Asked for, it is: no pixel is lost, and sides change places in the last four.
#[test]
fn an_orientation_is_applied_where_asked_for() {
    let upright = Decoding { orientation: Orientation::Upright, ..Channels::Rgb.into() };
    let mut files = File::all("4:4:4");
    files.retain(|file| file.how.starts_with("orientation"));
    for (file, stored_at) in files.iter().zip(STORED_AT) {
        let stored = file.decode().unwrap();
        let seen = decode(&file.bytes, upright).unwrap();
        let at = |image: &Image, x: u32, y: u32| {
            let start = (y * image.width() + x) as usize * 3;
            image.pixels()[start..start + 3].to_vec()
        };
        assert_eq!(seen.width() * seen.height(), stored.width() * stored.height());
        for (x, y) in (0..seen.height()).flat_map(|y| (0..seen.width()).map(move |x| (x, y))) {
            let (sx, sy) = stored_at(x, y, stored.width() - 1, stored.height() - 1);
            assert_eq!(at(&seen, x, y), at(&stored, sx, sy), "{} at {x}, {y}", file.how);
        }
    }
}

/// What a decoder does not know is an error and never a guess. In scans of one component with fewer
/// rows of chroma than of luma, zune-jpeg 0.5.15 would give stripes of green and report success.
#[rstest]
fn the_unknown_is_refused_or_right(
    #[values("arithmetic", "3:1:1", "scans of one component")] kind: &str,
) {
    for file in File::all(kind) {
        match file.decode() {
            Ok(found) => Bound::EXACT.check(kind, Difference::of(&found, &file.want)),
            Err(error) => assert!(matches!(error, DataError::Undecodable { .. }), "{error}"),
        }
    }
}
