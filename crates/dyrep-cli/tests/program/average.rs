//! Weights and their average, and what a run tells of its classes.

use crate::{dyrep, json, text};

/// Fails if the weights beside their average are not those that the run has evaluated, or a run without an average is
/// answered as if it had one.
#[test]
fn weights_are_evaluated_beside_their_average() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let train = ["train", "digits_quick", "--width", "2", "--epochs", "1", "--out", text(&run)];
    let averaged = [&train[..], &["--set", "optimizer.ema_decay=0.9"]].concat();
    let said = dyrep(&averaged).good();
    assert!(said.output.contains("raw.bpk (not averaged)"), "{}", said.output);
    let record = std::fs::read_to_string(run.join("run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let epoch = &record["epochs"][0];
    let evaluated = json(&["eval", text(&run), "--raw", "--by-class"]);
    // One is a share of pictures, the other Burn's mean of batches.
    let near = |got: &serde_json::Value, want: &serde_json::Value| {
        let off = got.as_f64().unwrap() - want.as_f64().unwrap();
        assert!(off.abs() < 1e-6, "{got} and {want}");
    };
    near(&evaluated["raw_accuracy"], &epoch["weights_accuracy"]);
    near(&evaluated["accuracy"], &epoch["accuracy"]);
    let alone = json(&["eval", text(&run.join("raw.bpk"))]);
    assert_eq!(alone["accuracy"], evaluated["raw_accuracy"]);
    assert!(alone["raw_accuracy"].is_null());

    // What is told of each class is of the network that was deployed, which is the average.
    let told = record["deployment"]["by_class"].as_array().unwrap();
    let rows = evaluated["by_class"].as_array().unwrap();
    assert_eq!(told.len(), 10);
    for (told, row) in told.iter().zip(rows) {
        assert_eq!(told["pictures"], row["pictures"]);
        let others = told["taken_for"].as_array().unwrap();
        let wrong: u64 = others.iter().map(|other| other[1].as_u64().unwrap()).sum();
        let [pictures, correct] = ["pictures", "correct"].map(|key| told[key].as_u64().unwrap());
        assert_eq!(correct + wrong, pictures);
    }
    let report = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(report.contains("<table class=\"matrix\">") && report.contains("Lowest: "));

    let plain = folder.path().join("plain");
    let train = [&train[..7], &[text(&plain)]].concat();
    dyrep(&train).good();
    assert!(!plain.join("raw.bpk").exists());
    let error = dyrep(&["eval", text(&plain), "--raw"]).complaint(1);
    assert!(error.contains("no weights beside their average"), "{error}");
}
