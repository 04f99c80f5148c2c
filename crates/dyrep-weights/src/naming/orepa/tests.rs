//! Names of the published OREPA code as ours, and what is computed with them.

use std::collections::BTreeMap;

use burn::nn::PaddingConfig2d;
use dyrep_burn::fuse::cosines;
use dyrep_burn::{Composition, RepConv2dConfig, Structure};
use dyrep_tests::close::relative_difference_of;
use dyrep_tests::under_test;

use super::kernel::{after, regrouped, row};
use super::stem::composed;
use super::unit::{Form, Unit};
use crate::forms::{self, AllTold, Told};
use crate::naming::tests::check;
use crate::naming::{Naming, dialects};
use crate::params::{Layout, fill};
use crate::reading::Reading;
use crate::tensor::{Number, Stored};

/// Of the largest value of a stem's kernel; seen: 2e-7.
const KERNEL: f64 = 1e-6;

fn stored(values: &[f32], shape: &[usize]) -> Stored {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let length = bytes.len() as u64;
    Stored::new("x".into(), Number::F32, shape.to_vec(), length, move || Ok(bytes.clone()))
}

#[test]
fn published_names_become_ours() {
    check(
        Naming::Orepa,
        &[
            ("stage0.conv1.weight0.vector", "conv1.weight0.vector.weight"),
            ("stage0.conv1.bn.weight", "bn1.weight"),
            ("stage1.0.conv1.weight_orepa_origin", "layer1.0.conv1.weight_orepa_origin.weight"),
            ("stage1.0.conv1.bn.running_var", "layer1.0.bn1.running_var"),
            ("stage2.0.shortcut.conv.weight", "layer2.0.downsample.0.weight"),
            (
                "stage4.0.shortcut.weight_or1x1_l2i_conv2",
                "layer4.0.downsample.0.weight_or1x1_l2i_conv2.weight",
            ),
            ("linear.bias", "fc.bias"),
        ],
    );
    check(
        Naming::Orepa,
        &[
            ("stage0.conv1.or_large_reparam.weight", "conv1.weight"),
            ("stage1.0.conv2.orepa_reparam.bias", "layer1.0.conv2.bias"),
            ("stage4.0.conv3.or1x1_reparam.weight", "layer4.0.conv3.weight"),
            ("linear.weight", "fc.weight"),
        ],
    );
    check(
        Naming::Orepa,
        &[
            (
                "stage0.rbr_dense.weight_rbr_gconv_dw",
                "stem.conv.kxk.conv.weight_rbr_gconv_dw.weight",
            ),
            ("stage1.0.rbr_dense.vector", "stages.0.0.conv.kxk.conv.vector.weight"),
            ("stage1.0.rbr_dense.bn.weight", "stages.0.0.conv.kxk.bn.weight"),
            ("stage1.0.rbr_1x1.conv.weight", "stages.0.0.conv.1x1.conv.weight"),
            ("stage1.0.rbr_identity.weight", "stages.0.0.conv.identity.bn.weight"),
            ("linear.weight", "head.fc.weight"),
        ],
    );
    check(
        Naming::Orepa,
        &[
            ("stage0.weight_orepa_origin", "stem.conv.weight_orepa_origin.weight"),
            ("stage1.0.bn.bias", "stages.0.0.bn.bias"),
            ("linear.bias", "head.fc.bias"),
        ],
    );
    check(
        Naming::Orepa,
        &[
            ("a.weight_orepa_prior", "a.weight_orepa_prior.weight"),
            ("a.bn.weight", "a.bn.weight"),
            ("b.vector.weight", "b.vector.weight"),
        ],
    );
}

/// DBB's and RepVGG's networks have the same names around their blocks.
#[test]
fn no_other_published_dialect_is_tried() {
    let resnet = ["stage0", "stage1", "stage4", "conv1", "linear", "dbb_origin", "kxk"];
    let repvgg = ["stage0", "stage1", "rbr_dense", "reparam_conv", "linear"];
    for (names, mark) in [
        (&resnet[..], "weight_orepa_1x1"),
        (&resnet, "or_large_reparam"),
        (&repvgg, "weight_rbr_origin"),
    ] {
        let without = dialects(&names.iter().copied().collect());
        assert!(without.iter().any(|known| [Naming::Dbb, Naming::RepVgg].contains(&known.naming)));
        assert!(without.iter().all(|known| known.naming != Naming::Orepa));
        let with = dialects(&names.iter().copied().chain([mark]).collect());
        assert_eq!(with[0].naming, Naming::Orepa);
        let known = [Naming::Orepa, Naming::Own, Naming::Plain];
        assert!(with.iter().all(|dialect| known.contains(&dialect.naming)), "{mark}");
    }
}

#[test]
fn rows_are_those_of_the_branch_and_of_the_output() {
    let vector = stored(&[1., 2., 3., 4., f32::NAN, f32::NAN], &[3, 2]);
    assert_eq!(row(&vector, 1, 2).values().unwrap(), [3., 4.]);
    assert_eq!(row(&vector, 1, 2).origin, "x[1]");
    // Outputs 0 to 2 are of group 0; published row 1 is the first of group 1.
    let rows = stored(&[0., 3., 1., 4., 2., 5.], &[6, 1, 1, 1]);
    assert_eq!(regrouped(&rows, 2).values().unwrap(), [0., 1., 2., 3., 4., 5.]);
    assert_eq!(regrouped(&rows, 6).values().unwrap(), rows.values().unwrap());
}

#[test]
fn frequencies_of_odd_channels_are_halves() {
    let values = cosines(3, [3, 3]);
    // Channel 1 is of the first half, which is 1.5 wide; channel 2 begins at 1 + 2 − 1.5.
    let wanted =
        |at: f64, frequency: f64| (std::f64::consts::PI * (at + 0.5) * frequency / 3.0).cos();
    assert_eq!(values[9 + 3], wanted(1.0, 2.0));
    assert_eq!(values[18 + 3 + 2], wanted(2.0, 1.5));
}

#[test]
fn two_layers_are_one() {
    // One row of taps: [1, 2, 0] then [0, 3, 5] in the middle rows: 1 · 3 at tap 1, 1 · 5 + 2 · 3 at tap 2, 2 · 5 at tap 3.
    let mut first = vec![0.0; 9];
    first[3..6].copy_from_slice(&[1.0, 2.0, 0.0]);
    let mut second = vec![0.0; 9];
    second[3..6].copy_from_slice(&[0.0, 3.0, 5.0]);
    let all = after((&first, 3), (&second, 3), [1, 1, 1]);
    assert_eq!(all[10..15], [0.0, 3.0, 11.0, 10.0, 0.0]);
    assert_eq!(all.iter().sum::<f64>(), 24.0);
}

#[test]
fn what_belongs_to_no_module_stays() {
    let name = "conv.weight_orepa_prior.weight".to_owned();
    let tensors = BTreeMap::from([(name.clone(), stored(&[0.0], &[1]))]);
    assert!(resolved(tensors).tensors.contains_key(&name));
}

fn resolved(tensors: BTreeMap<String, Stored>) -> Reading {
    let mut reading = Reading {
        tensors,
        naming: Naming::Orepa,
        inside: String::new(),
        passed_over: vec![],
        notes: vec![],
        told: AllTold::new(),
    };
    super::resolve(&mut reading).unwrap();
    reading
}

/// The layers of a stem at `conv`, the channels of which are those in `channels` one after the other.
fn stem(channels: &[usize]) -> BTreeMap<String, Stored> {
    let mut all = BTreeMap::new();
    for (number, pair) in channels.windows(2).enumerate() {
        let &[i, o] = pair else { unreachable!("pairs") };
        for (name, shape) in [
            ("weight_orepa_origin", vec![o, i, 3, 3]),
            ("weight_orepa_avg_conv", vec![o, i, 1, 1]),
            ("weight_orepa_pfir_conv", vec![o, i, 1, 1]),
            ("weight_orepa_1x1_kxk_idconv1", vec![i, i, 1, 1]),
            ("weight_orepa_1x1_kxk_conv2", vec![o, i, 3, 3]),
            ("weight_orepa_1x1", vec![o, i, 1, 1]),
            ("weight_orepa_gconv_dw", vec![8 * i, 1, 3, 3]),
            ("weight_orepa_gconv_pw", vec![o, 8 * i, 1, 1]),
            ("vector", vec![6, o]),
        ] {
            let begin = all.len() as f64;
            let count: usize = shape.iter().product();
            let values = (0..count).map(|at| (17.0 * begin + 1.3 * at as f64).sin() as f32);
            let one = stored(&values.collect::<Vec<_>>(), &shape);
            all.insert(format!("conv.weight{number}.{name}.weight"), one);
        }
    }
    all
}

/// The kernel that a stem's layers compute in this order, by plain numbers.
fn by_numbers(tensors: &BTreeMap<String, Stored>, order: [usize; 3]) -> Vec<f64> {
    let mut tensors = tensors.clone();
    let layers = [0, 1, 2].map(|number| {
        Unit::take(&format!("conv.weight{number}"), Form::Kxk, &mut tensors).unwrap()
    });
    let kernel = composed(&order.map(|number| layers[number].clone())).unwrap();
    kernel.into_iter().map(f64::from).collect()
}

/// The layers become a stack whose kernel is that of the published composition, and of no other.
#[test]
fn a_stem_is_a_stack_that_computes_as_published() {
    let tensors = stem(&[3, 4, 4, 4]);
    let reading = resolved(tensors.clone());
    assert!(reading.notes.is_empty(), "{:?}", reading.notes);
    let shapes = reading.tensors.iter().map(|(name, one)| (name.clone(), one.shape.clone()));
    let shapes = shapes.collect();
    let layer = RepConv2dConfig::new([3, 4], [7, 7])
        .with_padding(PaddingConfig2d::Explicit(3, 3, 3, 3))
        .with_stride([2, 2])
        .with_bias(false)
        .init(&under_test());
    let network =
        Structure::new([("conv".to_owned(), Structure::of(&layer).layers()[""].clone())].into());
    let network = network.unwrap();
    let kernel = |told: &AllTold| {
        let found = forms::structure(&network, None, told, &shapes).unwrap();
        let form = found.layers()["conv"].clone();
        let own = Structure::new([(String::new(), form)].into()).unwrap();
        let values = reading.tensors.iter().map(|(name, one)| {
            (name.strip_prefix("conv.").unwrap().to_owned(), one.values().unwrap())
        });
        let layer = fill(own.apply(layer.clone()).unwrap(), values.collect(), Layout::Torch);
        let weight = layer.fuse().weight().into_data();
        weight.iter::<f64>().collect::<Vec<_>>()
    };
    let got = kernel(&reading.told);
    let off = |want: &[f64]| relative_difference_of(&got, want);
    assert!(
        off(&by_numbers(&tensors, [0, 1, 2])) < KERNEL,
        "{:.1e}",
        off(&by_numbers(&tensors, [0, 1, 2]))
    );
    // The controls: layers that have changed places, or are not turned.
    assert!(off(&by_numbers(&tensors, [0, 2, 1])) > 0.1);
    let in_sequence = Told::Composition(Composition::Sequence);
    assert!(off(&kernel(&[("conv".to_owned(), in_sequence)].into())) > 0.1);
    // Nobody tells it.
    assert!(forms::structure(&network, None, &AllTold::new(), &shapes).is_err());
}

/// Such layers are none of the published code's, and no stack.
#[test]
fn a_stem_with_other_channels_between_its_layers_is_one_convolution() {
    let reading = resolved(stem(&[3, 5, 6, 4]));
    let names: Vec<_> = reading.tensors.keys().collect();
    assert_eq!(names, ["conv.weight"]);
    assert_eq!(reading.tensors["conv.weight"].shape, [4, 3, 7, 7]);
    assert!(reading.told.is_empty());
    assert!(reading.notes[0].contains("the one 7×7 convolution"), "{:?}", reading.notes);
}
