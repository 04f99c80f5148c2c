//! Parts of a data set on disk: which folder is which, and what their classes are.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod common;

use std::fs;
use std::path::Path;

use common::{rgb, save};
use dyrep_data::{
    Channels, DataError, Dataset, ImageFolder, PartError, Wanted, classes_without_pictures,
    open_part, open_split,
};
use rstest::rstest;
use tempfile::{TempDir, tempdir};

/// A data set of small PNG files at the given paths; what ends in `/` is an empty folder.
fn folder_of(files: &[&str]) -> TempDir {
    let root = tempdir().unwrap();
    for file in files {
        match file.strip_suffix('/') {
            Some(folder) => fs::create_dir_all(root.path().join(folder)).unwrap(),
            None => save(&root.path().join(file), rgb(4, 3)),
        }
    }
    root
}

/// The labels of a data set.
fn labels(dataset: &dyn Dataset) -> Vec<usize> {
    (0..dataset.len()).map(|index| dataset.label(index)).collect()
}

/// Kaggle's and Roboflow's names as well as ImageNet's; the part that was taken is told.
#[rstest]
#[case("val", &["validation/a/1.png", "test/a/1.png"])]
#[case("validation", &["valid/x/1.png", "test/x/1.png"])]
#[case("valid", &["test/x/1.png"])]
#[case("test", &[])]
#[case("Val", &[])]
fn parts_share_their_classes(#[case] name: &str, #[case] others: &[&str]) {
    let mut files = vec!["train/a/1.png", "train/a/2.png", "train/b/1.png"];
    let own = ["a/1.png", "b/1.png"].map(|file| format!("{name}/{file}"));
    files.extend(own.iter().map(String::as_str));
    files.extend(others);
    let root = folder_of(&files);
    let [train, validation] = open_split(root.path(), Channels::Rgb).unwrap();
    assert_eq!(
        [&train.path, &validation.path],
        [&root.path().join("train"), &root.path().join(name)]
    );
    assert_eq!((train.dataset.len(), validation.dataset.len()), (3, 2));
    assert_eq!(train.dataset.classes(), validation.dataset.classes());
    // Whoever measures gets the same.
    let alone = open_part(root.path(), Wanted::Validation, Channels::Rgb, None).unwrap();
    assert_eq!((alone.path, labels(&*alone.dataset)), (validation.path, vec![0, 1]));
}

/// C3: a part that was taken for a class would give an accuracy of nothing.
#[rstest]
#[case(&["train/a/1.png", "test/a/1.png"])]
#[case(&["train/a/1.png"])]
#[case(&["val/a/1.png"])]
#[case(&["Validation/a/1.png", "Training/a/1.png"])]
fn parts_are_no_classes(#[case] files: &[&str]) {
    let error = ImageFolder::open(folder_of(files).path(), Channels::Rgb).unwrap_err();
    assert!(matches!(error, DataError::Parts(PartError::PartsForClasses { .. })), "{error}");
}

#[test]
fn a_class_named_like_a_part_is_asked_about() {
    let root = folder_of(&["cat/1.png", "dog/1.png", "test/1.png"]);
    for wanted in [Wanted::Training, Wanted::Validation] {
        let error = open_part(root.path(), wanted, Channels::Rgb, None).unwrap_err();
        assert!(matches!(error, DataError::Parts(PartError::PartsOrClasses { .. })), "{error}");
        assert!(error.to_string().contains("test may be a part"), "{error}");
    }
    // Within a part there is no question.
    let root =
        folder_of(&["train/cat/1.png", "train/test/1.png", "val/cat/1.png", "val/test/1.png"]);
    let [train, _] = open_split(root.path(), Channels::Rgb).unwrap();
    assert_eq!(train.dataset.classes(), ["cat", "test"]);
}

#[rstest]
#[case::train_alone(&["train/a/1.png"], "validation")]
#[case::val_alone(&["val/a/1.png"], "training")]
#[case::classes(&["a/1.png", "b/1.png"], "training")]
fn a_missing_part_is_named(#[case] files: &[&str], #[case] missing: &str) {
    let root = folder_of(files);
    let error = open_split(root.path(), Channels::Rgb).unwrap_err();
    let DataError::Parts(PartError::PartMissing { part, .. }) = &error else { panic!("{error}") };
    assert_eq!(*part, missing);
}

#[test]
fn one_part_will_do_for_what_it_is_for() {
    let root = folder_of(&["val/a/1.png", "val/b/1.png"]);
    let part = open_part(root.path(), Wanted::Validation, Channels::Rgb, None).unwrap();
    assert_eq!(part.dataset.len(), 2);
    let error = open_part(root.path(), Wanted::Training, Channels::Rgb, None).unwrap_err();
    assert!(
        matches!(error, DataError::Parts(PartError::PartMissing { part: "training", .. })),
        "{error}"
    );
    let root = folder_of(&["train/a/1.png"]);
    let error = open_part(root.path(), Wanted::Validation, Channels::Rgb, None).unwrap_err();
    assert!(error.to_string().contains("val, validation, valid, test"), "{error}");
    // Without parts, all of it.
    let root = folder_of(&["a/1.png", "b/1.png"]);
    let part = open_part(root.path(), Wanted::Training, Channels::Rgb, None).unwrap();
    assert_eq!((part.dataset.len(), part.path.as_path()), (2, root.path()));
}

/// The labels behind the class that is missing stay what they are.
#[rstest]
#[case::missing(&[])]
#[case::empty(&["val/cat/"])]
fn a_class_without_validation_pictures_keeps_its_label(#[case] more: &[&str]) {
    let train = ["train/ant/1.png", "train/cat/1.png", "train/dog/1.png"];
    let val = ["val/ant/1.png", "val/dog/1.png"];
    let root = folder_of(&[&train[..], &val, more].concat());
    let [train, validation] = open_split(root.path(), Channels::Rgb).unwrap();
    assert_eq!(validation.dataset.classes(), train.dataset.classes());
    assert_eq!(labels(&*validation.dataset), [0, 2]);
    assert_eq!(classes_without_pictures(&*validation.dataset), ["cat"]);
    assert!(classes_without_pictures(&*train.dataset).is_empty());
}

/// Pictures that are there and cannot be used are another matter.
#[test]
fn a_validation_class_of_other_files_is_an_error() {
    let root = folder_of(&["train/a/1.png", "train/b/1.png", "val/a/1.png", "val/b/"]);
    fs::write(root.path().join("val/b/1.heic"), "").unwrap();
    let error = open_split(root.path(), Channels::Rgb).unwrap_err();
    assert!(matches!(&error, DataError::EmptyClass { path, .. } if path.ends_with("val/b")));
    assert!(error.to_string().contains(".heic"), "{error}");
}

#[test]
fn parts_with_other_classes_are_refused() {
    let root = folder_of(&["train/a/1.png", "train/b/1.png", "val/b/1.png", "val/c/1.png"]);
    let open = [
        open_split(root.path(), Channels::Rgb).unwrap_err(),
        open_part(root.path(), Wanted::Validation, Channels::Rgb, None).unwrap_err(),
    ];
    for error in open {
        let DataError::Parts(PartError::ClassesDiffer { only_first, only_second, .. }) = &error
        else {
            panic!("{error}")
        };
        assert_eq!([&only_first[..], &only_second[..]], [["a".to_owned()], ["c".to_owned()]]);
        let text = error.to_string();
        assert!(text.contains("only in the first: a") && text.contains("only in the second: c"));
    }
}

/// A network's classes in the network's order, whatever the folder's is.
#[test]
fn classes_may_be_given() {
    let classes = ["zebra", "ant", "cat"].map(str::to_owned);
    let root = folder_of(&["ant/1.png", "zebra/1.png"]);
    let part = open_part(root.path(), Wanted::Validation, Channels::Rgb, Some(&classes)).unwrap();
    assert_eq!(part.dataset.classes(), classes);
    assert_eq!(labels(&*part.dataset), [0, 1]);
    assert!(part.dataset.name(0).contains("zebra"));
    let root = folder_of(&["ant/1.png", "bee/1.png"]);
    let error = open_part(root.path(), Wanted::Validation, Channels::Rgb, Some(&classes));
    let error = error.unwrap_err();
    let DataError::Parts(PartError::UnknownClasses { unknown, missing, .. }) = &error else {
        panic!("{error}")
    };
    assert_eq!((unknown.join(" "), missing.join(" ")), ("bee".to_owned(), "zebra cat".to_owned()));
}

#[test]
fn an_archive_of_parts_is_no_set_of_classes() {
    let root = folder_of(&["x/train/a/1.png", "x/val/a/1.png"]);
    let archive = root.path().join("set.tar");
    let mut tar = tar::Builder::new(fs::File::create(&archive).unwrap());
    for part in ["train", "val"] {
        tar.append_dir_all(part, root.path().join("x").join(part)).unwrap();
    }
    tar.finish().unwrap();
    let error = dyrep_data::TarFolder::open(&archive, Channels::Rgb).unwrap_err();
    assert!(matches!(error, DataError::Parts(PartError::PartsForClasses { .. })), "{error}");
}

/// An archive of small PNG files at the given paths.
fn archive_of(files: &[&str], path: &Path) {
    let folder = folder_of(files);
    let mut tar = tar::Builder::new(fs::File::create(path).unwrap());
    tar.append_dir_all("", folder.path()).unwrap();
    tar.finish().unwrap();
}

/// The labels of a part that is an archive are those of the classes asked for, too.
#[test]
fn an_archive_has_the_classes_asked_for() {
    let root = tempdir().unwrap();
    archive_of(&["ant/1.png", "ant/2.png", "zebra/1.png"], &root.path().join("train.tar"));
    let part = |classes: &[&str]| {
        let classes: Vec<String> = classes.iter().map(|class| (*class).to_owned()).collect();
        open_part(root.path(), Wanted::Training, Channels::Rgb, Some(&classes))
    };
    let turned = part(&["zebra", "yak", "ant"]).unwrap().dataset;
    assert_eq!(turned.classes(), ["zebra", "yak", "ant"]);
    let named = |index| (turned.label(index), turned.name(index).contains("zebra"));
    assert_eq!([0, 1, 2].map(named), [(0, true), (2, false), (2, false)]);
    let error = part(&["zebra"]).unwrap_err();
    assert!(matches!(error, DataError::Parts(PartError::UnknownClasses { .. })), "{error}");
}

#[test]
fn no_class_is_asked_for_twice() {
    let root = folder_of(&["a/1.png", "b/1.png"]);
    let classes = ["a", "b", "a"].map(str::to_owned);
    let error = ImageFolder::open_of(root.path(), &classes, Channels::Rgb).unwrap_err();
    let DataError::Parts(PartError::ClassTwice { class }) = &error else { panic!("{error}") };
    assert_eq!(class, "a");
}

/// An archive is a part as well as a folder is.
#[test]
fn archives_are_named_among_the_parts() {
    let root = folder_of(&["devkit/a/1.png"]);
    archive_of(&["a/1.png"], &root.path().join("train.tar"));
    let error = open_part(root.path(), Wanted::Training, Channels::Rgb, None).unwrap_err();
    assert!(error.to_string().contains("train.tar may be a part"), "{error}");
    let error =
        open_part(folder_of(&["val/a/1.png"]).path(), Wanted::Training, Channels::Rgb, None);
    assert!(error.unwrap_err().to_string().contains("an archive named train.tar"));
}

/// The folder without a ground truth is the one that is there.
#[test]
fn a_flat_part_is_named() {
    let root = folder_of(&["train/a/1.png", "valid/1.png"]);
    let error = open_part(root.path(), Wanted::Validation, Channels::Rgb, None).unwrap_err();
    assert!(error.to_string().contains(&*root.path().join("valid").to_string_lossy()), "{error}");
}
