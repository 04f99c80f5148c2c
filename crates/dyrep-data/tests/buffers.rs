//! What a loader keeps: buffers that are used again, memory that does not grow, times.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{rgb, save};
use dyrep_data::{Channels, ImageFolder, Loader, LoaderConfig, Pipeline};
use rstest::rstest;
use tempfile::TempDir;

/// Files of different sizes.
fn folder(files: u32) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for index in 0..files {
        let path = root.path().join(format!("class/{index:03}.jpg"));
        save(&path, rgb(160 + 7 * (index % 9), 120 + 5 * (index % 7)));
    }
    root
}

fn loader(root: &TempDir, threads: usize) -> Loader {
    let data = ImageFolder::open(root.path(), Channels::Rgb).unwrap();
    let config = LoaderConfig { batch_size: 8, shuffle: true, threads, ..LoaderConfig::default() };
    Loader::new(Arc::new(data), Pipeline::imagenet_train(96).unwrap(), config).unwrap()
}

#[rstest]
fn a_batch_that_is_dropped_gives_its_buffer_to_another(#[values(0, 2)] threads: usize) {
    let root = folder(80);
    let mut buffers = Vec::new();
    for batch in loader(&root, threads).epoch(0) {
        buffers.push(batch.unwrap().pixels.as_ptr());
    }
    assert_eq!(buffers.len(), 10);
    buffers.sort_unstable();
    buffers.dedup();
    // Two are made ahead, one is in the caller's hands.
    assert!(buffers.len() <= 3, "{} buffers", buffers.len());
}

#[test]
fn a_batch_that_is_kept_stays_as_it_is() {
    let root = folder(80);
    let loader = loader(&root, 2);
    let kept: Vec<_> = loader.epoch(0).map(Result::unwrap).collect();
    let again = loader.epoch(0).map(Result::unwrap);
    assert!(again.eq(kept), "a buffer was written to while its batch was alive");
}

#[test]
fn times_are_of_every_sample_and_stage() {
    let root = folder(20);
    let loader = loader(&root, 2);
    assert_eq!(loader.times().samples, 0);
    assert_eq!(loader.epoch(0).count(), 3);
    let times = loader.times();
    assert_eq!(times.samples, 20);
    for stage in [times.read, times.decode, times.transform, times.collate, times.wait] {
        assert!(stage > Duration::ZERO, "{times:?}");
    }
    assert_eq!(times.work(), times.read + times.decode + times.transform + times.collate);
}

/// Resident memory in bytes.
#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// The other tests of this program run beside it, but are long done by the tenth epoch.
#[cfg(target_os = "linux")]
#[test]
fn memory_is_flat_over_fifty_epochs() {
    let root = folder(64);
    let loader = loader(&root, 2);
    let mut after_ten = 0;
    for epoch in 0..50 {
        let samples: usize = loader.epoch(epoch).map(|batch| batch.unwrap().labels.len()).sum();
        assert_eq!(samples, 64);
        if epoch == 9 {
            after_ten = resident();
        }
    }
    // An epoch is 5 MB of decoded pixels: whatever is not given back shows in forty of them.
    let grown = resident().saturating_sub(after_ten);
    assert!(grown < 8 << 20, "{grown} bytes more after 40 epochs");
}
