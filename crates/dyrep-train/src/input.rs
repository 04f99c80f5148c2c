//! From batches of bytes to normalised tensors on a device.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use dyrep_data::Batch;
use dyrep_weights::Input;
use serde::{Deserialize, Serialize};

use crate::device::is_here;

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

impl From<&Input> for InputSpec {
    fn from(input: &Input) -> Self {
        Self { scale: input.scale, mean: input.mean.clone(), std: input.std.clone() }
    }
}

impl InputSpec {
    /// ImageNet's statistics, for RGB pictures.
    #[must_use]
    pub fn imagenet() -> Self {
        Self { scale: 255.0, mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] }
    }

    /// The statistics of CIFAR-10's training pictures.
    #[must_use]
    pub fn cifar10() -> Self {
        Self { scale: 255.0, mean: vec![0.4914, 0.4822, 0.4465], std: vec![0.2470, 0.2435, 0.2616] }
    }

    /// The statistics of CIFAR-100's training pictures.
    #[must_use]
    pub fn cifar100() -> Self {
        Self { scale: 255.0, mean: vec![0.5071, 0.4865, 0.4409], std: vec![0.2673, 0.2564, 0.2762] }
    }

    /// The shipped digits: bytes 0 to 16, one channel, values left between 0 and 1.
    #[must_use]
    pub fn digits() -> Self {
        Self { scale: dyrep_data::Digits::MAX_VALUE, mean: vec![0.0], std: vec![1.0] }
    }

    /// The statistics of MNIST's training pictures.
    #[must_use]
    pub fn mnist() -> Self {
        Self { scale: 255.0, mean: vec![0.1307], std: vec![0.3081] }
    }

    /// The statistics of Fashion-MNIST's training pictures.
    #[must_use]
    pub fn fashion_mnist() -> Self {
        Self { scale: 255.0, mean: vec![0.2860], std: vec![0.3530] }
    }

    /// For grey pictures of unknown statistics: ImageNet's, averaged over its channels.
    #[must_use]
    pub fn grey() -> Self {
        Self { scale: 255.0, mean: vec![0.449], std: vec![0.226] }
    }

    /// The batch's pictures, `[batch, channels, height, width]`.
    ///
    /// # Panics
    /// If the batch has another number of channels than this specification.
    #[must_use]
    pub fn images(&self, batch: &Batch, device: &Device) -> Tensor<4> {
        let channels = self.mean.len();
        assert_eq!(batch.shape[1], channels, "channels of the batch and of its normalisation");
        if is_here(device) {
            return Tensor::from_data(TensorData::new(self.normalised(batch), batch.shape), device);
        }
        let pixels = if device.supports_dtype(DType::U8) {
            // A quarter of the bytes to move.
            let bytes = TensorData::new(batch.pixels.to_vec(), batch.shape);
            Tensor::<4, Int>::from_data(bytes, (device, DType::U8)).float()
        } else {
            // WebGPU's shading language has no bytes.
            let floats: Vec<f32> = batch.pixels.iter().copied().map(f32::from).collect();
            Tensor::<4>::from_data(TensorData::new(floats, batch.shape), device)
        };
        let per_channel = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [1, channels, 1, 1]);
            Tensor::<4>::from_data(data, device)
        };
        (pixels / self.scale - per_channel(&self.mean)) / per_channel(&self.std)
    }

    /// The normalised values in one pass, for a device that is this processor: tensor operations would write four maps.
    fn normalised(&self, batch: &Batch) -> Vec<f32> {
        let [_, channels, height, width] = batch.shape;
        // 256 results a channel are all that there can be.
        let table = |(mean, std): (&f32, &f32)| -> [f32; 256] {
            std::array::from_fn(|byte| (byte as f32 / self.scale - mean) / std)
        };
        let tables: Vec<_> = self.mean.iter().zip(&self.std).map(table).collect();
        let mut values = Vec::with_capacity(batch.pixels.len());
        for (index, plane) in batch.pixels.chunks_exact((height * width).max(1)).enumerate() {
            let table = &tables[index % channels];
            values.extend(plane.iter().map(|byte| table[usize::from(*byte)]));
        }
        values
    }

    /// The batch's classes, `[batch]`.
    #[must_use]
    pub fn targets(&self, batch: &Batch, device: &Device) -> Tensor<1, Int> {
        Tensor::from_data(TensorData::new(batch.labels.clone(), [batch.labels.len()]), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is computed here is what the operations on tensors give, to the bit.
    #[test]
    fn normalising_here_and_by_tensors_agree() {
        let device = Device::flex();
        let input = InputSpec::imagenet();
        let pixels: Vec<u8> = (0..2 * 3 * 16 * 24).map(|i| (i * 7 % 256) as u8).collect();
        let (shape, labels, samples) = ([2, 3, 16, 24], vec![0, 1], vec![0, 1]);
        let batch = Batch { pixels: pixels.clone().into(), labels, samples, shape, start: 0 };
        let bytes = TensorData::new(pixels, shape);
        let floats = Tensor::<4, Int>::from_data(bytes, (&device, DType::U8)).float();
        let of = |values: &[f32]| {
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 3, 1, 1]), &device)
        };
        let want = (floats / input.scale - of(&input.mean)) / of(&input.std);
        let found = input.images(&batch, &device);
        assert_eq!(found.into_data(), want.into_data());
    }
}
