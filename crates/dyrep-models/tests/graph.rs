//! A network as plain data computes what the network computes: an interpreter of our own follows it.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use burn::nn::PaddingConfig2d;
use burn::nn::pool::MaxPool2dConfig;
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData, module};
use common::{narrow, pictures, with_random_norms};
use dyrep_burn::{Preset, deploy};
use dyrep_models::{
    ConvNorms, Graph, Model, ModelConfig, ModelName, Op, Stem, Value, VggLayer, fold_norms,
};
use dyrep_tests::close::relative_difference;
use dyrep_tests::device::allowed;
use dyrep_tests::params::{read, scatter};
use dyrep_tests::under_test;

/// Of the largest logit. Measured: 2e-6 in float32.
const TOLERANCE: f64 = 2e-5;
/// What another network must differ by.
const CONTROL: f64 = 1e-2;
const CLASSES: usize = 5;
const SHAPE: [usize; 4] = [2, 2, 32, 40];

/// Parameters by this library's names.
struct Parameters(BTreeMap<String, TensorData>);

impl Parameters {
    fn get<const D: usize>(&self, layer: &str, name: &str) -> Tensor<D> {
        let data = self.0.get(&format!("{layer}.{name}"));
        let data = data.unwrap_or_else(|| panic!("{layer} has no {name}"));
        Tensor::from_data(data.clone(), &under_test())
    }

    fn bias(&self, layer: &str, given: bool) -> Option<Tensor<1>> {
        assert_eq!(self.0.contains_key(&format!("{layer}.bias")), given, "{layer}");
        given.then(|| self.get(layer, "bias"))
    }
}

/// What passes: rows are maps of one pixel.
fn run(graph: &Graph, parameters: &Parameters, images: &Tensor<4>) -> Tensor<2> {
    let mut values: Vec<Tensor<4>> = vec![];
    for node in graph.nodes() {
        let read = |number: usize| match node.inputs[number] {
            Value::Pictures => images.clone(),
            Value::Node(number) => values[number].clone(),
        };
        let name = node.name.as_str();
        let x = read(0);
        let [batch, channels, height, width] = x.dims();
        values.push(match &node.op {
            Op::Conv { geometry, bias } => {
                let options = ConvOptions::new_with_padding(
                    geometry.stride(),
                    geometry.pads([height, width]),
                    geometry.dilation(),
                    geometry.groups(),
                );
                let weight = parameters.get(name, "weight");
                module::conv2d(x, weight, parameters.bias(name, *bias), options)
            }
            Op::Norm { channels, epsilon } => {
                let get = |which: &str| -> Tensor<4> {
                    parameters.get::<1>(name, which).reshape([1, *channels, 1, 1])
                };
                let scaled = (x - get("running_mean")) / (get("running_var") + *epsilon).sqrt();
                scaled * get("gamma") + get("beta")
            }
            Op::Relu => relu(x),
            Op::Relu6 => x.clamp(0.0, 6.0),
            Op::Gelu => {
                (x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf().add_scalar(1.0) * x * 0.5
            }
            Op::Sigmoid => sigmoid(x),
            Op::Add => x + read(1),
            Op::Scale => x * read(1),
            // Averages of ones and zeros around the map tell how much of a window lies in it.
            Op::AverageWindows { kernel_size: [high, wide] } => {
                let [rows, columns] =
                    [height.next_multiple_of(*high), width.next_multiple_of(*wide)];
                let padded = |x: Tensor<4>| {
                    let whole = Tensor::zeros([batch, channels, rows, columns], &x.device());
                    whole.slice_assign([0..batch, 0..channels, 0..height, 0..width], x)
                };
                let average = |x: Tensor<4>| {
                    let output = [rows / high, columns / wide];
                    module::adaptive_avg_pool2d(padded(x), output)
                };
                average(x.clone()) / average(x.ones_like())
            }
            Op::MaxPool { kernel_size, stride, padding: [vertical, horizontal], dilation } => {
                let padding =
                    PaddingConfig2d::Explicit(vertical.0, horizontal.0, vertical.1, horizontal.1);
                let pool = MaxPool2dConfig::new(*kernel_size).with_strides(*stride);
                pool.with_padding(padding).with_dilation(*dilation).init().forward(x)
            }
            Op::AveragePool { output } => module::adaptive_avg_pool2d(x, *output),
            Op::Flatten => x.reshape([batch, channels * height * width, 1, 1]),
            Op::Linear { inputs, outputs, bias } => {
                let rows = x.reshape([batch, *inputs]).matmul(parameters.get(name, "weight"));
                let rows = match parameters.bias(name, *bias) {
                    Some(bias) => rows + bias.unsqueeze(),
                    None => rows,
                };
                rows.reshape([batch, *outputs, 1, 1])
            }
            op => panic!("{name}: {op:?}"),
        });
    }
    values.pop().unwrap().flatten(1, 3)
}

fn built(config: &ModelConfig) -> Model {
    let network = with_random_norms(config.init(&under_test()).unwrap());
    // Biases in front of norms and of the classifier are zero at the start.
    scatter(network, |name| (name == "bias").then_some((0.0, 0.3)))
}

/// The deployed network and the one without norms, each against its graph; the largest difference.
fn check(name: ModelName, config: &ModelConfig) -> f64 {
    let what = format!("{name}, {:?}, {:?}", config.stem(), config.branches().branches);
    let network = built(config);
    let input = pictures(SHAPE, &under_test());
    let deployed = deploy(&network);
    let graph = deployed.graph().unwrap();
    let parameters = Parameters(read(&deployed));
    let want = network.forward(input.clone());
    let mut worst = relative_difference(run(&graph, &parameters, &input), want.clone());

    let folded = fold_norms(&network);
    let bare = graph.without_norms(&deployed).unwrap();
    assert_eq!(bare, folded.graph().unwrap().without_norms(&folded).unwrap(), "{what}");
    assert!(!bare.nodes().iter().any(|node| matches!(node.op, Op::Norm { .. })), "{what}");
    let parameters = Parameters(read(&folded));
    worst = worst.max(relative_difference(run(&bare, &parameters, &input), want.clone()));
    assert!(worst < allowed(TOLERANCE), "{what}: {worst:.1e}");

    // Sizes and parameters are told without computing.
    let sizes = graph.sizes([SHAPE[2], SHAPE[3]]);
    assert!(sizes.iter().all(|size| !size.contains(&0)), "{what}: {sizes:?}");
    assert_eq!(graph.params(), deployed.params(), "{what}");
    // The control: the norms' parameters are those of another network.
    let other = Parameters(read(&deploy(&config.init(&under_test()).unwrap())));
    let far = relative_difference(run(&graph, &other, &input), want);
    assert!(far > CONTROL, "{what}: {far:.1e}");
    worst
}

fn check_family(family: &str, presets: &[Preset]) {
    let names: Vec<_> = ModelName::all().filter(|name| name.name().contains(family)).collect();
    assert!(!names.is_empty());
    let mut worst: f64 = 0.0;
    for name in names {
        for (preset, stem) in presets.iter().zip([Stem::Small, Stem::Imagenet].iter().cycle()) {
            let config = narrow(name, CLASSES).with_in_channels(SHAPE[1]);
            worst = worst.max(check(name, &config.with_branches(*preset).with_stem(*stem)));
        }
    }
    assert!(worst > 0.0, "nothing was computed twice");
}

#[test]
fn every_resnet_is_described() {
    check_family("resn", &[Preset::Plain, Preset::Dbb]);
}

#[test]
fn every_vgg_is_described() {
    check_family("vgg1", &[Preset::Plain, Preset::Plain, Preset::Dbb]);
}

#[test]
fn every_mobilenet_is_described() {
    check_family("mobilenet", &[Preset::Plain, Preset::Dbb]);
}

#[test]
fn every_repvgg_is_described() {
    check_family("repvgg", &[Preset::Plain, Preset::RepVgg]);
}

#[test]
fn every_repvit_is_described() {
    check_family("repvit", &[Preset::Plain, Preset::RepVit]);
}

#[test]
fn every_mobileone_is_described() {
    check_family("mobileone", &[Preset::Plain, Preset::MobileOne]);
}

/// Maps of odd sides, whose last windows are not whole.
#[test]
fn averages_of_what_is_left_are_described() {
    let device = under_test();
    let name: ModelName = "resnet50d".parse().unwrap();
    let network = deploy(&built(&narrow(name, CLASSES).with_in_channels(SHAPE[1])));
    let graph = network.graph().unwrap();
    assert!(graph.nodes().iter().any(|node| matches!(node.op, Op::AverageWindows { .. })));
    for (height, width) in [(37, 41), (70, 33)] {
        let input = pictures([2, SHAPE[1], height, width], &device);
        let got = run(&graph, &Parameters(read(&network)), &input);
        let far = relative_difference(got, network.forward(input));
        assert!(far < allowed(TOLERANCE), "{height}×{width}: {far:.1e}");
    }
}

#[test]
fn every_strategy_is_described() {
    for name in [
        "resnet18",
        "mobilenet_v1_025",
        "mobilenet_v2_035",
        "mobileone_s4",
        "repvit_m0_9",
        "repvgg_a0",
    ] {
        check_family(name, &Preset::ALL);
    }
}

fn model(name: &str) -> Model {
    let config = narrow(name.parse().unwrap(), CLASSES).with_in_channels(SHAPE[1]);
    built(&config.with_branches(Preset::Plain))
}

#[test]
fn nodes_are_named_as_their_layers() {
    let network = model("resnet18");
    let graph = network.graph().unwrap().without_norms(&network).unwrap();
    let names: Vec<&str> = graph.nodes().iter().map(|node| node.name.as_str()).collect();
    let begin = [
        "conv1",
        "conv1.relu",
        "maxpool",
        "layer1.0.conv1",
        "layer1.0.conv1.relu",
        "layer1.0.conv2",
        "layer1.0.conv2.add",
        "layer1.0.conv2.relu",
    ];
    assert_eq!(names[..8], begin);
    assert_eq!(names[names.len() - 3..], ["avgpool", "flatten", "fc"]);
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len());
    assert!(graph.fixed_output().is_none());
    let vgg = model("vgg11").graph().unwrap();
    assert_eq!(vgg.fixed_output().unwrap().name, "avgpool");
    assert_eq!(vgg.nodes()[2].name, "features.2");
}

#[test]
fn a_picture_that_is_too_small_leaves_nothing() {
    let sizes = model("vgg11").graph().unwrap().sizes([32, 16]);
    assert_eq!(sizes.iter().position(|size| size.contains(&0)), Some(20));
}

fn told(network: &Model) -> String {
    network.graph().unwrap_err().to_string()
}

/// Whatever was changed by hand is described as it is, or refused.
#[test]
fn networks_changed_by_hand() {
    let config = narrow("resnet18".parse().unwrap(), CLASSES).with_branches(Preset::Dbb);
    let grown = config.init(&under_test()).unwrap();
    assert!(told(&grown).starts_with("conv1: it is a block of branches: deploy"));

    let Model::ResNet(mut resnet) = model("resnet18") else { unreachable!() };
    resnet.layer1[0].conv2 = resnet.layer1[0].conv1.clone();
    assert!(told(&Model::ResNet(resnet)).ends_with("it is used twice"));

    let Model::ResNet(mut resnet) = model("resnet50") else { unreachable!() };
    resnet.layer1[0].bn3 = None;
    let error = told(&Model::ResNet(resnet));
    assert_eq!(error, "layer1.0.conv3: its parameters are not part of the forward pass");

    // A norm in front of everything has no convolution to go into.
    let Model::Vgg(mut vgg) = model("vgg11_bn") else { unreachable!() };
    let lone = burn::nn::BatchNormConfig::new(SHAPE[1]).init(&under_test());
    vgg.features.insert(0, VggLayer::Norm(lone));
    let vgg = with_random_norms(Model::Vgg(vgg));
    let folded = fold_norms(&vgg);
    assert_eq!(vgg.conv_norms().len(), 8);
    let graph = vgg.graph().unwrap().without_norms(&vgg).unwrap();
    let norms = graph.nodes().iter().filter(|node| matches!(node.op, Op::Norm { .. }));
    assert_eq!(norms.map(|norm| norm.name.as_str()).collect::<Vec<_>>(), ["features.0"]);
    let input = pictures(SHAPE, &under_test());
    let got = run(&graph, &Parameters(read(&folded)), &input);
    let far = relative_difference(got, vgg.forward(input));
    assert!(far < allowed(TOLERANCE), "{far:.1e}");
}
