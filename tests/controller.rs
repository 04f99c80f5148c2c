//! The controller's options: when, where, how much, and what is refused.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::optim::{ModuleOptimizer, SgdConfig};
use burn::tensor::Tensor;
use dyrep_burn::{
    BranchKind, Budget, Controller, ControllerConfig, ControllerState, CutRule, EventLog, Fidelity,
    Form, InputSizes, NormRule, PathPatterns, Preset, RepConv2d, RepConv2dConfig, Score, Structure,
    layers,
};
use dyrep_tests::network::random_gradients;
use dyrep_tests::random::Draw;
use dyrep_tests::under_test;

/// Three equal convolutions in a row, and one 1×1 and one 1×3 that never grow.
#[derive(Module, Debug)]
struct Net {
    stem: RepConv2d,
    body: Vec<RepConv2d>,
    pointwise: RepConv2d,
    flat: RepConv2d,
}

impl Net {
    fn new() -> Self {
        let conv = |kernel: [usize; 2]| {
            let [high, wide] = kernel.map(|size| size / 2);
            RepConv2dConfig::new([2, 2], kernel)
                .with_padding(PaddingConfig2d::Explicit(high, wide, high, wide))
                .init(&under_test().autodiff())
        };
        Self {
            stem: conv([3, 3]),
            body: vec![conv([3, 3]), conv([3, 3])],
            pointwise: conv([1, 1]),
            flat: conv([1, 3]),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let x = self.body.iter().fold(self.stem.forward(input), |x, conv| conv.forward(x));
        self.flat.forward(self.pointwise.forward(x))
    }
}

fn run(net: &Net, i: usize) {
    let data = Draw::new(i as u64).data(&[4, 2, 6, 6], -1.0, 1.0);
    drop(net.forward(Tensor::from_data(data, &under_test())));
}

/// Adjusts `times` times after random gradients.
fn adjusted(config: ControllerConfig, times: usize) -> (Net, Controller) {
    adjusted_from(Net::new(), config, times)
}

fn adjusted_from(mut net: Net, config: ControllerConfig, times: usize) -> (Net, Controller) {
    let mut controller =
        Controller::new(ControllerConfig { calibration_batches: 1, ..config }).unwrap();
    let mut optimizer = ModuleOptimizer::from(SgdConfig::new().build());
    for epoch in 1..=times {
        let gradients = random_gradients(&net, &mut Draw::new(epoch as u64));
        controller.observe(&net, &gradients);
        controller.adjust(&mut net, &mut optimizer, epoch, run).unwrap();
    }
    (net, controller)
}

fn grown(controller: &Controller) -> Vec<&str> {
    controller.events().map(|event| event.change.path()).collect()
}

fn patterns<const N: usize>(texts: [&str; N]) -> PathPatterns {
    PathPatterns::new(texts).unwrap()
}

#[test]
fn adjustments_are_due_in_their_epochs() {
    let config = ControllerConfig {
        interval: 3,
        first_epoch: 5,
        last_epoch: 12,
        ..ControllerConfig::default()
    };
    let controller = Controller::new(config).unwrap();
    let due: Vec<usize> = (0..20).filter(|&epoch| controller.is_due(epoch)).collect();
    assert_eq!(due, [6, 9, 12]);
}

#[test]
fn only_square_kernels_larger_than_one_at_paths_that_may_grow() {
    let never = CutRule::Never;
    let shallow = ControllerConfig { cut_rule: never, max_depth: 1, ..ControllerConfig::default() };
    let (_, controller) = adjusted(shallow.clone(), 5);
    let mut paths = grown(&controller);
    paths.sort_unstable();
    assert_eq!(paths, ["body.0", "body.1", "stem"]);

    let grow_in = ControllerConfig { grow_in: patterns(["^body"]), ..shallow.clone() };
    let mut paths: Vec<String> =
        grown(&adjusted(grow_in, 5).1).into_iter().map(str::to_owned).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["body.0", "body.1"]);

    let never_grow_in = patterns(["^stem", r"body\.1"]);
    let (_, controller) = adjusted(ControllerConfig { never_grow_in, ..shallow }, 5);
    assert_eq!(grown(&controller), ["body.0"]);
}

#[test]
fn as_many_grow_at_once_as_asked_and_as_deep() {
    let config = ControllerConfig {
        growths: 2,
        cut_rule: CutRule::Never,
        max_depth: 2,
        grow_in: patterns(["^stem"]),
        ..ControllerConfig::default()
    };
    let (net, controller) = adjusted(config, 4);
    let counts: Vec<usize> =
        controller.log().unwrap().adjustments().iter().map(|it| it.events.len()).collect();
    assert_eq!(counts, [1, 2, 0, 0], "the layer, then both convolutions inside it");
    assert_eq!(layers(&net)[0].1.form().branch_count(), 15, "3 where padding is gone");
}

#[test]
fn growth_and_cuts_keep_to_the_budget() {
    let sizes = |net: &Net| InputSizes::measure(net, |net| run(net, 0));
    for budget in [
        Budget { flops: Some(2.0), params: None },
        Budget { params: Some(2.5), flops: None },
        Budget { flops: Some(3.0), params: Some(2.5) },
    ] {
        let config = ControllerConfig {
            budget,
            growths: 2,
            cut_rule: CutRule::Never,
            ..ControllerConfig::default()
        };
        let (net, controller) = adjusted(config, 6);
        let structure = Structure::of(&net);
        let [cost, deployed] =
            [&structure, &structure.deployed()].map(|structure| sizes(&net).cost(structure));
        assert!(budget.allows(cost, deployed), "{budget:?}: {cost} of {deployed}");
        assert!(controller.events().count() > 0, "{budget:?}: something fits");
        assert_eq!(controller.events().last().unwrap().after, cost);
    }
    // What was grown before is cut back to a budget.
    let config = ControllerConfig { cut_rule: CutRule::Never, ..ControllerConfig::default() };
    let (net, _) = adjusted(config, 5);
    let budget = Budget { flops: Some(1.6), params: None };
    let config = ControllerConfig {
        cut_rule: CutRule::Budget(budget),
        never_grow_in: patterns(["."]),
        ..ControllerConfig::default()
    };
    let (net, _) = adjusted_from(net, config, 1);
    let structure = Structure::of(&net);
    let cost = sizes(&net).cost(&structure);
    assert!(budget.allows(cost, sizes(&net).cost(&structure.deployed())), "{cost}");
    assert!(structure != structure.deployed(), "not more than needed was cut");
}

/// Nothing that is really grown is larger than the largest that is told before; and it keeps to what is asked for.
#[test]
fn the_largest_structure_is_known_before() {
    let net = Net::new();
    let start = Structure::of(&net);
    let sizes = InputSizes::measure(&net, |net| run(net, 0));
    let config = ControllerConfig {
        interval: 1,
        first_epoch: 1,
        last_epoch: 5,
        cut_rule: CutRule::Never,
        ..ControllerConfig::default()
    };
    let of = |config: &ControllerConfig, epochs| {
        Controller::new(config.clone()).unwrap().largest(&start, &sizes, epochs)
    };
    let blocks = |structure: &Structure| {
        structure.layers().iter().filter(|(_, layer)| matches!(layer.form, Form::Block(_))).count()
    };
    assert_eq!(of(&config, 0), start, "nothing is due");
    for depth in [1, 2] {
        for flops in [None, Some(2.5)] {
            let budget = Budget { flops, ..Budget::default() };
            let config =
                ControllerConfig { max_depth: depth, growths: 2, budget, ..config.clone() };
            for epochs in 1..=6 {
                let (grown, _) = adjusted(config.clone(), epochs.min(5));
                let [largest, grown] =
                    [of(&config, epochs), Structure::of(&grown)].map(|it| (sizes.cost(&it), it));
                assert!(largest.0.macs >= grown.0.macs, "{depth} {flops:?} {epochs}");
                let limit = flops.unwrap_or(f64::INFINITY) * sizes.cost(&start).macs as f64;
                assert!(largest.0.macs as f64 <= limit);
                assert!(blocks(&largest.1) <= 3);
            }
        }
    }
    // Of three equal convolutions one after the other, and then inside them.
    let one = |depth, epochs| {
        blocks(&of(&ControllerConfig { max_depth: depth, ..config.clone() }, epochs))
    };
    assert_eq!([one(1, 1), one(1, 2), one(1, 5)], [1, 2, 3]);
}

/// A block of which something rests cannot be grown or cut, so nothing there is a candidate.
#[test]
fn where_a_branch_rests_all_stays_as_it_is() {
    let config = ControllerConfig {
        interval: 1,
        first_epoch: 1,
        last_epoch: 9,
        cut_rule: CutRule::TopK { keep: 0 },
        ..ControllerConfig::default()
    };
    let started = |resting: bool| {
        let net = Net::new();
        let mut layers = Structure::of(&net).layers().clone();
        let stem = layers.get_mut("stem").unwrap();
        stem.form = RepConv2dConfig::of(&stem.geometry).with_branches(Preset::Dbb).form().unwrap();
        let Form::Block(block) = &mut stem.form else { panic!("no block") };
        block.branches[0].resting = resting;
        Structure::new(layers).unwrap().apply(net).unwrap()
    };
    let of_stem = |path: &str| path.starts_with("stem");
    let net = started(true);
    let sizes = InputSizes::measure(&net, |net| run(net, 0));
    let stem = |structure: &Structure| structure.layers()["stem"].clone();
    let before = Structure::of(&net);
    let (after, controller) = adjusted_from(net, config.clone(), 3);
    assert!(controller.events().count() > 1 && !grown(&controller).into_iter().any(of_stem));
    assert_eq!(stem(&Structure::of(&after)), stem(&before));
    assert_eq!(stem(&controller.largest(&before, &sizes, 9)), stem(&before));
    // The control.
    let net = started(false);
    let before = Structure::of(&net);
    let (_, controller) = adjusted_from(net, config, 3);
    assert!(grown(&controller).into_iter().any(of_stem));
    assert_ne!(stem(&controller.largest(&before, &sizes, 9)), stem(&before));
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let refused = |config: ControllerConfig| Controller::new(config).unwrap_err().to_string();
    let default = ControllerConfig::default;
    let zero = ControllerConfig { interval: 0, ..default() };
    assert_eq!(refused(zero), "controller: interval must be at least 1, got 0");
    assert!(refused(ControllerConfig { growths: 0, ..default() }).contains("growths"));
    assert!(refused(ControllerConfig { max_depth: 0, ..default() }).contains("max_depth"));
    assert!(refused(ControllerConfig { max_depth: 17, ..default() }).contains("at most 16"));
    let none = ControllerConfig { calibration_batches: 0, ..default() };
    assert!(refused(none).contains("calibration_batches"));
    let plain = ControllerConfig { branches: Preset::Plain.into(), ..default() };
    assert!(refused(plain).contains("branches must be a preset with branches"));
    let budget = Budget { flops: Some(0.5), params: None };
    assert!(refused(ControllerConfig { budget, ..default() }).contains("got 0.5"));
    let cut_rule = CutRule::Budget(Budget { params: Some(f64::NAN), flops: None });
    assert!(refused(ControllerConfig { cut_rule, ..default() }).contains("got NaN"));
    let cut_rule = CutRule::Threshold { min_deviation: -1.0, max_ratio: 0.1, lone: true };
    assert!(refused(ControllerConfig { cut_rule, ..default() }).contains("min_deviation"));
}

/// A pass on another thread is seen by nobody here: then nothing is known, which is not the same as nothing spent.
#[test]
fn a_budget_on_what_nobody_measured_is_refused() {
    let budget = Budget { flops: Some(2.0), params: None };
    let config = ControllerConfig { budget, ..ControllerConfig::default() };
    let mut controller = Controller::new(config).unwrap();
    let mut net = Net::new();
    controller.observe(&net, &random_gradients(&net, &mut Draw::new(1)));
    let elsewhere = |net: &Net, i: usize| {
        std::thread::scope(|scope| scope.spawn(|| run(net, i)).join().unwrap());
    };
    let mut optimizer = ModuleOptimizer::from(SgdConfig::new().build());
    let error = controller.adjust(&mut net, &mut optimizer, 1, elsewhere).unwrap_err().to_string();
    assert!(
        error.contains("budget on multiply-adds") && error.contains("calling thread"),
        "{error}"
    );
    // Whoever measures inside a pass that is measured sees as much as outside it.
    let net = Net::new();
    let alone = InputSizes::measure(&net, |net| run(net, 0));
    assert!(!alone.is_empty());
    let outer = InputSizes::measure(&net, |net| {
        assert_eq!(InputSizes::measure(net, |net| run(net, 0)), alone);
        run(net, 0);
    });
    let structure = Structure::of(&net);
    assert_eq!(outer.cost(&structure).macs, 2 * alone.cost(&structure).macs);
}

#[test]
fn branches_that_some_convolution_cannot_have_are_told_before_the_training() {
    let config = |branches: &[BranchKind]| ControllerConfig {
        branches: branches.to_vec().into(),
        ..ControllerConfig::default()
    };
    let mut net = Net::new();
    let unpadded = RepConv2dConfig::new([2, 2], [3, 3]).init(&under_test().autodiff());
    net.body[1] = unpadded;
    let kinds = [BranchKind::POINTWISE_KXK, BranchKind::POINTWISE];
    let error = Controller::new(config(&kinds)).unwrap().check(&net).unwrap_err().to_string();
    assert!(error.contains("`body.1`") && error.contains("no `1x1` branch"), "{error}");
    Controller::new(config(&kinds[..1])).unwrap().check(&net).unwrap();
    // Where it may not grow nothing is asked.
    let never = ControllerConfig { never_grow_in: patterns([r"body\.1"]), ..config(&kinds) };
    Controller::new(never).unwrap().check(&net).unwrap();
}

#[test]
fn configurations_are_read_back_and_unknown_keys_refused() {
    let config = ControllerConfig {
        grow_in: patterns([r"layer[12]\."]),
        budget: Budget { flops: Some(2.0), params: None },
        cut_rule: CutRule::TopK { keep: 7 },
        ..ControllerConfig::published()
    };
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<ControllerConfig>(&text).unwrap(), config);
    let short: ControllerConfig = serde_json::from_str(r#"{"score": "branch_gain"}"#).unwrap();
    assert_eq!(short, ControllerConfig { score: Score::BranchGain, ..Default::default() });
    let error = serde_json::from_str::<ControllerConfig>(r#"{"intervall": 3}"#).unwrap_err();
    assert!(error.to_string().contains("`intervall`"), "{error}");
    let error = serde_json::from_str::<ControllerConfig>(r#"{"grow_in": ["("]}"#).unwrap_err();
    assert!(error.to_string().contains("\"(\", expected a regular expression on paths"), "{error}");
    let published = ControllerConfig::published();
    assert_eq!(published.fidelity, Fidelity::Published);
    assert_eq!((published.score, published.norm_rule), (Score::SynFlow, NormRule::Published));
}

#[test]
fn logs_are_written_read_and_refused_when_broken() {
    let (net, controller) = adjusted(ControllerConfig::default(), 4);
    let log = controller.log().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.json");
    log.save(&path).unwrap();
    let read = EventLog::load(&path).unwrap();
    assert_eq!(&read, log);
    assert_eq!(read.replay().unwrap(), Structure::of(&net));
    let after_first = read.structure_after(1).unwrap();
    assert_ne!(after_first, *read.start());
    assert_ne!(after_first, read.replay().unwrap());
    assert!(read.adjustments().iter().all(|it| it.steps == 1 && !it.scores.is_empty()));

    let text = log.to_json();
    let refused = |text: &str| {
        std::fs::write(&path, text).unwrap();
        EventLog::load(&path).unwrap_err().to_string()
    };
    assert!(refused(&text[..text.len() / 2]).contains("events.json"));
    let newer = text.replacen("\"version\": 2", "\"version\": 9", 1);
    assert!(refused(&newer).contains("version 9"), "{}", refused(&newer));
    // A change that the structure does not allow: the first growth twice.
    let mut twice: serde_json::Value = serde_json::from_str(&text).unwrap();
    let first = twice["adjustments"][0]["events"][0].clone();
    twice["adjustments"][0]["events"].as_array_mut().unwrap().push(first);
    assert!(refused(&twice.to_string()).contains("it is a block already"));
    assert!(EventLog::load(folder.path().join("none.json")).is_err());
}

#[test]
fn sums_of_another_model_are_refused() {
    let config = ControllerConfig { score: Score::BranchGain, ..ControllerConfig::default() };
    let structure = Structure::of(&Net::new());
    let resumed = |path: &str, kind: serde_json::Value, numbers: usize| {
        let sums = serde_json::json!([{ "path": path, "kind": kind }]);
        let state = serde_json::json!({
            "score": "branch_gain", "log": null, "steps": 1, "sums": sums
        });
        let state: ControllerState = serde_json::from_value(state).unwrap();
        let values = vec![0.0; numbers];
        Controller::resume(config.clone(), state, &values, &structure, &under_test())
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let gradient = |weight: [usize; 4], bias: Option<usize>| serde_json::json!({ "gradient": { "weight": weight, "bias": bias } });
    resumed("body.1", gradient([2, 2, 3, 3], Some(2)), 38).unwrap();
    let huge = 1 << 32;
    for (path, kind, numbers) in [
        ("body.2", gradient([2, 2, 3, 3], None), 36),
        ("body.1.kxk.conv", gradient([2, 2, 3, 3], None), 36),
        ("body.1", gradient([2, 2, 1, 3], None), 12),
        ("body.1", gradient([2, 2, 3, 3], Some(3)), 39),
        ("body.1", gradient([huge, huge, huge, huge], None), 0),
    ] {
        let error = resumed(path, kind, numbers).unwrap_err();
        assert!(error.contains(&format!("`{path}` is not of a convolution")), "{error}");
    }
    let error = resumed("body.1", gradient([2, 2, 3, 3], None), 35).unwrap_err();
    assert_eq!(error, "the sums have 36 numbers, 35 were saved");
}
