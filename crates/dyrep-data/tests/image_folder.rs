//! Folders of images: layout, order, links, and the two parts of a data set.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod common;

use std::fs;
use std::path::Path;

use common::{rgb, save};
use dyrep_data::{Channels, DataError, Dataset, ImageFolder};
use rstest::rstest;
use tempfile::{TempDir, tempdir};

/// A data set of small PNG files at the given paths.
fn folder_of(files: &[&str]) -> TempDir {
    let root = tempdir().unwrap();
    for file in files {
        save(&root.path().join(file), rgb(4, 3));
    }
    root
}

fn open(root: &Path) -> Result<ImageFolder, DataError> {
    ImageFolder::open(root, Channels::Rgb)
}

#[test]
fn classes_and_samples_are_in_torchvisions_order() {
    let root = folder_of(&[
        "b/2.png",
        "b/10.PNG",
        "B/x.png",
        "a/z.png",
        "a/sub/1.png",
        "a/sub-2/1.png",
        "a/sub/deep/1.png",
        "a/.hidden.png",
        "a/.cache/1.png",
        ".git/1.png",
        "loose.png",
    ]);
    fs::write(root.path().join("a/notes.txt"), "no image").unwrap();

    let data = open(root.path()).unwrap();
    assert_eq!(data.classes(), ["B", "a", "b"]);
    // `sorted(os.walk(…))` compares folders as strings: '-' comes before '/'.
    let want = [
        ("B/x.png", 0),
        ("a/z.png", 1),
        ("a/sub/1.png", 1),
        ("a/sub-2/1.png", 1),
        ("a/sub/deep/1.png", 1),
        ("b/10.PNG", 2),
        ("b/2.png", 2),
    ];
    assert_eq!(data.len(), want.len());
    for (index, (path, label)) in want.into_iter().enumerate() {
        assert_eq!(data.path(index), root.path().join(path));
        assert_eq!(data.label(index), label);
        assert_eq!(data.name(index), root.path().join(path).display().to_string());
    }
    let image = data.image(0).unwrap();
    assert_eq!((image.width(), image.height(), image.channels()), (4, 3, 3));
}

#[test]
fn a_missing_folder_is_named() {
    let root = tempdir().unwrap();
    let path = root.path().join("nowhere");
    let error = open(&path).unwrap_err();
    assert!(matches!(&error, DataError::FolderMissing { path: named } if *named == path));
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn a_file_is_no_folder() {
    let root = folder_of(&["a/1.png"]);
    let error = open(&root.path().join("a/1.png")).unwrap_err();
    assert!(matches!(error, DataError::NotAFolder { .. }), "{error}");
}

#[rstest]
#[case::empty(&[])]
#[case::images_without_classes(&["1.png", "2.png"])]
#[case::hidden_class(&[".a/1.png"])]
fn a_folder_without_classes_is_refused(#[case] files: &[&str]) {
    let error = open(folder_of(files).path()).unwrap_err();
    assert!(matches!(error, DataError::NoClasses { .. }), "{error}");
    assert!(error.to_string().contains("<root>/<class>/<image>"), "{error}");
}

#[test]
fn a_class_without_images_is_named() {
    let root = folder_of(&["a/1.png"]);
    fs::create_dir(root.path().join("b")).unwrap();
    fs::write(root.path().join("b/1.heic"), "").unwrap();
    let error = open(root.path()).unwrap_err();
    let DataError::EmptyClass { path, .. } = &error else { panic!("{error}") };
    assert_eq!(*path, root.path().join("b"));
    assert!(error.to_string().contains("jpeg, jpg, jpe, jfif, png, webp"), "{error}");
}

#[cfg(unix)]
mod links {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_to_a_file_inside_is_followed() {
        let root = folder_of(&["a/1.png", "b/1.png"]);
        symlink(root.path().join("a/1.png"), root.path().join("b/2.png")).unwrap();
        let data = open(root.path()).unwrap();
        assert_eq!(data.len(), 3);
        assert!(data.image(2).is_ok());
    }

    #[rstest]
    #[case::class_folder("c", "")]
    #[case::folder_inside_a_class("a/more", "")]
    #[case::file("a/2.png", "x/1.png")]
    fn links_out_of_the_data_set_are_refused(#[case] link: &str, #[case] target: &str) {
        let outside = folder_of(&["x/1.png"]);
        let root = folder_of(&["a/1.png"]);
        symlink(outside.path().join(target), root.path().join(link)).unwrap();
        let error = open(root.path()).unwrap_err();
        let DataError::ForbiddenLink { path, .. } = &error else { panic!("{error}") };
        assert_eq!(*path, root.path().join(link));
    }

    #[test]
    fn a_loop_of_folders_is_refused() {
        let root = folder_of(&["a/1.png"]);
        symlink(root.path(), root.path().join("a/loop")).unwrap();
        let error = open(root.path()).unwrap_err();
        assert!(matches!(error, DataError::ForbiddenLink { .. }), "{error}");
    }

    #[test]
    fn a_broken_link_is_reported() {
        let root = folder_of(&["a/1.png"]);
        symlink("nowhere.png", root.path().join("a/2.png")).unwrap();
        let error = open(root.path()).unwrap_err();
        assert!(
            matches!(&error, DataError::Unreadable { path, .. } if path.ends_with("a/2.png")),
            "{error}"
        );
    }

    #[test]
    fn the_root_itself_may_be_a_link() {
        let root = folder_of(&["data/a/1.png", "data/a/2.png"]);
        let link = root.path().join("link");
        symlink("data", &link).unwrap();
        symlink("1.png", root.path().join("data/a/3.png")).unwrap();
        assert_eq!(open(&link).unwrap().len(), 3);
    }

    // Not every file system stores such a name, so only those that do are tested.
    #[test]
    fn a_class_name_must_be_utf8() {
        use std::os::unix::ffi::OsStrExt;
        let root = folder_of(&["a/1.png"]);
        let name = std::ffi::OsStr::from_bytes(b"\xFF");
        if fs::create_dir(root.path().join(name)).is_ok() {
            let error = open(root.path()).unwrap_err();
            assert!(matches!(error, DataError::ClassNameNotUtf8 { .. }), "{error}");
        }
    }
}
