//! The loader goes on without files that cannot be used, tells which, and stops at one too many.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod common;
#[path = "common/progressive.rs"]
mod progressive;
#[path = "common/spoiled.rs"]
mod spoiled;

use std::fs::{self, File};
use std::io::Cursor;
use std::sync::Arc;

use dyrep_data::{Batch, DataError, Dataset, Loader, LoaderConfig, Pipeline};
use image::{ImageFormat, Rgb, RgbImage};
use progressive::progressive;
use spoiled::{encode, folder, open};
use tempfile::{TempDir, tempdir};

/// Eight pictures that cannot be used, of different kinds, among 40.
const BAD: usize = 8;

fn spoiled_folder() -> TempDir {
    folder(20, |class| {
        let jpeg = encode(ImageFormat::Jpeg);
        let write = |name: &str, bytes: &[u8]| fs::write(class.join(name), bytes).unwrap();
        write("bad0.jpg", b"");
        // In a row in the middle, at both ends, and one of another format.
        write("good05a.jpg", &jpeg[..jpeg.len() / 2]);
        write("good05b.jpg", b"GIF89a");
        write("good05c.jpg", b"text");
        write("good05d.png", &encode(ImageFormat::Png)[..40]);
        write("good11a.jpg", &progressive(60_000, 1));
        write("zbad.jpg", &jpeg[..100]);
        let file = File::create(class.join("zz.png")).unwrap();
        file.set_len((1 << 29) + 1).unwrap();
    })
}

fn config(threads: usize, max_skipped: usize) -> LoaderConfig {
    let (batch_size, shuffle, seed) = (5, true, 11);
    LoaderConfig { batch_size, shuffle, seed, threads, max_skipped, ..LoaderConfig::default() }
}

fn loader(root: &TempDir, config: LoaderConfig) -> Loader {
    let pipeline = Pipeline::imagenet_train(8).unwrap();
    Loader::new(Arc::new(open(root)), pipeline, config).unwrap()
}

/// Batches until the end or the first error.
fn load(loader: &Loader, epoch: u64) -> (Vec<Batch>, Option<DataError>) {
    let mut batches = Vec::new();
    for batch in loader.epoch(epoch) {
        match batch {
            Ok(batch) => batches.push(batch),
            Err(error) => return (batches, Some(error)),
        }
    }
    (batches, None)
}

#[test]
fn a_loader_goes_on_without_unusable_files() {
    let root = spoiled_folder();
    let mut reference = None;
    for threads in [0, 1, 3] {
        let loader = loader(&root, config(threads, BAD));
        for epoch in 0..2 {
            let (batches, error) = load(&loader, epoch);
            assert!(error.is_none(), "{error:?}");
            let mut counts = [0; 2];
            for batch in &batches {
                assert_eq!(batch.shape, [batch.labels.len(), 3, 8, 8]);
                assert_eq!(batch.pixels.len(), batch.labels.len() * 3 * 64);
                assert!((1..=5).contains(&batch.labels.len()));
                batch.labels.iter().for_each(|&label| counts[label as usize] += 1);
            }
            // Every usable picture, once.
            assert_eq!(counts, [20, 20]);
            if epoch == 1 {
                assert_eq!(*reference.get_or_insert(batches.clone()), batches, "{threads} threads");
            }
        }
        // Each is told once, whatever the number of epochs, in the data set's order.
        let skipped = loader.skipped();
        assert_eq!(skipped.len(), BAD);
        let names = ["bad0", "good05a", "good05b", "good05c", "good05d", "good11a", "zbad", "zz"];
        for (text, name) in skipped.iter().zip(names) {
            assert!(text.contains(name), "{text} for {name}");
        }
    }
}

/// The samples of a batch are those that it would have held, less the unusable ones.
#[test]
fn batches_have_no_gaps_and_no_duplicates() {
    let root = spoiled_folder();
    let data = open(&root);
    let bad: Vec<bool> = (0..data.len()).map(|index| data.image(index).is_err()).collect();
    assert_eq!(bad.iter().filter(|bad| **bad).count(), BAD);
    let plain = LoaderConfig { shuffle: false, ..config(2, BAD) };
    let crop = Pipeline::imagenet_eval(8, 8).unwrap();
    let loader = Loader::new(Arc::new(open(&root)), crop.clone(), plain).unwrap();
    let (batches, error) = load(&loader, 0);
    assert!(error.is_none());
    for batch in &batches {
        let members = batch.start..(batch.start + 5).min(data.len());
        let usable: Vec<usize> = members.filter(|&index| !bad[index]).collect();
        let want: Vec<i64> = usable.iter().map(|&index| data.label(index) as i64).collect();
        assert_eq!(batch.labels, want);
    }
    let starts: Vec<usize> = batches.iter().map(|batch| batch.start).collect();
    assert!(starts.is_sorted() && starts.iter().all(|start| start % 5 == 0));
}

#[test]
fn a_loader_stops_at_one_too_many_and_names_them() {
    let root = spoiled_folder();
    let mut reference = None;
    for threads in [0, 1, 3] {
        let loader = loader(&root, config(threads, BAD - 1));
        let (batches, error) = load(&loader, 0);
        let error = error.unwrap();
        let DataError::TooManySkipped { samples, limit } = &error else { panic!("{error}") };
        assert_eq!((samples.len(), *limit), (BAD, BAD - 1));
        let text = error.to_string();
        assert!(text.contains("zbad.jpg") && text.contains("good05c.jpg"), "{text}");
        let found = (batches, text);
        assert_eq!(*reference.get_or_insert(found.clone()), found, "{threads} threads");
    }
}

/// What is wrong with a file does not depend on the files before it.
#[test]
fn a_decoder_remembers_nothing() {
    let root = folder(1, |class| {
        let jpeg = encode(ImageFormat::Jpeg);
        let cut = |length: usize| [&jpeg[..length], &[0xFF, 0xD9]].concat();
        fs::write(class.join("a whole one.jpg"), &jpeg).unwrap();
        // Nothing but the marks of both ends; and tables, but neither size nor coded data.
        fs::write(class.join("cut1.jpg"), cut(2)).unwrap();
        fs::write(class.join("cut2.jpg"), cut(100)).unwrap();
    });
    let data = open(&root);
    let alone: Vec<_> = [2, 3].map(|index| data.image(index).unwrap_err().to_string()).into();
    let plain = LoaderConfig { shuffle: false, ..config(0, 10) };
    let crop = Pipeline::imagenet_eval(8, 8).unwrap();
    let loader = Loader::new(Arc::new(data), crop, plain).unwrap();
    assert!(load(&loader, 0).1.is_none());
    assert_eq!(loader.skipped(), alone);
}

/// Nor do its pixels: where coded data end early and a decoder says nothing, the rest is of no other file.
#[test]
fn a_decoder_leaves_no_pixels_to_the_next_file() {
    let jpeg = |grey: u8| {
        let mut bytes = Cursor::new(vec![]);
        let picture = RgbImage::from_fn(96, 96, |x, y| Rgb([grey, (x % 7) as u8, (y % 5) as u8]));
        picture.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    };
    // Half of the coded data, a marker in their place, and the end.
    let whole = jpeg(100);
    let scan = whole.windows(2).position(|marker| marker == [0xFF, 0xDA]).unwrap();
    let half = (scan + whole.len()) / 2;
    let damaged = [&whole[..half], &[0xFF, 0xFE, 0, 2, 0xFF, 0xD9]].concat();
    let loaded_after = |first: &[u8]| {
        let root = tempdir().unwrap();
        fs::create_dir(root.path().join("class")).unwrap();
        fs::write(root.path().join("class/a.jpg"), first).unwrap();
        fs::write(root.path().join("class/b.jpg"), &damaged).unwrap();
        let plain = LoaderConfig { shuffle: false, batch_size: 1, ..config(0, 1) };
        let crop = Pipeline::imagenet_eval(64, 48).unwrap();
        let loader = Loader::new(Arc::new(open(&root)), crop, plain).unwrap();
        let (batches, error) = load(&loader, 0);
        assert!(error.is_none(), "{error:?}");
        batches
    };
    let [dark, bright] = [jpeg(0), jpeg(255)].map(|first| loaded_after(&first));
    assert_ne!(dark[0].pixels, bright[0].pixels);
    assert_eq!(dark.get(1).map(|batch| &batch.pixels), bright.get(1).map(|batch| &batch.pixels));
}

#[test]
fn without_leave_the_first_unusable_file_is_the_error() {
    let root = spoiled_folder();
    let errors = [0, 1, 3].map(|threads| {
        let (batches, error) = load(&loader(&root, config(threads, 0)), 0);
        (batches, error.unwrap().to_string())
    });
    assert_eq!(errors[0], errors[1]);
    assert_eq!(errors[0], errors[2]);
}

#[test]
fn a_set_of_nothing_usable_is_an_error() {
    let root = tempdir().unwrap();
    fs::create_dir(root.path().join("a")).unwrap();
    (0..12).for_each(|number| fs::write(root.path().join(format!("a/{number}.jpg")), "").unwrap());
    for threads in [0, 1, 3] {
        let (batches, error) = load(&loader(&root, config(threads, 100)), 0);
        assert!(batches.is_empty());
        let error = error.unwrap();
        let DataError::NothingUsable { samples } = &error else { panic!("{error}") };
        assert_eq!(samples.len(), 12);
    }
}

/// An epoch of a training has as many batches as it should, and each is the same in whatever part of the epoch.
#[test]
fn a_batch_of_nothing_usable_is_made_of_those_that_follow() {
    let root = spoiled_folder();
    for threads in [0, 2] {
        let config = LoaderConfig { batch_size: 1, refill: true, ..config(threads, 2 * BAD) };
        let loader = loader(&root, config);
        for epoch in 0..3 {
            let (batches, error) = load(&loader, epoch);
            assert!(error.is_none(), "{error:?}");
            assert_eq!(batches.len(), loader.batches());
            let starts: Vec<usize> = batches.iter().map(|batch| batch.start).collect();
            assert_eq!(starts, (0..loader.samples()).collect::<Vec<_>>());
            for from in [1, 17, loader.samples() - 1] {
                let part: Vec<Batch> =
                    loader.part(epoch, from..loader.samples()).collect::<Result<_, _>>().unwrap();
                assert_eq!(part.len(), batches.len() - from);
                for (left, right) in part.iter().zip(&batches[from..]) {
                    assert_eq!((left.start, &left.labels), (right.start, &right.labels));
                    assert_eq!(left.pixels[..], right.pixels[..]);
                }
            }
        }
        assert_eq!(loader.skipped().len(), BAD);
    }
}
