//! What an archive's classes are, and what lies beside them.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod archive;
mod common;

use archive::{open, png, tar_of};
use dyrep_data::{DataError, Dataset};
use rstest::rstest;

/// What an archive without entries for its folders holds beside pictures is of some class, too.
#[test]
fn a_class_of_other_files_is_noticed() {
    let png = png();
    let files: [(&[u8], &[u8]); 4] =
        [(b"cat/1.png", &png), (b"cat/a.txt", b""), (b"dog/1.heic", b""), (b"emu/1.png", &png)];
    let error = open(&tar_of(&files)).1.unwrap_err();
    let DataError::EmptyClass { path, left_out } = &error else { panic!("{error}") };
    assert!(path.ends_with("x.tar/dog"), "{error}");
    assert_eq!(left_out.to_string(), "1 .heic");
}

/// What lies beside the folder around all classes is no class, whatever its name; what is passed over is counted.
#[rstest]
#[case(&["docs/read.me"], "1 .me")]
#[case(&["devkit_t12/data/synsets.txt", "train/about.txt"], "2 .txt")]
fn what_lies_beside_the_classes_is_passed_over(#[case] beside: &[&str], #[case] left_out: &str) {
    let png = png();
    let mut files: Vec<(&[u8], &[u8])> = vec![(b"train/a/1.png", &png), (b"train/b/1.png", &png)];
    files.extend(beside.iter().map(|name| (name.as_bytes(), &b""[..])));
    let (_kept, data) = open(&tar_of(&files));
    let data = data.unwrap();
    assert_eq!(data.classes(), ["a", "b"]);
    assert_eq!(data.left_out().to_string(), left_out);
}

#[test]
fn pictures_outside_of_the_classes_are_counted() {
    let png = png();
    let (_kept, data) = open(&tar_of(&[(b"a/1.png", &png), (b"b/1.png", &png), (b"c.png", &png)]));
    let data = data.unwrap();
    assert_eq!(
        (data.len(), data.left_out().to_string()),
        (2, "1 .png outside of the classes".into())
    );
}
