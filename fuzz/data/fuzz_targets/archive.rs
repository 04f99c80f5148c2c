//! Tar archives of pictures. What opens can be told and loaded, sample by sample.

#![no_main]

use dyrep_data::{Channels, Dataset, Decoding, TarFolder};
use dyrep_data_fuzz::file;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = file("set.tar", bytes);
    let decoding = Decoding { max_pixels: 1 << 16, ..Channels::Rgb.into() };
    let Ok(data) = TarFolder::open(&path, decoding) else { return };
    assert!(!data.is_empty() && !data.classes().is_empty());
    let _ = (format!("{data:?}"), data.left_out().to_string());
    for index in 0..data.len() {
        assert!(data.label(index) < data.classes().len());
        assert!(data.path(index).starts_with(&path));
        if index < 8 {
            let _ = data.image(index);
        }
    }
});
