//! What goes wrong is said in one line that names the thing, with an exit code that says whose mistake it was.

use std::io::Read;
use std::process::Stdio;

use crate::{command, dyrep, flowers, json, text};

#[test]
fn arguments_that_make_no_sense_are_refused() {
    for (arguments, told) in [
        (&["train"][..], "RECIPE"),
        (&["bench", "resnet19"], "resnet18"),
        (&["bench", "resnet18", "--strategy", "dbx"], "dbb"),
        (&["bench", "resnet18", "--passes", "0"], "above 0"),
        (&["predict", "w.bpk"], "IMAGES"),
        (&["predict", "w.bpk", "a.png", "--batch", "b.safetensors"], "--batch"),
        (&["eval", "w.bpk", "--set", "imagenette"], "fashion_mnist"),
        (&["deploy", "w.bpk"], "OUT"),
        (&["nothing"], "nothing"),
    ] {
        let complaint = dyrep(arguments).complaint(2);
        assert!(complaint.contains(told), "{arguments:?}: {complaint}");
    }
}

#[test]
fn files_that_will_not_do_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("text.pth"), "no weights").unwrap();
    std::fs::create_dir(path("empty")).unwrap();
    std::fs::write(path("run.json"), "{}").unwrap();
    let shown = path("");
    let in_folder = |arguments: &[&str]| {
        crate::Ran::of(command().args(arguments).current_dir(&shown).output().unwrap())
    };
    for (arguments, told) in [
        (&["inspect", "nothing.pth"][..], "nothing.pth"),
        (&["inspect", "text.pth"], "it is text; weights are safetensors, PyTorch's"),
        (&["eval", "empty"], "trained.bpk"),
        (&["report", "empty"], "run.json"),
        (&["report", "."], "run.json"),
        (&["train", "resnet"], "imagenet_resnet18"),
        (&["train", "mine.toml"], "mine.toml"),
        (&["train", "digits_quick", "--set", "schedule.epoch=3"], "epochs"),
        (&["train", "digits_quick", "--device", "gpu"], "flex"),
        (&["train", "imagenet_resnet18", "--data", "nothing"], "nothing"),
        (&["train", "--resume", "empty"], "run.json"),
        (&["convert", "text.pth", "out.pth"], ".safetensors"),
        (&["bench", "vgg16", "--image-size", "16"], "32"),
    ] {
        let complaint = in_folder(arguments).complaint(1);
        assert!(complaint.contains(told), "{arguments:?}: {complaint}");
    }
}

/// A value is what it stands for, whatever it looks like.
#[test]
fn paths_are_paths() {
    let complaint = dyrep(&["train", "imagenet_resnet18", "--data", "2012"]).complaint(1);
    assert!(complaint.contains("2012") && !complaint.contains("string"), "{complaint}");
}

#[test]
fn one_class_is_nothing_to_learn() {
    let folder = tempfile::tempdir().unwrap();
    let data = flowers(folder.path(), 1);
    let arguments = ["train", "imagenet_resnet18", "--data", text(&data), "--image-size", "16"];
    let complaint = dyrep(&arguments).complaint(1);
    assert!(complaint.contains("one class"), "{complaint}");
}

/// A run goes on where its data went, without the file that it began with, and refuses what its checkpoint does not fit.
#[test]
fn a_run_goes_on_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let weights = network(folder.path());
    let (data, run) = (folder.path().join("flowers"), folder.path().join("again"));
    let own = folder.path().join("weights.bpk");
    std::fs::copy(&weights, &own).unwrap();
    let arguments = ["train", "imagenet_resnet18", "--data", text(&data), "--out", text(&run)];
    let small = ["--image-size", "16", "--width", "2", "--epochs", "1", "--batch-size", "12"];
    let quick = ["--set", "strategy.calibration_batches=1", "--threads", "0", "--weights"];
    dyrep(&[&arguments[..], &small, &quick, &[text(&own)]].concat()).good();
    std::fs::remove_file(&own).unwrap();
    let moved = folder.path().join("moved");
    std::fs::rename(&data, &moved).unwrap();
    let resume = |more: &[&str]| dyrep(&[&["train", "--resume", text(&run)][..], more].concat());
    assert!(resume(&["--epochs", "2"]).complaint(1).contains("flowers"));
    let refused = resume(&["--data", text(&moved), "--batch-size", "7"]).complaint(1);
    assert!(refused.contains("`optimizer.batch_size` is 7 and was 12"), "{refused}");
    let refused = resume(&["--data", text(&moved), "--image-size", "32"]).complaint(1);
    assert!(refused.contains("`data.image_size` is 32 and was 16"), "{refused}");
    resume(&["--data", text(&moved), "--epochs", "2"]).good();
    // What was changed once holds for the next resume, from wherever it is made.
    let elsewhere = command()
        .args(["train", "--resume", text(&run), "--set", "schedule.epochs=3"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    crate::Ran::of(elsewhere).good();
    let record = std::fs::read_to_string(run.join("run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["epochs"].as_array().unwrap().len(), 3);
    assert_eq!(record["history"].as_array().unwrap().len(), 2);
    // Other classes under the same numbers are another training.
    for part in ["train", "val"] {
        std::fs::rename(moved.join(part).join("rose"), moved.join(part).join("zinnia")).unwrap();
    }
    let refused = resume(&["--epochs", "4"]).complaint(1);
    assert!(refused.contains("the run began with the class `rose`"), "{refused}");
}

/// Before its first checkpoint a run has nothing but what it began with.
#[test]
fn a_run_without_a_checkpoint_begins_with_its_weights() {
    let folder = tempfile::tempdir().unwrap();
    let weights = network(folder.path());
    let (data, run) = (folder.path().join("flowers"), folder.path().join("again"));
    let arguments = ["train", "imagenet_resnet18", "--data", text(&data), "--out", text(&run)];
    let small = ["--image-size", "16", "--width", "2", "--epochs", "1", "--batch-size", "12"];
    let quick = ["--set", "strategy.calibration_batches=1", "--threads", "0"];
    let none = ["--set", "run.checkpoints_kept=0", "--weights", text(&weights)];
    dyrep(&[&arguments[..], &small, &quick, &none].concat()).good();
    let again = dyrep(&["train", "--resume", text(&run)]);
    assert!(again.output.contains("starts from weights"), "{}", again.output);
    std::fs::remove_file(&weights).unwrap();
    assert!(dyrep(&["train", "--resume", text(&run)]).complaint(1).contains("trained.bpk"));
}

/// A network of three classes, for colour.
fn network(folder: &std::path::Path) -> std::path::PathBuf {
    let (data, run) = (flowers(folder, 3), folder.join("run"));
    let arguments = ["train", "imagenet_resnet18", "--data", text(&data), "--out", text(&run)];
    let small = ["--image-size", "16", "--width", "2", "--epochs", "1", "--batch-size", "12"];
    let quick = ["--set", "strategy.calibration_batches=1", "--threads", "0"];
    dyrep(&[&arguments[..], &small, &quick].concat()).good();
    run.join("trained.bpk")
}

#[test]
fn pictures_that_do_not_fit_the_network_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let weights = network(folder.path());
    let alone = folder.path().join("weights.bpk");
    std::fs::copy(&weights, &alone).unwrap();
    let alone = text(&alone);
    let complaint = |arguments: &[&str], code| dyrep(arguments).complaint(code);

    // The run's own data is known, a lone file's is not.
    json(&["eval", text(&weights)]);
    assert!(complaint(&["eval", alone], 1).contains("--data"));
    assert!(complaint(&["eval", alone, "--set", "digits"], 1).contains("1 channel"));
    let val = folder.path().join("flowers/val");
    std::fs::rename(val.join("tulip"), val.join("violet")).unwrap();
    let renamed = complaint(&["eval", alone, "--data", text(&val)], 1);
    assert!(renamed.contains("unknown classes: violet") && renamed.contains("tulip"), "{renamed}");
    // Of a class without pictures accuracy says nothing, and it is told.
    std::fs::remove_dir_all(val.join("violet")).unwrap();
    let without = json(&["eval", alone, "--data", text(&val)]);
    assert!(
        without["notices"].to_string().contains("no validation pictures of tulip"),
        "{without}"
    );

    let broken = folder.path().join("broken.jpg");
    std::fs::write(&broken, b"\xff\xd8\xff\xe0 no picture").unwrap();
    let rose = val.join("rose/1.png");
    let strict = ["predict", alone, text(&rose), text(&broken), "--strict"];
    assert!(complaint(&strict, 1).contains("broken.jpg"));
    let empty = folder.path().join("none");
    std::fs::create_dir(&empty).unwrap();
    assert!(complaint(&["predict", alone, text(&empty)], 1).contains("no images"));
    assert!(complaint(&["predict", alone, "--batch", text(&broken)], 1).contains("safetensors"));
    let golden = "../dyrep-weights/tests/golden/expected.safetensors";
    assert!(complaint(&["predict", alone, "--batch", golden], 1).contains("--tensor"));
    let wrong = complaint(&["predict", alone, "--batch", golden, "--tensor", "dyrep.pth"], 1);
    assert!(wrong.contains("[batch, channels, height, width]"), "{wrong}");

    // Nothing is overwritten without a word.
    let out = folder.path().join("out.safetensors");
    json(&["deploy", alone, text(&out)]);
    assert!(complaint(&["deploy", alone, text(&out)], 1).contains("--force"));
    json(&["deploy", alone, text(&out), "--force"]);
}

/// A reader that has seen enough, as `head` has, is no failure.
#[test]
fn a_closed_pipe_is_no_failure() {
    let mut child = command()
        .args(["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(child.wait().unwrap().success() && errors.is_empty(), "{errors}");
}

#[test]
fn shells_complete_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = dyrep(&["completions", shell]).good().output;
        for command in ["train", "inspect", "verify", "predict"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}
