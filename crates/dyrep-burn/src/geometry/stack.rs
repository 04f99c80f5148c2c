//! The 3×3 layers in sequence that a convolution can be.
//!
//! A k×k convolution of stride s and dilation d is (k − 1) / 2 layers of 3×3 with strides 1, …, 1, s and dilation d, none of
//! which pads, on an input that is padded once as the convolution says. Each layer is given as a convolution that keeps its
//! input's size but for the stride, so that every branch of a block exists there; in the sequence its padding does not count.

use burn::nn::PaddingConfig2d;
use dyrep_config::stacked_layers;

use super::ConvGeometry;

impl ConvGeometry {
    /// The layers, the first of which reads the input; none where the kernel is not square, odd and larger than 3×3.
    #[must_use]
    pub fn in_sequence(&self) -> Option<Vec<Self>> {
        let count = stacked_layers(self)?;
        let [inputs, outputs] = self.channels;
        let [down, right] = self.dilation;
        let layer = |number: usize| Self {
            channels: [if number == 0 { inputs } else { outputs }, outputs],
            kernel_size: [3, 3],
            stride: if number + 1 == count { self.stride } else { [1, 1] },
            padding: PaddingConfig2d::Explicit(down, right, down, right),
            ..self.clone()
        };
        Some((0..count).map(layer).collect())
    }
}
