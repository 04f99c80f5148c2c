//! Checkpoints that the published dynamic training wrote load by their names alone, whatever has grown and was cut.
//!
//! Held against the other way to read them: the record of the run says what is grown, and every parameter is looked up by
//! its published name.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use dyrep_burn::Structure;
use dyrep_tests::golden::{Tensors, folder};
use dyrep_tests::params;
use dyrep_tests::trajectory::{SmallResNet, trajectories};
use dyrep_tests::under_test;
use dyrep_weights::{Naming, OpenOptions, Part};

#[test]
fn published_checkpoints_are_understood_by_their_names() {
    let device = under_test();
    let mut grown = 0;
    for trajectory in trajectories() {
        let first = &trajectory.segments[0];
        let plain =
            SmallResNet::read(&Tensors::read(&first.start), &first.structure_before, &device);
        for segment in &trajectory.segments {
            let file = &segment.after;
            let want = SmallResNet::read(&Tensors::read(file), &segment.structure_after, &device);
            // The file holds the optimiser's state beside the parameters.
            let part = Part::Key("param".to_owned());
            let weights = OpenOptions::new().part(part).open(folder().join(file)).unwrap();
            let blocks = segment.structure_after.len();
            let naming = if blocks == 0 { Naming::Plain } else { Naming::DyRep };
            assert_eq!(weights.format().naming, naming, "{file}");
            let (got, report) = weights.load_into(plain.clone()).unwrap();
            assert!(report.is_complete(), "{file}: {report}");
            assert_eq!(Structure::of(&got), Structure::of(&want), "{file}");
            let (got, want) = (params::read(&got), params::read(&want));
            assert_eq!(got.len(), want.len());
            for (path, want) in want {
                got[&path].assert_eq(&want, true);
            }
            grown += blocks;
        }
    }
    assert!(grown > 10, "{grown}");
}
