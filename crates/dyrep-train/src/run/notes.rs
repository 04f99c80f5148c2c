//! What of a run should be known that no figure tells.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::step_gradients::StepGradients;

/// A growth that was undone.
pub(super) fn undone(epoch: usize, paths: &[String], said: &str) -> String {
    let paths = paths.join("`, `");
    format!("after epoch {epoch} `{paths}` grew and is plain again, for lack of memory: {said}")
}

/// Counts the steps of an epoch that were left out because gradients overflowed.
pub(super) struct LeftOut {
    step: Option<StepGradients>,
    before: AtomicUsize,
}

impl LeftOut {
    /// From here on.
    pub(super) fn new(step: Option<StepGradients>) -> Self {
        let count = Self::count(step.as_ref());
        Self { step, before: AtomicUsize::new(count) }
    }

    fn count(step: Option<&StepGradients>) -> usize {
        step.and_then(StepGradients::loss_scale).map_or(0, |scale| scale.left_out)
    }

    /// After an epoch, if there were any.
    pub(super) fn note(&self, epoch: usize) -> Option<String> {
        let scale = self.step.as_ref()?.loss_scale()?;
        let count = scale.left_out - self.before.swap(scale.left_out, Ordering::Relaxed);
        let factor = scale.factor;
        (count > 0).then(|| {
            let steps = if count == 1 { "step was" } else { "steps were" };
            format!(
                "in epoch {epoch} {count} {steps} left out because gradients overflowed in `f16`; the loss is now \
                 multiplied by {factor}"
            )
        })
    }
}
