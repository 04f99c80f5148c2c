//! The hand-written loop, run as a user runs it.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

#[test]
fn it_learns_grows_and_deploys() {
    let tests = std::env::current_exe().unwrap();
    let target = tests.parent().and_then(Path::parent).unwrap();
    let output = Command::new(target.join("examples").join("custom_loop")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().filter(|line| line.contains("grew ")).count(), 3, "{text}");
    let accuracy = |start: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(start)).unwrap();
        line[start.len()..].split('%').next().unwrap().parse().unwrap()
    };
    let (trained, deployed) = (accuracy("epoch 8: "), accuracy("deployed: "));
    assert!(trained > 80.0, "{text}");
    assert!((trained - deployed).abs() < 0.5, "{text}");
}
