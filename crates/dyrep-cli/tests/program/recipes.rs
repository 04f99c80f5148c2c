//! Recipes as the program shows them.

use crate::{dyrep, json, text};

#[test]
fn a_recipe_is_printed_to_start_from() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine.toml");
    let printed = dyrep(&["train", "imagenet_resnet18", "--print"]).good().output;
    assert!(printed.starts_with('#'), "with its comments");
    std::fs::write(&mine, printed).unwrap();
    let changed = ["train", text(&mine), "--image-size", "32", "--epochs", "7", "--print"];
    let printed = dyrep(&changed).good().output;
    for told in ["epochs = 7", "image_size = 32", "stem = \"small\"", "size = 32", "color_jitter"] {
        assert!(printed.contains(told), "{told}: {printed}");
    }
}

/// Nothing is written, and the largest network is larger than the first, where it grows.
#[test]
fn a_training_is_tried_before_it_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    let small = ["train", "digits_quick", "--width", "2", "--dry-run"];
    let tried = json(&small);
    assert_eq!((&tried["pictures"], &tried["steps_per_epoch"]), (&[1437, 360].into(), &22.into()));
    let [start, largest] = ["start", "largest"].map(|of| &tried[of]);
    for what in ["branches", "params", "macs"] {
        assert!(largest[what].as_u64() > start[what].as_u64(), "{what}: {tried}");
    }
    assert!(start["seconds"].as_f64() > Some(0.0));
    let within = json(&[&small[..], &["--set", "strategy.budget={flops=1.2}"]].concat());
    assert!(within["largest"]["macs"].as_f64() <= start["macs"].as_f64().map(|macs| 1.2 * macs));
    assert!(json(&[&small[..], &["--strategy", "dbb"]].concat())["largest"].is_null());
    let said = dyrep(&small).good().output;
    assert!(said.contains("as it starts") && said.contains("at its largest"), "{said}");
    let out = folder.path().join("run");
    dyrep(&[&small[..], &["--out", text(&out)]].concat()).complaint(2);
    assert!(!out.exists());
}

/// Rates rise until the loss is far from its lowest, which is below the first one.
#[test]
fn a_rate_is_searched_for() {
    let search = ["train", "digits_quick", "--width", "4", "--find-rate"];
    let found = json(&search);
    let points = found["points"].as_array().unwrap();
    let of = |point: &serde_json::Value, what: &str| point[what].as_f64().unwrap();
    assert!(points.len() > 50, "{}", points.len());
    assert!(points.windows(2).all(|pair| of(&pair[0], "rate") < of(&pair[1], "rate")));
    let [steepest, lowest] = ["steepest", "lowest"].map(|what| found[what].as_f64().unwrap());
    assert!(1e-6 < steepest && steepest < lowest && lowest <= 10.0, "{steepest} {lowest}");
    assert_eq!(found["learning_rate"], 0.1);
    assert!(dyrep(&search).good().output.contains("the loss falls most at"));
}

/// A last epoch at a rate that spoils everything is not what is shipped, if the best is asked for.
#[test]
fn the_best_epochs_network_is_kept_and_shipped_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let best = run.join("best.bpk");
    let begin = ["train", "digits_quick", "--width", "2", "--epochs", "2", "--strategy", "plain"];
    let ship = ["--set", "evaluation.ship=best", "--out", text(&run)];
    json(&[&begin[..], &ship].concat());
    let spoil = ["train", "--resume", text(&run), "--epochs", "3", "--learning-rate", "20"];
    let summary = json(&spoil);
    assert_eq!(summary["best_epoch"], 2, "{summary}");
    let of = |file: &std::path::Path| json(&["eval", text(file)])["accuracy"].clone();
    let [best, deployed, last] = [&best, &run.join("deployed.bpk"), &run].map(|file| of(file));
    assert_eq!(best, deployed);
    assert_eq!(best, summary["accuracy_after_deployment"]);
    assert!(last.as_f64() < best.as_f64(), "{last} {best}");
}
