//! A training tried before it is begun: a step of the network as it starts, and of the largest that it may grow to.

use std::time::Instant;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::tensor::Device;
use burn_train::TrainStep;
use dyrep_burn::{Controller, InputSizes, Structure};
use dyrep_models::Model;
use serde::Serialize;

use crate::classifier::Classifier;
use crate::device::home;
use crate::dyrep::DyRep;
use crate::epoch_steps::EpochSteps;
use crate::error::TrainError;
use crate::pictures::Pictures;
use crate::plan::Plan;

/// Steps that are timed, after one that is not.
const STEPS: usize = 3;

/// What a step of a structure takes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Trial {
    /// Branches in all blocks, plain convolutions counted as one.
    pub branches: usize,
    /// Learnable parameters.
    pub params: usize,
    /// Multiply-adds for one picture.
    pub macs: u64,
    /// Pictures in the batch.
    pub pictures: usize,
    /// Median seconds of a step on one device: forward, backward, optimiser.
    pub seconds: f64,
    /// The most memory that the process had while it did them, in bytes, where the system tells it. Of a GPU's memory it
    /// says nothing.
    pub memory: Option<u64>,
}

/// Both ends of a training.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Trials {
    /// The network as it starts.
    pub start: Trial,
    /// The largest that it may grow to; nothing where it does not grow.
    pub largest: Option<Trial>,
    /// Steps of an epoch.
    pub steps_per_epoch: usize,
}

impl Plan {
    /// Runs some steps of the network as it starts and of the largest that the controller's budget, patterns and schedule
    /// allow, on a training batch and the first device. Nothing is written, and the plan is as it was.
    ///
    /// # Errors
    /// Data that cannot be read; groups that name layers that are not there.
    pub fn trial(&self, devices: &[Device]) -> Result<Trials, TrainError> {
        let device = self.training.graph(&devices[0]);
        let batch = self.train.epoch(1).next().unwrap_or_else(|| unreachable!("never empty"))?;
        let pictures = Pictures::new(&batch, &self.training.input, &device);
        let pictures = pictures.taught(self.training.distillation.as_ref(), &batch.samples, None);
        let start = self.step(self.network.clone(), &pictures)?;
        let accumulate = self.training.optimizer.accumulate;
        let steps_per_epoch = EpochSteps::of(&self.train, accumulate, devices.len()).steps();
        let Some(config) = &self.training.controller else {
            return Ok(Trials { start, largest: None, steps_per_epoch });
        };
        let network = self.network.valid();
        let picture = pictures.images.clone().inner().narrow(0, 0, 1).to_device(&home(&network));
        let sizes = InputSizes::measure(&network, |network| {
            let _logits = network.forward(picture);
        });
        let structure = Structure::of(&network);
        let controller = Controller::new(config.clone())?;
        let largest = controller.largest(&structure, &sizes, self.training.epochs);
        let grown = largest.apply(self.network.clone());
        let grown = grown.map_err(|source| TrainError::Began { source: Box::new(source) })?;
        Ok(Trials { start, largest: Some(self.step(grown, &pictures)?), steps_per_epoch })
    }

    /// What learns, without a run around it: a copy of the network with its loss, and the optimiser; a batch makes a step.
    pub(crate) fn learner(
        &self,
        network: Model,
        device: &Device,
    ) -> Result<(DyRep<Classifier<Model>>, ModuleOptimizer), TrainError> {
        let training = &self.training;
        training.check_precision(std::slice::from_ref(device))?;
        let groups = training.groups(&network)?;
        let optimizer = groups.optimizer(&training.optimizer);
        let network = groups.freeze(training.learning(network, device))?;
        // An epoch that never ends: its structure stays.
        let mut model = DyRep::new(training.classifier(network), usize::MAX);
        if let Some(config) = &training.search {
            model = model.with_search(config.clone())?;
        }
        if let Some(norm) = training.optimizer.clip_norm {
            model = model.with_multiplied_clipping(norm, groups.multipliers().clone());
        }
        let full = self.train.config().batch_size;
        if let Some(step) = training.shared_step(device, full, true) {
            model = model.with_shared_step(step, Classifier::sharing);
        }
        Ok((model, optimizer))
    }

    fn step(&self, network: Model, pictures: &Pictures) -> Result<Trial, TrainError> {
        let [batch, channels, height, width] = pictures.images.dims();
        let params = network.params();
        let device = pictures.images.device().inner();
        let (mut model, mut optimizer) = self.learner(network, &device)?;
        // Of a search, what runs at a step.
        let structure = Structure::of(model.model());
        let macs = model.model().network.valid().flops([channels, height, width]);
        forget_peak();
        let mut seconds = vec![];
        for step in 0..=STEPS {
            let started = Instant::now();
            let output = TrainStep::step(&model, pictures.clone());
            let rate = ModuleLearningRate::from(1e-6);
            model = model.optimize(&mut optimizer, rate, output.grads);
            // Reading the loss waits for the device.
            let _loss = output.item.loss.into_data();
            if step > 0 {
                seconds.push(started.elapsed().as_secs_f64());
            }
        }
        seconds.sort_by(f64::total_cmp);
        Ok(Trial {
            branches: structure.layers().values().map(|layer| layer.form.branch_count()).sum(),
            params,
            macs,
            pictures: batch,
            seconds: seconds[STEPS / 2],
            memory: peak(),
        })
    }
}

/// Lets the system's count of the most memory begin anew; where it cannot, the count is of the whole process.
fn forget_peak() {
    // Linux: proc(5), clear_refs.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most memory that the process had, in bytes.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
