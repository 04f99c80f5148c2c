//! IDX files: what is written is read, and nothing that lies is.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::fs;
use std::io::Write;
use std::path::Path;

use dyrep_data::{DataError, Dataset, Idx, IdxError, SampleRng};
use flate2::Compression;
use flate2::write::GzEncoder;
use rstest::rstest;
use tempfile::{TempDir, tempdir};

fn file(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let magic = 0x0800 + u32::try_from(sizes.len()).unwrap();
    let numbers = [&[magic], sizes].concat();
    let head = numbers.iter().flat_map(|number| number.to_be_bytes());
    head.chain(values.iter().copied()).collect()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bytes of no pattern.
fn noise(count: u32, below: u32, rng: &mut SampleRng) -> Vec<u8> {
    (0..count).map(|_| rng.below(below) as u8).collect()
}

/// Contents of the four files in order: pictures and labels for training, then for testing.
type Files = [Vec<u8>; 4];

fn files(counts: [u32; 2], [height, width]: [u32; 2], rng: &mut SampleRng) -> Files {
    let [train, test] = counts.map(|count| {
        let pictures = noise(count * height * width, 256, rng);
        let mut labels = noise(count, 10, rng);
        // The last class is there.
        labels[0] = 9;
        [file(&[count, height, width], &pictures), file(&[count], &labels)]
    });
    let ([a, b], [c, d]) = (train, test);
    [a, b, c, d]
}

const NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

fn folder(files: &Files) -> TempDir {
    let root = tempdir().unwrap();
    for (name, bytes) in NAMES.iter().zip(files) {
        fs::write(root.path().join(name), bytes).unwrap();
    }
    root
}

fn error_of(root: &Path) -> IdxError {
    match Idx::open(root).unwrap_err() {
        DataError::Idx(error) => error,
        other => panic!("{other}"),
    }
}

/// Random sets in every spelling, packed or not; a packed file may lack its ending.
#[test]
fn what_is_written_is_read() {
    let mut rng = SampleRng::new(9, 0, 0);
    for round in 0..60 {
        let counts = [1 + rng.below(20), 1 + rng.below(20)];
        let size = [1 + rng.below(30), 1 + rng.below(30)];
        let files = files(counts, size, &mut rng);
        let root = tempdir().unwrap();
        for (name, bytes) in NAMES.iter().zip(&files) {
            let mut name = (*name).to_owned();
            if rng.below(2) == 0 {
                name = name.replace("-idx", ".idx");
            }
            if rng.below(2) == 0 {
                name = name.replace("t10k", "test");
            }
            let (pack, ending) = (rng.below(2) == 0, rng.below(3) > 0);
            let bytes = if pack { packed(bytes) } else { bytes.clone() };
            let ending = if pack && ending { ".gz" } else { "" };
            fs::write(root.path().join(name + ending), bytes).unwrap();
        }
        let parts = Idx::open(root.path()).unwrap();
        for (part, ((count, pictures), labels)) in
            parts.iter().zip(counts.iter().zip([&files[0], &files[2]]).zip([&files[1], &files[3]]))
        {
            assert_eq!((part.len(), part.size()), (*count as usize, size), "round {round}");
            assert_eq!((part.classes().len(), part.channels()), (10, 1));
            for index in 0..part.len() {
                assert_eq!(part.label(index), usize::from(labels[8 + index]));
                let image = part.image(index).unwrap();
                assert_eq!([image.height(), image.width()], size);
                let area = image.pixels().len();
                assert_eq!(image.pixels(), &pictures[16 + index * area..][..area]);
            }
        }
    }
}

/// Any byte too few and any too many, packed or not, is an error that names the file.
#[rstest]
fn another_length_is_refused(#[values(false, true)] pack: bool) {
    let files = files([3, 2], [2, 2], &mut SampleRng::new(1, 0, 0));
    for (at, bytes) in files.iter().enumerate() {
        let mut longer = bytes.clone();
        longer.push(0);
        let cut = (0..bytes.len()).map(|kept| bytes[..kept].to_vec());
        for wrong in cut.chain([longer]) {
            let mut files = files.clone();
            files[at] = if pack { packed(&wrong) } else { wrong.clone() };
            let error = Idx::open(folder(&files).path()).unwrap_err().to_string();
            assert!(error.contains(NAMES[at]), "{error}");
            assert!(wrong.len() < 16 || error.contains(&bytes.len().to_string()), "{error}");
        }
    }
    // And one that is cut while it is packed.
    let mut files = files.clone();
    files[0] = packed(&files[0]);
    files[0].truncate(files[0].len() - 9);
    assert!(Idx::open(folder(&files).path()).is_err());
}

/// Four thousand million pictures in twenty bytes take no memory.
#[rstest]
#[case::count(0, 4, u32::MAX, "count")]
#[case::one_more(0, 4, 4, "declares")]
#[case::height(0, 8, u32::MAX, "height")]
#[case::no_height(0, 8, 0, "height")]
#[case::width(0, 12, u32::MAX, "height")]
#[case::no_width(2, 12, 0, "width")]
#[case::magic(0, 0, 0x0801, "magic number")]
#[case::floats(2, 0, 0x0D03, "magic number")]
#[case::labels_for_pictures(1, 0, 0x0803, "magic number")]
#[case::labels(1, 4, u32::MAX, "declares")]
fn fields_that_lie_are_named(
    #[case] which: usize,
    #[case] at: usize,
    #[case] value: u32,
    #[case] field: &str,
    #[values(false, true)] pack: bool,
) {
    let mut files = files([3, 2], [2, 2], &mut SampleRng::new(2, 0, 0));
    files[which][at..at + 4].copy_from_slice(&value.to_be_bytes());
    if pack {
        files[which] = packed(&files[which]);
    }
    let error = error_of(folder(&files).path()).to_string();
    assert!(error.contains(NAMES[which]) && error.contains(field), "{error}");
}

#[test]
fn every_number_of_the_largest_size_is_refused() {
    let mut files = files([3, 2], [2, 2], &mut SampleRng::new(3, 0, 0));
    files[0][4..16].fill(0xFF);
    let error = error_of(folder(&files).path());
    assert!(matches!(error, IdxError::Field { .. }), "{error}");
}

#[test]
fn counts_must_agree() {
    let mut rng = SampleRng::new(4, 0, 0);
    let mut mixed = files([3, 2], [2, 2], &mut rng);
    mixed[1] = files([4, 2], [2, 2], &mut rng)[1].clone();
    let error = error_of(folder(&mixed).path());
    assert!(matches!(error, IdxError::CountsDiffer { pictures: 3, labels: 4, .. }), "{error}");
}

#[test]
fn labels_are_those_of_the_training_part() {
    let mut files = files([3, 2], [2, 2], &mut SampleRng::new(5, 0, 0));
    files[3][9] = 10;
    let error = error_of(folder(&files).path());
    let IdxError::LabelOutOfRange { record: 1, found: 10, classes: 10, .. } = error else {
        panic!("{error}")
    };
}

#[test]
fn the_known_sets_have_their_size_and_names() {
    let files = files([3, 2], [28, 28], &mut SampleRng::new(6, 0, 0));
    let root = folder(&files);
    let [digits, _] = Idx::mnist(root.path()).unwrap();
    assert_eq!(digits.classes()[9], "9");
    let [_, clothes] = Idx::fashion_mnist(root.path()).unwrap();
    assert_eq!((clothes.len(), clothes.classes()[9].as_str()), (2, "Ankle boot"));
    let small = folder(&self::files([3, 2], [28, 27], &mut SampleRng::new(7, 0, 0)));
    let error = Idx::mnist(small.path()).unwrap_err().to_string();
    assert!(error.contains("width is 27; expected 28"), "{error}");
}

#[test]
fn what_is_missing_is_named_with_its_spellings() {
    let root = folder(&files([3, 2], [2, 2], &mut SampleRng::new(8, 0, 0)));
    fs::remove_file(root.path().join(NAMES[2])).unwrap();
    let error = error_of(root.path()).to_string();
    for part in ["test pictures", "t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte", ".gz"] {
        assert!(error.contains(part), "{error}");
    }
    let error = Idx::open(root.path().join("nowhere")).unwrap_err();
    assert!(matches!(error, DataError::FolderMissing { .. }), "{error}");
}

/// Some unpack each file into a folder that is called as the file.
#[test]
fn folders_with_the_names_of_files_are_looked_into() {
    let files = files([3, 2], [4, 5], &mut SampleRng::new(7, 0, 0));
    let (plain, nested) = (folder(&files), tempdir().unwrap());
    for (name, bytes) in NAMES.iter().zip(&files) {
        fs::create_dir(nested.path().join(name)).unwrap();
        fs::write(nested.path().join(name).join(name), bytes).unwrap();
    }
    let [want, got] = [&plain, &nested].map(|root| Idx::open(root.path()).unwrap());
    for (want, got) in want.iter().zip(&got) {
        assert_eq!(want.len(), got.len());
        assert!((0..want.len()).all(|at| want.image(at).unwrap() == got.image(at).unwrap()));
    }
}
