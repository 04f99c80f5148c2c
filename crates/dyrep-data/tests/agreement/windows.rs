//! A loader that decodes only what a crop needs gives what decoding the whole picture would.

use std::fs;
use std::sync::Arc;

use dyrep_data::{
    CenterCrop, Channels, Dataset, Decoding, ImageFolder, Loader, LoaderConfig, Orientation,
    Pipeline, RandomCrop, RandomHorizontalFlip, RandomResizedCrop, Resize, SampleRng,
};
use rstest::rstest;
use tempfile::TempDir;

use crate::decode::File;
use crate::golden::path;

const KINDS: [&str; 14] = [
    "4:4:4",
    "4:2:2",
    "4:2:0",
    "4:4:0",
    "4:1:1",
    "4:1:0",
    "4:4:1",
    "4:2:2 by twos",
    "4:4:0 by twos",
    "uneven",
    "grey",
    "RGB",
    "CMYK",
    "YCCK",
];
const SEED: u64 = 11;

/// All files of the kinds, and the photographs, in one class.
fn folder() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let class = root.path().join("class");
    fs::create_dir(&class).unwrap();
    let files = KINDS.iter().flat_map(|kind| File::all(kind));
    let small = files.map(|file| file.bytes);
    let photographs =
        ["china", "flower"].map(|name| fs::read(path(&format!("photographs/{name}.jpg"))).unwrap());
    for (index, bytes) in small.chain(photographs).enumerate() {
        fs::write(class.join(format!("{index:03}.jpg")), bytes).unwrap();
    }
    root
}

fn then_flip(pipeline: Pipeline) -> Pipeline {
    pipeline.then(RandomHorizontalFlip::new(0.5).unwrap())
}

#[rstest]
#[case::resized_crop(then_flip(Pipeline::identity().then(RandomResizedCrop::new(24).unwrap())))]
#[case::small_parts(then_flip(Pipeline::identity().then(
    RandomResizedCrop::new(24).unwrap().with_scale(0.01..=0.1).unwrap()
)))]
#[case::resize(Pipeline::identity().then(Resize::new(16).unwrap()))]
#[case::crop(then_flip(Pipeline::identity().then(RandomCrop::new(1, 0).unwrap())))]
#[case::centre(Pipeline::identity().then(CenterCrop::new(1).unwrap()))]
#[case::border(Pipeline::identity().then(RandomCrop::new(5, 4).unwrap()))]
#[case::whole(Pipeline::identity())]
fn a_window_equals_the_same_part_of_the_whole(
    #[case] pipeline: Pipeline,
    #[values(Orientation::AsStored, Orientation::Upright)] orientation: Orientation,
) {
    let root = folder();
    let decoding = Decoding { orientation, ..Channels::Rgb.into() };
    let data = Arc::new(ImageFolder::open(root.path(), decoding).unwrap());
    let config =
        LoaderConfig { batch_size: 1, seed: SEED, max_skipped: 0, ..LoaderConfig::default() };
    let loader = Loader::new(data.clone(), pipeline.clone(), config).unwrap();
    for epoch in 0..4 {
        for (index, batch) in loader.epoch(epoch).enumerate() {
            let mut rng = SampleRng::new(SEED, epoch, index as u64);
            let want = pipeline.apply(data.image(index).unwrap(), &mut rng).unwrap();
            let found = batch.unwrap();
            let shape = [1, 3, want.height() as usize, want.width() as usize];
            assert_eq!(found.shape, shape, "{}", data.name(index));
            let plane = shape[2] * shape[3];
            for (at, pixel) in want.pixels().chunks(3).enumerate() {
                let planes = [0, 1, 2].map(|channel| found.pixels[channel * plane + at]);
                assert_eq!(planes, pixel, "{} at {at} in epoch {epoch}", data.name(index));
            }
        }
    }
}

/// A reduced picture is near the one that was decoded whole.
#[test]
fn reducing_changes_little_where_it_is_asked_for() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("class")).unwrap();
    fs::copy(path("photographs/china.jpg"), root.path().join("class/china.jpg")).unwrap();
    let load = |reduced| {
        let decoding = Decoding { reduced, ..Channels::Rgb.into() };
        let data = Arc::new(ImageFolder::open(root.path(), decoding).unwrap());
        let pipeline = Pipeline::identity().then(Resize::new(48).unwrap());
        let loader = Loader::new(data, pipeline, LoaderConfig::default()).unwrap();
        loader.epoch(0).next().unwrap().unwrap()
    };
    let (whole, reduced) = (load(false), load(true));
    assert_eq!(whole.shape, reduced.shape);
    let differences: Vec<u8> =
        whole.pixels.iter().zip(&reduced.pixels[..]).map(|(a, b)| a.abs_diff(*b)).collect();
    let mean = differences.iter().map(|&d| f64::from(d)).sum::<f64>() / differences.len() as f64;
    if cfg!(feature = "turbojpeg") {
        assert!(mean > 0.0 && mean < 2.0, "{mean}");
    } else {
        assert_eq!(mean, 0.0, "the default decoder cannot reduce");
    }
}
