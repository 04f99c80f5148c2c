//! Regions and averages.

use dyrep_resample::{Region, Resampler, View};
use rstest::rstest;

/// A white square on black: were a pixel outside the region read, the result would not be white.
#[rstest]
fn nothing_outside_the_region_bleeds_in(
    #[values(1, 2, 3, 4)] channels: usize,
    #[values(3, 9, 10, 31)] side: u32,
) {
    let inside = |x: usize| (7..17).contains(&(x / channels % 30));
    let row = |y: usize| {
        (0..30 * channels).map(move |x| if inside(x) && (7..17).contains(&y) { 255 } else { 0 })
    };
    let pixels: Vec<u8> = (0..30).flat_map(row).collect();
    let image = View { width: 30, height: 30, channels, pixels: &pixels };
    let region = Region { left: 7, top: 7, width: 10, height: 10 };
    let white = Resampler::default().resample(image, region, side, side);
    assert!(white.iter().all(|&value| value == 255));
    let region = Region { left: 6, ..region };
    let wider = Resampler::default().resample(image, region, side, side);
    assert!(wider.iter().any(|&value| value < 255));
}

/// Stripes one pixel wide average to grey; without antialiasing they would come out as stripes.
#[test]
fn downscaling_averages() {
    let pixels: Vec<u8> = (0..64 * 64).map(|i| if i % 2 == 0 { 0 } else { 255 }).collect();
    let image = View { width: 64, height: 64, channels: 1, pixels: &pixels };
    let small = Resampler::default().resample(image, Region::whole(64, 64), 8, 8);
    assert!(small.iter().all(|&value| (120..=135).contains(&value)), "{small:?}");
}
