//! What this crate writes is opened by the door for weights: records of the wrapper, weights, and their structure.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use burn::module::Module;
use common::{bits, controller, network};
use dyrep_burn::{BranchKind, Branches, Preset, Structure};
use dyrep_models::ResNet;
use dyrep_train::{BoxedError, Classifier, DyRep, Loss};
use dyrep_weights::{Container, Label, Naming, WeightsError, open, write_burnpack};

/// The network, grown here and there, also inside what has grown.
fn grown() -> ResNet {
    let mut structure = Structure::of(&network());
    structure.grow("layer1.0.conv1", &Preset::DyRep.into()).unwrap();
    structure.grow("layer1.0.conv1.kxk.conv", &Preset::Dbb.into()).unwrap();
    structure.grow("layer2.0.conv1", &Branches::from([BranchKind::POINTWISE_KXK])).unwrap();
    structure.grow("layer2.0.conv1.1x1_kxk.conv2", &Preset::AcNet.into()).unwrap();
    structure.grow("layer4.0.conv2", &Preset::RepVgg.into()).unwrap();
    structure
        .cut("layer4.0.conv2", &[BranchKind::POINTWISE.into(), BranchKind::IDENTITY.into()])
        .unwrap();
    structure.apply(network()).unwrap()
}

fn calibrate(_: &Classifier<ResNet>, _: usize, _: usize) -> Result<(), BoxedError> {
    Ok(())
}

#[test]
fn records_and_weights_of_grown_networks_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let model = grown();
    let (record, weights) = (folder.path().join("model-1.bpk"), folder.path().join("trained.bpk"));
    let wrapper = DyRep::new(Classifier::new(model.clone(), Loss::default()), 4)
        .with_controller(controller(), calibrate)
        .unwrap();
    std::fs::write(&record, &*wrapper.into_record().into_bytes().unwrap()).unwrap();
    write_burnpack(&model, &Label::default(), &weights).unwrap();
    for file in [record, weights] {
        let weights = open(&file).unwrap();
        let format = weights.format();
        assert_eq!((format.container, format.naming), (Container::Burnpack, Naming::Own));
        // From the names, and equal to the one that the file tells.
        let told = weights.description().map(|note| note.structure().clone());
        assert_eq!(told, Some(Structure::of(&model)));
        assert_eq!(weights.structure(&network()).unwrap(), Structure::of(&model));
        let (loaded, report) = weights.load_into(network()).unwrap();
        assert!(report.is_complete(), "{report}");
        assert_eq!(bits(&loaded.valid()), bits(&model.valid()));
    }
}

#[test]
fn a_record_that_is_cut_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trained.bpk");
    write_burnpack(&grown(), &Label::default(), &file).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    for length in [3, 9, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&file, &bytes[..length]).unwrap();
        let error = open(&file).and_then(|weights| weights.load_into(network())).unwrap_err();
        let named = matches!(
            error,
            WeightsError::Malformed { .. }
                | WeightsError::Unknown { .. }
                | WeightsError::Oversized { .. }
        );
        assert!(named, "{length}: {error}");
    }
}
