//! A trained network with new branches moves by rounding only, in training mode too.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use burn::module::Module;
use burn::optim::{GradientsParams, SgdConfig};
use common::{narrow, pictures, with_random_norms};
use dyrep_burn::{AdjustOptions, Preset, deploy, expand, layers};
use dyrep_models::{Model, ModelName, SelectLayers, Selection, Stem};
use dyrep_tests::close::relative_difference;
use dyrep_tests::device::allowed;
use dyrep_tests::under_test;

/// Of the largest logit. Measured: 4e-5 in float32 where branches that end in nothing are taken out of the kernel, 2e-6
/// elsewhere.
const ROUNDING: f64 = 2e-4;
const SHAPE: [usize; 4] = [4, 3, 32, 32];

#[test]
fn networks_move_by_rounding_only() {
    let device = under_test().autodiff();
    for name in ["mobilenet_v2", "resnet50d", "resnet18"] {
        let name: ModelName = name.parse().unwrap();
        let config = narrow(name, 5).with_branches(Preset::Plain).with_stem(Stem::Small);
        // Weights are drawn when they are first used: here, and always the same.
        under_test().seed(1);
        let plain = with_random_norms(config.init(&under_test()).unwrap());
        let _logits = plain.forward(pictures(SHAPE, &under_test()));
        let mut plain = plain.train();
        if let Model::MobileNetV2(network) = &mut plain {
            network.classifier.0.prob = 0.0;
        }
        let kernels =
            layers(&plain).iter().map(|(_, layer)| layer.geometry().kernel_size()).collect();
        let all = Selection { kernels, ..Selection::default() }.paths(&plain).unwrap();
        for preset in [Preset::Dbb, Preset::DyRep, Preset::MobileOne, Preset::RepVit] {
            let wide = expand(&plain, &all, &preset.into(), &AdjustOptions::default()).unwrap();
            let blocks = layers(&wide).iter().filter(|(_, layer)| !layer.is_plain()).count();
            assert!(2 * blocks > all.len(), "{name}, {preset}: {blocks}");
            let training = |network: &Model| {
                // On a copy of its own: statistics are shared between clones.
                network.valid().train().forward(pictures(SHAPE, &device)).inner()
            };
            let far = relative_difference(training(&wide), training(&plain));
            assert!(far < allowed(ROUNDING), "{name}, {preset}, training: {far:.1e}");
            let evaluated =
                |network: &Model| network.valid().forward(pictures(SHAPE, &under_test()));
            let want = evaluated(&plain);
            let far = relative_difference(evaluated(&wide), want.clone());
            assert!(far < allowed(ROUNDING), "{name}, {preset}: {far:.1e}");

            // Branches learn: after some steps the fused kernels are others than those of the plain network's steps.
            let step = |network: Model| {
                let mut optimizer = SgdConfig::new().init();
                (0..3).fold(network.valid().train(), |network, _| {
                    let logits = network.forward(pictures(SHAPE, &device));
                    let loss = logits.powi_scalar(2).mean();
                    let gradients = GradientsParams::from_grads(loss.backward(), &network);
                    optimizer.step(1e-3, network, gradients)
                })
            };
            let learnt = step(wide);
            let fused = relative_difference(evaluated(&deploy(&learnt)), evaluated(&learnt));
            assert!(fused < allowed(1e-4), "{name}, {preset}, fused: {fused:.1e}");
            let apart = relative_difference(evaluated(&learnt), evaluated(&step(plain.clone())));
            assert!(apart > 1e-5, "{name}, {preset}: branches learnt nothing, {apart:.1e}");
        }
    }
}
