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
    repeated_identity(channels, 1, groups, options)
}

/// The same, so many times one below the other in each group: a 1×1 kernel to `times · channels` channels, of which the
/// `t`-th of a group takes its input `t mod (channels / groups)`.
pub(crate) fn repeated_identity(
    channels: usize,
    times: usize,
    groups: usize,
    options: impl Into<TensorCreationOptions>,
) -> Kernel {
    let outputs = times * channels;
    let geometry = ConvGeometry::new([channels, outputs], [1, 1])
        .and_then(|geometry| geometry.with_groups(groups))
        .unwrap_or_else(|error| panic!("no identity kernel: {error}"));
    let inputs = channels / groups;
    let mut weight = vec![0f32; outputs * inputs];
    for output in 0..outputs {
        weight[output * inputs + output % inputs] = 1.0;
    }
    let data = TensorData::new(weight, [outputs, inputs, 1, 1]);
    Kernel::new(Tensor::from_data(data, options), None, geometry)
}
