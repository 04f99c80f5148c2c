//! What a network in INT8 computes, and what cannot be one.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use dyrep_burn::{Preset, layers};
use dyrep_models::{Model, fold_norms};
use dyrep_quant::{Calibration, Granularity, LayerScales, Options, QuantError, quantize};
use dyrep_tests::close::relative_difference;
use dyrep_tests::params::{fill, read};

use crate::common::{SIDE, Tiny, batches, device, logits, network, patterns, pictures, quantised};

/// Of the largest logit, with a scale for each channel, in networks of random weights. Seen: 0.008 to 0.07.
const INT8: f64 = 0.15;

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
