//! Names of the published OREPA code as ours, and what is computed with them.

use std::collections::BTreeMap;

use dyrep_burn::fuse::cosines;

use super::kernel::{after, regrouped, row};
use crate::naming::tests::check;
use crate::naming::{Naming, dialects};
use crate::tensor::{Number, Stored};

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
    let mut reading = crate::reading::Reading {
        tensors: BTreeMap::from([(name.clone(), stored(&[0.0], &[1]))]),
        naming: Naming::Orepa,
        inside: String::new(),
        passed_over: vec![],
        notes: vec![],
    };
    super::resolve(&mut reading).unwrap();
    assert!(reading.tensors.contains_key(&name));
}
