//! Made-up scenes: what they hold, that they are the same always, and that files give them back.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::fs;
use std::ops::RangeInclusive;

use dyrep_data::Channels;
use dyrep_scenes::{Coco, Masks, PictureFormat, Reason, Scene, Segmentation, Shapes, ShapesConfig};
use tempfile::tempdir;

const CONFIG: ShapesConfig =
    ShapesConfig { width: 96, height: 72, objects: 1..=9, radii: 0.08..=0.35, seed: 5 };

fn shapes() -> Shapes {
    Shapes::new(CONFIG).unwrap()
}

fn scenes(count: u32) -> Vec<Scene> {
    (0..count).map(|index| shapes().scene(index).unwrap()).collect()
}

#[test]
fn a_scene_is_a_function_of_seed_and_index() {
    let all = scenes(8);
    assert_eq!(all, scenes(8));
    assert!(all.windows(2).all(|pair| pair[0].image() != pair[1].image()));
    let other = Shapes::new(ShapesConfig { seed: 6, ..CONFIG }).unwrap();
    assert_ne!(other.scene(0).unwrap().image(), all[0].image());
}

#[test]
fn all_classes_come_up_overlap_and_are_seen() {
    let (mut classes, mut objects, mut hidden) = ([0; 6], 0, 0);
    for scene in scenes(200) {
        let mask = scene.mask().unwrap();
        let area = |label: u8| mask.labels().iter().filter(|found| **found == label).count() as f64;
        for class in 0..6 {
            let of_class = scene.objects().iter().filter(|object| object.class == class);
            let expected: f64 = of_class.map(|object| object.area).sum();
            assert_eq!(area(class as u8 + 1), expected, "pixels of class {class}");
        }
        for (at, object) in scene.objects().iter().enumerate() {
            classes[object.class] += 1;
            objects += 1;
            let [x1, y1, x2, y2] = object.bbox;
            assert!(object.bbox.iter().all(|corner| corner.fract() == 0.0));
            assert!(object.area >= 12.0 && object.area <= (x2 - x1) * (y2 - y1));
            // Each side of a box has a pixel of its class, in the first row or column of it.
            let label = object.class as u8 + 1;
            let is = |x: f64, y: f64| mask.labels()[y as usize * 96 + x as usize] == label;
            let (columns, rows) = (x1 as u32..x2 as u32, y1 as u32..y2 as u32);
            for x in [x1, x2 - 1.0] {
                assert!(rows.clone().any(|y| is(x, y.into())), "{object:?}");
            }
            for y in [y1, y2 - 1.0] {
                assert!(columns.clone().any(|x| is(x.into(), y)), "{object:?}");
            }
            let later = &scene.objects()[at + 1..];
            hidden += usize::from(later.iter().any(|over| {
                let [a, b, c, d] = over.bbox;
                a < x2 && x1 < c && b < y2 && y1 < d
            }));
        }
    }
    assert!(classes.iter().all(|count| *count > objects / 12), "{classes:?} of {objects}");
    assert!(hidden > objects / 8, "{hidden} of {objects} boxes lie under another");
}

#[test]
fn coco_s_files_give_back_what_was_generated() {
    let root = tempdir().unwrap();
    let path = shapes().write_coco(root.path(), 0..12, PictureFormat::Png).unwrap();
    let coco = Coco::open(path, root.path().join("images"), Channels::Rgb).unwrap();
    assert_eq!(coco.categories().names(), Shapes::classes());
    assert_eq!(coco.counts().of(Reason::FaultySegmentation), 0);
    assert_eq!(coco.counts().of(Reason::ClippedBox), 0);
    let all = scenes(12);
    assert_eq!(coco.len(), all.len());
    for (index, made) in all.iter().enumerate() {
        let read = coco.scene(index).unwrap();
        assert_eq!(read.image(), made.image());
        assert_eq!(read.objects(), made.objects());
        for (object, shape) in made.objects().iter().zip(coco.segmentations(index)) {
            check_runs(made, object.class as u8 + 1, object.area, shape.as_ref().unwrap());
        }
    }
}

/// The runs cover as many pixels as the object has, all of its class.
fn check_runs(scene: &Scene, label: u8, area: f64, shape: &Segmentation) {
    let mask = scene.mask().unwrap();
    let (height, width) = (mask.height() as usize, mask.width() as usize);
    let (mut at, mut covered) = (0, 0);
    for (number, run) in shape.runs().unwrap().into_iter().enumerate() {
        for pixel in at..at + run as usize {
            let place = pixel % height * width + pixel / height;
            covered += usize::from(number % 2 == 1);
            assert!(number % 2 == 0 || mask.labels()[place] == label);
        }
        at += run as usize;
    }
    assert_eq!((covered as f64, at), (area, width * height));
}

#[test]
fn jpegs_are_nearly_what_was_generated() {
    let root = tempdir().unwrap();
    let format = PictureFormat::Jpeg { quality: 95 };
    let path = shapes().write_coco(root.path(), 3..5, format).unwrap();
    let coco = Coco::open(path, root.path().join("images"), Channels::Rgb).unwrap();
    assert_eq!([coco.image_id(0), coco.image_id(1)], [4, 5]);
    for (index, made) in scenes(5)[3..].iter().enumerate() {
        let read = coco.scene(index).unwrap();
        assert_eq!(read.objects(), made.objects());
        let pairs = read.image().pixels().iter().zip(made.image().pixels());
        let off: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
        let off = off / made.image().pixels().len() as f64;
        assert!(off > 0.0 && off < 6.0, "{off} levels a pixel");
    }
    let worse = PictureFormat::Jpeg { quality: 0 };
    assert!(shapes().write_coco(root.path(), 0..1, worse).is_err());
}

#[test]
fn cityscapes_files_give_back_what_was_generated() {
    let root = tempdir().unwrap();
    shapes().write_cityscapes(root.path(), "val", 0..6).unwrap();
    let set = Masks::open_cityscapes(root.path(), "val", Channels::Rgb).unwrap();
    assert!(set.counts().is_empty() && set.len() == 6);
    for (index, made) in scenes(6).iter().enumerate() {
        let read = set.scene(index).unwrap();
        assert_eq!((read.image(), read.mask()), (made.image(), made.mask()));
    }
}

#[test]
fn what_cannot_be_written_and_options_that_make_no_sense_are_errors() {
    let root = tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let error = shapes().write_coco(&file, 0..1, PictureFormat::Png).unwrap_err().to_string();
    assert!(error.contains("file") && error.contains("cannot be written"), "{error}");
    for config in [
        ShapesConfig { width: 15, ..CONFIG },
        ShapesConfig { width: u32::MAX, ..CONFIG },
        ShapesConfig { objects: 0..=1001, ..CONFIG },
        ShapesConfig { objects: RangeInclusive::new(3, 2), ..CONFIG },
        ShapesConfig { radii: 0.0..=0.5, ..CONFIG },
        ShapesConfig { radii: 0.1..=f64::NAN, ..CONFIG },
    ] {
        assert!(Shapes::new(config.clone()).is_err(), "{config:?}");
    }
    let none = Shapes::new(ShapesConfig { objects: 0..=0, ..CONFIG }).unwrap();
    assert!(none.scene(0).unwrap().objects().is_empty());
}

/// FNV-1a of the pixels and labels of two scenes: changed numbers or arithmetic would change every
/// data set that was made.
#[test]
fn the_scenes_are_pinned() {
    let hash = |scene: &Scene| {
        let bytes = scene.image().pixels().iter().chain(scene.mask().unwrap().labels());
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    assert_eq!(
        scenes(2).iter().map(hash).collect::<Vec<_>>(),
        [6_386_588_933_820_050_653, 15_869_893_249_733_529_905]
    );
}
