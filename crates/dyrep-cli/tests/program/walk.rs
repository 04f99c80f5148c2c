//! The way of a new user: train on a folder, stop, resume, inspect, deploy, verify, export, predict.
//!
//! What a training arrives at hangs on the CPU, whose rounding it magnifies: on one the network tells all of these few
//! pictures apart, on another half of them. So nothing here asks how good it is. Ways to the same numbers on one machine
//! are held against each other, and the rest is true of any network.

use std::path::Path;

use safetensors::SafeTensors;

use crate::trained::{
    CLASSES, PICTURES, SMALL, Said, Trained, assert_counts, check_prediction, classes, number,
    trained,
};
use crate::{VALIDATION, difference, dyrep, json, tensor, text};

/// Of the largest logit, between two forms of one network: what `dyrep verify` allows. Seen: 5e-7.
const SAME: f32 = 1e-4;
/// Of the largest logit, between what is said of different pictures, at least. Seen: 1.3.
const OTHER: f32 = 1e-2;
/// What INT8 is off by, at least and at most, of the largest logit. Seen: 9e-3.
const INT8: [f32; 2] = [1e-4, 0.5];

/// Fails if Ctrl-C does not end a run as one that can go on, if what is there then cannot be used, if resuming forgets
/// epochs, or if `inspect` tells of another network than the training did.
#[test]
fn a_run_is_stopped_resumed_and_inspected() {
    let trained = trained();
    let Trained { run, stopped, midway, summary, .. } = &*trained;
    assert_eq!(stopped.code, 130, "{}{}", stopped.output, stopped.errors);
    let hint = format!("dyrep train --resume {}", run.display());
    assert!(stopped.output.contains(&hint), "{}", stopped.output);
    let [inspected, evaluated] = midway;
    assert_eq!((&inspected["model"], &inspected["classes"]), (&"resnet18".into(), &CLASSES.into()));
    assert_eq!(evaluated["pictures"], PICTURES);
    assert_eq!(summary["epochs"].as_array().unwrap().len(), 5);

    // The layers' costs and what is around them are the network's.
    let inspected = json(&["inspect", text(run)]);
    assert_eq!(inspected["class_names"], serde_json::json!(classes()));
    assert_eq!(inspected["trained"]["params"], summary["trained"]["params"]);
    assert_eq!(inspected["deployed"]["params"], summary["deployed"]["params"]);
    assert_eq!(inspected["trained"]["macs"], summary["trained"]["flops"]);
    assert_eq!(inspected["input"]["side"], 16);
    // What grew last is cut at the next change of structure at the earliest, and there is none.
    assert!(inspected["blocks"].as_u64().unwrap() >= 1, "nothing has grown");
    for layer in inspected["layers"].as_array().unwrap() {
        let outermost = layer["branches"].as_array().unwrap().iter().filter(|it| it["depth"] == 1);
        let parts: u64 = outermost.map(|it| it["cost"]["params"].as_u64().unwrap()).sum();
        assert!(parts == 0 || parts == layer["trained"]["params"], "{layer}");
    }
}

/// Fails if deploying or converting changes a network, if a file lacks what `eval` and `predict` need far from the run, if
/// either reads pictures in another way than the other or than the training, or if they count otherwise than the logits
/// say.
#[test]
fn what_is_deployed_is_the_same_network_from_every_file() {
    let (trained, folder) = (trained(), tempfile::tempdir().unwrap());
    let Trained { data, run, shipped, summary, .. } = &*trained;
    let burn = folder.path().join("shipped.bpk");
    json(&["convert", text(shipped), text(&burn)]);
    assert!(number(&summary["largest_relative_difference"]) < SAME.into(), "{summary}");
    // Each picture in each class's folder: whatever the network says, of the seven places of a picture one is right, and
    // five are among the first five. Batches of the same pictures give the same logits to the bit.
    let everywhere = folder.path().join("everywhere");
    for (class, from) in classes().iter().flat_map(|class| classes().map(|from| (class, from))) {
        std::fs::create_dir_all(everywhere.join(class)).unwrap();
        for number in 0..VALIDATION {
            let picture = data.join("val").join(from).join(format!("{number}.png"));
            let copy = everywhere.join(class).join(format!("{from}-{number}.png"));
            std::fs::copy(picture, copy).unwrap();
        }
    }

    let want = Said::by(run, data);
    // The control: what is said of other pictures is something else.
    let mut others = want.logits.clone();
    others.rotate_left(VALIDATION as usize * CLASSES);
    assert!(difference(&others, &want.logits) > OTHER, "{:?}", want.logits);
    for file in [shipped, &burn] {
        assert_eq!(json(&["verify", text(run), text(file)])["holds"], true);
        let said = Said::by(file, data);
        let far = difference(&said.logits, &want.logits);
        assert!(far < SAME, "{}: {far:.1e}", file.display());
        assert_eq!(said.predictions.len(), PICTURES);
        for (prediction, logits) in said.predictions.iter().zip(said.logits.chunks(CLASSES)) {
            check_prediction(prediction, logits);
        }
        let evaluated = json(&["eval", text(file), "--data", text(data)]);
        assert_counts(&evaluated, PICTURES, [1, 5].map(|first| said.right(first)));
        let batch = PICTURES.to_string();
        check_classes(file, data, &said);
        let all = ["eval", text(file), "--data", text(&everywhere), "--batch-size", &batch];
        assert_counts(&json(&all), CLASSES * PICTURES, [1, 5].map(|first| first * PICTURES));
    }
    // The training measured the same files in the same batches.
    for (file, told) in [("trained.bpk", "before"), ("deployed.bpk", "after")] {
        let evaluated = json(&["eval", text(&run.join(file)), "--batch-size", "12"]);
        let told = &summary[format!("accuracy_{told}_deployment")];
        assert!(
            (number(&evaluated["accuracy"]) - number(told)).abs() < 1e-12,
            "{evaluated} {told}"
        );
    }
}

/// Fails if the weights of `--weights` are not those that a training starts from, in any tensor: one with next to no
/// learning rate moves nothing but the norms' statistics.
#[test]
fn another_training_starts_from_what_is_shipped() {
    let (trained, folder) = (trained(), tempfile::tempdir().unwrap());
    let Trained { data, shipped, .. } = &*trained;
    let [again, weights] = ["again", "again.safetensors"].map(|name| folder.path().join(name));
    let start = ["train", "imagenet_resnet18", "--data", text(data)];
    let on = ["--out", text(&again), "--weights", text(shipped), "--epochs", "1"];
    json(&[&start[..], &on, &SMALL, &["--learning-rate", "1e-7"]].concat());
    json(&["convert", text(&again), text(&weights)]);
    let mut moved = 0;
    let bytes = std::fs::read(shipped).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for name in tensors.names().into_iter().filter(|name| !name.contains("num_batches")) {
        let [(got, shape), (want, _)] = [&weights, shipped].map(|file| tensor(file, name));
        let far = difference(&got, &want);
        match name.contains("running_") {
            true => moved += usize::from(far > SAME),
            false => assert!(far < SAME, "{name} {shape:?} is off by {far:.1e}"),
        }
    }
    assert!(moved > 0, "nothing was trained");
    let wide = [&start[..], &["--image-size", "16", "--weights", text(shipped)]].concat();
    let refused = dyrep(&wide).complaint(1);
    assert!(refused.contains("partial"), "{refused}");
}

/// Fails if INT8 gives what has nothing to do with the network or is not rounded at all, if a layer is left out of the
/// check, or if the file is not told from others or is too large.
#[test]
fn int8_is_close_and_told_what_it_is() {
    let (trained, folder) = (trained(), tempfile::tempdir().unwrap());
    let Trained { data, run, shipped, .. } = &*trained;
    let int8 = folder.path().join("int8.safetensors");
    let rounded = ["quantize", text(run), text(&int8), "--check-pictures", "6"];
    // Calibrated on all training pictures: in a class that it has not seen INT8 clips what is larger than elsewhere.
    let quantized = json(&rounded);
    let layers = quantized["check"]["layers"].as_array().unwrap();
    let inspected = json(&["inspect", text(run)]);
    assert_eq!(layers.len(), inspected["layers"].as_array().unwrap().len() + 1);
    assert!(layers.iter().all(|layer| layer["accuracy_alone"].is_number()), "{quantized}");

    let [said, want] = [&int8, shipped].map(|file| Said::by(file, data));
    let far = difference(&said.logits, &want.logits);
    assert!((INT8[0]..INT8[1]).contains(&far), "off by {far:.1e}");
    let evaluated = json(&["eval", text(&int8), "--data", text(data)]);
    assert_counts(&evaluated, PICTURES, [1, 5].map(|first| said.right(first)));
    assert!(evaluated["model"].as_str().unwrap().contains("INT8"), "{evaluated}");
    json(&["inspect", text(&int8)]);
    for ending in ["bpk", "onnx"] {
        let other = folder.path().join(format!("int8.{ending}"));
        let refused = dyrep(&["convert", text(&int8), text(&other)]).complaint(1);
        assert!(refused.contains("wants the file that they were rounded from"), "{refused}");
    }
    let [small, large] = [&int8, shipped].map(|file| std::fs::metadata(file).unwrap().len());
    assert!(small < large / 2, "{small} of {large} bytes");

    // No accuracy rises by as much as this asks for.
    let kept = [&rounded[..], &["--force", "--keep", "^conv1$", "--max-drop", "-200"]].concat();
    let kept = dyrep(&kept);
    assert_eq!(kept.code, 3, "{}{}", kept.output, kept.errors);
    assert!(kept.output.lines().any(|line| line.starts_with("conv1 ") && line.contains("f32")));
}

/// People get text, no longer than 80 columns but for what a training's changes tell.
#[test]
fn people_get_text_and_a_report() {
    let (trained, folder) = (trained(), tempfile::tempdir().unwrap());
    let Trained { data, run, summary, .. } = &*trained;
    let page = folder.path().join("report.html");
    let compared = folder.path().join("compared.html");
    let both = ["report", text(run), text(run), "--out", text(&compared)];
    let told = json(&both);
    assert_eq!(told["runs"].as_array().unwrap().len(), 2);
    assert_eq!(told["runs"][1]["deployed_accuracy"], summary["accuracy_after_deployment"]);
    let written = std::fs::read_to_string(&compared).unwrap();
    assert!(written.matches(text(run)).count() >= 4, "in the table and beside the curves");
    assert!(dyrep(&both).complaint(1).contains("--force"));
    let reported = json(&["report", text(run), "--out", text(&page)]);
    assert_eq!(reported["record"]["state"], "finished");
    assert!(std::fs::read_to_string(page).unwrap().contains("</html>"));
    for arguments in [
        &["inspect", text(run)][..],
        &["verify", text(run)],
        &["eval", text(run)],
        &["report", text(run)],
        &["predict", text(run), text(&data.join("val/rose/1.png"))],
        &["bench", "resnet18", "--width", "2", "--image-size", "32", "--passes", "1"],
    ] {
        let ran = dyrep(arguments).good();
        assert!(ran.errors.is_empty(), "{}", ran.errors);
        let long = data.parent().unwrap().display().to_string();
        for line in ran.output.lines().filter(|line| !line.contains(&long)) {
            let told = line.starts_with("grew") || line.starts_with("cut");
            assert!(told || line.chars().count() <= 80, "{arguments:?}: {line}");
        }
    }
}

/// What each class was taken for is what the logits say.
fn check_classes(file: &Path, data: &Path, said: &Said) {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("confusion.csv");
    let evaluate = ["eval", text(file), "--data", text(data), "--by-class", "--confusion"];
    let evaluate = [&evaluate[..], &[text(&table)]].concat();
    let evaluated = json(&evaluate);
    let want = said.confusion();
    let written = std::fs::read_to_string(&table).unwrap();
    for (class, (name, line)) in classes().into_iter().zip(written.lines().skip(1)).enumerate() {
        let counts: Vec<String> = want[class].iter().map(ToString::to_string).collect();
        assert_eq!(line, format!("{name},{}", counts.join(",")));
        let told = &evaluated["by_class"][class];
        assert_eq!(told["class"], name);
        assert_eq!(told["correct"], want[class][class]);
        assert_eq!(told["pictures"], want[class].iter().sum::<usize>());
    }
    assert_eq!(written.lines().count(), 1 + CLASSES);
    for pair in evaluated["most_confused"].as_array().unwrap() {
        let [class, taken_for] = ["class", "taken_for"]
            .map(|of| classes().iter().position(|name| pair[of] == *name).unwrap());
        assert!(class != taken_for && pair["pictures"] == want[class][taken_for], "{pair}");
    }
    assert!(dyrep(&evaluate).complaint(1).contains("--force"));
}
