//! Overrides of each kind.

use std::path::Path;

use super::*;

fn with(overrides: &[&str]) -> Recipe {
    parse(SHORT, overrides).unwrap_or_else(|error| panic!("{overrides:?}: {error}"))
}

fn refused(overrides: &[&str]) -> String {
    parse(SHORT, overrides).expect_err("a refusal").to_string()
}

#[test]
fn values_of_every_type() {
    let recipe = with(&[
        "optimizer.learning_rate=0.05",
        "optimizer.nesterov = true",
        "schedule.epochs=3",
        "model.name=vgg16",
        "data.set=\"image_folder\"",
        "data.path=/data/my pictures",
        "augmentation.train=['horizontal_flip', { cutout = { size = 8 } }]",
        "augmentation.mixup={alpha=0.2}",
        "augmentation.mixup.probability=0.5",
        "schedule.kind={step={milestones=[1,2]}}",
        "schedule.kind.step.factor=0.5",
        "strategy.cut_rule.threshold.max_ratio=0.2",
        "run.seed=7",
    ]);
    assert_eq!(recipe.optimizer.learning_rate, 0.05);
    let sgd = Method::Sgd { momentum: 0.9, nesterov: true };
    assert_eq!(recipe.optimizer.method, sgd);
    assert_eq!((recipe.schedule.epochs, recipe.run.seed), (3, 7));
    assert_eq!(recipe.model.name, "vgg16");
    assert_eq!(recipe.data.path.as_deref(), Some(Path::new("/data/my pictures")));
    assert_eq!(recipe.augmentation.train.len(), 2);
    assert_eq!(recipe.augmentation.mixup, Some(MixSpec { alpha: 0.2, probability: 0.5 }));
    let step = ScheduleKind::Step { milestones: vec![1, 2], factor: 0.5 };
    assert_eq!(recipe.schedule.kind, step);
    let StrategyRecipe::DyRep(growth) = recipe.strategy else { panic!() };
    let rule = CutRule::Threshold { min_deviation: 0.02, max_ratio: 0.2, lone: true };
    assert_eq!(growth.config.cut_rule, rule);
}

#[test]
fn the_last_one_counts() {
    assert_eq!(with(&["schedule.epochs=3", "schedule.epochs=4"]).schedule.epochs, 4);
    let whole = with(&["schedule={epochs=5}", "schedule.warm_up_epochs=2"]).schedule;
    assert_eq!((whole.epochs, whole.warm_up_epochs), (5, 2));
}

#[test]
fn an_override_mends_what_the_file_has_wrong() {
    let text = SHORT.replace("= 10", "= 0");
    assert!(parse(&text, &[]).is_err());
    assert_eq!(parse(&text, &["schedule.epochs=1"]).unwrap().schedule.epochs, 1);
    assert_eq!(parse("", &["model.name=resnet18"]).unwrap_err().to_string(), {
        "recipes/x.toml: the section [data] is missing, for example `[data]` with `set = \"digits\"`"
    });
}

#[test]
fn another_strategy_starts_from_its_own_defaults() {
    let text = Recipe::builtin_text("cifar_vgg16").unwrap();
    for name in ["plain", "acnet", "repvgg", "dbb"] {
        let recipe = parse(text, &[&format!("strategy.name={name}")]).unwrap();
        assert_eq!(recipe.strategy.name(), name);
    }
    let same = parse(text, &["strategy.name=dyrep", "strategy.growths=2"]).unwrap();
    let StrategyRecipe::DyRep(growth) = same.strategy else { panic!() };
    assert_eq!(
        (growth.config.interval, growth.config.growths),
        (15, 2),
        "the file's other keys stay"
    );
    let error = parse(text, &["strategy.name=dbb", "strategy.growths=2"]).unwrap_err();
    let want = "override `strategy.growths=2`: `growths` in [strategy] goes with `dyrep`, `dyrep-online`, \
                not with `dbb`";
    assert_eq!(error.to_string(), want);
}

/// What SGD's keys are in the file, another optimiser has not; what is given with its name must be its own.
#[test]
fn another_optimizer_does_without_the_file_s_own_keys() {
    let text = Recipe::builtin_text("imagenet_resnet18").unwrap();
    assert!(text.contains("nesterov = true"));
    let recipe = parse(text, &["optimizer.name=adamw", "optimizer.epsilon=1e-6"]).unwrap();
    let adamw = Method::AdamW { betas: [0.9, 0.999], epsilon: 1e-6 };
    assert_eq!(recipe.optimizer.method, adamw);
    assert!(!recipe.optimizer.decay_norms_and_biases, "the file's other keys stay");
    let error = parse(text, &["optimizer.name=adamw", "optimizer.momentum=0.5"]).unwrap_err();
    let want = "override `optimizer.momentum=0.5`: `momentum` in [optimizer] goes with `sgd`, \
                `rmsprop`, not with `adamw`";
    assert_eq!(error.to_string(), want);
}

#[test]
fn refusals_show_the_override() {
    let form = "expected `section.key=value`, for example `schedule.epochs=10`";
    let cases = [
        ("schedule.epochs", format!("override `schedule.epochs`: {form}")),
        ("=3", format!("override `=3`: {form}")),
        ("schedule..epochs=3", format!("override `schedule..epochs=3`: {form}")),
        ("schedule.epochs=", "override `schedule.epochs=`: expected a value behind `=`".to_owned()),
        (
            "augmentation.train=['horizontal_flip'",
            "override `augmentation.train=['horizontal_flip'`: the value is not TOML: unclosed \
             array, expected `]`"
                .to_owned(),
        ),
        (
            "schedule.epochs.x=3",
            "override `schedule.epochs.x=3`: `schedule.epochs` is no table, so nothing in it can be \
             set"
                .to_owned(),
        ),
        (
            "schedule.epoch=3",
            "override `schedule.epoch=3`: unknown key `epoch` in [schedule]; did you mean `epochs`? \
             (known: epochs, kind, warm_up_epochs, warm_up_learning_rate, final_learning_rate)"
                .to_owned(),
        ),
        (
            "schedul.epochs=3",
            "override `schedul.epochs=3`: unknown section [schedul]; did you mean `schedule`? \
             (known: model, data, augmentation, optimizer, schedule, loss, distillation, strategy, \
             evaluation, run)"
                .to_owned(),
        ),
        (
            "optimizer.learning_rate=0,1",
            "override `optimizer.learning_rate=0,1`: `learning_rate` in [optimizer]: expected a \
             number above 0, found \"0,1\""
                .to_owned(),
        ),
        (
            "optimizer.nesterov=yes",
            "override `optimizer.nesterov=yes`: `nesterov` in [optimizer]: expected true or false, \
             found \"yes\""
                .to_owned(),
        ),
        (
            "data.path=7",
            "override `data.path=7`: `path` in [data]: expected a string, found 7".to_owned(),
        ),
        (
            "strategy.score=sinp",
            "override `strategy.score=sinp`: `score` in [strategy]: unknown name `sinp`; did you \
             mean `snip`? (known: grad_norm, snip, synflow, branch_gain, random)"
                .to_owned(),
        ),
        (
            "augmentation.train=[{cutout={}}]",
            "override `augmentation.train=[{cutout={}}]`: [augmentation.train[0].cutout] lacks \
             `size`, for example `size = 16`"
                .to_owned(),
        ),
        (
            "schedule.warm_up_epochs=10",
            "override `schedule.warm_up_epochs=10`: `warm_up_epochs` in [schedule]: expected fewer \
             than the run's 10 epochs, found 10"
                .to_owned(),
        ),
    ];
    for (text, want) in cases {
        assert_eq!(refused(&[text]), want);
    }
}

#[test]
fn mistakes_of_the_file_come_first() {
    let text = SHORT.replace("= 128", "= 0");
    let error = parse(&text, &["model.name=vgg"]).unwrap_err().to_string();
    assert!(error.starts_with("recipes/x.toml:9: `batch_size`"), "{error}");
}
