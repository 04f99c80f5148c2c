//! RepOptimizer in two commands: a search for constants, and a training by them, which an interruption does not change.

use std::fs;

use crate::{dyrep, json, text};

#[test]
fn from_a_search_to_a_deployed_network() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let (search, run, whole) = (at("search"), at("run"), at("whole"));
    let small = ["train", "digits_quick", "--strategy", "repoptimizer", "--width", "2", "--epochs"];
    let searching = ["1", "--set", "strategy.search=true", "--out", text(&search)];
    json(&[&small[..], &searching].concat());
    // The stem and two in each of eight residual blocks.
    assert_eq!(json(&["inspect", text(&search)])["blocks"], 17);

    let scales = search.join("scales.json");
    let set = format!("strategy.scales={}", text(&scales));
    let training = |epochs: &'static str| [&small[..], &[epochs, "--set", &set, "--out"]].concat();
    json(&[&training("3")[..], &[text(&whole)]].concat());
    let ran = crate::trained::interrupted(&[&training("3")[..], &[text(&run)]].concat(), &run);
    assert_eq!(ran.code, 130, "{}{}", ran.output, ran.errors);
    assert_eq!(fs::read(run.join("scales.json")).unwrap(), fs::read(&scales).unwrap());
    // The run has its own.
    fs::remove_file(&scales).unwrap();
    json(&["train", "--resume", text(&run)]);
    let trained = |folder: &std::path::Path| fs::read(folder.join("trained.bpk")).unwrap();
    assert_eq!(trained(&run), trained(&whole));
    // Nothing is to be fused.
    assert_eq!(json(&["inspect", text(&run)])["blocks"], 0);

    let refused = ["train", "digits_quick", "--strategy", "repoptimizer", "--set"];
    let said = dyrep(&[&refused[..], &["optimizer.name=lamb"]].concat()).complaint(1);
    assert!(said.contains("`sgd` or `adamw`"), "{said}");
    let timed = ["bench", "resnet18", "--width", "2", "--image-size", "32", "--passes", "1"];
    let timed = json(&[&timed[..], &["--strategy", "plain,repoptimizer"]].concat());
    assert_eq!(timed["strategies"][1]["strategy"], "repoptimizer", "{timed}");
}
