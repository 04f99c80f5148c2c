//! Files of every kind. What is decoded has the size that it declares, its grey is the luma of its colours, and none of it
//! is of the picture before.

#![no_main]

use std::sync::{Arc, LazyLock};

use dyrep_data::{
    Channels, Contents, DataError, Dataset, Decoding, Image, Loader, LoaderConfig, Orientation,
    Pipeline,
};
use libfuzzer_sys::fuzz_target;

/// Small enough for many pictures a second.
const MOST: u64 = 1 << 18;

/// A picture in PNM, which needs no encoder.
fn plain(value: u8) -> Vec<u8> {
    [b"P6 96 96 255\n".to_vec(), vec![value; 3 * 96 * 96]].concat()
}

fn decoding(channels: Channels) -> Decoding {
    Decoding { max_pixels: MOST, ..channels.into() }
}

/// One picture behind another.
struct Two {
    files: [Vec<u8>; 2],
    classes: Vec<String>,
}

impl Dataset for Two {
    fn len(&self) -> usize {
        2
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn channels(&self) -> usize {
        3
    }

    fn label(&self, _index: usize) -> usize {
        0
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        decode(&self.files[index], decoding(Channels::Rgb))
    }

    fn read(&self, index: usize, buffer: &mut Vec<u8>) -> Result<Contents, DataError> {
        buffer.extend_from_slice(&self.files[index]);
        let upright = Decoding { orientation: Orientation::Upright, ..decoding(Channels::Rgb) };
        Ok(Contents::File { path: "x".into(), decoding: upright })
    }
}

fn decode(bytes: &[u8], decoding: Decoding) -> Result<Image, DataError> {
    Contents::File { path: "x".into(), decoding }.decode(bytes)
}

/// All pixels that come of the picture behind another one.
fn behind(first: &[u8], bytes: &[u8]) -> Vec<Vec<u8>> {
    static CROP: LazyLock<Pipeline> =
        LazyLock::new(|| Pipeline::imagenet_eval(16, 16).expect("a crop of 16 pixels exists"));
    let data = Two { files: [first.to_vec(), bytes.to_vec()], classes: vec!["x".to_owned()] };
    let config = LoaderConfig { batch_size: 1, max_skipped: 2, ..LoaderConfig::default() };
    let loader = Loader::new(Arc::new(data), CROP.clone(), config).expect("there are samples");
    let batches = loader.epoch(0).skip(1);
    batches.map(|batch| batch.map_or(vec![], |batch| batch.pixels.to_vec())).collect()
}

fuzz_target!(|bytes: &[u8]| {
    let rgb = decode(bytes, decoding(Channels::Rgb));
    let grey = decode(bytes, decoding(Channels::Grey));
    assert_eq!(rgb.is_ok(), grey.is_ok());
    if let (Ok(rgb), Ok(grey)) = (rgb, grey) {
        assert!(u64::from(rgb.width()) * u64::from(rgb.height()) <= MOST);
        assert_eq!((rgb.width(), rgb.height()), (grey.width(), grey.height()));
        for (colour, &luma) in rgb.pixels().chunks_exact(3).zip(grey.pixels()) {
            let [r, g, b] = [0, 1, 2].map(|channel| u32::from(colour[channel]));
            let want = (19_595 * r + 38_470 * g + 7_471 * b + 32_768) >> 16;
            // A grey JPEG is decoded without its colours, of which there are none.
            assert_eq!(want, u32::from(luma));
        }
        assert_eq!(behind(&plain(0), bytes), behind(&plain(255), bytes));
    }
});
