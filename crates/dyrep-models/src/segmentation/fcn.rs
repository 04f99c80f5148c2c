//! FCN's head as torchvision has it.

use burn::nn::activation::Relu;
use burn::nn::{BatchNorm, Dropout, DropoutConfig};
use burn::tensor::Device;
use dyrep_burn::RepConv2d;

use crate::conv_norms::ConvNorm;
use crate::error::ModelError;
use crate::interpret::{Dense, Interpreter, Then};
use crate::parts::{conv, fan_in, norm};

/// A 3×3 convolution with its norm, a dropout and a 1×1 to the classes.
pub type FcnHead = (RepConv2d, BatchNorm, Relu, Dropout, RepConv2d);

pub(super) fn init(
    [inputs, inside, classes]: [usize; 3],
    device: &Device,
) -> Result<FcnHead, ModelError> {
    let first = conv([inputs, inside], 3, 1).with_initializer(fan_in(1));
    let last = conv([inside, classes], 1, 1).with_initializer(fan_in(1)).with_bias(true);
    let dropout = DropoutConfig::new(0.1).init();
    Ok((first.try_init(device)?, norm(inside, device), Relu, dropout, last.try_init(device)?))
}

pub(super) fn conv_norm<'a>((conv, norm, ..): &'a FcnHead, path: &str) -> ConvNorm<'a> {
    ConvNorm::new(path, ("0", conv), ("1", norm))
}

pub(super) fn pass<I: Interpreter + Dense>(head: &FcnHead, by: &mut I, x: I::Maps) -> I::Maps {
    let (first, norm, Relu, dropout, last) = head;
    let x = by.conv_norm(first, norm, x, Then::relu());
    let x = by.dropout_of_maps(dropout, x);
    by.conv(last, x)
}
