//! A network as a user writes it: Burn's derive and nothing else, with every container that Burn knows.
//!
//! Its layers are found wherever they lie; it is trained, grown, cut, deployed, saved and loaded.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Tensor};
use dyrep_burn::ops::mean_of_maps;
use dyrep_burn::{
    AdjustOptions, Calibration, Change, Controller, ControllerConfig, CutRule, Event, Preset,
    RepConv2d, RepConv2dConfig, Score, Structure, Warning, cut, deploy, grow, layers,
    prune_optimizer, verify,
};
use dyrep_tests::close::relative_difference;
use dyrep_tests::device::allowed;
use dyrep_tests::params;
use dyrep_tests::under_test;

/// Containers inside containers.
#[derive(Module, Debug)]
struct Inner {
    deep: Vec<Option<(RepConv2d, BatchNorm)>>,
    scale: f64,
}

/// An enum of modules.
#[derive(Module, Debug)]
enum Head {
    Conv(RepConv2d),
    #[allow(dead_code)]
    Linear(Linear),
}

#[derive(Module, Debug)]
struct Net {
    stem: RepConv2d,
    list: Vec<RepConv2d>,
    present: Option<RepConv2d>,
    absent: Option<RepConv2d>,
    array: [RepConv2d; 2],
    pair: (RepConv2d, BatchNorm),
    inner: Inner,
    head: Head,
    fc: Linear,
}

fn conv(channels: [usize; 2], device: &Device) -> RepConv2d {
    RepConv2dConfig::new(channels, [3, 3])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .with_bias(false)
        .init(device)
}

impl Net {
    fn new(device: &Device) -> Self {
        let same = || conv([4, 4], device);
        let norm = || BatchNormConfig::new(4).init(device);
        Self {
            stem: conv([2, 4], device),
            list: vec![same(), same()],
            present: Some(same()),
            absent: None,
            array: [same(), same()],
            pair: (same(), norm()),
            inner: Inner { deep: vec![None, Some((same(), norm()))], scale: 0.5 },
            head: Head::Conv(same()),
            fc: LinearConfig::new(4, 3).init(device),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = relu(self.stem.forward(images));
        for layer in self.list.iter().chain(&self.present).chain(&self.absent).chain(&self.array) {
            x = relu(layer.forward(x.clone())) + x;
        }
        x = self.pair.1.forward(self.pair.0.forward(x));
        for (conv, norm) in self.inner.deep.iter().flatten() {
            x = norm.forward(conv.forward(x.clone())) * self.inner.scale + x;
        }
        if let Head::Conv(layer) = &self.head {
            x = layer.forward(x);
        }
        self.fc.forward(mean_of_maps(x).flatten(1, 3))
    }
}

const PATHS: [&str; 9] = [
    "stem",
    "list.0",
    "list.1",
    "present",
    "array.0",
    "array.1",
    "pair.0",
    "inner.deep.1.0",
    "head.Conv",
];

fn batch(device: &Device) -> Tensor<4> {
    Tensor::random([6, 2, 7, 7], Distribution::Normal(0.0, 1.0), device)
}

fn optimizer() -> ModuleOptimizer {
    let momentum = MomentumConfig::new().with_dampening(0.0);
    SgdConfig::new().with_momentum(Some(momentum)).init()
}

fn step(net: Net, optimizer: &mut ModuleOptimizer, device: &Device) -> (Net, GradientsParams) {
    let gradients = |net: &Net| {
        let loss = net.forward(batch(device)).powi_scalar(2).mean();
        GradientsParams::from_grads(loss.backward(), net)
    };
    let observed = gradients(&net);
    let used = gradients(&net);
    (optimizer.step(0.05, net, used), observed)
}

fn grow_at(net: &Net, path: &str, event: u64) -> Net {
    let device = under_test();
    let mut run = |net: &Net, _: usize| drop(net.forward(batch(&device)));
    let options = AdjustOptions { seed: 3, event, ..AdjustOptions::default() };
    grow(net, path, &Preset::DyRep.into(), &options, &mut Calibration::new(2, &mut run)).unwrap()
}

#[test]
fn every_layer_is_found_by_its_path() {
    let net = Net::new(&under_test());
    let found = layers(&net);
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, PATHS);
    for (path, layer) in &found {
        let plain = params::ids(layer)["weight"];
        assert_eq!(params::ids(&net)[&format!("{path}.weight")], plain, "{path} is a shared clone");
    }
}

#[test]
fn every_layer_grows_and_deploys_and_only_it_changes() {
    let device = under_test();
    let net = Net::new(&device);
    let input = batch(&device);
    for (event, path) in PATHS.iter().enumerate() {
        let grown = grow_at(&net, path, event as u64);
        let blocks: Vec<String> = layers(&grown)
            .into_iter()
            .filter(|(_, layer)| !layer.is_plain())
            .map(|(path, _)| path)
            .collect();
        assert_eq!(blocks, [*path]);
        let weight = format!("{path}.kxk.conv.weight");
        assert_eq!(params::ids(&grown)[&weight], params::ids(&net)[&format!("{path}.weight")]);
        let difference =
            relative_difference(grown.forward(input.clone()), net.forward(input.clone()));
        assert!(difference < allowed(1e-5), "{path}: {difference:e}");
        assert!(layers(&deploy(&grown)).iter().all(|(_, layer)| layer.is_plain()));
    }
}

#[test]
fn trained_grown_cut_deployed_saved_and_loaded() {
    let device = under_test().autodiff();
    device.seed(1);
    let mut net = Net::new(&device);
    let mut optimizer = optimizer();
    (net, _) = step(net, &mut optimizer, &device);
    net = grow_at(&net, "list.1", 0);
    net = grow_at(&net, "list.1.kxk.conv", 1);
    net = grow_at(&net, "inner.deep.1.0", 2);
    (net, _) = step(net, &mut optimizer, &device);

    // A cut branch's parameters, and their momentum, are gone; the others' stay.
    let before = optimizer.to_record().len();
    let branch = dyrep_burn::BranchKind::POINTWISE_KXK.into();
    let mut run = |_: &Net, _: usize| {};
    let mut calibration = Calibration::new(1, &mut run);
    let options = AdjustOptions::default();
    let evaluated = net.valid().forward(batch_of(3));
    net = cut(&net, "list.1", &[branch], &options, &mut calibration).unwrap();
    let difference = relative_difference(net.valid().forward(batch_of(3)), evaluated);
    assert!(difference < allowed(1e-5), "{difference:e}");
    assert_eq!(prune_optimizer(&mut optimizer, &net).unwrap(), 6, "2 weights, 2 γ and 2 β");
    assert_eq!(optimizer.to_record().len(), before - 6);
    assert_eq!(prune_optimizer(&mut optimizer, &net).unwrap(), 0);
    (net, _) = step(net, &mut optimizer, &device);

    let deployed = deploy(&net);
    let report = verify(&net, &deployed, [batch_of(4), batch_of(5)], Net::forward);
    assert_eq!(report.warnings, [Warning::StillTrains]);
    let blocks: Vec<&str> = report.blocks.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(blocks, ["list.1", "inner.deep.1.0"]);
    assert!(report.model.relative < allowed(1e-5), "{report}");
    assert!(
        report.blocks.iter().all(|(_, difference)| difference.relative < allowed(1e-5)),
        "{report}"
    );

    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    Structure::of(&net).save(file("structure.json")).unwrap();
    net.valid().into_record().save(file("trained.bpk")).unwrap();
    deployed.clone().into_record().save(file("deployed.bpk")).unwrap();

    // Training form: the structure first, then the weights.
    let fresh = Net::new(&under_test());
    let structure = Structure::load(file("structure.json")).unwrap();
    let loaded = structure.apply(fresh.clone()).unwrap().load_file(file("trained.bpk"));
    assert_eq!(params::read(&loaded), params::read(&net.valid()));
    assert_eq!(params::trainable_ids(&loaded), params::trainable_ids(&net));
    // Deployed form: a fused layer has a bias, which the structure of the deployed model tells.
    let structure = Structure::load(file("structure.json")).unwrap().deployed();
    assert_eq!(structure, Structure::of(&deployed));
    let loaded = structure.apply(fresh).unwrap().load_file(file("deployed.bpk"));
    assert_eq!(params::read(&loaded), params::read(&deployed));
}

fn batch_of(seed: u64) -> Tensor<4> {
    let mut draw = dyrep_tests::random::Draw::new(seed);
    Tensor::from_data(draw.data(&[6, 2, 7, 7], -1.0, 1.0), &under_test())
}

#[test]
fn verify_notices_a_model_that_is_not_the_deployed_one() {
    let device = under_test();
    let net = grow_at(&Net::new(&device), "stem", 0);
    let other = deploy(&grow_at(&Net::new(&device), "stem", 0));
    let report = verify(&net, &other, [batch_of(1)], Net::forward);
    assert!(report.warnings.is_empty());
    assert!(report.model.relative > 1e-2, "{report}");
    assert!(report.blocks[0].1.relative > 1e-2, "{report}");

    let report = verify(&net, &net, [batch_of(1)], Net::forward);
    assert_eq!(report.warnings, [Warning::NotDeployed(vec!["stem".to_owned()])]);
    let report = verify(&net, &deploy(&net), Vec::<Tensor<4>>::new(), Net::forward);
    assert_eq!(report.warnings, [Warning::NothingCompared]);
}

/// The controller in a loop of one's own: it grows the best candidate, later cuts, and says why.
#[test]
fn the_controller_grows_and_cuts_in_a_loop() {
    for score in Score::ALL {
        let device = under_test().autodiff();
        device.seed(2);
        let mut net = Net::new(&device);
        let mut optimizer = optimizer();
        let config = ControllerConfig {
            score,
            interval: 2,
            last_epoch: 8,
            calibration_batches: 2,
            // Cuts whatever is below the block's mean.
            cut_rule: CutRule::Threshold { min_deviation: 1e-9, max_ratio: 10.0, lone: true },
            ..ControllerConfig::default()
        };
        let mut controller = Controller::new(config).unwrap();
        for epoch in 1..=10 {
            let gradients;
            (net, gradients) = step(net, &mut optimizer, &device);
            controller.observe(&net, &gradients);
            assert_eq!(controller.is_due(epoch), epoch % 2 == 0 && epoch <= 8);
            if !controller.is_due(epoch) {
                continue;
            }
            let before = net.valid().forward(batch_of(9));
            let inner = under_test();
            let run = |net: &Net, _: usize| drop(net.forward(batch(&inner)));
            let adjustment = controller.adjust(&mut net, &mut optimizer, epoch, run).unwrap();
            assert!(matches!(adjustment.events[0].change, Change::Grew { .. }), "{score}");
            assert_eq!(adjustment.steps, 2);
            let difference = relative_difference(net.valid().forward(batch_of(9)), before);
            assert!(difference < allowed(1e-4), "{score}: {difference:e}");
        }
        let events: Vec<&Event> = controller.events().collect();
        assert!(events.iter().any(|event| matches!(event.change, Change::Cut { .. })), "{score}");
        assert!(events.iter().enumerate().all(|(i, event)| event.number == i as u64));
        assert_eq!(prune_optimizer(&mut optimizer, &net).unwrap(), 0, "nothing is orphaned");
        let text = events[0].to_string();
        assert!(text.starts_with("grew ") && text.contains(score.name()), "{text}");
    }
}
