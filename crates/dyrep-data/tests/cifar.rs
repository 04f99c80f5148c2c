//! CIFAR's files in their published format: generated ones, of full size.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use dyrep_data::{Cifar10, Cifar100, CifarError, DataError, Dataset};
use flate2::Compression;
use flate2::write::GzEncoder;
use rstest::rstest;
use tempfile::{TempDir, tempdir};

const PIXELS: usize = 3072;

/// Records whose labels and pixels tell their number.
fn records(count: usize, classes: &[usize], first: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count * (classes.len() + PIXELS));
    for record in first..first + count {
        bytes.extend(classes.iter().map(|classes| (record * 7 % classes) as u8));
        bytes.extend((0..PIXELS).map(|at| pixel(record, at)));
    }
    bytes
}

fn pixel(record: usize, at: usize) -> u8 {
    (record * 31 + at * 5 + at / 1024 * 77) as u8
}

/// As published, with an empty line at the end.
fn names(kind: &str, count: usize) -> String {
    (0..count).map(|class| format!("{kind}{class}\n")).chain(["\n".to_owned()]).collect()
}

/// Both sets, each in its published folder.
static PUBLISHED: LazyLock<TempDir> = LazyLock::new(|| {
    let root = tempdir().unwrap();
    let write = |file: &str, contents: &[u8]| {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    };
    for batch in 1..=5 {
        let contents = records(10_000, &[10], (batch - 1) * 10_000);
        write(&format!("cifar-10-batches-bin/data_batch_{batch}.bin"), &contents);
    }
    write("cifar-10-batches-bin/test_batch.bin", &records(10_000, &[10], 50_000));
    write("cifar-10-batches-bin/batches.meta.txt", names("class", 10).as_bytes());
    write("cifar-100-binary/train.bin", &records(50_000, &[20, 100], 0));
    write("cifar-100-binary/test.bin", &records(10_000, &[20, 100], 50_000));
    write("cifar-100-binary/coarse_label_names.txt", names("coarse", 20).as_bytes());
    write("cifar-100-binary/fine_label_names.txt", names("fine", 100).as_bytes());
    root
});

/// A folder with links to the files of a published one, for replacing some.
fn copy(folder: &str) -> TempDir {
    let root = tempdir().unwrap();
    for entry in fs::read_dir(PUBLISHED.path().join(folder)).unwrap().map(Result::unwrap) {
        fs::hard_link(entry.path(), root.path().join(entry.file_name())).unwrap();
    }
    root
}

fn replace(path: &Path, contents: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, contents).unwrap();
}

fn check_samples(data: &dyn Dataset, first: usize, classes: usize) {
    for index in [0, 1, 9_999, data.len() - 1] {
        let record = first + index;
        assert_eq!(data.label(index), record * 7 % classes);
        let image = data.image(index).unwrap();
        assert_eq!((image.width(), image.height(), image.channels()), (32, 32, 3));
        for (at, colours) in image.pixels().chunks_exact(3).enumerate() {
            let want = [0, 1, 2].map(|plane| pixel(record, plane * 1024 + at));
            assert_eq!(colours, want, "pixel {at} of {index}");
        }
    }
}

#[rstest]
#[case::around("")]
#[case::inside("cifar-10-batches-bin")]
fn cifar_10_is_read(#[case] folder: &str) {
    let root = PUBLISHED.path().join(folder);
    let (train, test) = (Cifar10::train(&root).unwrap(), Cifar10::test(&root).unwrap());
    assert_eq!((train.len(), test.len(), train.channels()), (50_000, 10_000, 3));
    assert_eq!((train.classes().len(), &*train.classes()[9]), (10, "class9"));
    check_samples(&train, 0, 10);
    check_samples(&test, 50_000, 10);
}

#[rstest]
#[case::around("")]
#[case::inside("cifar-100-binary")]
fn cifar_100_is_read_with_either_label(#[case] folder: &str) {
    let root = PUBLISHED.path().join(folder);
    let (train, test) = (Cifar100::train(&root).unwrap(), Cifar100::test(&root).unwrap());
    assert_eq!((train.len(), test.len()), (50_000, 10_000));
    assert_eq!((train.classes().len(), &*train.classes()[99]), (100, "fine99"));
    check_samples(&train, 0, 100);
    check_samples(&test, 50_000, 100);
    let coarse = test.coarse();
    assert_eq!((coarse.classes().len(), &*coarse.classes()[19]), (20, "coarse19"));
    check_samples(&coarse, 50_000, 20);
}

/// A tar of a published folder, compressed.
fn pack(folder: &str, archive: &Path, without: Option<&str>) {
    let encoder = GzEncoder::new(File::create(archive).unwrap(), Compression::fast());
    let mut tar = tar::Builder::new(encoder);
    for entry in fs::read_dir(PUBLISHED.path().join(folder)).unwrap().map(Result::unwrap) {
        if without.is_none_or(|without| entry.file_name() != without) {
            let inside = Path::new(folder).join(entry.file_name());
            tar.append_path_with_name(entry.path(), inside).unwrap();
        }
    }
    tar.into_inner().unwrap().finish().unwrap();
}

#[test]
fn archives_are_read_as_published() {
    let root = tempdir().unwrap();
    let archive = root.path().join("cifar-100-binary.tar.gz");
    pack("cifar-100-binary", &archive, None);
    for root in [root.path(), &archive] {
        let test = Cifar100::test(root).unwrap();
        assert_eq!(test.len(), 10_000);
        check_samples(&test, 50_000, 100);
    }
    pack("cifar-10-batches-bin", &root.path().join("cifar-10-binary.tar.gz"), None);
    check_samples(&Cifar10::train(root.path()).unwrap(), 0, 10);
}

#[test]
fn an_archive_may_lack_nothing_and_end_nowhere() {
    let root = tempdir().unwrap();
    let archive = root.path().join("c.tar.gz");
    pack("cifar-100-binary", &archive, Some("fine_label_names.txt"));
    let error = Cifar100::test(&archive).unwrap_err();
    let DataError::Cifar(CifarError::NotInArchive { missing, .. }) = &error else {
        panic!("{error}")
    };
    assert_eq!(*missing, "fine_label_names.txt");

    let whole = fs::read(&archive).unwrap();
    fs::write(&archive, &whole[..whole.len() / 10]).unwrap();
    let error = Cifar100::test(&archive).unwrap_err();
    assert!(
        matches!(
            error,
            DataError::Unreadable { .. } | DataError::Cifar(CifarError::WrongLength { .. })
        ),
        "{error}"
    );
    fs::write(&archive, "no archive").unwrap();
    let error = Cifar100::test(&archive).unwrap_err();
    assert!(matches!(error, DataError::Unreadable { .. }), "{error}");
}

#[rstest]
#[case::short(-1)]
#[case::long(1)]
#[case::a_record_less(-3073)]
#[case::empty(-30_730_000)]
fn other_lengths_are_refused(#[case] by: i64) {
    let root = copy("cifar-10-batches-bin");
    let path = root.path().join("data_batch_3.bin");
    let length = (30_730_000 + by) as u64;
    replace(&path, b"");
    File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
    let error = Cifar10::train(root.path()).unwrap_err();
    let DataError::Cifar(CifarError::WrongLength { path: named, found, expected }) = &error else {
        panic!("{error}")
    };
    assert_eq!((named, *found, *expected), (&path, length, 30_730_000));
    assert!(Cifar10::test(root.path()).is_ok());
}

#[rstest]
#[case::class("cifar-10-batches-bin", "test_batch.bin", 3073, 0, "class", 10)]
#[case::coarse("cifar-100-binary", "test.bin", 3074, 0, "coarse", 20)]
#[case::fine("cifar-100-binary", "test.bin", 3074, 1, "fine", 100)]
fn labels_must_be_in_range(
    #[case] folder: &str,
    #[case] file: &str,
    #[case] stride: usize,
    #[case] place: usize,
    #[case] want: &str,
    #[case] count: usize,
) {
    let root = copy(folder);
    let path = root.path().join(file);
    let mut contents = fs::read(&path).unwrap();
    contents[1234 * stride + place] = count as u8;
    replace(&path, &contents);
    let open = || -> Result<(), DataError> {
        match want {
            "class" => Cifar10::test(root.path()).map(drop),
            _ => Cifar100::test(root.path()).map(drop),
        }
    };
    let error = open().unwrap_err();
    let text = format!(
        "{}: record 1234 has the {want} label {count}; expected 0 to {}",
        path.display(),
        count - 1
    );
    assert_eq!(error.to_string(), text);
}

#[rstest]
#[case::too_few("a\nb\nc\n", 3)]
#[case::too_many(&names("class", 11), 11)]
#[case::empty_line("a\nb\nc\nd\ne\n\nf\ng\nh\ni\nj\n", 10)]
#[case::none("", 0)]
fn names_are_counted(#[case] text: &str, #[case] count: usize) {
    let root = copy("cifar-10-batches-bin");
    let path = root.path().join("batches.meta.txt");
    replace(&path, text.as_bytes());
    let error = Cifar10::test(root.path()).unwrap_err();
    let DataError::Cifar(CifarError::WrongNameCount { path: named, found, expected: 10 }) = &error
    else {
        panic!("{error}")
    };
    assert_eq!((named, *found), (&path, count));
}

#[test]
fn what_is_missing_is_named() {
    let empty = tempdir().unwrap();
    let error = Cifar10::train(empty.path()).unwrap_err();
    let DataError::Cifar(CifarError::NotFound { looked_for, .. }) = &error else {
        panic!("{error}")
    };
    let want =
        ["data_batch_1.bin", "cifar-10-batches-bin/data_batch_1.bin", "cifar-10-binary.tar.gz"];
    let want: Vec<PathBuf> = want.iter().map(|name| empty.path().join(name)).collect();
    assert_eq!(*looked_for, want);
    assert!(error.to_string().contains("no CIFAR-10 here"), "{error}");

    let error = Cifar100::train(empty.path().join("nowhere")).unwrap_err();
    assert!(matches!(error, DataError::FolderMissing { .. }), "{error}");

    let root = copy("cifar-10-batches-bin");
    fs::remove_file(root.path().join("data_batch_4.bin")).unwrap();
    let error = Cifar10::train(root.path()).unwrap_err();
    assert!(
        matches!(&error, DataError::Unreadable { path, .. } if path.ends_with("data_batch_4.bin")),
        "{error}"
    );
}
