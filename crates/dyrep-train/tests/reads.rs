//! A step of training reads nothing from the device: a GPU would stand still until the answer is there. Forward and
//! backward pass, the controller's watching, clipping, the optimiser and the average only queue work.
//!
//! What Burn does is told by its spans, which its CPU backend does not have:
//!
//! ```text
//! DYREP_TEST_DEVICE=wgpu cargo test -p dyrep-train --features wgpu,tracing,dyrep-tests/wgpu --test reads
//! ```

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::data::dataloader::DataLoader;
use burn::optim::ModuleOptimizer;
use burn::tensor::Tensor;
use burn_train::TrainStep;
use common::{controller, loaders, network};
use dyrep_burn::{ControllerConfig, Score};
use dyrep_tests::device::is_flex;
use dyrep_tests::under_test;
use dyrep_train::{Batches, Classifier, DyRep, Groups, InputSpec, Loss, OptimizerConfig};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static READS: AtomicU64 = AtomicU64::new(0);

/// Counts spans of reading.
struct Reads;

impl Subscriber for Reads {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.name().ends_with("into_data")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1 + READS.fetch_add(1, Ordering::SeqCst))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn a_step_reads_nothing() {
    if is_flex() {
        return;
    }
    tracing::subscriber::set_global_default(Reads).unwrap();
    let device = under_test().autodiff();
    let batches = Batches::training(loaders(256, 0)[0].clone(), InputSpec::digits(), 1);
    let batches: Arc<dyn DataLoader<_>> = Arc::new(batches);
    let batches: Vec<_> = batches.to_device(&device).iter().map(Result::unwrap).collect();
    for score in Score::ALL {
        let controller = ControllerConfig { score, ..controller() };
        // No adjustment is due within these steps.
        let mut model = DyRep::new(Classifier::new(network(), Loss::default()), 1000)
            .with_controller(controller, |_: &Classifier<_>, _, _| Ok(()))
            .unwrap()
            .with_average(0.9)
            .with_clipping(1.0);
        let mut optimizer: ModuleOptimizer =
            Groups::default().optimizer(&OptimizerConfig::imagenet());
        let before = READS.load(Ordering::SeqCst);
        for batch in &batches {
            let step = model.step(batch.clone());
            model = model.optimize(&mut optimizer, 0.01.into(), step.grads);
        }
        assert_eq!(READS.load(Ordering::SeqCst) - before, 0, "reads with {score}");
        // The control: somebody who looks is seen.
        let weight: Tensor<2> = model.model().network.fc.weight.val();
        assert!(weight.sum().into_scalar::<f32>().is_finite());
        assert!(READS.load(Ordering::SeqCst) > before, "a read is not seen: is Burn traced?");
    }
}
