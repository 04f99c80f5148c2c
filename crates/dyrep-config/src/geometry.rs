//! What branches ask of the convolution that they are to stand for.

/// A convolution of two dimensions as branches see it; axes are ordered `[height, width]`.
///
/// It is a trait so that whoever has tensors can keep their own type: `dyrep-burn`'s `ConvGeometry` has the padding of Burn.
pub trait Geometry {
    /// Channels `[in, out]`.
    fn channels(&self) -> [usize; 2];

    /// Kernel size.
    fn kernel_size(&self) -> [usize; 2];

    /// Stride.
    fn stride(&self) -> [usize; 2];

    /// Dilation.
    fn dilation(&self) -> [usize; 2];

    /// Groups.
    fn groups(&self) -> usize;

    /// Padding before and after one axis, in pixels, where it is the same for every input.
    fn fixed_pad(&self, axis: usize) -> Option<(usize, usize)>;

    /// Whether every channel is convolved alone: as many groups as input and as output channels.
    fn is_depthwise(&self) -> bool {
        self.channels() == [self.groups(); 2]
    }

    /// Pixels that the kernel spans along each axis, dilation included.
    fn span(&self) -> [usize; 2] {
        let (kernel, dilation) = (self.kernel_size(), self.dilation());
        [0, 1].map(|axis| dilation[axis] * (kernel[axis] - 1) + 1)
    }
}
