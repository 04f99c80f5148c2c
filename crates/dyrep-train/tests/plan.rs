//! Recipes made ready to run.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::str::FromStr;

use burn::data::dataloader::DataLoader;
use burn::module::Module;
use common::bits;
use dyrep_burn::{CutRule, Score, Structure, layers};
use dyrep_data::{Loader, MixSpec, Sampling};
use dyrep_models::{Model, ModelConfig, ModelName, ResNetConfig, ResNetStem};
use dyrep_tests::under_test;
use dyrep_train::recipe::{MODELS, Recipe, STRATEGIES};
use dyrep_train::{Batches, InputSpec, Method, OptimizerConfig, Plan, Schedule, TrainError};
use dyrep_weights::{Label, write_burnpack};

fn plan(recipe: &str, changes: &[&str]) -> Result<Plan, TrainError> {
    let changes: Vec<_> = changes.iter().map(|change| change.parse().unwrap()).collect();
    Plan::new(&Recipe::builtin(recipe, &changes).unwrap(), &[under_test()])
}

#[test]
fn the_digits_are_trained_as_the_recipe_says() {
    let Plan { network, train, validation, training, .. } = plan("digits_quick", &[]).unwrap();
    let Model::ResNet(resnet) = network else { panic!("resnet18 is a ResNet") };
    let ResNetStem::One(conv1) = &resnet.conv1 else { panic!("one convolution") };
    assert_eq!(conv1.geometry().out_channels(), 32);
    assert_eq!((train.batches(), validation.dataset().len()), (22, 360));
    assert_eq!((training.epochs, training.schedule.epochs), (10, 10));
    let imagenet = OptimizerConfig { batch_size: 64, ..OptimizerConfig::imagenet() };
    assert_eq!(training.optimizer, imagenet);
    let controller = training.controller.unwrap();
    assert_eq!((controller.score, controller.interval, controller.last_epoch), (Score::Snip, 2, 8));
    let cut = CutRule::Threshold { min_deviation: 0.002, max_ratio: 0.1, lone: true };
    assert_eq!(controller.cut_rule, cut);
}

/// Recipes name the zoo's networks, with every strategy. Parameters wait until they are used, so nothing large is made.
#[test]
fn every_model_can_be_named() {
    assert_eq!(MODELS, dyrep_models::MODELS);
    for model in MODELS {
        for strategy in STRATEGIES {
            let name = [format!("model.name={model}"), format!("strategy.name={strategy}")];
            // Half of their published width; that of the shipped recipe is ResNet's. Kernels that start as sums of
            // others are drawn at once.
            let narrower = if *strategy == "repoptimizer" { 4 } else { 2 };
            let width = ModelName::from_str(model).unwrap().config(1).width() / narrower;
            let width = format!("model.width={width}");
            let plan = plan("digits_quick", &[&name[0], &name[1], &width]);
            if model.contains("vgg1") {
                let error = plan.unwrap_err();
                assert!(matches!(error, TrainError::TooSmall { smallest: 32, .. }), "{error}");
                continue;
            }
            let blocks = layers(&plan.unwrap().network);
            let blocks = blocks.iter().filter(|(_, layer)| !layer.is_plain()).count();
            let starts = !["plain", "dyrep", "dyrep-online", "repoptimizer"].contains(strategy);
            assert_eq!(blocks > 0, starts, "{model} {strategy}");
        }
    }
}

#[test]
fn convolutions_are_chosen() {
    let grown = |changes: &[&str]| -> Vec<String> {
        let network = plan("digits_quick", changes).unwrap().network;
        let blocks = layers(&network).into_iter().filter(|(_, layer)| !layer.is_plain());
        blocks.map(|(path, layer)| format!("{path} {}", layer.form())).collect()
    };
    let only = r#"strategy.only={matching=["^layer4"],except=["conv2$"]}"#;
    let acnet = "kxk + 1xk + kx1";
    let chosen = [format!("layer4.0.conv1 {acnet}"), format!("layer4.1.conv1 {acnet}")];
    assert_eq!(grown(&["strategy.name=acnet", only]), chosen);
    assert_eq!(grown(&[r#"strategy.start={preset="acnet"}"#, only]), chosen);
    let layers = r#"strategy.only={layers=["layer1.0.conv1"]}"#;
    let exactly = r#"strategy.start={exactly=["kxk","1x1"]}"#;
    assert_eq!(grown(&[exactly, layers]), ["layer1.0.conv1 kxk + 1x1"]);
    let pointwise = "strategy.only={kernels=[[1,1]]}";
    assert_eq!(grown(&["strategy.name=dbb", pointwise]).len(), 3);
    // A path that the network does not have is known once there is one.
    let other = r#"strategy.only={layers=["layer9.0.conv1"]}"#;
    let error = plan("digits_quick", &["strategy.name=dbb", other]).unwrap_err();
    assert!(error.to_string().contains("layer9.0.conv1"), "{error}");
}

/// A training starts from a file's weights; what does not fit must be asked for.
#[test]
fn weights_to_start_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.bpk");
    let other = plan("digits_quick", &["run.seed=9", "strategy.name=dbb"]).unwrap();
    write_burnpack(&other.network, &other.label, &file).unwrap();
    let from = format!("model.weights={}", file.display());
    let Plan { network, loaded, .. } = plan("digits_quick", &[&from]).unwrap();
    assert!(loaded.unwrap().is_complete());
    assert_eq!(Structure::of(&network), Structure::of(&other.network));
    assert_eq!(bits(&network.valid()), bits(&other.network.valid()));
    assert!(plan("digits_quick", &[]).unwrap().loaded.is_none());

    // A classifier for other classes.
    let config = other.label.network.unwrap().1;
    let config = match config {
        ModelConfig::ResNet(config) => ModelConfig::ResNet(ResNetConfig { classes: 7, ..config }),
        _ => unreachable!("resnet18 is a ResNet"),
    };
    let seven = config.init(&under_test()).unwrap();
    write_burnpack(&seven, &Label::default(), &file).unwrap();
    let error = plan("digits_quick", &[&from]).unwrap_err().to_string();
    assert!(error.contains("fc.weight") && error.contains("`partial = true`"), "{error}");
    let Plan { network, loaded, .. } =
        plan("digits_quick", &[&from, "model.partial=true"]).unwrap();
    let report = loaded.unwrap();
    let wrong: Vec<&str> = report.shapes.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(wrong, ["fc.bias", "fc.weight"]);
    let (Model::ResNet(network), Model::ResNet(seven)) = (network, seven) else { unreachable!() };
    assert_eq!(bits(&network.layer3.valid()), bits(&seven.layer3));
}

#[test]
fn every_key_of_training_arrives() {
    let changes = [
        "optimizer.clip_norm=5.0",
        "optimizer.ema_decay=0.99",
        "optimizer.accumulate=2",
        "schedule.warm_up_epochs=2",
        "loss.label_smoothing=0.1",
        "evaluation.recalibrate_batches=7",
        "evaluation.early_stopping=3",
        "run.checkpoints_kept=4",
        "run.seed=9",
        "augmentation.mixup={alpha=0.2,probability=0.5}",
    ];
    let training = plan("digits_quick", &changes).unwrap().training;
    let optimizer = training.optimizer;
    assert_eq!((optimizer.clip_norm, optimizer.ema_decay), (Some(5.0), Some(0.99)));
    assert_eq!((optimizer.accumulate, training.schedule.warm_up_epochs), (2, 2));
    assert_eq!((training.loss.config().label_smoothing, training.recalibration), (0.1, 7));
    assert_eq!((training.patience, training.keep, training.seed), (Some(3), 4, 9));
    let mixer = training.mixer.unwrap();
    assert_eq!(mixer.config().mixup, Some(MixSpec { alpha: 0.2, probability: 0.5 }));
    assert_eq!(mixer.config().cutmix, None);
    assert_eq!(training.controller.unwrap().seed, 9);
}

#[test]
fn every_optimizer_arrives() {
    let (betas, epsilon) = ([0.5, 0.75], 0.125);
    let moments = "optimizer.betas=[0.5,0.75]";
    let cases: [(&str, &[&str], Method); 5] = [
        ("sgd", &["optimizer.momentum=0.5"], Method::Sgd { momentum: 0.5, nesterov: true }),
        ("adamw", &[moments], Method::AdamW { betas, epsilon }),
        ("adam", &[moments], Method::Adam { betas, epsilon }),
        ("lamb", &[moments], Method::Lamb { betas, epsilon }),
        (
            "rmsprop",
            &["optimizer.alpha=0.5", "optimizer.momentum=0.25"],
            Method::RmsProp { alpha: 0.5, epsilon, momentum: 0.25 },
        ),
    ];
    for (name, changes, method) in cases {
        let (name_is, epsilon) = (format!("optimizer.name={name}"), "optimizer.epsilon=0.125");
        let mut changes = [&[&*name_is, "optimizer.weight_decay=0.5"], changes].concat();
        changes.extend((name != "sgd").then_some(epsilon));
        let want = OptimizerConfig {
            method,
            batch_size: 64,
            weight_decay: 0.5,
            ..OptimizerConfig::imagenet()
        };
        assert_eq!(plan("digits_quick", &changes).unwrap().training.optimizer, want);
    }
}

#[test]
fn weights_of_classes_and_the_sampler_arrive() {
    let Plan { train, validation, training, .. } = plan("digits_quick", &[]).unwrap();
    assert_eq!(training.loss.class_weights(), None);
    assert_eq!(train.config().sampling, Sampling::Each);
    assert_eq!(validation.config().sampling, Sampling::Each);
    let both = ["loss.class_weights=balanced", "data.sampler=balanced"];
    let Plan { train, validation, training, .. } = plan("digits_quick", &both).unwrap();
    let weights = training.loss.class_weights().unwrap();
    let ones = (0..train.dataset().len()).filter(|at| train.dataset().label(*at) == 1).count();
    assert!((weights[1] - 143.7 / ones as f32).abs() < 1e-5, "of 1437 pictures in 10 classes");
    let samplings = [&train, &validation].map(|loader| loader.config().sampling);
    assert_eq!(samplings, [Sampling::Balanced, Sampling::Each]);
    let labels = |loader: &Loader| -> Vec<i64> {
        loader.epoch(0).flat_map(|batch| batch.unwrap().labels).collect()
    };
    let drawn = labels(&train);
    assert_eq!(drawn.len(), 22 * 64);
    let list = "loss.class_weights=[1,2,3,4,5,6,7,8,9,10]";
    let training = plan("digits_quick", &[list]).unwrap().training;
    assert_eq!(training.loss.class_weights().unwrap()[9], 10.0);
    let error = plan("digits_quick", &["loss.class_weights=[1,2]"]).unwrap_err().to_string();
    assert!(error.contains("2 numbers, the data have 10 classes"), "{error}");
    let tiny = "loss.class_weights=[1,2,3,4,5,6,7,8,9,1e-60]";
    let error = plan("digits_quick", &[tiny]).unwrap_err().to_string();
    assert!(error.contains("class weights: expected numbers above 0"), "{error}");
}

#[test]
fn groups_arrive() {
    let groups = "optimizer.groups=[{matching=['^conv1$','^bn1'],frozen=true},\
                  {matching=['^fc'],learning_rate_scale=10,weight_decay=0}]";
    let changes = [groups, "optimizer.layer_decay=0.75"];
    let optimizer = plan("digits_quick", &changes).unwrap().training.optimizer;
    assert_eq!(optimizer.layer_decay, Some(0.75));
    let [first, second] = &optimizer.groups[..] else { panic!("{optimizer:?}") };
    assert!(first.frozen && first.matching.matches("bn1") && !first.matching.matches("conv1.x"));
    assert_eq!((first.learning_rate_scale, first.weight_decay), (None, None));
    assert!(!second.frozen && second.matching.matches("fc.bias"));
    assert_eq!((second.learning_rate_scale, second.weight_decay), (Some(10.0), Some(0.0)));
    let other = "optimizer.groups=[{matching=['^stages'],frozen=true}]";
    let error = plan("digits_quick", &[other]).unwrap_err().to_string();
    assert!(error.contains("matches `^stages`; its layers are bn1, conv1, fc, layer1."), "{error}");
}

#[test]
fn every_schedule_arrives() {
    // 22 steps an epoch.
    let schedule = |changes: &[&str]| {
        let training = plan("digits_quick", changes).unwrap().training;
        Schedule::new(training.schedule, training.optimizer.learning_rate, 22)
    };
    let cosine = schedule(&[]);
    assert!(cosine.at(0) == 0.1 && cosine.at(220) < 1e-12 && cosine.at(110) > 0.04);
    let warm = schedule(&["schedule.warm_up_epochs=2"]);
    assert!(warm.at(43) < 0.1 && warm.at(44) == 0.1);
    let step = schedule(&["schedule.kind={step={milestones=[3],factor=0.5}}"]);
    assert_eq!([65, 66].map(|at| step.at(at)), [0.1, 0.05]);
    let poly = schedule(&["schedule.kind=poly", "schedule.final_learning_rate=0.01"]);
    assert!((poly.at(110) - (0.01 + 0.09 * 0.5_f64.powf(0.9))).abs() < 1e-12);
    let cycle = schedule(&["schedule.kind={one_cycle={pct_start=0.5,div_factor=10}}"]);
    assert!((cycle.at(0) - 0.01).abs() < 1e-12 && cycle.at(109) == 0.1);
    assert!((cycle.at(219) - 1e-6).abs() < 1e-12);
    let plateau = schedule(&[
        "schedule.kind={plateau={patience=0,factor=0.5}}",
        "schedule.warm_up_epochs=1",
        "schedule.warm_up_learning_rate=0.05",
    ]);
    plateau.tell([0.9, 0.5, 0.5].into_iter());
    assert!((plateau.at(0) - (0.05 + 0.05 / 23.0)).abs() < 1e-12);
    assert_eq!([44, 65, 66].map(|step| plateau.at(step)), [0.1, 0.1, 0.05]);
}

/// Every transform that a recipe can name, and both ways of mixing.
#[test]
fn every_augmentation_runs() {
    let steps = [
        "{ random_crop = { size = 8, padding = 1 } }",
        "\"horizontal_flip\"",
        "{ color_jitter = { brightness = 0.2, contrast = 0.2 } }",
        "{ rand_augment = { magnitude = 9.0, magnitude_std = 0.5 } }",
        "{ cutout = { size = 2 } }",
        "{ random_erasing = { probability = 1.0, mode = \"pixel\" } }",
        "{ resize = { size = 10 } }",
        "{ center_crop = { size = 8 } }",
        "{ random_resized_crop = { size = 8 } }",
    ];
    let changes = [
        &format!("augmentation.train=[{}]", steps.join(", ")),
        "augmentation.cutmix={alpha=1.0,probability=0.5}",
        "augmentation.mixup={alpha=0.2,probability=0.5}",
    ];
    let Plan { train, training, .. } = plan("digits_quick", &changes).unwrap();
    let batches = Batches::training(train, InputSpec::digits(), 1).with_mixer(training.mixer);
    let batches = batches.to_device(&under_test());
    let pictures: Vec<_> = batches.iter().map(Result::unwrap).collect();
    assert_eq!(pictures.len(), 22);
    for pictures in pictures {
        assert_eq!(pictures.images.dims(), [64, 1, 8, 8]);
        let (partners, share) = pictures.mixed.unwrap();
        assert!(partners.dims() == [64] && (0.0..=1.0).contains(&share), "{share}");
        let most = pictures.images.max().into_scalar::<f32>();
        assert!(most <= 16.0 && most > 0.0, "{most}");
    }
}

/// CIFAR's own recipe on files of its format, black but for their labels.
#[test]
fn cifar_is_read_from_its_files() {
    let root = tempfile::tempdir().unwrap();
    let records = |count: usize| {
        let record = |index: usize| std::iter::once((index % 10) as u8).chain([0; 3072]);
        (0..count).flat_map(record).collect::<Vec<u8>>()
    };
    let files = ["test_batch", "data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4"];
    for name in files.into_iter().chain(["data_batch_5"]) {
        fs::write(root.path().join(format!("{name}.bin")), records(10_000)).unwrap();
    }
    let names: String = (0..10).map(|class| format!("class {class}\n")).collect();
    fs::write(root.path().join("batches.meta.txt"), names).unwrap();
    let path = format!("data.path={}", root.path().display());
    let Plan { train, validation, training, .. } = plan("cifar_vgg16", &[&path]).unwrap();
    assert_eq!((train.batches(), validation.samples()), (390, 10_000));
    assert_eq!(training.input, InputSpec::cifar10());
    let batch = validation.epoch(0).next().unwrap().unwrap();
    assert_eq!(batch.shape, [128, 3, 32, 32]);
    // Black, which is far from the mean.
    let images = training.input.images(&batch, &under_test());
    let largest = images.max().into_scalar::<f32>();
    assert!((largest - -0.4465 / 0.2616).abs() < 1e-5, "{largest}");
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    let cases = [
        ("cifar_vgg16", vec![], "set data.path"),
        ("cifar_vgg16", vec!["data.path=/nowhere"], "/nowhere"),
        ("imagenet_resnet18", vec![], "where is the data set `imagenet`?"),
        ("imagenet_resnet18", vec!["data.path=/nowhere"], "/nowhere"),
        ("digits_quick", vec!["model.name=vgg16"], "pictures of 8×8 are too small for the model"),
        ("digits_quick", vec!["model.name=repvgg_b1g4", "model.width=3"], "groups"),
    ];
    for (recipe, changes, expected) in cases {
        let error = plan(recipe, &changes).unwrap_err().to_string();
        assert!(error.contains(expected), "{recipe} {changes:?}: {error}");
    }
}
