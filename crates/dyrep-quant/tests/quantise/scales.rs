//! Scales that are joined to a network: those that are not its own are refused.

use std::collections::BTreeMap;

use dyrep_burn::Preset;
use dyrep_quant::{InputScale, LayerScales, Options, QuantError, Quantized, quantize};

use crate::common::{Tiny, network, pictures};

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
    joined(BTreeMap::clear).unwrap();
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
