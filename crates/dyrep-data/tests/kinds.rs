//! Every kind of file: small ones with known pixels, cut ones, damaged ones, whatever they are called.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

#[path = "common/kinds.rs"]
mod golden;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use dyrep_data::{
    Channels, Contents, DataError, Dataset, Decoding, Image, ImageFolder, Loader, LoaderConfig,
    Pipeline, SampleRng,
};
use golden::{File, HEIGHT, OTHER, WIDTH};
use rstest::rstest;
use tempfile::tempdir;

fn decode(bytes: &[u8], decoding: impl Into<Decoding>) -> Result<Image, DataError> {
    Contents::File { path: "x".into(), decoding: decoding.into() }.decode(bytes)
}

/// The largest difference of two pictures, in levels.
fn gap(found: &[u8], want: &[u8]) -> u8 {
    assert_eq!(found.len(), want.len());
    found.iter().zip(want).map(|(found, want)| found.abs_diff(*want)).max().unwrap()
}

/// How far from the expected pixels those of a file may be, in levels; beside it what was measured.
/// Nothing is lost in most files, so nothing may differ; nor does it in lossy WebP.
fn tolerance(file: &File) -> u8 {
    match (file.kind.as_str(), file.variant.as_str()) {
        // zune-jpeg rounds its cosines otherwise than libjpeg-turbo.
        ("jpeg", _) => 2, // 1
        // `image` cuts off where others round.
        ("tiff", "CMYK") => 1, // 1
        _ => 0,
    }
}

#[test]
fn every_kind_has_the_expected_pixels() {
    let files = File::all();
    assert!(files.len() > 50);
    for file in &files {
        let size = |image: &Image| (image.width(), image.height(), image.channels());
        let read = |decoding: Decoding| decode(&file.bytes, decoding);
        let rgb = read(Channels::Rgb.into()).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let grey = read(Channels::Grey.into()).unwrap();
        let over = read(Decoding { background: OTHER, ..Channels::Rgb.into() }).unwrap();
        assert_eq!([size(&rgb), size(&grey)], [(WIDTH, HEIGHT, 3), (WIDTH, HEIGHT, 1)]);
        let gaps = [
            gap(rgb.pixels(), &file.over_white),
            gap(over.pixels(), &file.over_other),
            gap(grey.pixels(), &file.grey),
        ];
        assert!(gaps.iter().all(|gap| *gap <= tolerance(file)), "{file:?}: off by {gaps:?}");
    }
}

/// Pillow itself made `grey.png` of `rgb.png`, of which the first picture is untouched.
#[test]
fn luma_is_pillows() {
    let read = |name: &str| fs::read(Path::new("tests/golden").join(name)).unwrap();
    let found = decode(&read("rgb.png"), Channels::Grey).unwrap();
    let want = decode(&read("grey.png"), Channels::Grey).unwrap();
    let untouched = 22 * want.width() as usize;
    assert_eq!(found.pixels()[..untouched], want.pixels()[..untouched]);
    assert_ne!(found.pixels(), want.pixels());
}

/// The first test would notice: a background shows where there is transparency, and only there.
#[test]
fn some_files_are_transparent_and_most_are_not() {
    let files = File::all();
    let transparent = files.iter().filter(|file| file.over_white != file.over_other).count();
    assert!(transparent > 8 && transparent < files.len() / 2, "{transparent}");
}

/// Whatever is missing at the end: an error, or all pixels if none of them was there. Nothing is
/// made up.
#[test]
fn a_cut_file_is_an_error_or_whole() {
    for file in File::all() {
        let whole = decode(&file.bytes, Channels::Rgb).unwrap();
        let mut refused = 0;
        for kept in 0..file.bytes.len() {
            match decode(&file.bytes[..kept], Channels::Rgb) {
                Err(error) => {
                    assert!(error.is_of_one_sample(), "{file:?}: {error}");
                    refused += 1;
                }
                Ok(found) => assert_eq!(found, whole, "{file:?} cut after {kept}"),
            }
        }
        // Of two pictures in a file, the second may be missing.
        let least = if file.variant.starts_with("two") { 0.3 } else { 0.6 };
        let share = f64::from(refused) / file.bytes.len() as f64;
        assert!(share > least, "{file:?}: {share} refused");
    }
}

/// A data set in memory.
struct Memory {
    files: Vec<Vec<u8>>,
    channels: Channels,
    classes: Vec<String>,
}

impl Dataset for Memory {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn channels(&self) -> usize {
        self.channels.count()
    }

    fn label(&self, _index: usize) -> usize {
        0
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        decode(&self.files[index], self.channels)
    }

    fn read(&self, index: usize, buffer: &mut Vec<u8>) -> Result<Contents, DataError> {
        assert!(buffer.is_empty(), "a buffer is handed out empty");
        buffer.extend_from_slice(&self.files[index]);
        Ok(Contents::File { path: format!("{index}").into(), decoding: self.channels.into() })
    }
}

/// A few bytes changed, away from the header as often as not.
fn damage(bytes: &mut [u8], rng: &mut SampleRng) {
    for _ in 0..=rng.below(3) {
        let from = if rng.below(2) == 0 { 0 } else { bytes.len() as u32 / 2 };
        let at = (from + rng.below(bytes.len() as u32 - from)) as usize;
        bytes[at] = rng.below(256) as u8;
    }
}

/// A JPEG of one grey, with some noise unless it is black or white.
fn plain_jpeg(width: u32, height: u32, value: u8) -> Vec<u8> {
    let noise = |x: u32, y: u32| if matches!(value, 0 | 255) { 0 } else { (x * y % 31) as u8 };
    let picture =
        image::RgbImage::from_fn(width, height, |x, y| image::Rgb([value + noise(x, y); 3]));
    let mut bytes = std::io::Cursor::new(vec![]);
    picture.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// What comes of a file does not depend on the files before it, whatever is wrong with it: each
/// damaged file is loaded behind black pictures and behind white ones, by the thread that loaded them.
#[rstest]
fn no_file_sees_the_pixels_of_another(
    #[values(0, 3)] threads: usize,
    #[values(Channels::Rgb, Channels::Grey)] channels: Channels,
) {
    let mut rng = SampleRng::new(16, 0, threads as u64);
    let mut damaged: Vec<Vec<u8>> = Vec::new();
    for file in File::all() {
        for _ in 0..6 {
            damaged.push(file.bytes.clone());
            damage(damaged.last_mut().unwrap(), &mut rng);
        }
    }
    // Coded data that end early, behind them a mark of the file's end: decoders say nothing of it.
    let whole = plain_jpeg(40, 30, 100);
    let scan = whole.windows(2).position(|marker| marker == [0xFF, 0xDA]).unwrap() as u32 + 14;
    for _ in 0..40 {
        let kept = scan + rng.below(whole.len() as u32 - 2 - scan);
        damaged.push([&whole[..kept as usize], &[0xFF, 0xFE, 0, 2, 0xFF, 0xD9]].concat());
    }
    let load = |value: u8| {
        let files = damaged.iter().flat_map(|file| [plain_jpeg(64, 48, value), file.clone()]);
        let classes = vec!["all".to_owned()];
        let data = Memory { files: files.collect(), channels, classes };
        let config =
            LoaderConfig { batch_size: 8, threads, max_skipped: 9999, ..Default::default() };
        let resized = Pipeline::imagenet_eval(6, 5).unwrap();
        let loader = Loader::new(Arc::new(data), resized, config).unwrap();
        let batches: Vec<_> = loader.epoch(0).map(Result::unwrap).collect();
        (batches, loader.skipped())
    };
    let ((black, skipped), (white, skipped_too)) = (load(0), load(255));
    assert_eq!(skipped, skipped_too);
    assert!(skipped.len() > 20 && skipped.len() < damaged.len());
    let mut differing = 0;
    for (black, white) in black.iter().zip(&white) {
        assert_eq!(black.shape, white.shape);
        let length: usize = black.shape[1..].iter().product();
        let pairs = black.pixels.chunks(length).zip(white.pixels.chunks(length));
        for (black, white) in pairs {
            // The plain ones differ everywhere; nothing else does anywhere.
            let plain = black.iter().all(|it| *it == 0) && white.iter().all(|it| *it == 255);
            assert!(plain || black == white);
            differing += usize::from(plain);
        }
    }
    assert_eq!(differing, damaged.len());
}

/// Where the segments of a kind have their data in a JPEG, in front of the coded data.
fn segments(jpeg: &[u8], kind: u8) -> Vec<usize> {
    let (mut at, mut found) = (2, vec![]);
    while jpeg[at + 1] != 0xDA {
        if jpeg[at + 1] == kind {
            found.push(at + 4);
        }
        at += 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
    }
    found
}

/// A file that refers to a table that it does not define is refused, also behind one that defines it.
#[test]
fn no_file_sees_the_tables_of_another() {
    const OTHER_TABLE: u8 = 3;
    let mut whole = plain_jpeg(40, 30, 100);
    let [frame] = segments(&whole, 0xC0)[..] else { panic!("a baseline frame") };
    for component in 0..3 {
        whole[frame + 8 + 3 * component] = OTHER_TABLE;
    }
    let lacking = whole.clone();
    let tables = segments(&whole, 0xDB);
    whole[tables[0]] = OTHER_TABLE;
    let load = |files: &[&[u8]]| {
        let files = files.iter().map(|file| file.to_vec()).collect();
        let data = Memory { files, channels: Channels::Rgb, classes: vec!["all".to_owned()] };
        let config = LoaderConfig { threads: 0, max_skipped: 1, ..Default::default() };
        let resized = Pipeline::imagenet_eval(6, 5).unwrap();
        let loader = Loader::new(Arc::new(data), resized, config).unwrap();
        assert!(loader.epoch(0).all(|batch| batch.is_ok()));
        loader.skipped()
    };
    assert_eq!(load(&[&whole]).len(), 0);
    let skipped = load(&[&whole, &lacking]);
    assert_eq!(skipped, load(&[&plain_jpeg(64, 48, 0), &lacking]));
    assert_eq!(skipped.len(), 1);
}

/// Every ending that is accepted, in any case; what is in the file does not matter.
#[test]
fn a_name_says_nothing_of_the_contents() {
    let endings = [
        "jpg", "JPEG", "jpe", "Jfif", "png", "WEBP", "webp", "bmp", "tif", "TIFF", "gif", "ppm",
        "pgm", "pbm", "pnm",
    ];
    let files = File::all();
    let root = tempdir().unwrap();
    let folder = root.path().join("class");
    fs::create_dir(&folder).unwrap();
    for (number, file) in files.iter().enumerate() {
        let name = format!("{number:02}.{}", endings[number % endings.len()]);
        fs::write(folder.join(name), &file.bytes).unwrap();
    }
    let data = ImageFolder::open(root.path(), Channels::Rgb).unwrap();
    assert_eq!(data.len(), files.len());
    for (index, file) in files.iter().enumerate() {
        assert_eq!(data.image(index).unwrap(), decode(&file.bytes, Channels::Rgb).unwrap());
    }
}

/// A picture is refused for what it declares, before any pixel takes memory.
#[test]
fn the_limit_of_pixels_is_an_option_for_every_kind() {
    let area = u64::from(WIDTH * HEIGHT);
    let limited = |max_pixels| Decoding { max_pixels, ..Channels::Rgb.into() };
    for file in File::all() {
        assert!(decode(&file.bytes, limited(area)).is_ok(), "{file:?}");
        let error = decode(&file.bytes, limited(area - 1)).unwrap_err();
        assert!(
            matches!(error, DataError::TooManyPixels { limit, .. } if limit == area - 1),
            "{file:?}: {error}"
        );
        assert!(error.to_string().contains("max_pixels"), "{error}");
    }
}

/// Bytes that only begin like a picture.
#[rstest]
fn a_mere_beginning_is_an_error(
    #[values(
        "\u{89}PNG",
        "GIF89a",
        "GIF87a",
        "BM",
        "II*\0",
        "MM\0*",
        "P1",
        "P2",
        "P3",
        "P4",
        "P5",
        "P6",
        "P7",
        "RIFF\0\0\0\0WEBP"
    )]
    start: &str,
    #[values(0, 1, 40, 4000)] length: usize,
    #[values(0x00, 0x20, 0xFF)] filled: u8,
) {
    let bytes = [start.as_bytes(), &vec![filled; length]].concat();
    let error = decode(&bytes, Channels::Rgb).unwrap_err();
    assert!(error.is_of_one_sample(), "{error}");
    assert!(Path::new(error.to_string().split(':').next().unwrap()).ends_with("x"), "{error}");
}
