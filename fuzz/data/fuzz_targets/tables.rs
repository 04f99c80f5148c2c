//! IDX files, CIFAR's archive, and ILSVRC's ground truth with its synsets; the first byte says which.

#![no_main]

use dyrep_data::{Cifar10, Cifar100, Dataset, GroundTruth, Idx, Synsets};
use dyrep_data_fuzz::{file, folder, halves};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 3 {
        0 => idx(bytes),
        1 => ground_truth(bytes),
        _ => cifar(bytes),
    }
});

fn idx(bytes: &[u8]) {
    let Some((labels, pictures)) = halves(bytes) else { return };
    for part in ["train", "t10k"] {
        file(&format!("{part}-labels-idx1-ubyte"), labels);
        file(&format!("{part}-images-idx3-ubyte"), pictures);
    }
    for parts in [Idx::open(folder()), Idx::mnist(folder()), Idx::fashion_mnist(folder())] {
        for part in parts.iter().flatten() {
            for index in 0..part.len() {
                assert!(part.label(index) < part.classes().len());
                let image = part.image(index).expect("what was opened can be read");
                assert_eq!([image.height(), image.width()], part.size());
            }
        }
    }
}

fn ground_truth(bytes: &[u8]) {
    let Some((synsets, truth)) = halves(bytes) else { return };
    let synsets = Synsets::read(file("synsets.txt", synsets)).ok();
    for name in ["truth.txt", "LOC_val_solution.csv"] {
        if let Ok(truth) = GroundTruth::read(file(name, truth), synsets.as_ref()) {
            assert_eq!(truth.is_empty(), truth.len() == 0);
        }
    }
}

fn cifar(bytes: &[u8]) {
    let archive = file("cifar.tar.gz", bytes);
    let _ = (Cifar10::train(&archive).is_ok(), Cifar100::test(&archive).is_ok());
}
