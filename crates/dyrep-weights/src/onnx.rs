//! ONNX (operator set 18), with a batch of any size.
//!
//! Burn records two passes of the deployed network, over batches of different sizes, and what differs between them becomes
//! the symbolic axis `batch`. Its recorder moves a module to another device, and running statistics move for all clones
//! (they are shared): so each pass is given a copy of its own ([`Fresh`]).
//!
//! What upstream cannot write yet ends in an error that names the operation. Of the zoo that is the 7×7 pooling in front of
//! VGG's three linear layers, for pictures of another size than 224×224, where it does nothing.

use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor};
use burn::tensor::{Device, Tensor};
use burn_onnx::export::{AxisSpec, InputSpec, OnnxExporter};
use dyrep_burn::{deploy, write_atomically};

use crate::error::WeightsError;

/// Writes the deployed network as ONNX: input `[batch, channels, height, width]`, where `picture` gives all but the batch,
/// and the logits that `forward` gives. The given network is left as it is.
///
/// # Errors
/// An operation that cannot be written; what the system says, with the path.
pub fn write_onnx<M: Module>(
    network: &M,
    picture: [usize; 3],
    forward: impl Fn(&M, Tensor<4>) -> Tensor<2>,
    file: impl AsRef<Path>,
) -> Result<(), WeightsError> {
    let file = file.as_ref();
    let [channels, height, width] = picture;
    let device = Device::flex();
    let network = Fresh(deploy(network).to_device(&device));
    let batch = |size| Tensor::<4>::zeros([size, channels, height, width], &device);
    let fixed = || AxisSpec::Static;
    let input = InputSpec::new([AxisSpec::dynamic("batch"), fixed(), fixed(), fixed()]);
    let forward = |network: &Fresh<M>, images| forward(&network.0, images);
    let written =
        OnnxExporter::new().export_dynamic(&network, batch(2), batch(3), &[input], forward);
    let written = written.map_err(|error| WeightsError::Malformed {
        file: file.to_owned(),
        container: "ONNX",
        reason: error.to_string(),
    })?;
    let failed = |source| WeightsError::Io { file: file.to_owned(), source };
    write_atomically(file, written.as_bytes()).map_err(failed)
}

/// A module that gives a copy of itself when it is moved, and so keeps its running statistics.
#[derive(Clone, Debug)]
struct Fresh<M>(M);

impl<M: Module> Module for Fresh<M> {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.0.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        Self(self.0.valid().fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        Self(self.0.valid().to_device(device))
    }

    fn train(self) -> Self {
        Self(self.0.train())
    }

    fn valid(&self) -> Self {
        Self(self.0.valid())
    }

    fn materialize(self) -> Self {
        Self(self.0.materialize())
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.0.visit(visitor);
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        Self(self.0.map(mapper))
    }
}
