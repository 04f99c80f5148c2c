//! From batches of bytes to normalised tensors on a device.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use dyrep_data::Batch;
use serde::{Deserialize, Serialize};

/// How bytes become the model's input: `(byte / scale − mean) / std` for each channel.
///
/// Bytes travel to the device and are normalised there: a quarter of the upload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputSpec {
    /// The byte that stands for 1.
    pub scale: f32,
    /// Mean of each channel after scaling.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel after scaling.
    pub std: Vec<f32>,
}

impl InputSpec {
    /// ImageNet's statistics, for RGB pictures.
    #[must_use]
    pub fn imagenet() -> Self {
        Self { scale: 255.0, mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] }
    }

    /// The shipped digits: bytes 0 to 16, one channel, values left between 0 and 1.
    #[must_use]
    pub fn digits() -> Self {
        Self { scale: dyrep_data::Digits::MAX_VALUE, mean: vec![0.0], std: vec![1.0] }
    }

    /// The batch's pictures, `[batch, channels, height, width]`.
    ///
    /// # Panics
    /// If the batch has another number of channels than this specification.
    #[must_use]
    pub fn images(&self, batch: &Batch, device: &Device) -> Tensor<4> {
        let channels = self.mean.len();
        assert_eq!(batch.shape[1], channels, "channels of the batch and of its normalisation");
        let bytes = batch.pixels.clone();
        let pixels = if device.supports_dtype(DType::U8) {
            // A quarter of the bytes to move.
            let bytes = TensorData::new(bytes, batch.shape);
            Tensor::<4, Int>::from_data(bytes, (device, DType::U8)).float()
        } else {
            // WebGPU's shading language has no bytes.
            let floats: Vec<f32> = bytes.into_iter().map(f32::from).collect();
            Tensor::<4>::from_data(TensorData::new(floats, batch.shape), device)
        };
        let per_channel = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [1, channels, 1, 1]);
            Tensor::<4>::from_data(data, device)
        };
        (pixels / self.scale - per_channel(&self.mean)) / per_channel(&self.std)
    }

    /// The batch's classes, `[batch]`.
    #[must_use]
    pub fn targets(&self, batch: &Batch, device: &Device) -> Tensor<1, Int> {
        Tensor::from_data(TensorData::new(batch.labels.clone(), [batch.labels.len()]), device)
    }
}
