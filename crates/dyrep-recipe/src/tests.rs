//! What every test of recipes starts from.

mod broken;
mod files;
mod impossible;
mod keys;
mod overrides;
mod rep_optimizer;
mod search;
mod shipped;

use dyrep_config::{
    BranchKind, Branches, Budget, CutRule, Fidelity, NormRule, PathPatterns, Precision, Preset,
    Score, Selection, Stem,
};

use dyrep_data::{MixSpec, TransformSpec};

use super::*;

fn patterns(texts: [&str; 1]) -> PathPatterns {
    PathPatterns::new(texts).unwrap()
}

/// A recipe of required keys alone.
const SHORT: &str = r#"[model]
name = "resnet18"

[data]
set = "cifar10"

[optimizer]
learning_rate = 0.1
batch_size = 128

[schedule]
epochs = 10

[strategy]
name = "dyrep"
"#;

/// A recipe of every key.
const FULL: &str = r#"
[model]
name = "mobilenet_v1"
width = 16
stem = "imagenet"
[data]
set = "image_folder"
path = "/data/pictures"
image_size = 160
evaluation_resize = 182
channels = "grey"
mean = [0.5]
std = [0.25]
background = [0, 128, 255]
max_pixels = 200_000_000
follow_links = true
sampler = "balanced"
[augmentation]
train = [
    { resize = { size = 200 } },
    { center_crop = { size = 180 } },
    { random_crop = { size = 176, padding = 4 } },
    { random_resized_crop = { size = 160, scale = [0.25, 1], ratio = [1, 1] } },
    "horizontal_flip",
    { horizontal_flip = { probability = 0.25 } },
    "color_jitter",
    { color_jitter = { brightness = 0.4, contrast = 0.3, saturation = 0.2, hue = 0.1 } },
    { rand_augment = { magnitude = 7, magnitude_std = 0.5, operations = 3 } },
    { cutout = { size = 16 } },
    { random_erasing = { probability = 0.2 } },
    { random_erasing = { probability = 0.2, mode = "pixel" } },
    { cutout = { size = 8, fill = [0] } },
    { random_erasing = { probability = 1, mode = { constant = { fill = [7] } }, scale = [0.1, 0.2] } },
]
mixup = { alpha = 0.2, probability = 0.7 }
cutmix = { alpha = 1.0, probability = 0.3 }
[optimizer]
learning_rate = 1
batch_size = 0x20
accumulate = 8
momentum = 0.8
nesterov = true
weight_decay = 0
decay_norms_and_biases = false
clip_norm = 5.0
ema_decay = 0.9999
layer_decay = 0.75
[[optimizer.groups]]
matching = ["^conv1$", "^bn1"]
frozen = true
[[optimizer.groups]]
matching = ["^fc"]
learning_rate_scale = 10
weight_decay = 0
[schedule]
epochs = 1_000
kind = { step = { milestones = [30, 60, 2000], factor = 0.2 } }
warm_up_epochs = 999
warm_up_learning_rate = 0.5
final_learning_rate = 1
[loss]
label_smoothing = 0.1
class_weights = [1, 0.5]
[distillation]
file = "/data/teacher.safetensors"
weight = 1
temperature = 0.5
[strategy]
interval = 3
name = "dyrep"
only = { layers = ["conv1"], matching = ["layer4"], except = ["conv2$"], kernels = [[3, 3], [1, 7]] }
start = { preset = "repvgg" }
score = "branch_gain"
per_weight = true
branches = { exactly = ["kxk", "1x1"] }
first_epoch = 7
last_epoch = 5000
growths = 2
max_depth = 1
grow_in = ["layer[34]"]
never_grow_in = ['^stem$']
budget = { params = 3, flops = 2.5 }
calibration_batches = 10
norm_rule = "neutral"
cut_rule = { top_k = { keep = 20 } }
fidelity = "published"
[evaluation]
recalibrate_batches = 200
early_stopping = 20
ship = "best"
[run]
seed = 9223372036854775807
threads = 8
checkpoints_kept = 0
tensorboard = true
precision = "bf16"
gradient_checkpointing = true
"#;

fn parse(text: &str, overrides: &[&str]) -> Result<Recipe, RecipeError> {
    let overrides: Result<Vec<Override>, _> =
        overrides.iter().map(|text| text.parse::<Override>()).collect();
    Recipe::parse(text, "recipes/x.toml", &overrides?)
}

#[test]
fn what_is_absent_has_the_documented_default() {
    let recipe = parse(SHORT, &[]).unwrap();
    let want = Recipe {
        model: ModelRecipe {
            name: "resnet18".to_owned(),
            width: None,
            stem: None,
            activation: None,
            weights: None,
            part: None,
            rename: vec![],
            norm_epsilon: None,
            partial: false,
        },
        data: DataRecipe::new(DataSet::Cifar10),
        augmentation: AugmentationRecipe { train: vec![], mixup: None, cutmix: None },
        optimizer: OptimizerConfig {
            method: Method::Sgd { momentum: 0.9, nesterov: false },
            learning_rate: 0.1,
            batch_size: 128,
            accumulate: 1,
            weight_decay: 1e-4,
            decay_norms_and_biases: true,
            clip_norm: None,
            ema_decay: None,
            layer_decay: None,
            groups: vec![],
        },
        schedule: ScheduleConfig {
            epochs: 10,
            kind: ScheduleKind::Cosine,
            warm_up_epochs: 0,
            warm_up_learning_rate: 0.0,
            final_learning_rate: 0.0,
        },
        loss: LossConfig { label_smoothing: 0.0, class_weights: None },
        distillation: None,
        strategy: StrategyRecipe::DyRep(GrowthRecipe::default()),
        evaluation: EvaluationRecipe {
            recalibrate_batches: None,
            early_stopping: None,
            ship: Shipped::Last,
        },
        run: RunRecipe {
            seed: 0,
            threads: None,
            max_skipped: 100,
            checkpoints_kept: 1,
            tensorboard: false,
            precision: Precision::F32,
            gradient_checkpointing: false,
        },
    };
    assert_eq!(recipe, want);
    assert_eq!((recipe.data.side(), recipe.data.resized_side()), (32, 32));
    assert_eq!(GrowthRecipe::default().last_epoch_of(120), 100);
    let folder = parse(SHORT, &["data.set=image_folder", "data.image_size=112"]).unwrap().data;
    assert_eq!((folder.side(), folder.resized_side()), (112, 128));
}

#[test]
fn every_key_is_read_and_written_back() {
    let recipe = parse(FULL, &[]).unwrap();
    let back = parse(&recipe.to_toml().unwrap(), &[]).unwrap();
    assert_eq!(recipe, back);
    let StrategyRecipe::DyRep(growth) = &recipe.strategy else { panic!("{recipe:?}") };
    let want = GrowthRecipe {
        only: Selection {
            layers: vec!["conv1".to_owned()],
            matching: patterns(["layer4"]),
            except: patterns(["conv2$"]),
            kernels: vec![[3, 3], [1, 7]],
        },
        start: Some(Preset::RepVgg.into()),
        last_epoch: Some(5000),
        config: ControllerConfig {
            score: Score::BranchGain,
            per_weight: true,
            branches: [BranchKind::KXK, BranchKind::POINTWISE].into(),
            interval: 3,
            first_epoch: 7,
            growths: 2,
            max_depth: 1,
            grow_in: patterns(["layer[34]"]),
            never_grow_in: patterns(["^stem$"]),
            budget: Budget { params: Some(3.0), flops: Some(2.5) },
            calibration_batches: 10,
            norm_rule: NormRule::Neutral,
            cut_rule: CutRule::TopK { keep: 20 },
            fidelity: Fidelity::Published,
            ..ControllerConfig::default()
        },
    };
    assert_eq!(*growth, want);
    assert_eq!((recipe.optimizer.batch_size, recipe.run.seed), (32, i64::MAX as u64));
    let flips: Vec<_> = recipe.augmentation.train[4..6].to_vec();
    let flip = |probability| TransformSpec::RandomHorizontalFlip { probability };
    assert_eq!(flips, [flip(0.5), flip(0.25)]);
    assert_eq!(recipe.augmentation.cutmix, Some(MixSpec { alpha: 1.0, probability: 0.3 }));
    let file = "/data/teacher.safetensors".into();
    let distillation = DistillationRecipe { file, weight: 1.0, temperature: 0.5 };
    assert_eq!(recipe.distillation, Some(distillation));
}

/// A file alone is a teacher, with the usual weight and temperature; without one there is none.
#[test]
fn a_teacher_is_a_file() {
    let recipe = parse(SHORT, &["distillation.file=t.safetensors"]).unwrap();
    let distillation =
        DistillationRecipe { file: "t.safetensors".into(), weight: 0.9, temperature: 4.0 };
    assert_eq!(recipe.distillation, Some(distillation));
    assert_eq!(parse(&recipe.to_toml().unwrap(), &[]).unwrap(), recipe);
    assert!(!parse(SHORT, &[]).unwrap().to_toml().unwrap().contains("distillation"));
}

/// Runs keep the text of their recipe, in the form of the program that began them.
#[test]
fn what_was_written_before_is_read() {
    let before = parse(include_str!("tests/written_by_0_2_0.toml"), &[]).unwrap();
    let mut full = parse(FULL, &[]).unwrap();
    // What there was not yet is as where nothing is said.
    full.augmentation.train.truncate(12);
    let short = parse(SHORT, &[]).unwrap();
    full.data.sampler = short.data.sampler;
    full.optimizer.layer_decay = None;
    full.optimizer.groups.clear();
    full.schedule.warm_up_learning_rate = short.schedule.warm_up_learning_rate;
    full.loss.class_weights = None;
    full.distillation = None;
    full.evaluation.ship = short.evaluation.ship;
    full.run = RunRecipe {
        seed: full.run.seed,
        threads: full.run.threads,
        checkpoints_kept: 0,
        ..short.run
    };
    assert_eq!(before, full);
}

/// A resumed run compares its recipe's text with the one that it was begun by.
#[test]
fn what_is_written_stays_to_the_byte() {
    let written = include_str!("tests/written.toml");
    assert_eq!(parse(written, &[]).unwrap().to_toml().unwrap(), written);
}

/// What grows online is online whatever preset it is, and nothing else.
#[test]
fn growth_may_be_online() {
    let grows = |changes: &[&str]| {
        let recipe = parse(SHORT, changes).map_err(|error| error.to_string())?;
        assert_eq!(parse(&recipe.to_toml().unwrap(), &[]).unwrap(), recipe);
        let StrategyRecipe::DyRep(growth) = &recipe.strategy else { panic!("{recipe:?}") };
        Ok((recipe.strategy.name(), growth.config.branches.clone()))
    };
    let online = |preset| Branches::Online(preset);
    let name = "strategy.name=dyrep-online";
    assert_eq!(grows(&[name]), Ok(("dyrep-online", online(Preset::DyRep))));
    let dbb = "strategy.branches={online=\"dbb\"}";
    assert_eq!(grows(&[name, dbb]), Ok(("dyrep-online", online(Preset::Dbb))));
    assert_eq!(grows(&["strategy.name=dyrep", dbb]), Ok(("dyrep-online", online(Preset::Dbb))));
    let error: Result<_, String> = grows(&[name, "strategy.branches={preset=\"dbb\"}"]);
    let error = error.unwrap_err();
    assert!(error.contains("must be `{ online = \"PRESET\" }`"), "{error}");
}

#[test]
fn other_formats_go_through_the_same_checks() {
    let recipe = parse(SHORT, &[]).unwrap();
    let mut value = toml::Value::try_from(&recipe).unwrap();
    assert_eq!(value.clone().try_into::<Recipe>().unwrap(), recipe);
    value["schedule"]["warm_up_epochs"] = toml::Value::Integer(10);
    let error = value.try_into::<Recipe>().unwrap_err().to_string();
    assert!(error.contains("`warm_up_epochs` in [schedule]"), "{error}");
}

#[test]
fn strategies_schedules_and_cut_rules_are_written_as_they_are_read() {
    for name in STRATEGIES {
        let recipe = parse(SHORT, &[&format!("strategy.name={name}")]).unwrap();
        assert_eq!(recipe.strategy.name(), *name);
        assert_eq!(parse(&recipe.to_toml().unwrap(), &[]).unwrap(), recipe);
    }
    assert!(
        ["plain", "dyrep", "csla", "repoptimizer"].iter().all(|name| STRATEGIES.contains(name))
    );
    let only = "strategy.only={matching=[\"layer4\"]}";
    for name in STRATEGIES.iter().filter(|name| !["plain", "dyrep", "dyrep-online"].contains(name))
    {
        let recipe = parse(SHORT, &[&format!("strategy.name={name}"), only]).unwrap();
        let toml = recipe.to_toml().unwrap();
        assert!(toml.contains("layer4"), "{toml}");
        assert_eq!(parse(&toml, &[]).unwrap(), recipe);
    }
    let kinds = [
        ("cosine", ScheduleKind::Cosine),
        ("poly", ScheduleKind::Poly { power: 0.9 }),
        ("one_cycle", {
            ScheduleKind::OneCycle { pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4 }
        }),
        ("plateau", {
            ScheduleKind::Plateau(Plateau {
                factor: 0.1,
                patience: 10,
                threshold: 1e-4,
                cooldown: 0,
            })
        }),
        ("{plateau={factor=0.5,patience=0,threshold=0,cooldown=3}}", {
            ScheduleKind::Plateau(Plateau { factor: 0.5, patience: 0, threshold: 0.0, cooldown: 3 })
        }),
    ];
    let weights = |written: &str| {
        let recipe = parse(SHORT, &[&format!("loss.class_weights={written}")]).unwrap();
        assert_eq!(parse(&recipe.to_toml().unwrap(), &[]).unwrap(), recipe);
        recipe.loss.class_weights.unwrap()
    };
    assert_eq!(weights("balanced"), ClassWeights::Balanced);
    assert_eq!(weights("[1, 0.5]"), ClassWeights::Each(vec![1.0, 0.5]));
    for (written, kind) in kinds {
        let recipe = parse(SHORT, &[&format!("schedule.kind={written}")]).unwrap();
        assert_eq!(recipe.schedule.kind, kind);
        assert_eq!(parse(&recipe.to_toml().unwrap(), &[]).unwrap(), recipe);
    }
    let rules = [
        ("never", CutRule::Never),
        ("threshold", CutRule::default()),
        ("{budget={params=2}}", { CutRule::Budget(Budget { params: Some(2.0), flops: None }) }),
        ("budget", CutRule::Budget(Budget::default())),
    ];
    for (written, rule) in rules {
        let recipe = parse(SHORT, &[&format!("strategy.cut_rule={written}")]).unwrap();
        let StrategyRecipe::DyRep(growth) = &recipe.strategy else { panic!("{recipe:?}") };
        assert_eq!(growth.config.cut_rule, rule);
        assert_eq!(parse(&recipe.to_toml().unwrap(), &[]).unwrap(), recipe);
    }
}
