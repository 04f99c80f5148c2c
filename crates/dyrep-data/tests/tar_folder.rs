//! Images read from tar archives: the same as from folders, and nothing else.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod archive;
mod common;

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use archive::{header, open, png, tar_of};
use common::{rgb, save};
use dyrep_data::{
    Batch, Channels, DataError, Dataset, ImageFolder, Loader, LoaderConfig, PartError, Pipeline,
    TarError, TarFolder,
};
use rstest::rstest;
use tar::{Builder, EntryType, Header};
use tempfile::{TempDir, tempdir};

fn refusal(archive: &[u8]) -> TarError {
    match open(archive).1.unwrap_err() {
        DataError::Tar(error) => error,
        other => panic!("{other}"),
    }
}

fn names(data: &TarFolder) -> Vec<String> {
    let root = data.path(0).ancestors().find(|path| path.ends_with("x.tar")).unwrap().to_owned();
    let name = |index| data.path(index).strip_prefix(&root).unwrap().display().to_string();
    (0..data.len()).map(name).collect()
}

/// A folder of files in an order that is easily got wrong.
fn folder() -> TempDir {
    let root = tempdir().unwrap();
    let files = [
        "B/x.png",
        "a/z.png",
        "a/sub/1.png",
        "a/sub-2/1.png",
        "a/sub/deep/1.png",
        "b/10.PNG",
        "b/2.png",
        "a/.hidden.png",
        ".cache/c/1.png",
        "loose.png",
    ];
    for (number, file) in files.iter().enumerate() {
        save(&root.path().join(file), rgb(40 + number as u32, 30));
    }
    fs::write(root.path().join("a/notes.txt"), "no image").unwrap();
    root
}

fn load(data: Arc<dyn Dataset>) -> Vec<Batch> {
    let config = LoaderConfig { batch_size: 3, shuffle: true, threads: 2, ..Default::default() };
    let loader = Loader::new(data, Pipeline::imagenet_train(8).unwrap(), config).unwrap();
    loader.epoch(3).collect::<Result<_, _>>().unwrap()
}

fn check_like_folder(root: &Path, archive: &[u8]) {
    let want = ImageFolder::open(root, Channels::Rgb).unwrap();
    let (_kept, found) = open(archive);
    let found = found.unwrap();
    assert_eq!(found.classes(), want.classes());
    assert_eq!(found.len(), want.len());
    for index in 0..want.len() {
        let name = want.path(index).strip_prefix(root).unwrap().to_owned();
        assert!(found.path(index).ends_with(&name), "{} for {name:?}", found.name(index));
        assert_eq!(found.label(index), want.label(index));
        assert_eq!(found.image(index).unwrap(), want.image(index).unwrap());
    }
    assert_eq!(load(Arc::new(found)), load(Arc::new(want)));
}

#[rstest]
#[case::bare("")]
#[case::dot("./")]
#[case::around("data/train")]
fn a_tar_of_a_folder_is_read_as_the_folder(#[case] around: &str) {
    let root = folder();
    // Around all classes there may be no other file.
    if !around.is_empty() {
        fs::remove_file(root.path().join("loose.png")).unwrap();
    }
    let mut tar = Builder::new(Vec::new());
    tar.append_dir_all(around, root.path()).unwrap();
    check_like_folder(root.path(), &tar.into_inner().unwrap());
}

#[rstest]
#[case::as_published("")]
#[case::around("train/")]
fn a_tar_of_tars_is_read_as_folders(#[case] around: &str) {
    let root = folder();
    let mut tar = Builder::new(Vec::new());
    for class in ["b", "a", "B"] {
        let mut inner = Builder::new(Vec::new());
        inner.append_dir_all("", root.path().join(class)).unwrap();
        let inner = inner.into_inner().unwrap();
        let name = format!("{around}{class}.tar");
        tar.append(&header(name.as_bytes(), EntryType::Regular, inner.len()), &*inner).unwrap();
    }
    check_like_folder(root.path(), &tar.into_inner().unwrap());
}

/// GNU's and pax's ways of writing names longer than a header holds.
#[test]
fn long_names_are_whole() {
    let long = format!("class/{}/{}.png", "x".repeat(150), "y".repeat(150));
    let png = png();
    let mut gnu = Builder::new(Vec::new());
    let mut entry = Header::new_gnu();
    entry.set_size(png.len() as u64);
    gnu.append_data(&mut entry, &long, &*png).unwrap();
    let mut pax = Builder::new(Vec::new());
    pax.append_pax_extensions([("comment", b"c".as_slice()), ("path", long.as_bytes())]).unwrap();
    pax.append(&header(b"class/short.png", EntryType::Regular, png.len()), &*png).unwrap();
    for archive in [gnu.into_inner().unwrap(), pax.into_inner().unwrap()] {
        let (_kept, data) = open(&archive);
        let data = data.unwrap();
        assert_eq!(names(&data), std::slice::from_ref(&long));
        assert_eq!(data.image(0).unwrap().width(), 5);
    }
}

/// A length in an extended header counts, not the one in the header itself.
#[test]
fn extended_lengths_count() {
    let png = png();
    let mut tar = Builder::new(Vec::new());
    let size = png.len().to_string();
    tar.append_pax_extensions([("size", size.as_bytes())]).unwrap();
    tar.append(&header(b"a/1.png", EntryType::Regular, 0), &*png).unwrap();
    let (_kept, data) = open(&tar.into_inner().unwrap());
    assert_eq!(data.unwrap().image(0).unwrap().width(), 5);
}

#[rstest]
#[case::upwards(b"a/../../x.png", EntryType::Regular, "out of the archive")]
#[case::root(b"/etc/x.png", EntryType::Regular, "root of the file system")]
#[case::symbolic(b"a/x.png", EntryType::Symlink, "a symbolic link")]
#[case::symbolic_folder(b"a", EntryType::Symlink, "a symbolic link")]
#[case::hard(b"a/x.png", EntryType::Link, "a hard link")]
#[case::device(b"a/x.png", EntryType::Char, "a device")]
#[case::pipe(b"a/x.png", EntryType::Fifo, "a pipe")]
#[case::sparse(b"a/x.png", EntryType::GNUSparse, "a sparse file")]
#[case::unknown(b"a/x.png", EntryType::new(b'Q'), "of an unknown kind")]
fn what_is_no_file_of_the_archive_is_refused(
    #[case] name: &[u8],
    #[case] kind: EntryType,
    #[case] why: &str,
) {
    let mut tar = Builder::new(Vec::new());
    tar.append(&header(b"a/1.png", EntryType::Regular, 0), &[][..]).unwrap();
    let mut bad = header(name, kind, 0);
    bad.set_link_name("/etc/passwd").unwrap();
    bad.set_cksum();
    tar.append(&bad, &[][..]).unwrap();
    let error = refusal(&tar.into_inner().unwrap());
    let TarError::Refused { entry, reason, .. } = &error else { panic!("{error}") };
    assert_eq!(entry.as_bytes(), name);
    assert!(reason.contains(why), "{error}");
    assert!(error.to_string().contains("x.tar"), "{error}");
}

#[test]
fn sparse_files_in_pax_form_are_refused() {
    let mut tar = Builder::new(Vec::new());
    tar.append_pax_extensions([("GNU.sparse.major", b"1".as_slice())]).unwrap();
    tar.append(&header(b"a/1.png", EntryType::Regular, 0), &[][..]).unwrap();
    let error = refusal(&tar.into_inner().unwrap());
    assert!(matches!(error, TarError::Refused { .. }), "{error}");
}

#[test]
fn a_name_may_occur_once() {
    let error = refusal(&tar_of(&[(b"a/1.png", b""), (b"a/2.png", b""), (b"./a/1.png", b"")]));
    assert!(
        matches!(&error, TarError::Duplicate { path } if path.ends_with("x.tar/a/1.png")),
        "{error}"
    );
}

/// Cut after every block, the archive is an error until its first empty block is there.
#[test]
fn truncated_archives_are_refused() {
    let png = png();
    let inner = tar_of(&[(b"1.png", &png), (b"2.png", &png)]);
    let whole = tar_of(&[(b"a.tar", &inner), (b"b/1.png", &png), (b"b/2.png", &png)]);
    let enough = whole.len() - 512;
    assert_eq!(open(&whole[..enough]).1.unwrap().len(), 4);
    for length in (0..enough).step_by(256) {
        let error = refusal(&whole[..length]);
        let TarError::Truncated { found, expected, .. } = &error else { panic!("{error}") };
        assert_eq!(*found, length as u64);
        assert!(expected > found, "{error}");
    }
}

/// An archive inside may not reach beyond itself into the outer one.
#[test]
fn an_inner_archive_ends_where_it_ends() {
    let inner = tar_of(&[(b"1.png", &png())]);
    let cut = &inner[..inner.len() - 1024];
    let error = refusal(&tar_of(&[(b"a.tar", cut), (b"b/1.png", &png())]));
    let TarError::Truncated { path, .. } = &error else { panic!("{error}") };
    assert!(path.ends_with("x.tar/a.tar"), "{error}");

    let mut liar = header(b"1.png", EntryType::Regular, 100_000).as_bytes().to_vec();
    liar.extend([0; 1024]);
    let error = refusal(&tar_of(&[(b"a.tar", &liar), (b"b/1.png", &[7; 200_000])]));
    assert!(matches!(error, TarError::Truncated { .. }), "{error}");
}

#[rstest]
#[case::text(b"this is no archive".repeat(100))]
#[case::gzip([0x1F, 0x8B, 8, 0].repeat(512))]
fn what_is_no_tar_is_refused(#[case] bytes: Vec<u8>) {
    let error = refusal(&bytes);
    assert!(matches!(error, TarError::BadHeader { offset: 0, .. }), "{error}");
}

#[test]
fn a_damaged_header_is_refused() {
    let mut bytes = tar_of(&[(b"a/1.png", b""), (b"a/2.png", b"")]);
    bytes[512 + 3] ^= 1;
    let error = refusal(&bytes);
    assert!(matches!(error, TarError::BadHeader { offset: 512, .. }), "{error}");
}

/// Lengths near the end of what a number holds, and names of a gigabyte.
#[rstest]
#[case::huge(EntryType::Regular, u64::MAX)]
#[case::beyond(EntryType::Regular, 1 << 62)]
#[case::long_name(EntryType::GNULongName, 1 << 30)]
#[case::long_pax(EntryType::XHeader, u64::MAX - 512)]
fn impossible_lengths_are_refused(#[case] kind: EntryType, #[case] size: u64) {
    let mut entry = header(b"a/1.png", kind, 0);
    entry.set_size(size);
    entry.set_cksum();
    let bytes = [&entry.as_bytes()[..], &[0; 1024]].concat();
    let error = refusal(&bytes);
    assert!(matches!(error, TarError::Truncated { .. } | TarError::BadHeader { .. }), "{error}");
}

#[test]
fn classes_have_images_and_names() {
    let error = open(&tar_of(&[])).1.unwrap_err();
    assert!(matches!(error, DataError::NoClasses { .. }), "{error}");
    let error = open(&tar_of(&[(b"1.png", b""), (b"a/notes.txt", b"")])).1.unwrap_err();
    assert!(matches!(error, DataError::NoClasses { .. }), "{error}");
    let error = open(&tar_of(&[(b"\xFF/1.png", b"")])).1.unwrap_err();
    assert!(matches!(error, DataError::ClassNameNotUtf8 { .. }), "{error}");
    let empty = tar_of(&[]);
    let error = open(&tar_of(&[(b"a/1.png", b""), (b"b.tar", &empty)])).1.unwrap_err();
    assert!(
        matches!(&error, DataError::EmptyClass { path, .. } if path.ends_with("x.tar/b")),
        "{error}"
    );
    let mut tar = Builder::new(Vec::new());
    tar.append(&header(b"a/1.png", EntryType::Regular, 0), &[][..]).unwrap();
    tar.append(&header(b"c/", EntryType::Directory, 0), &[][..]).unwrap();
    let error = open(&tar.into_inner().unwrap()).1.unwrap_err();
    assert!(
        matches!(&error, DataError::EmptyClass { path, .. } if path.ends_with("x.tar/c")),
        "{error}"
    );
}

#[test]
fn file_names_need_not_be_utf8() {
    let (_kept, data) = open(&tar_of(&[(b"a/\xFF.png", &png())]));
    assert_eq!(data.unwrap().image(0).unwrap().width(), 5);
}

#[test]
fn files_that_are_no_images_fail_by_themselves() {
    let whole = png();
    let (root, data) =
        open(&tar_of(&[(b"a/1.png", &whole), (b"a/2.png", b""), (b"a/3.png", b"text")]));
    let data = data.unwrap();
    assert!(matches!(data.image(1).unwrap_err(), DataError::EmptyFile { .. }));
    assert!(matches!(data.image(2).unwrap_err(), DataError::UnknownFormat { .. }));
    // The archive may shrink while it is open.
    File::options().write(true).open(root.path().join("x.tar")).unwrap().set_len(600).unwrap();
    let error = data.image(0).unwrap_err();
    assert!(
        matches!(&error, DataError::Unreadable { path, .. } if path.ends_with("a/1.png")),
        "{error}"
    );
}

#[test]
fn a_folder_is_no_archive() {
    let root = tempdir().unwrap();
    let error = TarFolder::open(root.path(), Channels::Rgb).unwrap_err();
    assert!(matches!(error, DataError::NotAFile { .. }), "{error}");
    let error = TarFolder::open(root.path().join("x.tar"), Channels::Rgb).unwrap_err();
    assert!(matches!(error, DataError::Unreadable { .. }), "{error}");
}

/// With an archive in the place of the folder `train`, the two parts are what they were.
#[test]
fn the_training_part_may_be_an_archive() {
    let root = tempdir().unwrap();
    let picture = png();
    for file in ["val/a/1.png", "val/b/1.png"] {
        save(&root.path().join(file), rgb(5, 4));
    }
    let inner = |names: &[&str]| {
        let files: Vec<_> = names.iter().map(|name| (name.as_bytes(), &picture[..])).collect();
        tar_of(&files)
    };
    let (a, b) = (inner(&["a_1.png", "a_2.png"]), inner(&["b_1.png"]));
    let archive = root.path().join("ILSVRC2012_img_train.tar");
    fs::write(&archive, tar_of(&[(b"a.tar", &a), (b"b.tar", &b)])).unwrap();
    let parts = || dyrep_data::open_split(root.path(), Channels::Rgb);
    let [train, val] = parts().unwrap().map(|part| part.dataset);
    assert_eq!((train.len(), val.len()), (3, 2));
    assert_eq!(train.classes(), val.classes());
    assert_eq!(train.image(2).unwrap(), val.image(0).unwrap());

    // A folder goes before an archive.
    save(&root.path().join("train/a/1.png"), rgb(5, 4));
    save(&root.path().join("train/b/1.png"), rgb(5, 4));
    let [train, _] = parts().unwrap();
    assert_eq!(train.dataset.len(), 2);

    fs::remove_dir_all(root.path().join("train")).unwrap();
    fs::write(&archive, tar_of(&[(b"a.tar", &a)])).unwrap();
    let error = parts().unwrap_err();
    assert!(matches!(error, DataError::Parts(PartError::ClassesDiffer { .. })), "{error}");
}

/// Every picture keeps its name, and those in an archive inside that of the archive before it.
#[test]
fn names_have_a_largest_length() {
    let long = format!("{}.png", "x/".repeat(3000));
    let mut tar = Builder::new(Vec::new());
    tar.append_pax_extensions([("path", long.as_bytes())]).unwrap();
    tar.append(&header(b"a/1.png", EntryType::Regular, 0), &[][..]).unwrap();
    let error = refusal(&tar.into_inner().unwrap());
    assert!(error.to_string().contains("a name longer than any system's"), "{error}");
}
