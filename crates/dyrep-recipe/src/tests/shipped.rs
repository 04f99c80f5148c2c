//! The shipped recipes, against the published table.

use dyrep_data::ErasingMode;

use super::*;

fn growth(recipe: &Recipe) -> &GrowthRecipe {
    match &recipe.strategy {
        StrategyRecipe::DyRep(growth) => growth,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_file_of_the_folder_is_shipped_and_reads_back() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut names: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    assert_eq!(names, Recipe::builtin_names());
    for name in Recipe::builtin_names() {
        let recipe = Recipe::builtin(name, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(parse(&recipe.to_toml().unwrap(), &[]).unwrap(), recipe, "{name}");
    }
}

/// What describes recipes and their keys.
pub(super) fn readme() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/README.md");
    std::fs::read_to_string(readme).unwrap()
}

#[test]
fn the_readme_names_every_recipe() {
    let readme = readme();
    for name in Recipe::builtin_names() {
        assert!(readme.contains(&format!("`{name}`")), "recipes/README.md lacks the recipe {name}");
    }
}

/// Keys that the page for those who come from other scripts names, as `section.key`.
#[test]
fn the_page_of_other_scripts_names_keys_that_exist() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/from-timm.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rmsprop = parse(SHORT, &["optimizer.name=rmsprop"]).unwrap();
    let adam = parse(SHORT, &["optimizer.name=adam"]).unwrap();
    let known = [parse(FULL, &[]).unwrap(), rmsprop, adam].map(|recipe| {
        let recipe = toml::Value::try_from(recipe).unwrap();
        recipe.as_table().unwrap().clone()
    });
    let mut found = 0;
    for (section, key) in page.split('`').skip(1).step_by(2).filter_map(|it| it.split_once('.')) {
        if SECTIONS.contains(&section) && key != "json" {
            found += 1;
            // What a recipe need not have is not written.
            let optional = matches!(
                (section, key),
                ("model", "weights" | "activation" | "part" | "rename" | "norm_epsilon")
            );
            let exists = known.iter().any(|known| known[section].get(key).is_some());
            assert!(optional || exists, "docs/from-timm.md: there is no `{section}.{key}`");
        }
    }
    assert!(found > 60, "{found} keys");
}

#[test]
fn an_unknown_recipe_is_named_with_those_there_are() {
    let error = Recipe::builtin("cifar_vgg18", &[]).unwrap_err().to_string();
    let want = "no shipped recipe is called `cifar_vgg18`; did you mean `cifar_vgg16`? (known: \
                cifar_vgg16, digits_quick, imagenet_mobilenet_v1, imagenet_repnas_a0, \
                imagenet_repvgg_a2, imagenet_repvgg_b2g4, imagenet_repvgg_b3, imagenet_resnet18, \
                imagenet_resnet18_orepa)";
    assert_eq!(error, want);
    let error = Recipe::builtin("digits_quick", &["run.sed=1".parse().unwrap()]).unwrap_err();
    let want = "override `run.sed=1`: unknown key `sed` in [run]; did you mean `seed`? (known: \
                seed, threads, max_skipped, checkpoints_kept, tensorboard, precision, \
                gradient_checkpointing)";
    assert_eq!(error.to_string(), want);
}

/// A row: epochs, interval, last epoch, batch, weight decay, whether norms decay, Nesterov.
type Row = (usize, usize, usize, usize, f64, bool, bool);

#[test]
fn figures_are_those_of_the_published_table() {
    let rows: [(&str, &str, Row); 6] = [
        ("cifar_vgg16", "cifar_vgg16", (600, 15, 500, 128, 1e-4, true, false)),
        ("imagenet_resnet18", "resnet18", (120, 5, 100, 256, 1e-4, false, true)),
        ("imagenet_mobilenet_v1", "mobilenet_v1", (90, 5, 70, 256, 4e-5, false, true)),
        ("imagenet_repvgg_a2", "repvgg_a2", (120, 5, 100, 256, 1e-4, false, true)),
        ("imagenet_repvgg_b2g4", "repvgg_b2g4", (200, 5, 100, 256, 1e-4, false, true)),
        ("imagenet_repvgg_b3", "repvgg_b3", (200, 5, 100, 256, 1e-4, false, true)),
    ];
    for (name, model, want) in rows {
        let recipe = Recipe::builtin(name, &[]).unwrap();
        let (optimizer, epochs) = (&recipe.optimizer, recipe.schedule.epochs);
        let Method::Sgd { momentum, nesterov } = optimizer.method else { panic!("{name}") };
        let row = (
            epochs,
            growth(&recipe).config.interval,
            growth(&recipe).last_epoch_of(epochs),
            optimizer.batch_size * optimizer.accumulate,
            optimizer.weight_decay,
            optimizer.decay_norms_and_biases,
            nesterov,
        );
        assert_eq!(row, want, "{name}");
        assert_eq!(recipe.model.name, model);
        assert_eq!((optimizer.learning_rate, momentum), (0.1, 0.9), "{name}");
        assert_eq!(recipe.schedule.kind, ScheduleKind::Cosine, "{name}");
        assert!(recipe.schedule.final_learning_rate < 1e-6, "{name}: near 0");
        assert_eq!(growth(&recipe).config.calibration_batches, 20, "{name}");
        assert_eq!(growth(&recipe).config.cut_rule, CutRule::default(), "{name}");
        let strong = matches!(model, "repvgg_b2g4" | "repvgg_b3");
        let (smoothing, warm_up) = if strong { (0.1, 5) } else { (0.0, 0) };
        assert_eq!(recipe.loss.label_smoothing, smoothing, "{name}");
        assert_eq!(recipe.schedule.warm_up_epochs, warm_up, "{name}");
        let recalibrate = model.starts_with("repvgg").then_some(200);
        assert_eq!(recipe.evaluation.recalibrate_batches, recalibrate, "{name}");
    }
}

#[test]
fn the_recipe_of_orepa_has_the_published_settings() {
    let recipe = Recipe::builtin("imagenet_resnet18_orepa", &[]).unwrap();
    let (optimizer, schedule) = (&recipe.optimizer, &recipe.schedule);
    assert_eq!(optimizer.method, Method::Sgd { momentum: 0.9, nesterov: false });
    assert_eq!((optimizer.learning_rate, optimizer.batch_size), (0.1, 256));
    assert_eq!((optimizer.weight_decay, optimizer.decay_norms_and_biases), (1e-4, false));
    assert_eq!(
        (schedule.epochs, &schedule.kind, schedule.warm_up_epochs),
        (120, &ScheduleKind::Cosine, 0)
    );
    assert_eq!(recipe.strategy.branching().branches, Preset::OrepaStem.into());
    assert!(recipe.controller().is_none());
    // What its comment says of other networks.
    for (changes, preset) in [
        (
            &["model.name=resnet50", "strategy.only.kernels=[[1, 1], [3, 3], [7, 7]]"][..],
            Preset::OrepaStem,
        ),
        (&["model.name=repvgg_a0", "strategy.name=orepa_repvgg"], Preset::OrepaRepVgg),
    ] {
        let changes: Vec<_> = changes.iter().map(|change| change.parse().unwrap()).collect();
        let recipe = Recipe::builtin("imagenet_resnet18_orepa", &changes).unwrap();
        assert_eq!(recipe.strategy.branching().branches, preset.into());
    }
}

#[test]
fn augmentations_are_those_of_the_published_table() {
    use TransformSpec as Step;
    let crop = || Step::RandomResizedCrop { size: 224, scale: [0.08, 1.0], ratio: [0.75, 4. / 3.] };
    let flip = || Step::RandomHorizontalFlip { probability: 0.5 };
    let (x, hue) = (0.06, 0.0);
    let jitter = || Step::ColorJitter { brightness: x, contrast: x, saturation: x, hue };
    let strong = || {
        let (magnitude, magnitude_std, operations) = (9.0, 0.5, 2);
        let (increasing, fill) = (false, None);
        let augment = Step::RandAugment { magnitude, magnitude_std, operations, increasing, fill };
        let (mode, scale, ratio) = (ErasingMode::Pixel, [0.02, 1. / 3.], [0.3, 1. / 0.3]);
        let erasing = Step::RandomErasing { probability: 0.2, mode, scale, ratio };
        vec![crop(), flip(), augment, erasing]
    };
    let rows = [
        (
            "cifar_vgg16",
            vec![
                Step::RandomCrop { size: 32, padding: 4 },
                flip(),
                Step::Cutout { size: 16, fill: None },
            ],
        ),
        ("imagenet_resnet18", vec![crop(), flip(), jitter()]),
        ("imagenet_mobilenet_v1", vec![crop(), flip(), jitter()]),
        ("imagenet_resnet18_orepa", vec![crop(), flip()]),
        ("imagenet_repvgg_a2", vec![crop(), flip()]),
        ("imagenet_repvgg_b2g4", strong()),
        ("imagenet_repvgg_b3", strong()),
    ];
    for (name, want) in rows {
        let want = AugmentationRecipe { train: want, mixup: None, cutmix: None };
        assert_eq!(Recipe::builtin(name, &[]).unwrap().augmentation, want, "{name}");
    }
}

#[test]
fn the_digits_are_trained_as_in_the_example() {
    let recipe = Recipe::builtin("digits_quick", &[]).unwrap();
    let want = GrowthRecipe {
        last_epoch: Some(8),
        config: ControllerConfig {
            interval: 2,
            cut_rule: CutRule::Threshold { min_deviation: 0.002, max_ratio: 0.1, lone: true },
            ..ControllerConfig::default()
        },
        ..GrowthRecipe::default()
    };
    assert_eq!(*growth(&recipe), want);
    let model = ModelRecipe {
        name: "resnet18".to_owned(),
        width: Some(32),
        stem: Some(Stem::Small),
        activation: None,
        weights: None,
        part: None,
        rename: vec![],
        norm_epsilon: None,
        partial: false,
    };
    assert_eq!(recipe.model, model);
    let (optimizer, schedule) = (&recipe.optimizer, &recipe.schedule);
    assert_eq!((schedule.epochs, schedule.final_learning_rate), (10, 0.0));
    assert_eq!((optimizer.learning_rate, optimizer.batch_size), (0.1, 64));
    assert_eq!(optimizer.method, Method::Sgd { momentum: 0.9, nesterov: true });
    assert!(optimizer.weight_decay == 1e-4 && !optimizer.decay_norms_and_biases);
    let shift = TransformSpec::RandomCrop { size: 8, padding: 1 };
    assert_eq!(recipe.augmentation.train, [shift]);
    assert_eq!((recipe.run.seed, recipe.run.threads), (0, Some(0)));
}
