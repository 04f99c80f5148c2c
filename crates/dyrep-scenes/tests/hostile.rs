//! Files with errors in them: whatever is changed in one, reading it ends in an error or in scenes
//! that keep their rules, never in a panic.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::fs;
use std::ops::Range;

use dyrep_data::{Channels, SampleRng};
use dyrep_scenes::{
    Coco, Keep, Mosaic, Object, PictureFormat, Region, Scene, Shapes, ShapesConfig,
    read_detections, read_mask, write_mask,
};
use tempfile::tempdir;

fn shapes() -> Shapes {
    let config = ShapesConfig { width: 24, height: 20, objects: 1..=2, ..ShapesConfig::default() };
    Shapes::new(config).unwrap()
}

/// The bytes with a part cut off, or a few of them changed, to bytes of their own among them: those
/// give texts that are still JSON.
fn spoiled(bytes: &[u8], rng: &mut SampleRng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = |bytes: &[u8], rng: &mut SampleRng| rng.below(bytes.len() as u32) as usize;
    if rng.chance(0.1) {
        bytes.truncate(at(&bytes, rng));
        return bytes;
    }
    for _ in 0..=rng.below(3) {
        let place = at(&bytes, rng);
        bytes[place] = match rng.below(3) {
            0 => rng.below(256) as u8,
            1 => b"0123456789-.e"[rng.below(13) as usize],
            _ => bytes[at(&bytes, rng)],
        };
    }
    bytes
}

const TRIES: Range<u64> = 0..3000;

#[test]
fn annotations() {
    let root = tempdir().unwrap();
    let path = shapes().write_coco(root.path(), 0..1, PictureFormat::Png).unwrap();
    let (good, images) = (fs::read(&path).unwrap(), root.path().join("images"));
    let (mut read, mut refused) = (0, 0);
    for index in TRIES {
        fs::write(&path, spoiled(&good, &mut SampleRng::new(0, 0, index))).unwrap();
        match Coco::open(&path, &images, Channels::Rgb) {
            Ok(coco) => {
                read += 1;
                (0..coco.len()).for_each(|index| drop(coco.scene(index)));
            }
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("instances.json"), "{error}");
            }
        }
        let _ = read_detections(&path);
    }
    assert!(read > 200 && refused > 200, "{read} read, {refused} refused: too few to tell");
}

#[test]
fn masks() {
    let root = tempdir().unwrap();
    let path = root.path().join("mask.png");
    write_mask(&path, shapes().scene(0).unwrap().mask().unwrap()).unwrap();
    let good = fs::read(&path).unwrap();
    let mut refused = 0;
    for index in TRIES {
        fs::write(&path, spoiled(&good, &mut SampleRng::new(1, 0, index))).unwrap();
        if let Err(error) = read_mask(&path) {
            refused += 1;
            assert!(error.to_string().contains("mask.png"), "{error}");
        }
    }
    assert!(refused > 1000, "{refused} of 3000");
}

#[test]
fn what_is_no_file_is_refused() {
    let root = tempdir().unwrap();
    let path = shapes().write_coco(root.path(), 0..2, PictureFormat::Png).unwrap();
    let images = root.path().join("images");
    assert!(read_mask(root.path()).is_err() && read_detections(root.path()).is_err());
    let coco = Coco::open(&path, &images, Channels::Rgb).unwrap();
    // A folder in a picture's place does not stand for what is in it.
    fs::remove_file(coco.path(0)).unwrap();
    fs::create_dir(coco.path(0)).unwrap();
    fs::copy(coco.path(1), coco.path(0).join("inner.png")).unwrap();
    assert!(coco.scene(0).unwrap_err().to_string().contains("not a regular file"));
    assert_eq!(Coco::open(&path, &images, Channels::Rgb).unwrap().len(), 1);
}

/// A scene with boxes anywhere, the smallest that numbers allow among them.
fn arbitrary(rng: &mut SampleRng) -> Scene {
    let (image, ..) = shapes().scene(rng.below(5)).unwrap().into_parts();
    let mut side = |length: f64| {
        let from = if rng.chance(0.2) { 0.0 } else { rng.uniform(0.0, length) };
        let to = match rng.below(3) {
            0 => from.next_up(),
            1 => length,
            _ => rng.uniform(from, length).max(from.next_up()),
        };
        (from, to)
    };
    let objects = (0..8).map(|id| {
        let ((x1, x2), (y1, y2)) = (side(24.0), side(20.0));
        Object { bbox: [x1, y1, x2, y2], class: 0, is_crowd: false, area: 1.0, id }
    });
    Scene::new(image, objects.collect(), None).unwrap()
}

#[test]
fn no_box_is_too_thin_for_a_transform() {
    let keep = Keep { side: 0.0, share: 0.0 };
    let mosaic = Mosaic::new(31, 17).unwrap().with_keep(keep);
    for index in 0..500 {
        let mut rng = SampleRng::new(2, 0, index);
        let scene = arbitrary(&mut rng);
        scene.clone().flipped().unwrap();
        scene.clone().scaled(rng.uniform(0.01, 4.0)).unwrap();
        let region = Region { left: rng.below(20), top: rng.below(20), width: 4, height: 1 };
        scene.clone().cropped(region, keep).unwrap();
        let others = [0; 3].map(|_| arbitrary(&mut rng));
        let [b, c, d] = others;
        mosaic.join([scene, b, c, d], &mut rng).unwrap();
    }
}
