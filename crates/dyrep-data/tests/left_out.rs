//! What a data set does not take is counted and named; what a class loses is noticed; links.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod common;

use std::fs::{self, File};
use std::sync::Arc;

use common::{rgb, save};
use dyrep_data::{
    Channels, DataError, Dataset, ImageFiles, ImageFolder, Loader, LoaderConfig, PartError,
    Pipeline, Subset, TarFolder,
};
use rstest::rstest;
use tempfile::{TempDir, tempdir};

/// Two classes of two pictures each, and files of the given names.
fn folder(others: &[&str]) -> TempDir {
    let root = tempdir().unwrap();
    for name in ["a/1.png", "a/2.png", "b/1.png", "b/2.png"] {
        save(&root.path().join(name), rgb(8, 6));
    }
    for name in others {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(path).unwrap();
    }
    root
}

const OTHERS: [&str; 8] = [
    "a/x.heic",
    "a/deep/Y.HEIC",
    "b/notes.txt",
    "b/README",
    "top.csv",
    "loose.JPG",
    "a/.hidden.heic",
    "b/.DS_Store",
];

#[test]
fn what_is_passed_over_is_counted_by_ending() {
    let root = folder(&OTHERS);
    let data = ImageFolder::open(root.path(), Channels::Rgb).unwrap();
    assert_eq!(data.len(), 4);
    let counted = "2 .heic, 1 .csv, 1 .jpg outside of the classes, 1 .txt, 1 without an ending";
    assert_eq!(data.left_out().to_string(), counted);
    assert_eq!(Subset::sample(Arc::new(data), 1, 0).left_out().to_string(), counted);

    let archive = root.path().join("set.tar");
    let mut tar = tar::Builder::new(File::create(&archive).unwrap());
    for class in ["a", "b"] {
        tar.append_dir_all(class, root.path().join(class)).unwrap();
    }
    tar.finish().unwrap();
    let data = TarFolder::open(&archive, Channels::Rgb).unwrap();
    assert_eq!(data.left_out().to_string(), "2 .heic, 1 .txt, 1 without an ending");

    let files = ImageFiles::new([root.path().join("a"), root.path().join("b")], Channels::Rgb);
    let counted = "1 .heic, 1 .txt, 1 folders, 1 without an ending";
    assert_eq!(files.unwrap().left_out().to_string(), counted);
    assert!(ImageFolder::open(folder(&[]).path(), Channels::Rgb).unwrap().left_out().is_empty());
}

#[test]
fn a_class_of_other_files_is_told_with_what_they_are() {
    let root = folder(&["c/1.heic", "c/2.heic", "c/list.txt"]);
    let error = ImageFolder::open(root.path(), Channels::Rgb).unwrap_err();
    assert!(matches!(&error, DataError::EmptyClass { path, .. } if path.ends_with("c")));
    assert!(error.to_string().contains("left out: 2 .heic, 1 .txt"), "{error}");
    let error = ImageFiles::new([root.path().join("c")], Channels::Rgb).unwrap_err();
    assert!(error.to_string().contains("left out: 2 .heic, 1 .txt"), "{error}");
}

fn load(root: &TempDir, threads: usize, config: LoaderConfig) -> Result<usize, DataError> {
    let data = ImageFolder::open(root.path(), Channels::Rgb).unwrap();
    let config = LoaderConfig { threads, batch_size: 3, shuffle: true, ..config };
    let loader = Loader::new(Arc::new(data), Pipeline::imagenet_eval(8, 8).unwrap(), config)?;
    loader.epoch(0).map(|batch| batch.map(|batch| batch.labels.len())).sum()
}

/// While it loads, a class may lose pictures, but not all of them.
#[rstest]
fn a_class_that_loses_all_its_pictures_stops_the_loader(#[values(0, 3)] threads: usize) {
    let root = folder(&["b/3.jpg", "c/1.jpg", "c/2.jpg", "c/3.png"]);
    let error = load(&root, threads, LoaderConfig::default()).unwrap_err();
    let DataError::ClassLost { class, samples } = &error else { panic!("{error}") };
    assert_eq!((class.as_str(), samples.len()), ("c", 3));
    assert!(error.to_string().contains("class `c`") && samples[0].contains("1.jpg"), "{error}");
    let lax = LoaderConfig { keep_classes: false, ..LoaderConfig::default() };
    assert_eq!(load(&root, threads, lax).unwrap(), 4);
    assert_eq!(load(&folder(&["b/3.jpg"]), threads, LoaderConfig::default()).unwrap(), 4);
}

#[cfg(unix)]
mod links {
    use super::*;
    use dyrep_data::Reading;
    use std::os::unix::fs::symlink;

    const FOLLOWING: fn() -> Reading = || Reading { follow_links: true, ..Channels::Rgb.into() };

    /// As subsets of ImageNet are made.
    #[test]
    fn classes_may_be_links_where_asked_for() {
        let pool = folder(&[]);
        let root = tempdir().unwrap();
        for class in ["a", "b"] {
            symlink(pool.path().join(class), root.path().join(class)).unwrap();
        }
        symlink(pool.path().join("a/1.png"), root.path().join("loose.png")).unwrap();
        let error = ImageFolder::open(root.path(), Channels::Rgb).unwrap_err();
        assert!(matches!(error, DataError::ForbiddenLink { .. }), "{error}");
        assert!(error.to_string().contains("follow_links"), "{error}");
        let data = ImageFolder::open(root.path(), FOLLOWING()).unwrap();
        assert_eq!((data.len(), data.classes().len()), (4, 2));
        assert!((0..4).all(|index| data.image(index).is_ok()));
    }

    #[test]
    fn files_may_be_links_where_asked_for() {
        let (pool, root) = (folder(&[]), folder(&[]));
        symlink(pool.path().join("b/2.png"), root.path().join("a/3.png")).unwrap();
        let data = ImageFolder::open(root.path(), FOLLOWING()).unwrap();
        assert_eq!(data.len(), 5);
        assert!(data.image(2).is_ok());
    }

    /// To itself, to a folder above, to one another, to one folder twice.
    #[rstest]
    #[case::itself(&[("a/loop", "a")])]
    #[case::above(&[("a/loop", "")])]
    #[case::root(&[("loop", "")])]
    #[case::one_another(&[("a/x", "b"), ("b/y", "a")])]
    #[case::twice(&[("c", "a"), ("d", "a")])]
    #[case::what_is_there_already(&[("c", "a")])]
    fn circles_of_links_end(#[case] links: &[(&str, &str)]) {
        let root = folder(&[]);
        for (link, target) in links {
            symlink(root.path().join(target), root.path().join(link)).unwrap();
        }
        let error = ImageFolder::open(root.path(), FOLLOWING()).unwrap_err();
        assert!(matches!(error, DataError::Parts(PartError::LinkedTwice { .. })), "{error}");
    }

    /// A link to a folder, and one to what lies in it.
    #[test]
    fn a_part_of_what_is_linked_is_read_once() {
        let (pool, root) = (folder(&[]), folder(&[]));
        fs::create_dir(pool.path().join("a/sub")).unwrap();
        symlink(pool.path().join("a/sub"), root.path().join("a/inner")).unwrap();
        symlink(pool.path().join("a"), root.path().join("z")).unwrap();
        let error = ImageFolder::open(root.path(), FOLLOWING()).unwrap_err();
        assert!(matches!(error, DataError::Parts(PartError::LinkedTwice { .. })), "{error}");
    }

    /// Each of twenty folders has two links to the next one: a million paths, were they all gone.
    #[test]
    fn branching_links_end() {
        let (root, pool) = (folder(&[]), tempdir().unwrap());
        for level in 0..20 {
            let folder = pool.path().join(level.to_string());
            fs::create_dir(&folder).unwrap();
            for link in ["x", "y"] {
                symlink(pool.path().join((level + 1).to_string()), folder.join(link)).unwrap();
            }
        }
        fs::create_dir(pool.path().join("20")).unwrap();
        symlink(pool.path().join("0"), root.path().join("a/deep")).unwrap();
        let error = ImageFolder::open(root.path(), FOLLOWING()).unwrap_err();
        assert!(matches!(error, DataError::Parts(PartError::LinkedTwice { .. })), "{error}");
    }
}
