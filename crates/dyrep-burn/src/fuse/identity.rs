//! The identity is a 1×1 convolution: each output channel takes its own input channel (RepVGG, section 3.3).
//!
//! With groups, the one lies at the channel's place inside its group.

use burn::tensor::{Tensor, TensorCreationOptions, TensorData};

use super::kernel::Kernel;
use crate::geometry::ConvGeometry;

/// The identity on `channels` channels in `groups` groups, as a 1×1 kernel.
///
/// # Panics
/// If the groups do not divide the channels.
#[must_use]
pub fn identity(
    channels: usize,
    groups: usize,
    options: impl Into<TensorCreationOptions>,
) -> Kernel {
    let geometry = ConvGeometry::new([channels, channels], [1, 1])
        .and_then(|geometry| geometry.with_groups(groups))
        .unwrap_or_else(|error| panic!("no identity kernel: {error}"));
    let inputs = channels / groups;
    let mut weight = vec![0f32; channels * inputs];
    for channel in 0..channels {
        weight[channel * inputs + channel % inputs] = 1.0;
    }
    let data = TensorData::new(weight, [channels, inputs, 1, 1]);
    Kernel::new(Tensor::from_data(data, options), None, geometry)
}
