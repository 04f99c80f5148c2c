//! COCO's annotations: what is read, what is refused, what is counted; detections out and in.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::fs;
use std::path::PathBuf;

use dyrep_data::{Channels, DataError};
use dyrep_scenes::{
    Coco, Detection, Reason, SceneError, Segmentation, read_detections, write_detections,
};
use rstest::rstest;
use tempfile::{TempDir, tempdir};

/// A picture of 4×3 pixels as text, which is a file that is decoded.
const PICTURE: &str = "P2 4 3 255 0 1 2 3 4 5 6 7 8 9 10 11\n";

/// A folder with pictures `a.pgm` and `b.pgm`, and the annotations that are given.
fn folder(images: &str, annotations: &str, categories: &str) -> (TempDir, PathBuf) {
    let root = tempdir().unwrap();
    for name in ["a.pgm", "b.pgm"] {
        fs::write(root.path().join(name), PICTURE).unwrap();
    }
    let json = root.path().join("instances.json");
    let text = format!(
        r#"{{"info":{{}},"images":[{images}],"annotations":[{annotations}],"categories":[{categories}]}}"#
    );
    fs::write(&json, text).unwrap();
    (root, json)
}

const IMAGES: &str = r#"{"id":9,"file_name":"b.pgm","width":4,"height":3,"license":1},
    {"id":2,"file_name":"a.pgm","width":4,"height":3}"#;
const CATEGORIES: &str = r#"{"id":90,"name":"cat"},{"id":7,"name":"dog","supercategory":"animal"}"#;

fn open(images: &str, annotations: &str, categories: &str) -> Result<Coco, SceneError> {
    let (root, json) = folder(images, annotations, categories);
    Coco::open(json, root.path(), Channels::Grey)
}

/// An annotation of image 2 with this box and whatever else.
fn annotation(id: u64, bbox: &str, rest: &str) -> String {
    format!(r#"{{"id":{id},"image_id":2,"category_id":7,"bbox":{bbox}{rest}}}"#)
}

#[test]
fn classes_have_no_gaps_and_pictures_stand_by_id() {
    let shape = r#","iscrowd":1,"area":2.5,"segmentation":[[0,0,1,0,1,1]]"#;
    let (root, json) = folder(IMAGES, &annotation(5, "[0.5,1,2,1.25]", shape), CATEGORIES);
    let coco = Coco::open(json, root.path(), Channels::Grey).unwrap();
    let categories = coco.categories();
    assert_eq!(categories.names(), ["dog", "cat"]);
    assert_eq!((categories.class_of(90), categories.class_of(8)), (Some(1), None));
    assert_eq!((categories.id_of(1), categories.id_of(2)), (Some(90), None));
    assert_eq!([coco.image_id(0), coco.image_id(1)], [2, 9]);
    let scene = coco.scene(0).unwrap();
    assert_eq!(scene.image().pixels(), (0..12).collect::<Vec<u8>>());
    let object = scene.objects()[0];
    assert_eq!((object.bbox, object.class), ([0.5, 1.0, 2.5, 2.25], 0));
    assert_eq!((object.is_crowd, object.area, object.id), (true, 2.5, 5));
    let polygon = vec![0.0, 0.0, 1.0, 0.0, 1.0, 1.0];
    assert_eq!(coco.segmentations(0), [Some(Segmentation::Polygons(vec![polygon]))]);
    assert!(coco.scene(1).unwrap().objects().is_empty(), "pictures without objects are kept");
    assert_eq!(coco.empty_classes().collect::<Vec<_>>(), ["cat"]);
    assert_eq!(coco.counts().to_string(), "1 classes without annotations");
}

#[rstest]
#[case("[0,0,4,3]", None, 1)]
#[case("[-1,0,2,2]", Some(Reason::ClippedBox), 1)]
#[case("[3,2,1.5,1]", Some(Reason::ClippedBox), 1)]
#[case("[4,0,1,1]", Some(Reason::OutsideBox), 0)]
#[case("[0,-2,1,2]", Some(Reason::OutsideBox), 0)]
#[case("[1,1,0,1]", Some(Reason::EmptyBox), 0)]
#[case("[1,1,1,-1]", Some(Reason::EmptyBox), 0)]
#[case("[1,1,null,1]", Some(Reason::NoBox), 0)]
#[case("[1e308,1,1e308,1]", Some(Reason::NoBox), 0)]
#[case("null", Some(Reason::NoBox), 0)]
fn boxes_are_cut_or_skipped_and_counted(
    #[case] bbox: &str,
    #[case] reason: Option<Reason>,
    #[case] objects: usize,
) {
    let coco = open(IMAGES, &annotation(1, bbox, ""), CATEGORIES).unwrap();
    assert_eq!(coco.objects(0).len(), objects);
    for one in [Reason::ClippedBox, Reason::OutsideBox, Reason::EmptyBox, Reason::NoBox] {
        assert_eq!(coco.counts().of(one), usize::from(reason == Some(one)), "{one:?}");
    }
    for object in coco.objects(0) {
        let [x1, y1, x2, y2] = object.bbox;
        assert!(0.0 <= x1 && x1 < x2 && x2 <= 4.0 && 0.0 <= y1 && y1 < y2 && y2 <= 3.0);
        assert_eq!(object.area, (x2 - x1) * (y2 - y1), "the box's where none is given");
    }
}

#[test]
fn annotations_and_pictures_that_are_not_there_are_counted() {
    let images = format!(r#"{IMAGES},{{"id":4,"file_name":"no.pgm","width":4,"height":3}}"#);
    let others = [4, 5].map(|image| {
        format!(r#"{{"id":{image},"image_id":{image},"category_id":7,"bbox":[0,0,1,1]}}"#)
    });
    let coco = open(&images, &others.join(","), CATEGORIES).unwrap();
    assert_eq!(coco.len(), 2);
    assert_eq!(
        coco.counts().to_string(),
        "1 pictures skipped: no such file; 1 annotations skipped: their picture is not listed; \
         2 classes without annotations"
    );
    let image = r#"{"id":4,"file_name":"no.pgm","width":4,"height":3}"#;
    let error = open(image, "", CATEGORIES).unwrap_err();
    assert!(error.to_string().contains("1 pictures skipped"), "{error}");
}

#[rstest]
#[case(r#"{"size":[3,4],"counts":[4,4,4]}"#, 0)]
#[case(r#"{"size":[3,4],"counts":"444"}"#, 0)]
#[case("[]", 0)]
#[case(r#"{"size":[3,4],"counts":[4,4,5]}"#, 1)]
#[case(r#"{"size":[3,4],"counts":"~"}"#, 1)]
#[case("[[1,2,3]]", 1)]
#[case(r#""a text""#, 1)]
fn segmentations_never_break_reading_and_are_not_lost(#[case] shape: &str, #[case] faults: usize) {
    let json = annotation(1, "[0,0,1,1]", &format!(r#","segmentation":{shape}"#));
    let coco = open(IMAGES, &json, CATEGORIES).unwrap();
    assert_eq!(coco.counts().of(Reason::FaultySegmentation), faults);
    let kept = coco.segmentations(0)[0].as_ref().unwrap();
    let text = serde_json::to_string(kept).unwrap().replace(".0", "");
    let given: serde_json::Value = serde_json::from_str(shape).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), given);
}

const BOX: &str = "[0,0,1,1]";

#[rstest]
#[case::image_twice(
    r#"{"id":2,"file_name":"a.pgm","width":4,"height":3},{"id":2,"file_name":"b.pgm","width":4,"height":3}"#,
    BOX, CATEGORIES, "two images have the id 2"
)]
#[case::category_twice(
    IMAGES,
    BOX,
    r#"{"id":7,"name":"a"},{"id":7,"name":"b"}"#,
    "two categories have the id 7"
)]
#[case::no_category(IMAGES, BOX, "", "no `categories`")]
#[case::unknown_category(
    IMAGES,
    BOX,
    r#"{"id":8,"name":"a"}"#,
    "annotation 1 has the category_id 7"
)]
#[case::three_numbers(IMAGES, "[0,0,1]", CATEGORIES, "`bbox` is 3 numbers")]
#[case::not_json(IMAGES, "[0,0,NaN,1]", CATEGORIES, "line 2")]
#[case::out_of_range(IMAGES, "[0,0,1e999,1]", CATEGORIES, "out of range")]
#[case::no_side(r#"{"id":2,"file_name":"a.pgm","width":0,"height":3}"#, BOX, CATEGORIES, "0 and 3")]
#[case::leaves_the_folder(
    r#"{"id":2,"file_name":"../a.pgm","width":4,"height":3}"#,
    BOX,
    CATEGORIES,
    "inside of the folder"
)]
#[case::absolute(
    r#"{"id":2,"file_name":"/etc/a","width":4,"height":3}"#,
    BOX,
    CATEGORIES,
    "image 2"
)]
#[case::no_name(r#"{"id":2,"width":4,"height":3}"#, BOX, CATEGORIES, "file_name")]
fn what_makes_no_sense_is_an_error_that_names_it(
    #[case] images: &str,
    #[case] bbox: &str,
    #[case] categories: &str,
    #[case] text: &str,
) {
    let error = open(images, &annotation(1, bbox, ""), categories).unwrap_err().to_string();
    assert!(error.contains(text) && error.contains("instances.json"), "{error}");
}

#[test]
fn an_annotation_twice_is_an_error() {
    let two = [annotation(1, BOX, ""), annotation(1, "[1,1,1,1]", "")].join(",");
    let error = open(IMAGES, &two, CATEGORIES).unwrap_err().to_string();
    assert!(error.contains("two annotations have the id 1"), "{error}");
}

#[test]
fn a_picture_of_another_size_is_an_error() {
    let image = r#"{"id":2,"file_name":"a.pgm","width":3,"height":4}"#;
    let (root, json) = folder(image, "", CATEGORIES);
    let coco = Coco::open(&json, root.path(), Channels::Grey).unwrap();
    let error = coco.scene(0).unwrap_err().to_string();
    assert!(error.contains("4x3") && error.contains("3x4"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_folder_is_followed_only_if_asked_for() {
    let (root, json) =
        folder(r#"{"id":2,"file_name":"l.pgm","width":4,"height":3}"#, "", CATEGORIES);
    let other = tempdir().unwrap();
    fs::write(other.path().join("x.pgm"), PICTURE).unwrap();
    std::os::unix::fs::symlink(other.path().join("x.pgm"), root.path().join("l.pgm")).unwrap();
    let error = Coco::open(&json, root.path(), Channels::Grey).unwrap().scene(0).unwrap_err();
    assert!(matches!(error, SceneError::Data(DataError::ForbiddenLink { .. })), "{error}");
    let reading = dyrep_data::Reading { follow_links: true, ..Channels::Grey.into() };
    assert!(Coco::open(&json, root.path(), reading).unwrap().scene(0).is_ok());
}

#[test]
fn detections_read_back_equal() {
    let root = tempdir().unwrap();
    let path = root.path().join("results.json");
    let mut detections = vec![Detection::from_corners(139, 90, [0.1, 0.2, 0.7, 1e3], 1.0 / 3.0)];
    let mut rng = dyrep_data::SampleRng::new(0, 0, 0);
    for image in 0..1000 {
        let bbox = [0; 4].map(|_| rng.uniform(0.0, 640.0));
        // As a network's `f32` gives it.
        let score = f64::from(rng.uniform(0.0, 1.0) as f32);
        detections.push(Detection { image_id: image, category_id: 1, bbox, score });
    }
    write_detections(&path, &detections).unwrap();
    assert_eq!(read_detections(&path).unwrap(), detections);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing else is left");
    let keys = r#"[{"image_id":139,"category_id":90,"bbox":["#;
    assert!(fs::read_to_string(&path).unwrap().starts_with(keys));

    detections[3].score = f64::NAN;
    let error = write_detections(&path, &detections).unwrap_err().to_string();
    assert!(error.contains("detection 3: `score` is NaN"), "{error}");
    assert_eq!(read_detections(&path).unwrap().len(), 1001, "the file is as it was");
}
