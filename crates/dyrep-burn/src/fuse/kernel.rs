//! A convolution as a value: weight, bias and geometry.
//!
//! Every branch of a block, and the block itself, is at inference one [`Kernel`]; the laws in [`crate::fuse`]
//! are functions from kernels to kernels. All of them are built from tensor operations, so gradients
//! flow through a fusion.

use burn::nn::conv::Conv2d;
use burn::tensor::module::conv2d;
use burn::tensor::{DType, Tensor, TensorCreationOptions};

use crate::geometry::ConvGeometry;

/// One convolution: `weight` `[out, in / groups, height, width]`, `bias` `[out]`, and how it is applied.
#[derive(Clone, Debug)]
pub struct Kernel {
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    geometry: ConvGeometry,
}

impl Kernel {
    /// Joins a weight and a bias to the geometry they are meant for.
    ///
    /// # Panics
    /// If the weight is not `[out, in / groups, height, width]` or the bias not `[out]` of `geometry`.
    #[must_use]
    pub fn new(weight: Tensor<4>, bias: Option<Tensor<1>>, geometry: ConvGeometry) -> Self {
        assert_eq!(
            weight.dims(),
            geometry.weight_shape(),
            "the weight's shape must fit the convolution {geometry}"
        );
        if let Some(bias) = &bias {
            assert_eq!(
                bias.dims(),
                [geometry.out_channels()],
                "the bias must have one value for each output channel of {geometry}"
            );
        }
        Self { weight, bias, geometry }
    }

    /// The kernel that a Burn convolution applies, in `f32` at least: what is fused goes through many sums.
    #[must_use]
    pub fn of(conv: &Conv2d) -> Self {
        let bias = conv.bias.as_ref().map(|bias| wide(bias.val()));
        Self::new(wide(conv.weight.val()), bias, ConvGeometry::of(conv))
    }

    /// Weight, `[out, in / groups, height, width]`.
    #[must_use]
    pub fn weight(&self) -> Tensor<4> {
        self.weight.clone()
    }

    /// Bias, `[out]`, if there is one.
    #[must_use]
    pub fn bias(&self) -> Option<Tensor<1>> {
        self.bias.clone()
    }

    /// Bias, `[out]`, zero if there is none.
    #[must_use]
    pub fn bias_or_zero(&self) -> Tensor<1> {
        self.bias.clone().unwrap_or_else(|| {
            Tensor::zeros([self.geometry.out_channels()], options_of(&self.weight))
        })
    }

    /// How the kernel is applied.
    #[must_use]
    pub fn geometry(&self) -> &ConvGeometry {
        &self.geometry
    }

    /// The same kernel, cut from the graph that computed it.
    #[must_use]
    pub fn detach(self) -> Self {
        Self {
            weight: self.weight.detach(),
            bias: self.bias.map(Tensor::detach),
            geometry: self.geometry,
        }
    }

    /// Convolves `input` `[batch, in, height, width]` to `[batch, out, height', width']`.
    #[must_use]
    pub fn apply(&self, input: Tensor<4>) -> Tensor<4> {
        let options = self.geometry.options(&input);
        conv2d(input, self.weight(), self.bias(), options)
    }
}

/// Where and in which numbers a tensor's kin are made.
pub(crate) fn options_of<const D: usize>(tensor: &Tensor<D>) -> TensorCreationOptions {
    (&tensor.device(), tensor.dtype()).into()
}

/// The numbers of all tensors: one read of the device for all.
pub(crate) fn read_all(tensors: Vec<Tensor<1>>) -> Vec<f64> {
    match tensors.is_empty() {
        true => vec![],
        false => Tensor::cat(tensors, 0).into_data().iter::<f64>().collect(),
    }
}

/// A tensor in `f32` at least.
pub(crate) fn wide<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    match tensor.dtype() {
        DType::F16 | DType::BF16 => tensor.cast(DType::F32),
        _ => tensor,
    }
}
