//! Networks in INT8 beside their own `f32`: error bounds, integer arithmetic, layers that are kept, refusals, collapse.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use dyrep_burn::{PathPatterns, Preset, RepConv2d, RepConv2dConfig, layers};
use dyrep_models::{ConvNorm, ConvNorms, Model, ModelName, Stem, fold_norms};
use dyrep_quant::{
    Calibration, Check, Granularity, InputScale, LayerScales, Options, QuantError, Quantized,
    Warning, check, quantize, ranges,
};
use dyrep_tests::close::relative_difference;
use dyrep_tests::params::{fill, read, scatter};

/// Of the largest logit, with a scale for each channel, in networks of random weights. Seen: 0.018 to 0.16.
const INT8: f64 = 0.25;

/// The smallest picture that every network takes, in pixels.
const SIDE: usize = 32;

fn device() -> Device {
    Device::flex()
}

fn pictures(count: usize, channels: usize, seed: usize) -> Tensor<4> {
    let shape = [count, channels, SIDE, SIDE];
    let value = |i: usize| (0.37 * (i + 9_973 * seed) as f32 + (i as f32).sqrt()).sin();
    let values = (0..shape.iter().product()).map(value).collect();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

/// A narrow network, the same in every run, with norms as training leaves them.
fn network(name: &str, preset: Preset) -> Model {
    let name: ModelName = name.parse().unwrap();
    let config = name.config(10).with_width(8).with_stem(Stem::Small).with_branches(preset);
    let mut salt = 0.0;
    fill(config.init(&device()).unwrap(), |path, shape| {
        salt += 1.0;
        let fan_in: usize = shape[1..].iter().product();
        let (middle, spread) = match path.rsplit('.').next().unwrap() {
            "weight" => (0.0, (6.0 / fan_in as f32).sqrt()),
            "gamma" => (1.0, 0.5),
            "running_var" => (2.0, 1.0),
            // So small that logits are made of what the layers in front give.
            "bias" => (0.0, 0.001),
            _ => (0.0, 0.4),
        };
        let noise = |i: usize| (((78.233 * i as f32 + 7.3 * salt).sin() * 43_758.547).fract());
        let values = (0..shape.iter().product()).map(|i| middle + spread * noise(i)).collect();
        TensorData::new(values, shape.to_vec())
    })
}

fn batches() -> Vec<Tensor<4>> {
    (0..3).map(|seed| pictures(4, 3, seed)).collect()
}

fn quantised(network: &Model, options: &Options) -> Quantized<Model> {
    quantize(network, batches(), Model::forward, options).unwrap()
}

fn patterns(texts: &[&str]) -> PathPatterns {
    PathPatterns::new(texts).unwrap()
}

fn logits(network: &Quantized<Model>) -> Tensor<2> {
    network.run(|network| network.forward(pictures(4, 3, 7)))
}

/// A convolution, a pooling and a linear layer.
#[derive(Module, Debug)]
struct Tiny {
    conv: RepConv2d,
    fc: Linear,
}

impl ConvNorms for Tiny {
    fn conv_norms(&self) -> Vec<ConvNorm<'_>> {
        vec![]
    }
}

impl Tiny {
    fn new() -> Self {
        let config = RepConv2dConfig::new([4, 6], [3, 3]).with_groups(2).with_stride([2, 1]);
        let conv = config.with_padding(PaddingConfig2d::Explicit(1, 0, 1, 2)).init(&device());
        let fc = LinearConfig::new(6, 5).init(&device());
        scatter(Self { conv, fc }, |_| Some((0.1, 0.7)))
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [batch, channels] = [images.dims()[0], self.fc.weight.dims()[0]];
        let map = self.conv.forward(images);
        self.fc.forward(map.mean_dim(3).mean_dim(2).reshape([batch, channels]))
    }
}

#[test]
fn families_stay_close_and_weights_are_half_a_step_away_at_most() {
    for name in ["resnet18", "resnet50", "vgg11_bn", "mobilenet_v1", "repvgg_a0"] {
        let small = if name == "vgg11_bn" { Preset::Plain } else { Preset::RepVgg };
        let network = network(name, small);
        let want = network.forward(pictures(4, 3, 7));
        let folded = read(&fold_norms(&network));
        for granularity in [Granularity::PerChannel, Granularity::PerTensor] {
            let options = Options::default().with_granularity(granularity);
            let network = quantised(&network, &options);
            let far = relative_difference(logits(&network), want.clone());
            println!("{name} {granularity} {far:.4}");
            assert!(far > 1e-3, "{name} {granularity}: nothing was rounded");
            if granularity == Granularity::PerChannel {
                assert!(far < INT8, "{name}: {far:.3}");
            }
            let on_grid = read(network.network());
            for (layer, weight) in network.weights() {
                let scales = &network.scales()[&layer];
                assert_eq!(scales.weight.len() == 1, granularity == Granularity::PerTensor);
                if weight.shape.len() == 2 {
                    continue;
                }
                let path = format!("{layer}.weight");
                let row = weight.values.len() / weight.shape[0];
                let pairs = folded[&path].iter::<f32>().zip(on_grid[&path].iter::<f32>());
                for (i, (want, got)) in pairs.enumerate() {
                    let scale = scales.of_channel(i / row);
                    assert!((want - got).abs() <= 0.5001 * scale, "{path} {i}: {want} {got}");
                    assert_eq!(got.to_bits(), (f32::from(weight.values[i]) * scale).to_bits());
                }
                // The largest weight is the last of the grid.
                assert!(weight.values.iter().any(|q| q.abs() == 127), "{path}");
            }
        }
    }
}

/// What runs in `f32` is what sums of products of 8-bit numbers give.
#[test]
fn a_convolution_computes_what_integers_give() {
    let network = Tiny::new();
    for (images, zero_point) in [(pictures(2, 4, 1), 0), (pictures(2, 4, 1).abs(), i8::MIN)] {
        let forward = |network: &Tiny, images| network.forward(images);
        let small = quantize(&network, [images.clone()], forward, &Options::default()).unwrap();
        let LayerScales { weight: scales, input } = small.scales()["conv"].clone();
        let input = input.unwrap();
        assert_eq!(input.zero_point, zero_point);
        let weight = &small.weights()["conv"];
        let levels = |x: f32| (x / input.scale).round() as i64 + i64::from(input.zero_point);
        let levels: Vec<i64> = images.to_data().iter::<f32>().map(levels).collect();
        let lowest = if zero_point == 0 { -127 } else { -128 };
        assert!(levels.iter().all(|q| (lowest..=127).contains(q)));
        let bias = small.network().conv.fuse().bias().unwrap().into_data();
        let bias: Vec<f32> = bias.iter::<f32>().collect();
        let got = small.run(|network| network.conv.forward(images.clone()));
        let [batch, outputs, height, width] = got.dims();
        let mut want = vec![];
        for (n, o) in (0..batch).flat_map(|n| (0..outputs).map(move |o| (n, o))) {
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let mut sum = 0i64;
                for (i, q) in weight.values[o * 18..(o + 1) * 18].iter().enumerate() {
                    let (channel, dy, dx) = (o / 3 * 2 + i / 9, i / 3 % 3, i % 3);
                    // Padding: one row above, none to the left.
                    let (row, column) = ((2 * y + dy) as i64 - 1, (x + dx) as i64);
                    if [row, column].iter().all(|place| (0..SIDE as i64).contains(place)) {
                        let place =
                            ((n * 4 + channel) * SIDE + row as usize) * SIDE + column as usize;
                        sum += i64::from(*q) * (levels[place] - i64::from(input.zero_point));
                    }
                }
                want.push(sum as f32 * scales[o] * input.scale + bias[o]);
            }
        }
        let want = Tensor::<4>::from_data(TensorData::new(want, got.dims()), &device());
        let far = relative_difference(got.clone(), want);
        assert!(far < 2e-6, "{far:e}");
        // The control: the input off its grid.
        let off = relative_difference(small.network().conv.forward(images), got);
        assert!(off > 1e-4, "{off:e}");
    }
}

#[test]
fn layers_that_are_kept_stay_as_they_were() {
    let network = network("resnet18", Preset::RepVgg);
    let folded = fold_norms(&network);
    let all = quantised(&network, &Options::default().keeping(patterns(&["."])));
    assert!(all.scales().is_empty());
    let want = folded.forward(pictures(4, 3, 7));
    logits(&all).into_data().assert_eq(&want.into_data(), true);
    let keep = patterns(&["^conv1$", "^fc$", r"downsample\.0$"]);
    let some = quantised(&network, &Options::default().keeping(keep.clone()));
    let (before, after) = (read(&folded), read(some.network()));
    for (path, _) in layers(&folded) {
        let weight = format!("{path}.weight");
        let same = before[&weight] == after[&weight];
        assert_eq!((same, some.scales().contains_key(&path)), (keep.matches(&path), !same));
    }
    assert!(!some.scales().contains_key("fc") && before["fc.weight"] == after["fc.weight"]);
}

/// A module as every other: where it goes, the scales go.
#[test]
fn a_quantised_network_is_a_module() {
    let network = quantised(&network("mobilenet_v1", Preset::Plain), &Options::default());
    let want = logits(&network).into_data();
    let moved = network.clone().to_device(&device()).fork(&device()).valid().materialize();
    logits(&moved).into_data().assert_eq(&want, true);
    let same = moved.load_record(network.clone().into_record());
    logits(&same).into_data().assert_eq(&want, true);
    assert_eq!(
        read(&same).keys().collect::<Vec<_>>(),
        read(network.network()).keys().collect::<Vec<_>>()
    );
}

#[test]
fn what_cannot_be_quantised_is_refused() {
    let network = network("resnet18", Preset::Plain);
    let by = |network: &Model, batches: Vec<Tensor<4>>, options: &Options| {
        quantize(network, batches, Model::forward, options).unwrap_err()
    };
    let default = Options::default();
    assert_eq!(by(&network, vec![], &default), QuantError::NoBatches);
    let error = by(&network, batches(), &default.clone().keeping(patterns(&["fc", "layer9"])));
    assert!(matches!(&error, QuantError::NothingMatched { pattern, .. } if pattern == "layer9"));
    assert!(error.to_string().contains("layer4.1.conv2"), "{error}");
    let broken = vec![pictures(1, 3, 0), pictures(1, 3, 0) * f32::NAN];
    let error = by(&network, broken, &default);
    let first = |layer: &str| layer == "conv1";
    assert!(matches!(&error, QuantError::Input { layer, batch: 1, .. } if first(layer)), "{error}");
    let percentile = default.clone().with_calibration(Calibration::Percentile(0.0));
    assert_eq!(by(&network, batches(), &percentile), QuantError::Percentile { found: 0.0 });
    let spoilt = fill(network.clone(), |path, shape| {
        let value = if path == "layer2.0.conv1.weight" { f32::INFINITY } else { 0.5 };
        TensorData::new(vec![value; shape.iter().product()], shape.to_vec())
    });
    let error = by(&spoilt, batches(), &default);
    let named = |layer: &str| layer == "layer2.0.conv1";
    assert!(matches!(&error, QuantError::Weight { layer, channel: 0, .. } if named(layer)));
    // Not a convolution is called.
    let error = quantize(&network, batches(), |_, images| images, &default).unwrap_err();
    assert!(matches!(&error, QuantError::NotReached { .. }), "{error}");
}

/// The scales that a network is joined to.
fn joined(change: impl FnOnce(&mut BTreeMap<String, LayerScales>)) -> Result<(), QuantError> {
    let forward = |network: &Tiny, images| network.forward(images);
    let options = Options::default();
    let small = quantize(&Tiny::new(), [pictures(1, 4, 0)], forward, &options).unwrap();
    let mut scales = small.scales().clone();
    change(&mut scales);
    Quantized::new(small.network(), scales).map(drop)
}

#[test]
fn scales_that_are_not_the_networks_are_refused() {
    joined(|_| {}).unwrap();
    joined(|scales| scales.clear()).unwrap();
    let conv = |change: fn(&mut LayerScales)| {
        joined(|scales| change(scales.get_mut("conv").unwrap())).unwrap_err()
    };
    for value in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let error = joined(|scales| scales.get_mut("conv").unwrap().weight[3] = value).unwrap_err();
        assert!(matches!(&error, QuantError::Scale { index: 3, of: "weight", .. }), "{error}");
        let input = Some(InputScale { scale: value, zero_point: 0 });
        let error = joined(|scales| scales.get_mut("conv").unwrap().input = input).unwrap_err();
        assert!(matches!(&error, QuantError::Scale { of: "input", .. }), "{error}");
    }
    let error = conv(|conv| conv.weight.truncate(5));
    assert!(matches!(&error, QuantError::ScaleCount { found: 5, channels: 6, .. }), "{error}");
    let error = conv(|conv| conv.weight[0] *= 1.37);
    assert!(matches!(&error, QuantError::OffGrid { channel: 0, .. }), "{error}");
    let error = conv(|conv| conv.weight[1] *= 0.5);
    assert!(matches!(&error, QuantError::OffGrid { channel: 1, .. }), "{error}");
    let error = conv(|conv| conv.input = None);
    assert!(matches!(&error, QuantError::InputScale { wanted: true, .. }), "{error}");
    let error = conv(|conv| conv.input = Some(InputScale { scale: 1.0, zero_point: 3 }));
    assert!(matches!(&error, QuantError::ZeroPoint { found: 3, .. }), "{error}");
    let input = Some(InputScale { scale: 1.0, zero_point: 0 });
    let error = joined(|scales| scales.get_mut("fc").unwrap().input = input).unwrap_err();
    assert!(matches!(&error, QuantError::InputScale { wanted: false, .. }), "{error}");
    let other = LayerScales { weight: vec![1.0], input: None };
    let error = joined(|scales| drop(scales.insert("head".into(), other))).unwrap_err();
    assert_eq!(error, QuantError::NoSuchLayer { layer: "head".into() });
    // Norms that do something.
    let network = network("resnet18", Preset::Plain);
    let error = Quantized::new(&network, BTreeMap::new()).unwrap_err();
    assert!(matches!(error, QuantError::Norm { .. }), "{error}");
}

/// The layer whose identity branch is spoilt, and the channel.
const SPOILT: (&str, usize) = ("stages.2.5.conv", 3);

/// A RepVGG as one with a dead channel: where nothing comes in, the norm behind the identity divides by √ε. In `f32` that
/// changes nothing, since nothing is multiplied.
fn collapsed() -> Model {
    let network = network("repvgg_a0", Preset::RepVgg);
    let (layer, channel) = SPOILT;
    let values = read(&network);
    fill(network, |path, shape| {
        let mut one: Vec<f32> = values[path].iter().collect();
        // The block in front of it never gives anything but zero in this channel.
        if path.starts_with("stages.2.4.conv.") && path.contains("bn.") {
            match path.rsplit('.').next().unwrap() {
                "gamma" | "beta" => one[channel] = 0.0,
                _ => {}
            }
        }
        if path.starts_with(&format!("{layer}.identity.bn.")) {
            match path.rsplit('.').next().unwrap() {
                "running_mean" | "running_var" => one[channel] = 0.0,
                "gamma" => one[channel] = 1.0,
                _ => {}
            }
        }
        TensorData::new(one, shape.to_vec())
    })
}

fn far(network: &Model, options: &Options) -> f64 {
    let want = network.forward(pictures(4, 3, 7));
    relative_difference(logits(&quantised(network, options)), want)
}

#[test]
fn a_collapse_is_found_and_the_advice_helps() {
    let (sound, spoilt) = (network("repvgg_a0", Preset::RepVgg), collapsed());
    let (layer, channel) = SPOILT;
    let per_channel = Options::default();
    let per_tensor = Options::default().with_granularity(Granularity::PerTensor);
    let found = |network: &Model, granularity| -> Vec<Warning> {
        let ranges = ranges(network).unwrap();
        ranges.iter().flat_map(|ranges| ranges.warnings(granularity)).collect()
    };
    // The control: nothing is found in a sound network.
    assert!(found(&sound, Granularity::PerTensor).is_empty());
    let warnings = found(&spoilt, Granularity::PerTensor);
    let [spread, crest] = &warnings[..] else { panic!("{warnings:?}") };
    let place = |warning: &Warning| match warning {
        Warning::Spread { layer, channel, .. } | Warning::Crest { layer, channel, .. } => {
            (layer.clone(), *channel)
        }
        other => panic!("{other}"),
    };
    assert_eq!(
        [place(spread), place(crest)],
        [(layer.to_owned(), channel), (layer.to_owned(), channel)]
    );
    assert!(spread.to_string().contains("use a scale for each channel"), "{spread}");
    assert!(crest.to_string().contains("keep the layer in f32"), "{crest}");
    let bad = far(&spoilt, &per_tensor);
    let channels = far(&spoilt, &per_channel);
    let kept = far(&spoilt, &per_tensor.clone().keeping(patterns(&[r"^stages\.2\.5\.conv$"])));
    println!(
        "{} {} | {bad} {channels} {kept}",
        far(&sound, &per_channel),
        far(&sound, &per_tensor)
    );
    assert!(bad > 3.0 * channels && bad > 3.0 * kept, "{bad:.3} {channels:.3} {kept:.3}");
}

/// The check of a small network; accuracy is how often classes are those of `f32`.
fn checked(network: &Model, options: &Options) -> Check {
    let small = quantised(network, options);
    let class = |logits: Tensor<2>| logits.argmax(1).into_data();
    let right = class(network.forward(pictures(4, 3, 7)));
    let accuracy = |network: &Quantized<Model>| -> Result<f64, std::convert::Infallible> {
        let found = class(logits(network));
        let same = found.iter::<i64>().zip(right.iter::<i64>()).filter(|(a, b)| a == b).count();
        Ok(same as f64 / 4.0)
    };
    check(network, &small, batches(), Model::forward, accuracy).unwrap()
}

#[test]
fn the_check_tells_each_layer_and_fits_a_terminal() {
    let options = Options::default()
        .with_granularity(Granularity::PerTensor)
        .keeping(patterns(&["^stem", "fc$"]));
    let found = checked(&collapsed(), &options);
    assert_eq!(found.accuracy_before, 1.0);
    assert_eq!(found.layers.len(), 23);
    for layer in &found.layers {
        let kept = ["stem.conv", "head.fc"].contains(&layer.ranges.layer.as_str());
        assert_eq!(layer.accuracy_alone.is_none(), kept);
        assert_eq!(layer.sqnr_db.is_none() || layer.input.is_none(), kept);
    }
    let noise = |path: &str| {
        let layer = found.layers.iter().find(|layer| layer.ranges.layer == path).unwrap();
        layer.sqnr_db.unwrap()
    };
    assert!(noise(SPOILT.0) < noise("stages.2.6.conv") - 10.0);
    let noisy = found.warnings.iter().any(|warning| matches!(warning, Warning::Noise { .. }));
    assert!(noisy, "{:?}", found.warnings);
    let text = found.to_string();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for part in ["100.00% in f32", "21 of 23 layers", "stages.2.5.conv", "warning: stages.2.5.conv"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Check>(&json).unwrap(), found);
    // What the caller's accuracy says is passed on.
    let network = network("resnet18", Preset::Plain);
    let small = quantised(&network, &Options::default());
    let failed = check(&network, &small, batches(), Model::forward, |_| Err("no data"));
    assert_eq!(failed.unwrap_err(), "no data");
}
