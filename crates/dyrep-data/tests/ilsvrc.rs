//! A flat validation folder and its ground truth, in the forms in which they are published.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod common;

use std::fs;
use std::path::Path;

use common::{rgb, save};
use dyrep_data::{
    Channels, DataError, Dataset, GroundTruth, GroundTruthError, ImageFolder, Synsets, open_split,
};
use rstest::rstest;
use tempfile::{TempDir, tempdir};

/// In the order of their numbers, which is not the alphabetical one.
const NUMBERED: &str = "n02119789 1 kit_fox\nn02100735 2 English_setter\nn01440764 3 tench\n";
const LISTED: &str = "n02119789 kit fox, Vulpes macrotis\nn02100735 English setter\nn01440764\n";
const ALPHABETICAL: &str = "n01440764 tench\nn02100735 English setter\nn02119789 kit fox\n";

/// Classes of the pictures 1 to 4, in all forms.
const IDS: &str = "3\n1\n1\n2\n";
const WNIDS: &str = "n01440764\r\nn02119789\r\nn02119789\r\nn02100735\r\n";
const CSV: &str = "ImageId,PredictionString\n\
                   ILSVRC2012_val_00000004,n02100735 85 1 499 272 \n\
                   ILSVRC2012_val_00000001,n01440764 0 1 2 3 n01440764 4 5 6 7\n\
                   ILSVRC2012_val_00000003,n02119789 0 1 2 3\n\
                   ILSVRC2012_val_00000002,n02119789 0 1 2 3\n";
/// The same as labels: places in the sorted classes.
const LABELS: [usize; 4] = [0, 2, 2, 1];

/// Three classes to train with, four pictures in a flat folder, and text files.
fn ilsvrc(files: &[(&str, &str)]) -> TempDir {
    let root = tempdir().unwrap();
    for class in ["n01440764", "n02100735", "n02119789"] {
        save(&root.path().join("train").join(class).join("1.JPEG"), rgb(4, 3));
    }
    for number in 1..=4 {
        save(&val(root.path(), number), rgb(4, 3));
    }
    for (file, text) in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn val(root: &Path, number: usize) -> std::path::PathBuf {
    root.join(format!("val/ILSVRC2012_val_{number:08}.JPEG"))
}

const TRUTH: &str = "ILSVRC2012_validation_ground_truth.txt";
const DEVKIT: &str = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt";

#[rstest]
#[case::kaggle(&[("LOC_val_solution.csv", CSV)])]
#[case::classes(&[(TRUTH, WNIDS)])]
#[case::numbers(&[(TRUTH, IDS), ("map_clsloc.txt", NUMBERED)])]
#[case::list(&[(TRUTH, IDS), ("synsets.txt", LISTED)])]
#[case::devkit(&[(DEVKIT, IDS), ("ILSVRC2012_devkit_t12/data/map_clsloc.txt", NUMBERED)])]
#[case::beside_the_folder(&[(DEVKIT, IDS), ("map_clsloc.txt", NUMBERED)])]
#[case::kaggle_first(&[("LOC_val_solution.csv", CSV), (TRUTH, "1\n"), ("synsets.txt", ALPHABETICAL)])]
fn a_flat_folder_finds_its_classes(#[case] files: &[(&str, &str)]) {
    let root = ilsvrc(files);
    let [train, val] = open_split(root.path(), Channels::Rgb).unwrap().map(|part| part.dataset);
    assert_eq!(train.classes(), val.classes());
    assert_eq!((0..val.len()).map(|index| val.label(index)).collect::<Vec<_>>(), LABELS);
    for index in 0..4 {
        assert_eq!(val.name(index), self::val(root.path(), index + 1).display().to_string());
        assert_eq!(val.image(index).unwrap().width(), 4);
    }
}

fn open(root: &Path) -> GroundTruthError {
    match open_split(root, Channels::Rgb).unwrap_err() {
        DataError::GroundTruth(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_flat_folder_without_classes_says_what_was_looked_for() {
    let root = ilsvrc(&[]);
    let error = open(root.path());
    let GroundTruthError::Missing { folder, looked_for } = &error else { panic!("{error}") };
    assert_eq!(*folder, root.path().join("val"));
    assert_eq!(looked_for.len(), 3);
    for name in ["LOC_val_solution.csv", TRUTH, DEVKIT] {
        assert!(looked_for.contains(&root.path().join(name)));
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn numbers_without_a_list_say_what_was_looked_for() {
    let root = ilsvrc(&[(DEVKIT, IDS)]);
    let error = open(root.path());
    let GroundTruthError::NoSynsets { path, looked_for } = &error else { panic!("{error}") };
    assert_eq!(*path, root.path().join(DEVKIT));
    assert_eq!(looked_for.len(), 4);
    assert!(error.to_string().contains("map_clsloc.txt"), "{error}");
}

/// The mistake that would go unnoticed: the labels would be wrong and the files all in order.
#[test]
fn an_alphabetical_list_does_not_number_classes() {
    let root = ilsvrc(&[(TRUTH, IDS), ("synsets.txt", ALPHABETICAL)]);
    let error = open(root.path());
    assert!(matches!(error, GroundTruthError::Alphabetical { .. }), "{error}");
    assert!(error.to_string().contains("synsets.txt"), "{error}");
}

#[rstest]
#[case::zero("3\n0\n1\n2\n", 2, "a number from 1 to 3")]
#[case::too_large("3\n1\n1\n4\n", 4, "a number from 1 to 3")]
#[case::no_number("3\n1\nn02119789\n2\n", 3, "a number from 1 to 3")]
#[case::empty_line("3\n1\n\n1\n2\n", 3, "a number from 1 to 3")]
#[case::sentence("n01440764\nno class\n", 2, "one class")]
#[case::csv("ImageId,PredictionString\na,\n", 2, "picture,class boxes")]
#[case::twice("ImageId,PredictionString\na,b 1\na,c 1\n", 3, "no other line")]
fn malformed_lines_are_named(#[case] text: &str, #[case] number: usize, #[case] want: &str) {
    let root = ilsvrc(&[(TRUTH, text), ("map_clsloc.txt", NUMBERED)]);
    let error = open(root.path());
    let GroundTruthError::Line { line, expected, .. } = &error else { panic!("{error}") };
    assert_eq!(*line, number);
    assert!(expected.contains(want), "{error}");
}

#[rstest]
#[case::number_twice("a 1 x\nb 1 y\n", 2)]
#[case::number_too_large("a 1 x\nb 3 y\n", 2)]
#[case::number_zero("a 0 x\nb 1 y\n", 1)]
#[case::class_twice("a x\na y\n", 2)]
#[case::empty_line("a x\n\nb y\n", 2)]
fn malformed_lists_are_named(#[case] text: &str, #[case] number: usize) {
    let root = tempdir().unwrap();
    let path = root.path().join("list.txt");
    fs::write(&path, text).unwrap();
    let error = Synsets::read(&path).unwrap_err();
    let DataError::GroundTruth(GroundTruthError::Line { line, .. }) = &error else {
        panic!("{error}")
    };
    assert_eq!(*line, number, "{error}");
}

#[test]
fn lists_have_numbers_and_words() {
    let root = tempdir().unwrap();
    let read = |text: &str| {
        let path = root.path().join("list.txt");
        fs::write(&path, text).unwrap();
        Synsets::read(&path).unwrap()
    };
    let numbered = read("n02100735 2 English_setter\nn02119789 1 kit_fox\n");
    assert_eq!((numbered.wnid(1), numbered.wnid(2)), (Some("n02119789"), Some("n02100735")));
    assert_eq!((numbered.wnid(0), numbered.wnid(3), numbered.len()), (None, None, 2));
    assert_eq!(numbered.words("n02119789"), Some("kit_fox"));
    let listed = read(LISTED);
    assert_eq!(listed.wnid(3), Some("n01440764"));
    assert_eq!(listed.words("n02119789"), Some("kit fox, Vulpes macrotis"));
    assert_eq!((listed.words("n01440764"), listed.words("n0")), (None, None));
    // Good for the words, if not for the numbers.
    assert_eq!(read(ALPHABETICAL).words("n01440764"), Some("tench"));
}

#[test]
fn pictures_and_lines_must_be_there_for_each_other() {
    let root = ilsvrc(&[(TRUTH, WNIDS)]);
    fs::remove_file(val(root.path(), 3)).unwrap();
    let error = open(root.path());
    let GroundTruthError::ImagesMissing { found: 3, expected: 4, missing, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(missing, "picture 3");

    save(&val(root.path(), 5), rgb(4, 3));
    let error = open(root.path());
    assert!(
        matches!(&error, GroundTruthError::Unlabelled { image, .. } if *image == val(root.path(), 5)),
        "{error}"
    );

    let root = ilsvrc(&[(TRUTH, WNIDS)]);
    save(&val(root.path(), 2).with_extension("png"), rgb(4, 3));
    let error = open(root.path());
    assert!(matches!(&error, GroundTruthError::LabelledTwice { .. }), "{error}");

    let root = ilsvrc(&[("LOC_val_solution.csv", CSV)]);
    save(&root.path().join("val/x.JPEG"), rgb(4, 3));
    let error = open(root.path());
    assert!(matches!(&error, GroundTruthError::Unlabelled { .. }), "{error}");
}

#[test]
fn a_class_that_was_not_trained_is_refused() {
    let root = ilsvrc(&[(TRUTH, "n01440764\nn09999999\nn02119789\nn02100735\n")]);
    let error = open(root.path());
    let GroundTruthError::UnknownClass { image, class, .. } = &error else { panic!("{error}") };
    assert_eq!((&**image, &**class), ("ILSVRC2012_val_00000002.JPEG", "n09999999"));
}

/// Labels follow the classes given, in whatever order they are.
#[test]
fn the_classes_may_be_given() {
    let root = ilsvrc(&[("truth.txt", WNIDS)]);
    let truth = GroundTruth::read(root.path().join("truth.txt"), None).unwrap();
    assert_eq!(truth.len(), 4);
    let classes = ["n02119789", "n01440764", "n02100735", "other"].map(str::to_owned);
    let val =
        ImageFolder::open_flat(root.path().join("val"), &truth, &classes, Channels::Rgb).unwrap();
    assert_eq!(val.classes(), classes);
    assert_eq!((0..4).map(|index| val.label(index)).collect::<Vec<_>>(), [1, 0, 0, 2]);
}

#[test]
fn an_empty_val_has_no_classes() {
    let root = ilsvrc(&[]);
    (1..=4).for_each(|number| fs::remove_file(val(root.path(), number)).unwrap());
    let error = open_split(root.path(), Channels::Rgb).unwrap_err();
    assert!(matches!(error, DataError::NoClasses { .. }), "{error}");
}
