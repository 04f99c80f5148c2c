//! What the targets share: a small network, and files that live in memory where the system has a place for that.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use burn::tensor::Device;
use dyrep_models::{Model, ModelConfig, ResNetConfig};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    folder.expect("a temporary folder can be made")
});

/// The folder of this process.
pub fn folder() -> &'static Path {
    FOLDER.path()
}

/// A file of this process with the given bytes; the one before is overwritten.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    std::fs::write(&path, bytes).expect("the temporary folder can be written to");
    path
}

/// The network that the reference files of `dyrep-weights` are of: a ResNet of four blocks and width 4.
pub fn network(device: &Device) -> Model {
    let config = ResNetConfig { depths: [1; 4], ..ResNetConfig::resnet18(10).with_width(4) };
    ModelConfig::ResNet(config).init(device).expect("a ResNet of width 4 exists")
}
