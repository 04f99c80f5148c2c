//! What a search has found, for the record.

use dyrep_burn::Structure;
use dyrep_models::Network;

use super::recorder::Recorder;
use crate::classifier::Classifier;
use crate::dyrep::DyRep;

/// Tells the recorder how a search stands, if there is one, and what an evaluation now would be of.
pub(super) fn note<N: Network>(recorder: &Recorder, model: &DyRep<Classifier<N>>) {
    if let Some(search) = model.search() {
        let evaluated = search.apply_to_evaluate(model.model().network.clone());
        recorder.searched(search.report(), Structure::of(&evaluated));
    }
}
