//! [`DyRep`] as Burn's loop calls it.

use std::sync::Arc;

use burn::module::Module;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer, MultiGradientsParams};
use burn_train::{InferenceStep, TrainOutput, TrainStep};
use dyrep_burn::Search;

use super::{Beside, DyRep, Setup, clip};
use crate::device::home;

impl<M: Module + TrainStep + 'static> TrainStep for DyRep<M> {
    type Input = M::Input;
    type Output = M::Output;

    fn step(&self, item: Self::Input) -> TrainOutput<Self::Output> {
        self.seed_batch();
        self.model.step(item)
    }

    fn optimize(
        mut self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: GradientsParams,
    ) -> Self {
        let gradients = match &self.setup.step {
            Some(step) => step.take(&self.model),
            None => Some(gradients),
        };
        // Gradients of no use leave the weights as they are.
        let Some(mut gradients) = gradients else { return self.stepped(optimizer) };
        if let Some(controller) = &mut self.controller {
            controller.observe(&self.model, &gradients);
        }
        if let Some(search) = &mut self.search {
            search.observe(&self.model, &gradients);
        }
        if let Some((norm, multipliers)) = &self.setup.clip {
            let beside = self.search.as_ref().and_then(Search::observed);
            let factor = clip::clip(&self.model, &mut gradients, *norm, multipliers, beside);
            if let (Some(search), Some(factor)) = (&mut self.search, factor) {
                search.scale_observed(factor);
            }
        }
        self.model = self.model.optimize(optimizer, rate, gradients);
        self.stepped(optimizer)
    }

    fn optimize_multi(
        mut self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        mut gradients: MultiGradientsParams,
    ) -> Self {
        let Setup { controller, clip, step, .. } = &*self.setup;
        let whole = controller.is_some() || clip.is_some() || step.is_some();
        if !whole && self.search.is_none() {
            self.model = self.model.optimize_multi(optimizer, rate, gradients);
            return self.stepped(optimizer);
        }
        // Scores and norms are of the whole gradient, which here lies in parts on several devices.
        let device = home(&self.model);
        let mut sum = GradientsAccumulator::new();
        for (part, _) in &mut gradients.grads {
            let part = std::mem::take(part).to_device(&device, &self.model);
            sum.accumulate(&self.model, part);
        }
        self.optimize(optimizer, rate, sum.grads())
    }
}

impl<M: Module + InferenceStep + 'static> InferenceStep for DyRep<M> {
    type Input = M::Input;
    type Output = M::Output;

    fn step(&self, item: Self::Input) -> Self::Output {
        if let (Some(weights), Some(f)) = (&self.beside, &self.setup.beside)
            && let Some(f) = f.downcast_ref::<Arc<Beside<M>>>()
        {
            f(weights, &item);
        }
        self.model.step(item)
    }
}

impl<M: Module + InferenceStep + 'static> DyRep<M> {
    /// Gives `f` the weights themselves in evaluation mode, with each input on which their average is evaluated: so that
    /// both can be told. Without an average it is never called.
    #[must_use]
    pub fn beside_average(
        mut self,
        f: impl Fn(&M, &<M as InferenceStep>::Input) + Send + Sync + 'static,
    ) -> Self {
        let f: Arc<Beside<M>> = Arc::new(f);
        self.setup_mut().beside = Some(Arc::new(f));
        self
    }
}
