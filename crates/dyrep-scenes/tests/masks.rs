//! Folders of pictures and masks, and Cityscapes: what is paired, refused and counted.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::fs;
use std::path::Path;

use dyrep_data::Channels;
use dyrep_scenes::{CITYSCAPES, Mask, Masks, Reason, SceneError, read_mask, write_mask};
use tempfile::{TempDir, tempdir};

/// A file with a picture of 4×3 pixels.
fn picture(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "P2 4 3 255 0 1 2 3 4 5 6 7 8 9 10 11\n").unwrap();
}

fn mask(path: &Path, width: u32, labels: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let height = labels.len() as u32 / width;
    write_mask(path, &Mask::new(width, height, labels.to_vec()).unwrap()).unwrap();
}

fn open(root: &TempDir) -> Result<Masks, SceneError> {
    let classes = ["ground", "thing"].map(str::to_owned).to_vec();
    Masks::open(root.path().join("x"), root.path().join("y"), classes, Channels::Grey)
}

const LABELS: [u8; 12] = [0, 1, 255, 0, 1, 1, 0, 0, 255, 255, 0, 1];

fn folders() -> TempDir {
    let root = tempdir().unwrap();
    for name in ["b.pgm", "a.v2.pgm"] {
        picture(&root.path().join("x").join(name));
    }
    for name in ["a.v2.png", "b.png"] {
        mask(&root.path().join("y").join(name), 4, &LABELS);
    }
    root
}

#[test]
fn pictures_have_the_masks_of_their_stems() {
    let root = folders();
    let set = open(&root).unwrap();
    assert_eq!(set.len(), 2);
    assert!(set.counts().is_empty());
    assert!(set.paths(0)[0].ends_with("a.v2.pgm") && set.paths(0)[1].ends_with("a.v2.png"));
    let scene = set.scene(0).unwrap();
    assert_eq!(scene.mask().unwrap().labels(), LABELS);
    assert_eq!(scene.image().pixels()[11], 11);
}

#[test]
fn partners_that_are_missing_are_counted() {
    let root = folders();
    picture(&root.path().join("x/lonely.pgm"));
    mask(&root.path().join("y/other.png"), 4, &LABELS);
    fs::write(root.path().join("x/notes.txt"), "").unwrap();
    let set = open(&root).unwrap();
    let told = "1 pictures skipped: no mask; 1 masks skipped: no picture";
    assert_eq!((set.len(), set.counts().to_string().as_str()), (2, told));
    assert_eq!(set.left_out().to_string(), "1 .txt");

    for name in ["a.v2.png", "b.png"] {
        fs::remove_file(root.path().join("y").join(name)).unwrap();
    }
    let error = open(&root).unwrap_err().to_string();
    assert!(error.contains("no pictures with masks; 3 pictures skipped"), "{error}");
    fs::remove_dir_all(root.path().join("y")).unwrap();
    assert!(open(&root).unwrap_err().to_string().contains("no such folder"));
}

#[test]
fn two_pictures_of_one_stem_are_an_error() {
    let root = folders();
    fs::copy(root.path().join("x/b.pgm"), root.path().join("x/b.pnm")).unwrap();
    let error = open(&root).unwrap_err().to_string();
    assert!(
        error.contains("b.pgm") && error.contains("b.pnm") && error.contains("b.png"),
        "{error}"
    );
}

#[test]
fn masks_of_another_size_and_with_other_labels_are_errors() {
    let root = folders();
    mask(&root.path().join("y/b.png"), 3, &LABELS);
    let error = open(&root).unwrap().scene(1).unwrap_err().to_string();
    assert!(error.contains("4x3") && error.contains("3x4") && error.contains("b.png"), "{error}");
    let mut labels = LABELS;
    labels[6] = 2;
    mask(&root.path().join("y/b.png"), 4, &labels);
    let error = open(&root).unwrap().scene(1).unwrap_err().to_string();
    assert!(
        error.ends_with("b.png: label 2 in column 2, row 1; expected 0 to 1, or 255"),
        "{error}"
    );
    fs::copy(root.path().join("x/b.pgm"), root.path().join("y/b.png")).unwrap();
    let error = open(&root).unwrap().scene(1).unwrap_err().to_string();
    assert!(error.contains("expected a PNG of grey values or a palette"), "{error}");
}

#[test]
fn masks_read_back_equal() {
    let root = tempdir().unwrap();
    let path = root.path().join("m.png");
    let mask = Mask::new(16, 16, (0..=255).collect()).unwrap();
    write_mask(&path, &mask).unwrap();
    assert_eq!(read_mask(&path).unwrap(), mask);
}

/// One picture of one city, and its mask.
fn cityscapes(labels: &[u8]) -> TempDir {
    let root = tempdir().unwrap();
    let name = "ulm/ulm_000000_000019";
    // The contents tell the kind, not the name.
    picture(&root.path().join(format!("leftImg8bit/val/{name}_leftImg8bit.png")));
    for what in ["labelIds", "instanceIds", "color"] {
        mask(&root.path().join(format!("gtFine/val/{name}_gtFine_{what}.png")), 4, labels);
    }
    fs::write(root.path().join(format!("gtFine/val/{name}_gtFine_polygons.json")), "{}").unwrap();
    root
}

#[test]
fn cityscapes_labels_become_train_ids() {
    // Road, building, person, bicycle; licence plate, ego vehicle, parking, caravan, trailer; train.
    let root = cityscapes(&[7, 11, 24, 33, 255, 1, 9, 29, 30, 31, 0, 8]);
    picture(&root.path().join("leftImg8bit/val/ulm/other.png"));
    let set = Masks::open_cityscapes(root.path(), "val", Channels::Grey).unwrap();
    let labels = set.scene(0).unwrap().mask().unwrap().labels().to_vec();
    assert_eq!(labels, [0, 2, 11, 18, 255, 255, 255, 255, 255, 16, 255, 1]);
    assert_eq!((set.classes().len(), set.classes()[13].as_str()), (19, "car"));
    assert!(CITYSCAPES.windows(2).all(|pair| pair[0].1 < pair[1].1));
    assert_eq!(set.counts().of(Reason::OtherName), 1);
    assert_eq!(set.counts().lines().count(), 1, "{}", set.counts());
}

#[test]
fn labels_that_cityscapes_does_not_have_are_an_error() {
    let root = cityscapes(&[7, 11, 24, 34, 255, 1, 9, 29, 30, 31, 0, 8]);
    let set = Masks::open_cityscapes(root.path(), "val", Channels::Grey).unwrap();
    let error = set.scene(0).unwrap_err().to_string();
    assert!(error.contains("label 34 in column 3, row 0"), "{error}");
    assert!(Masks::open_cityscapes(root.path(), "train", Channels::Grey).is_err());
}
