//! Pictures that are made up: the same everywhere, and like photographs as far as it matters.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::sync::Arc;

use dyrep_data::{
    Channels, Contents, DataError, Dataset, Encoding, Loader, LoaderConfig, Pipeline, Synthetic,
    SyntheticConfig,
};
use rstest::rstest;

fn small(encoding: Encoding) -> SyntheticConfig {
    let (samples, classes) = (100, 7);
    let (width, height) = (96, 64);
    SyntheticConfig { samples, classes, width, height, encoding, ..SyntheticConfig::default() }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[test]
fn pixels_are_the_same_on_every_machine() {
    let set = Synthetic::new(small(Encoding::Pixels)).unwrap();
    assert_eq!(checksum(set.image(0).unwrap().pixels()), PINNED[0]);
    assert_eq!(checksum(set.image(42).unwrap().pixels()), PINNED[1]);
}
const PINNED: [u32; 2] = [1_841_494_310, 2_019_445_688];

#[rstest]
#[case::pixels(Encoding::Pixels)]
#[case::jpeg(Encoding::Jpeg { quality: 90 })]
fn samples_are_a_function_of_the_options(
    #[case] encoding: Encoding,
    #[values(Channels::Grey, Channels::Rgb)] channels: Channels,
) {
    let config = SyntheticConfig { channels, ..small(encoding) };
    let (first, second) = (Synthetic::new(config).unwrap(), Synthetic::new(config).unwrap());
    let other = Synthetic::new(SyntheticConfig { seed: 1, ..config }).unwrap();
    assert_eq!((first.len(), first.classes().len()), (100, 7));
    assert_eq!(first.channels(), channels.count());
    for index in [0, 1, 50, 99] {
        let image = first.image(index).unwrap();
        assert_eq!((image.width(), image.height(), image.channels()), (96, 64, channels.count()));
        assert_eq!(first.label(index), index % 7);
        assert_eq!(image, second.image(index).unwrap());
        assert_ne!(image, other.image(index).unwrap());
        assert_ne!(image, first.image((index + 1) % 100).unwrap());
    }
}

/// A photograph has a mean near grey, some contrast, neighbours that are alike, and at quality 90
/// some 2 to 4 bits a pixel; found here: 3.
#[test]
fn pictures_have_the_statistics_of_photographs() {
    let config = SyntheticConfig { samples: 8, ..SyntheticConfig::default() };
    let set = Synthetic::new(config).unwrap();
    for index in 0..8 {
        let image = set.image(index).unwrap();
        let green: Vec<f64> =
            image.pixels().iter().skip(1).step_by(3).copied().map(f64::from).collect();
        let count = green.len() as f64;
        let mean = green.iter().sum::<f64>() / count;
        let variance = green.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let step = green.windows(2).map(|pair| (pair[0] - pair[1]).abs()).sum::<f64>() / count;
        assert!((60.0..190.0).contains(&mean), "{mean}");
        assert!((15.0..80.0).contains(&variance.sqrt()), "{}", variance.sqrt());
        assert!((1.0..12.0).contains(&step), "{step}");
        let mut file = Vec::new();
        let contents = set.read(index, &mut file).unwrap();
        assert!(matches!(contents, Contents::File { .. }));
        let bits = file.len() as f64 * 8.0 / count;
        assert!((2.0..4.0).contains(&bits), "{bits} bits a pixel");
    }
}

/// What the documentation says of the encoder: each component's sampling factors are 1×1.
#[test]
fn colour_is_stored_at_full_size() {
    let set = Synthetic::new(small(Encoding::Jpeg { quality: 75 })).unwrap();
    let mut file = Vec::new();
    set.read(0, &mut file).unwrap();
    let frame = file.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    assert_eq!(file[frame + 9], 3);
    for component in 0..3 {
        assert_eq!(file[frame + 11 + 3 * component], 0x11);
    }
}

#[test]
fn they_load() {
    let set = Synthetic::new(small(Encoding::Jpeg { quality: 90 })).unwrap();
    let config = LoaderConfig { threads: 2, max_skipped: 0, ..LoaderConfig::default() };
    let pipeline = Pipeline::imagenet_train(32).unwrap();
    let loader = Loader::new(Arc::new(set), pipeline, config).unwrap();
    let batches: Vec<_> = loader.epoch(0).map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(|batch| batch.labels.len()).sum::<usize>(), 100);
}

#[rstest]
#[case::samples(SyntheticConfig { samples: 0, ..small(Encoding::Pixels) }, "samples")]
#[case::classes(SyntheticConfig { classes: 0, ..small(Encoding::Pixels) }, "classes")]
#[case::width(SyntheticConfig { width: 0, ..small(Encoding::Pixels) }, "width")]
#[case::height(SyntheticConfig { height: 0, ..small(Encoding::Pixels) }, "height")]
#[case::area(
    SyntheticConfig { width: u32::MAX, height: u32::MAX, ..small(Encoding::Pixels) },
    "width × height"
)]
#[case::too_wide(
    SyntheticConfig { width: 65_536, ..small(Encoding::Jpeg { quality: 75 }) },
    "width"
)]
#[case::quality(small(Encoding::Jpeg { quality: 0 }), "quality")]
#[case::quality(small(Encoding::Jpeg { quality: 101 }), "quality")]
fn senseless_options_are_refused(#[case] config: SyntheticConfig, #[case] want: &str) {
    let error = Synthetic::new(config).unwrap_err();
    assert!(
        matches!(&error, DataError::InvalidSynthetic { option, .. } if *option == want),
        "{error}"
    );
}

#[test]
fn one_pixel_is_a_picture() {
    for encoding in [Encoding::Pixels, Encoding::Jpeg { quality: 75 }] {
        let (width, height, samples) = (1, 1, 1);
        let config = SyntheticConfig { width, height, samples, ..small(encoding) };
        assert_eq!(Synthetic::new(config).unwrap().image(0).unwrap().pixels().len(), 3);
    }
}
