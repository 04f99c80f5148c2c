//! A RepVGG whose kernels collapse in INT8: it is found, the advice helps, the check tells.

use burn::tensor::{Tensor, TensorData};
use dyrep_burn::Preset;
use dyrep_models::Model;
use dyrep_quant::{Check, Granularity, Options, Quantized, Warning, check, ranges};
use dyrep_tests::close::relative_difference;
use dyrep_tests::params::{fill, read};

use crate::common::{batches, logits, network, patterns, pictures, quantised};

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
