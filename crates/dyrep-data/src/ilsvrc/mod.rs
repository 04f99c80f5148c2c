//! ILSVRC's classes, and its validation part as it is published: 50,000 pictures in one folder, and
//! their classes in a file of the development kit.
//!
//! There are two numberings of the 1000 classes. Labels count them in alphabetical order of their
//! WordNet ids, `n01440764` first, as folders do and every published network expects. The
//! development kit has one of its own, the ILSVRC2012_ID from 1, in which `n02119789` is the first.
//! Taking one for the other gives a network that seems to have learnt nothing.

mod error;
mod ground_truth;
mod synsets;

use std::path::{Path, PathBuf};

pub use self::error::GroundTruthError;
pub use self::ground_truth::GroundTruth;
pub use self::synsets::Synsets;

use crate::error::DataError;

/// Where a ground truth is looked for, below the folder that holds `val`.
const GROUND_TRUTHS: [&str; 3] = [
    "LOC_val_solution.csv",
    "ILSVRC2012_validation_ground_truth.txt",
    "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt",
];

/// Which lists of classes by number are looked for: in that folder, and beside the ground truth.
const SYNSETS: [&str; 2] = ["map_clsloc.txt", "synsets.txt"];

/// The ground truth of the flat folder `part`, from the files in `root` beside it.
pub(crate) fn find(root: &Path, part: &Path) -> Result<GroundTruth, DataError> {
    let looked_for: Vec<PathBuf> = GROUND_TRUTHS.iter().map(|name| root.join(name)).collect();
    let Some(path) = looked_for.iter().find(|path| path.exists()) else {
        let folder = part.to_owned();
        return Err(GroundTruthError::Missing { folder, looked_for }.into());
    };
    let beside = path.parent().filter(|beside| *beside != root);
    let places = std::iter::once(root).chain(beside);
    let lists = places.flat_map(|place| SYNSETS.iter().map(|name| place.join(name)));
    let lists: Vec<PathBuf> = lists.collect();
    let synsets = lists.iter().find(|list| list.exists()).map(Synsets::read).transpose()?;
    match GroundTruth::read(path, synsets.as_ref()) {
        Err(DataError::GroundTruth(GroundTruthError::NoSynsets { path, .. })) => {
            Err(GroundTruthError::NoSynsets { path, looked_for: lists }.into())
        }
        read => read,
    }
}
