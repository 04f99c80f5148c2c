//! One description of a network for all who follow it.
//!
//! A network's layers are put together once, over an [`Interpreter`]: [`Tensors`] computes, the recorder of `record.rs`
//! writes down what would be computed. So what is exported cannot be put together otherwise than what is trained.

use burn::nn::pool::{AdaptiveAvgPool2d, AvgPool2d, MaxPool2d};
use burn::nn::{BatchNorm, Dropout, GroupNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use dyrep_burn::RepConv2d;
use dyrep_burn::ops::{self, Tail, batch_norm, max_pool, mean_of_maps, widely};

use crate::parts::{Activation, begins_with_relu, rest_of};

/// What follows a norm, and what is added to it: `activation?(… + residual?)`.
pub(crate) struct Then<Maps> {
    pub(crate) residual: Option<Maps>,
    pub(crate) activation: Option<Activation>,
}

impl<Maps> Then<Maps> {
    /// Nothing.
    pub(crate) fn end() -> Self {
        Self { residual: None, activation: None }
    }

    /// A ReLU.
    pub(crate) fn relu() -> Self {
        Self::activation(Activation::Relu)
    }

    /// An activation.
    pub(crate) fn activation(activation: Activation) -> Self {
        Self { residual: None, activation: Some(activation) }
    }

    /// An addition.
    pub(crate) fn add(residual: Maps) -> Self {
        Self { residual: Some(residual), activation: None }
    }

    /// An addition and a ReLU.
    pub(crate) fn add_relu(residual: Maps) -> Self {
        Self { residual: Some(residual), activation: Some(Activation::Relu) }
    }
}

/// What layers do to what passes through them: maps `[batch, channels, height, width]` and then rows `[batch, features]`.
///
/// Layers without parameters are given a name: nothing else tells them apart.
pub(crate) trait Interpreter {
    type Maps: Clone;
    type Rows;

    fn conv(&mut self, conv: &RepConv2d, x: Self::Maps) -> Self::Maps;

    /// `activation?(norm(conv(x)) + residual?)`.
    fn conv_norm(
        &mut self,
        conv: &RepConv2d,
        norm: &BatchNorm,
        x: Self::Maps,
        then: Then<Self::Maps>,
    ) -> Self::Maps;

    fn norm(&mut self, norm: &BatchNorm, x: Self::Maps) -> Self::Maps;

    fn relu(&mut self, x: Self::Maps) -> Self::Maps;

    fn sigmoid(&mut self, x: Self::Maps) -> Self::Maps;

    /// Each map's average, as a map of one pixel.
    fn mean(&mut self, x: Self::Maps) -> Self::Maps;

    /// Each map times the one pixel of its factor.
    fn scale(&mut self, x: Self::Maps, factors: Self::Maps) -> Self::Maps;

    fn average_pool(&mut self, pool: &AvgPool2d, x: Self::Maps) -> Self::Maps;

    fn max_pool(&mut self, name: &str, pool: &MaxPool2d, x: Self::Maps) -> Self::Maps;

    /// Averages maps and lays each picture's values into a row.
    fn average(&mut self, name: &str, pool: &AdaptiveAvgPool2d, x: Self::Maps) -> Self::Rows;

    /// Lays each picture's values into a row.
    fn rows(&mut self, x: Self::Maps) -> Self::Rows;

    fn linear(&mut self, linear: &Linear, x: Self::Rows) -> Self::Rows;

    fn relu_of_rows(&mut self, x: Self::Rows) -> Self::Rows;

    fn dropout(&mut self, dropout: &Dropout, x: Self::Rows) -> Self::Rows;
}

/// What networks that look at places do besides.
pub(crate) trait Dense: Interpreter {
    /// Height and width of maps.
    fn size(&self, x: &Self::Maps) -> [usize; 2];

    /// Averages to as many parts as the pooling says.
    fn average_parts(&mut self, pool: &AdaptiveAvgPool2d, x: Self::Maps) -> Self::Maps;

    /// Maps of another height and width, each value between its four neighbours'; pixels are areas, so that corners are not
    /// aligned.
    fn resize(&mut self, x: Self::Maps, size: [usize; 2]) -> Self::Maps;

    /// Maps of another height and width, each value the one that lies there.
    fn enlarge(&mut self, x: Self::Maps, size: [usize; 2]) -> Self::Maps;

    fn add(&mut self, one: Self::Maps, other: Self::Maps) -> Self::Maps;

    fn group_norm(&mut self, norm: &GroupNorm, x: Self::Maps) -> Self::Maps;

    /// The channels of all, one after the other.
    fn concat(&mut self, maps: Vec<Self::Maps>) -> Self::Maps;

    fn dropout_of_maps(&mut self, dropout: &Dropout, x: Self::Maps) -> Self::Maps;
}

/// Computes.
pub(crate) struct Tensors;

/// Maps of another height and width; pixels are areas.
fn resized(x: Tensor<4>, size: [usize; 2], mode: InterpolateMode) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    if [height, width] == size {
        return x;
    }
    let options = InterpolateOptions::new(mode).with_align_corners(false).with_output_size(size);
    interpolate(x, options)
}

impl Dense for Tensors {
    fn size(&self, x: &Tensor<4>) -> [usize; 2] {
        let [_, _, height, width] = x.dims();
        [height, width]
    }

    fn average_parts(&mut self, pool: &AdaptiveAvgPool2d, x: Tensor<4>) -> Tensor<4> {
        widely(x, |x| pool.forward(x))
    }

    fn resize(&mut self, x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        widely(x, |x| resized(x, size, InterpolateMode::Bilinear))
    }

    fn enlarge(&mut self, x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        resized(x, size, InterpolateMode::Nearest)
    }

    fn add(&mut self, one: Tensor<4>, other: Tensor<4>) -> Tensor<4> {
        one + other
    }

    fn group_norm(&mut self, norm: &GroupNorm, x: Tensor<4>) -> Tensor<4> {
        widely(x, |x| norm.forward(x))
    }

    fn concat(&mut self, maps: Vec<Tensor<4>>) -> Tensor<4> {
        Tensor::cat(maps, 1)
    }

    fn dropout_of_maps(&mut self, dropout: &Dropout, x: Tensor<4>) -> Tensor<4> {
        dropout.forward(x)
    }
}

impl Interpreter for Tensors {
    type Maps = Tensor<4>;
    type Rows = Tensor<2>;

    fn conv(&mut self, conv: &RepConv2d, x: Tensor<4>) -> Tensor<4> {
        conv.forward(x)
    }

    fn conv_norm(
        &mut self,
        conv: &RepConv2d,
        norm: &BatchNorm,
        x: Tensor<4>,
        then: Then<Tensor<4>>,
    ) -> Tensor<4> {
        let Then { residual, activation } = then;
        let relu = activation.is_some_and(begins_with_relu);
        let y = conv.forward_norm(x, norm, Tail { residual, relu });
        match activation {
            Some(activation) => rest_of(activation, y),
            None => y,
        }
    }

    fn norm(&mut self, norm: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
        batch_norm(norm, x, Tail::default())
    }

    fn relu(&mut self, x: Tensor<4>) -> Tensor<4> {
        relu(x)
    }

    fn sigmoid(&mut self, x: Tensor<4>) -> Tensor<4> {
        sigmoid(x)
    }

    fn mean(&mut self, x: Tensor<4>) -> Tensor<4> {
        mean_of_maps(x)
    }

    fn scale(&mut self, x: Tensor<4>, factors: Tensor<4>) -> Tensor<4> {
        x * factors
    }

    fn average_pool(&mut self, pool: &AvgPool2d, x: Tensor<4>) -> Tensor<4> {
        widely(x, |x| pool.forward(x))
    }

    fn max_pool(&mut self, _name: &str, pool: &MaxPool2d, x: Tensor<4>) -> Tensor<4> {
        max_pool(pool, x)
    }

    fn average(&mut self, _name: &str, pool: &AdaptiveAvgPool2d, x: Tensor<4>) -> Tensor<2> {
        let [_, _, height, width] = x.dims();
        // The average of a map that has the size already is the map.
        let x = match [height, width] == pool.output_size {
            true => x,
            false => widely(x, |x| pool.forward(x)),
        };
        self.rows(x)
    }

    fn rows(&mut self, x: Tensor<4>) -> Tensor<2> {
        x.flatten(1, 3)
    }

    fn linear(&mut self, linear: &Linear, x: Tensor<2>) -> Tensor<2> {
        ops::linear(linear, x)
    }

    fn relu_of_rows(&mut self, x: Tensor<2>) -> Tensor<2> {
        relu(x)
    }

    fn dropout(&mut self, dropout: &Dropout, x: Tensor<2>) -> Tensor<2> {
        dropout.forward(x)
    }
}
