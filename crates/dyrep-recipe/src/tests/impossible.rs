//! Values that no run can have, and keys that do not go together.

use super::{SHORT, parse};

/// Lines that are put behind the header of a section, and the message: its line is counted from there.
fn check(section: &str, lines: &str, want: &str) {
    let header = format!("[{section}]\n");
    let text = match SHORT.contains(&header) {
        true => SHORT.replace(&header, &format!("{header}{lines}\n")),
        false => format!("{SHORT}{header}{lines}\n"),
    };
    // A key that is there already gives way.
    let mut seen = std::collections::BTreeSet::new();
    let mut current = "";
    let kept = text.lines().filter(|line| match line.split_once(" = ") {
        Some((key, _)) => seen.insert((current, key)),
        None => {
            current = line;
            true
        }
    });
    let text: String = kept.flat_map(|line| [line, "\n"]).collect();
    let error = parse(&text, &[]).expect_err(want).to_string();
    let line = text.lines().position(|line| line == header.trim_end()).unwrap() + 2;
    let line = line + lines.lines().count() - 1;
    assert_eq!(error, format!("recipes/x.toml:{line}: {want}"), "of\n{text}");
}

const COUNT: &str = "expected a whole number from 1 to 1000000000";

#[test]
fn numbers_out_of_bounds() {
    let rate = "`learning_rate` in [optimizer]: expected a number above 0";
    check("optimizer", "learning_rate = -0.1", &format!("{rate}, found -0.1"));
    check("optimizer", "learning_rate = 0", &format!("{rate}, found 0"));
    check("optimizer", "learning_rate = nan", &format!("{rate}, found NaN"));
    check("optimizer", "learning_rate = inf", &format!("{rate}, found inf"));
    check("optimizer", "learning_rate = 1e999", &format!("{rate}, found 1e999"));
    let batch = format!("`batch_size` in [optimizer]: {COUNT}");
    check("optimizer", "batch_size = 0", &format!("{batch}, found 0"));
    check("optimizer", "batch_size = -1", &format!("{batch}, found -1"));
    check("optimizer", "batch_size = 1000000001", &format!("{batch}, found 1000000001"));
    let huge = "99999999999999999999";
    check("optimizer", &format!("batch_size = {huge}"), &format!("{batch}, found {huge}"));
    let momentum = "`momentum` in [optimizer]: expected a number from 0 to below 1, found 1.0";
    check("optimizer", "momentum = 1.0", momentum);
    let decay = "`weight_decay` in [optimizer]: expected a number not below 0, found -0.0001";
    check("optimizer", "weight_decay = -1e-4", decay);
    let clip = "`clip_norm` in [optimizer]: expected a number above 0, found 0";
    check("optimizer", "clip_norm = 0", clip);
    let ema = "`ema_decay` in [optimizer]: expected a number above 0 and below 1, found 1";
    check("optimizer", "ema_decay = 1", ema);
    let power = "`power` in [schedule.kind.poly]: expected a number above 0, found 0";
    check("schedule", "kind = { poly = { power = 0 } }", power);
    let factor =
        "`factor` in [schedule.kind.plateau]: expected a number above 0 and below 1, found 1";
    check("schedule", "kind = { plateau = { factor = 1 } }", factor);
    let share =
        "`pct_start` in [schedule.kind.one_cycle]: expected a number above 0 and below 1, found 1";
    check("schedule", "kind = { one_cycle = { pct_start = 1 } }", share);
    check("schedule", "epochs = 0", &format!("`epochs` in [schedule]: {COUNT}, found 0"));
    let smoothing = "`label_smoothing` in [loss]: expected a number from 0 to below 1, found 1.0";
    check("loss", "label_smoothing = 1.0", smoothing);
    let weight = "`weight` in [distillation]: expected a number above 0 and not above 1, found 0";
    check("distillation", "file = 't'\nweight = 0", weight);
    let warm = "`temperature` in [distillation]: expected a number from 0.01 to 100, found 0";
    check("distillation", "file = 't'\ntemperature = 0", warm);
    check("strategy", "interval = 0", &format!("`interval` in [strategy]: {COUNT}, found 0"));
    let depth = "`max_depth` in [strategy]: expected a whole number from 1 to 16, found 17";
    check("strategy", "max_depth = 17", depth);
    let budget = "`flops` in [strategy.budget]: expected a number not below 1, found 0.5";
    check("strategy", "budget = { flops = 0.5 }", budget);
    let pixels = "expected a whole number of pixels from 1 to 9459";
    check("data", "image_size = 0", &format!("`image_size` in [data]: {pixels}, found 0"));
    let seed = "`seed` in [run]: expected a whole number from 0 to 9223372036854775807";
    check("run", "seed = 9223372036854775808", &format!("{seed}, found 9223372036854775808"));
    check("run", "seed = -1", &format!("{seed}, found -1"));
    let recalibrate = format!("`recalibrate_batches` in [evaluation]: {COUNT}, found 0");
    check("evaluation", "recalibrate_batches = 0", &recalibrate);
}

#[test]
fn augmentations_out_of_bounds() {
    let alpha = "`alpha` in [augmentation.mixup]: expected a number above 0, found -0.2";
    check("augmentation", "mixup = { alpha = -0.2 }", alpha);
    let share = "`probability` in [augmentation.cutmix]: expected a number from 0 to 1, found 1.5";
    check("augmentation", "cutmix = { alpha = 1, probability = 1.5 }", share);
    let size = "`size` in [augmentation.train[0].random_crop]: expected a whole number of pixels \
                from 1 to 9459, found 0";
    check("augmentation", "train = [{ random_crop = { size = 0 } }]", size);
    let scale = "`scale` in [augmentation.train[0].random_resized_crop]: expected the smaller number \
                 first, found [1.0, 0.5]";
    check(
        "augmentation",
        "train = [{ random_resized_crop = { size = 8, scale = [1, 0.5] } }]",
        scale,
    );
    let three = "`ratio` in [augmentation.train[0].random_resized_crop]: expected a list of 2, found \
                 a list of 3";
    check(
        "augmentation",
        "train = [{ random_resized_crop = { size = 8, ratio = [1, 1, 1] } }]",
        three,
    );
    let fill =
        "`fill` in [augmentation.train[0].cutout]: expected a list of 1 to 4, found a list of 5";
    check("augmentation", "train = [{ cutout = { size = 8, fill = [1, 2, 3, 4, 5] } }]", fill);
    let byte = "`fill[1]` in [augmentation.train[0].random_erasing.mode.constant]: expected a whole \
                number from 0 to 255, found 256";
    let erasing = "probability = 1, mode = { constant = { fill = [1, 256] } }";
    check("augmentation", &format!("train = [{{ random_erasing = {{ {erasing} }} }}]"), byte);
    let magnitude = "`magnitude` in [augmentation.train[0].rand_augment]: expected a number from 0 \
                     to 10, found 11";
    check("augmentation", "train = [{ rand_augment = { magnitude = 11 } }]", magnitude);
}

#[test]
fn lists_that_make_no_sense() {
    let rising = "`milestones` in [schedule.kind.step]: expected one or more rising numbers, found \
                  [6, 3]";
    check("schedule", "kind = { step = { milestones = [6, 3] } }", rising);
    let item = "`milestones[1]` in [schedule.kind.step]: expected a whole number from 1 to \
                1000000000, found \"6\"";
    check("schedule", "kind = { step = { milestones = [3, '6'] } }", item);
    let twice = "`exactly` in [strategy.branches]: expected each name once, found `kxk` twice";
    check("strategy", "branches = { exactly = ['kxk', 'kxk'] }", twice);
    let none = "`exactly` in [strategy.branches]: expected at least one name, found none";
    check("strategy", "branches = { exactly = [] }", none);
}

#[test]
fn keys_that_do_not_go_together() {
    let warm_up =
        "`warm_up_epochs` in [schedule]: expected fewer than the run's 10 epochs, found 20";
    check("schedule", "warm_up_epochs = 20", warm_up);
    let last = "`final_learning_rate` in [schedule]: expected at most the learning rate of 0.1, \
                found 0.2";
    check("schedule", "final_learning_rate = 0.2", last);
    let cycle = "`warm_up_epochs` in [schedule]: expected none for `one_cycle`, which has `pct_start`, \
                 `div_factor` and `final_div_factor`, found 2";
    check("schedule", "kind = 'one_cycle'\nwarm_up_epochs = 2", cycle);
    let cycle = "`final_learning_rate` in [schedule]: expected none for `one_cycle`, which has \
                 `pct_start`, `div_factor` and `final_div_factor`, found 0.01";
    check(
        "schedule",
        "kind = { one_cycle = { pct_start = 0.4 } }\nfinal_learning_rate = 0.01",
        cycle,
    );
    let first =
        "`warm_up_learning_rate` in [schedule]: expected `warm_up_epochs` beside it, found 0.01";
    check("schedule", "warm_up_learning_rate = 0.01", first);
    let first = "`warm_up_learning_rate` in [schedule]: expected at most the learning rate of 0.1, found \
                 0.5";
    check("schedule", "warm_up_epochs = 2\nwarm_up_learning_rate = 0.5", first);
    let nesterov = "`nesterov` in [optimizer]: expected false without momentum, which it is a \
                    variant of, found true";
    check("optimizer", "momentum = 0\nnesterov = true", nesterov);
    let epochs = "`last_epoch` in [strategy]: expected not before the first epoch, 9, found 5";
    check("strategy", "first_epoch = 9\nlast_epoch = 5", epochs);
    let side =
        "`image_size` in [data]: expected 32, the side of all pictures of `cifar10`, found 224";
    check("data", "image_size = 224", side);
    let digits = "`path` in [data]: expected none, since the digits are part of the program, found \
                  \"/data\"";
    check("data", "set = 'digits'\npath = '/data'", digits);
    let folder = "`channels` in [data]: expected none for `cifar10`, which is no folder of pictures, \
                  found 1 (grey)";
    check("data", "channels = 'grey'", folder);
    let links = "`follow_links` in [data]: expected none for `mnist`, which is no folder of \
                 pictures, found true";
    check("data", "set = 'mnist'\nfollow_links = true", links);
    let std = "`mean` in [data]: expected `std` beside it, found [0.5]";
    check("data", "set = 'mnist'\nmean = [0.5]", std);
    let each = "`std` in [data]: expected one number for each of the 3 channels, found [0.5]";
    check("data", "mean = [0.5, 0.5, 0.5]\nstd = [0.5]", each);
    let share = "`std[0]` in [data]: expected a number above 0 and not above 1, found 57.4";
    check("data", "mean = [0.5, 0.5, 0.5]\nstd = [57.4]", share);
    let resize = "`evaluation_resize` in [data]: expected at least the 224 pixels that are cut from \
                  it, found 200";
    check("data", "set = 'imagenet'\nevaluation_resize = 200", resize);
    let fill = "`train` in [augmentation]: expected a `fill` of one number, or of one for each of the \
                3 channels, found [1, 2]";
    check("augmentation", "train = [{ cutout = { size = 8, fill = [1, 2] } }]", fill);
    let both = "`probability` in [augmentation.cutmix]: expected at most 1 together with that of \
                [augmentation.mixup]: a batch gets one of them, found 1 and 1";
    check("augmentation", "mixup = { alpha = 0.2 }\ncutmix = { alpha = 1 }", both);
}

#[test]
fn the_first_mistake_in_the_file_is_told() {
    let text = SHORT.replace("= 10", "= 0").replace("0.1", "-0.1").replace("dyrep", "dyrap");
    let error = parse(&text, &[]).unwrap_err().to_string();
    assert!(error.starts_with("recipes/x.toml:8: `learning_rate`"), "{error}");
    let text = format!("{}[run]\nseeds = 1\n", text.replace("0.1", "0.2").replace("-0.2", "0.2"));
    let error = parse(&text, &[]).unwrap_err().to_string();
    assert!(error.starts_with("recipes/x.toml:12: `epochs`"), "{error}");
    let text = format!("[loss]\nsmoothing = 1\n{text}");
    let error = parse(&text, &[]).unwrap_err().to_string();
    assert!(error.starts_with("recipes/x.toml:2: unknown key `smoothing`"), "{error}");
    let text = SHORT.replace("0.1\nbatch_size = 128", "0.1\nmomentum = 2\nbatch_size = 0");
    let error = parse(&text, &[]).unwrap_err().to_string();
    assert!(error.starts_with("recipes/x.toml:9: `momentum`"), "{error}");
}

#[test]
fn an_epoch_beyond_the_run_is_allowed() {
    let short = ["schedule.epochs=2", "strategy.last_epoch=100", "strategy.interval=5"];
    parse(SHORT, &short).unwrap();
    parse(SHORT, &["schedule.kind={step={milestones=[30]}}"]).unwrap();
}
