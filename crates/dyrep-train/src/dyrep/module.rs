//! [`DyRep`] as a Burn module: the wrapped model's parameters under the model's own paths, and nothing more.

use std::fmt;
use std::sync::Arc;

use burn::module::{
    Content, DisplaySettings, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper,
    ModuleVisitor,
};
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Device;

use super::DyRep;

impl<M: fmt::Debug> fmt::Debug for DyRep<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DyRep")
            .field("model", &self.model)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

impl<M: Module + ModuleDisplay> ModuleDisplayDefault for DyRep<M> {
    fn content(&self, content: Content) -> Option<Content> {
        content.set_top_level_type("DyRep").add("model", &self.model).optional()
    }
}

impl<M: Module + ModuleDisplay> ModuleDisplay for DyRep<M> {}

impl<M: Module + ModuleDisplay> fmt::Display for DyRep<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format(DisplaySettings::default()))
    }
}

/// The average is no parameter.
impl<M: Module> Module for DyRep<M> {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.model.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        Self { model: self.model.fork(device), ..self }
    }

    fn to_device(self, device: &Device) -> Self {
        Self { model: self.model.to_device(device), ..self }
    }

    fn train(self) -> Self {
        Self { model: self.model.train(), ..self }
    }

    /// Of the average, where one is kept: it is what evaluation sees. Statistics are measured anew where that was
    /// asked for.
    fn valid(&self) -> Self {
        let model = self.average.as_ref().map_or(&self.model, |average| &average.model).valid();
        let model = self.recalibrated(self.chosen(model));
        let beside = self.average.as_ref().zip(self.setup.beside.as_ref());
        let beside = beside.map(|_| Box::new(self.chosen(self.model.valid())));
        let (controller, search) = (self.controller.clone(), self.search.clone());
        let setup = Arc::clone(&self.setup);
        Self { model, controller, search, average: None, beside, steps: self.steps, setup }
    }

    fn materialize(self) -> Self {
        Self { model: self.model.materialize(), ..self }
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.model.visit(visitor);
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        Self { model: self.model.map(mapper), ..self }
    }

    fn into_record(self) -> ModuleRecord {
        self.record()
    }

    fn try_load_record(self, record: ModuleRecord) -> Result<Self, RecordError> {
        self.loaded(record)
    }
}
