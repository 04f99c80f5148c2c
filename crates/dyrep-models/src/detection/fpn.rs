//! The feature pyramid (arXiv 1612.03144) as torchvision has it, with RetinaNet's two levels on top.

use burn::module::Module;
use burn::nn::Initializer;
use burn::tensor::Device;
use dyrep_burn::{RepConv2d, RepConv2dConfig};

use super::LEVELS;
use super::heads::biased;
use crate::error::ModelError;
use crate::interpret::Dense;
use crate::parts::conv;
use crate::resnet::ResNetBackbone;

/// Stages that the pyramid stands on: the second to the fourth.
const STAGES: usize = 3;

/// A ResNet and its pyramid.
#[derive(Module, Debug)]
pub struct PyramidBackbone {
    /// The stages.
    pub body: ResNetBackbone,
    /// The pyramid.
    pub fpn: Fpn,
}

/// Maps of one width at the strides 8 to 128.
#[derive(Module, Debug)]
pub struct Fpn {
    /// A 1×1 for each stage, the largest maps first.
    pub inner_blocks: Vec<[RepConv2d; 1]>,
    /// A 3×3 for each sum.
    pub layer_blocks: Vec<[RepConv2d; 1]>,
    /// What stands on top.
    pub extra_blocks: TopBlocks,
}

/// The levels P6 and P7.
#[derive(Module, Debug)]
pub struct TopBlocks {
    /// A 3×3 of stride 2 on P5.
    pub p6: RepConv2d,
    /// The same on P6, behind a ReLU.
    pub p7: RepConv2d,
}

/// PyTorch's `kaiming_uniform_(a=1)`, as torchvision's pyramid starts.
fn start(config: RepConv2dConfig) -> RepConv2dConfig {
    config.with_initializer(Initializer::KaimingUniform { gain: 1.0, fan_out_only: false })
}

impl Fpn {
    pub(super) fn init(
        stages: [usize; STAGES],
        channels: usize,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let layer = |inputs: usize, kernel: usize, stride: usize| {
            biased(start(conv([inputs, channels], kernel, stride)), 0.0, device)
        };
        let inner = stages.into_iter().map(|inputs| Ok([layer(inputs, 1, 1)?]));
        let outer = stages.into_iter().map(|_| Ok([layer(channels, 3, 1)?]));
        Ok(Self {
            inner_blocks: inner.collect::<Result<_, ModelError>>()?,
            layer_blocks: outer.collect::<Result<_, ModelError>>()?,
            extra_blocks: TopBlocks { p6: layer(channels, 3, 2)?, p7: layer(channels, 3, 2)? },
        })
    }
}

impl PyramidBackbone {
    pub(super) fn pass<I: Dense>(&self, by: &mut I, images: I::Maps) -> [I::Maps; LEVELS] {
        let [_, stages @ ..] = self.body.stages(by, images);
        let Fpn { inner_blocks, layer_blocks, extra_blocks: TopBlocks { p6, p7 } } = &self.fpn;
        let mut levels = vec![];
        let mut above: Option<I::Maps> = None;
        let blocks = inner_blocks.iter().zip(layer_blocks).zip(stages).rev();
        for (([inner], [outer]), stage) in blocks {
            let own = by.conv(inner, stage);
            let sum = match above {
                Some(above) => {
                    let size = by.size(&own);
                    let above = by.enlarge(above, size);
                    by.add(own, above)
                }
                None => own,
            };
            levels.insert(0, by.conv(outer, sum.clone()));
            above = Some(sum);
        }
        let [three, four, five] = levels
            .try_into()
            .unwrap_or_else(|_| unreachable!("there are as many levels as stages"));
        let six = by.conv(p6, I::Maps::clone(&five));
        let shown = by.relu(six.clone());
        let seven = by.conv(p7, shown);
        [three, four, five, six, seven]
    }
}
