//! The shipped digits and their fixed split.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::collections::HashMap;

use dyrep_data::{Dataset, Digits};

fn rows(digits: &Digits) -> Vec<(Vec<u8>, usize)> {
    (0..digits.len()).map(|i| (digits.image(i).unwrap().into_pixels(), digits.label(i))).collect()
}

fn counts(digits: &Digits) -> [usize; 10] {
    let mut counts = [0; 10];
    for index in 0..digits.len() {
        counts[digits.label(index)] += 1;
    }
    counts
}

#[test]
fn all_of_them_are_there() {
    let all = Digits::all();
    assert_eq!((all.len(), all.channels(), all.classes().len()), (1797, 1, 10));
    assert_eq!(all.classes()[7], "7");
    // Of the file: zcat digits.csv.gz | cut -d, -f65 | sort | uniq -c
    assert_eq!(counts(&all), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    let rows = rows(&all);
    // Of the file: zcat digits.csv.gz | awk -F, '{for(i=1;i<65;i++)s+=$i}END{print s}'
    let sum: u64 = rows.iter().flat_map(|(pixels, _)| pixels).map(|&p| u64::from(p)).sum();
    assert_eq!(sum, SUM);
    assert_eq!(rows[0].0[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
    let largest = rows.iter().flat_map(|(pixels, _)| pixels).max().unwrap();
    assert_eq!(f32::from(*largest), Digits::MAX_VALUE);
}
const SUM: u64 = 561718;

#[test]
fn train_and_test_are_disjoint_and_complete() {
    let (train, test) = (rows(&Digits::train()), rows(&Digits::test()));
    assert_eq!((train.len(), test.len()), (1437, 360));
    // As a multiset, so that equal pictures, were there any, would not hide a lost one.
    let mut left: HashMap<_, i32> = HashMap::new();
    for row in rows(&Digits::all()) {
        *left.entry(row).or_default() += 1;
    }
    for row in train.iter().chain(&test) {
        *left.get_mut(row).unwrap() -= 1;
    }
    assert!(left.values().all(|&count| count == 0));
    assert!(test.iter().all(|row| !train.contains(row)));
}

#[test]
fn every_class_gives_a_fifth() {
    let (all, test) = (counts(&Digits::all()), counts(&Digits::test()));
    for (class, (&all, &test)) in all.iter().zip(&test).enumerate() {
        assert!(test == all / 5 || test == all.div_ceil(5), "class {class}: {test} of {all}");
    }
}
