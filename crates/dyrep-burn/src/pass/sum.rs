//! A linear block while it trains: one convolution by the sum of its branches' kernels, which an executor makes as one
//! operation where there is one, and the laws elsewhere.

use burn::backend::DispatchTensor;
use burn::module::Param;
use burn::tensor::Tensor;
use dyrep_config::{Core, First};
use dyrep_kernels::{ConvShape, Form, KernelSum, Term};

use super::composed::as_first;
use super::plan::{self, read};
use crate::fuse::{Kernel, options_of, prior, wide};
use crate::geometry::checked_window;
use crate::layer::{Block, Branch, RepConv2d};
use crate::ops::{Plan, conv2d, run};

impl RepConv2d {
    /// The kernel that the layer trains by, of one that is linear, before a norm that follows it.
    pub(super) fn summed(&self) -> Kernel {
        Kernel::new(wide(weight_of(self)), bias_of(self).map(wide), self.geometry())
    }
}

impl Block {
    /// The sum of linear branches, as one convolution by the sum of their kernels; gradients flow through the laws. Also how
    /// many values of each channel there are.
    ///
    /// Composing the kernel of a sequence costs the same whatever the input is, running it costs more the larger that is:
    /// each is composed or run beside the others, whichever is less work.
    pub(super) fn forward_summed(&self, input: &Tensor<4>) -> (Tensor<4>, usize) {
        let shape = self.shape(input);
        let (run, composed): (Vec<&Branch>, Vec<&Branch>) =
            self.running().partition(|branch| is_less_run(branch, &shape));
        let options = self.geometry.options(input);
        let weight = self.sum_of(&composed);
        let output = conv2d(input.clone(), weight, self.bias(), options.clone());
        let ran = run.into_iter().filter_map(|branch| {
            let (first, second) = branch.linear_first().zip(branch.conv())?;
            let middle = conv2d(input.clone(), first, None, as_first(input, &shape).options);
            // No bias: where the input is padded with zero, so is the middle.
            let output = conv2d(middle, weight_of(second), None, options.clone());
            // It runs where its outputs are fewer than its weights.
            Some(match branch.scale() {
                Some(scale) => output * scale.reshape([1, -1, 1, 1]),
                None => output,
            })
        });
        (ran.fold(output, |sum, branch| sum + branch), plan::counts(&shape)[1])
    }

    /// The kernel that the sum of the branches is, before the norm that follows it. Gradients flow through it.
    fn summed(&self) -> Tensor<4> {
        self.sum_of(&self.running().collect::<Vec<_>>())
    }

    fn sum_of(&self, branches: &[&Branch]) -> Tensor<4> {
        let geometry = &self.geometry;
        let sum = KernelSum {
            channels: [geometry.in_channels(), geometry.out_channels()],
            groups: geometry.groups(),
            kernel: geometry.kernel_size(),
            terms: branches.iter().map(|branch| self.term(branch)).collect(),
        };
        by_executor(sum).unwrap_or_else(|| {
            let kernels = branches.iter().map(|branch| self.fuse_branch(branch).weight());
            let sum = kernels.reduce(|sum, kernel| sum + kernel);
            sum.unwrap_or_else(|| unreachable!("a branch runs that is no sequence"))
        })
    }

    fn term(&self, branch: &Branch) -> Term<DispatchTensor> {
        let window = read(checked_window(branch.kind(), &self.geometry));
        let taken = |weight: Tensor<4>| weight.into_dispatch();
        let first = branch.linear_first().map(taken);
        let form = match (branch.kind().core(), first, branch.conv()) {
            (Core::Conv(_), None, Some(conv)) => {
                Form::Kernel { window, weight: taken(weight_of(conv)) }
            }
            (Core::Conv(_), Some(depthwise), Some(conv))
                if branch.kind().first() == First::Depthwise =>
            {
                Form::Depthwise { depthwise, pointwise: taken(weight_of(conv)) }
            }
            (Core::Conv(_), Some(first), Some(conv)) => {
                Form::Product { window, first, weight: taken(weight_of(conv)) }
            }
            (Core::Average, Some(first), _) => Form::Average { first },
            (Core::Prior, Some(first), _) => {
                let like = self.main_conv().innermost().weight.val();
                Form::Filtered { first, filter: taken(prior(&self.geometry, options_of(&like))) }
            }
            (Core::Input, ..) => Form::Identity {
                tap: window.start[0] * self.geometry.kernel_size()[1] + window.start[1],
            },
            // The average of each channel by itself has no parameters.
            (Core::Average, None, _) => {
                let whole = dyrep_kernels::block::Window::whole(self.geometry.kernel_size());
                let kernel = branch.without_end(&self.main_conv().innermost().weight.val());
                Form::Kernel { window: whole, weight: taken(kernel.weight()) }
            }
            (Core::Conv(_), _, None) | (Core::Prior, None, _) => {
                unreachable!("its form was checked")
            }
        };
        Term { form, scale: branch.scale().map(Tensor::into_dispatch) }
    }

    /// The sum of the biases, each through what ends its branch.
    fn bias(&self) -> Option<Tensor<1>> {
        let of_branch = |branch: &Branch| {
            let bias = bias_of(branch.conv()?)?;
            Some(match branch.scale() {
                Some(scale) => bias * scale,
                None => bias,
            })
        };
        self.running().filter_map(of_branch).reduce(|sum, bias| sum + bias)
    }
}

/// The sum by an executor, if one computes it.
fn by_executor(sum: KernelSum<DispatchTensor>) -> Option<Tensor<4>> {
    run(Plan::Sum(sum)).map(|done| Tensor::from_dispatch(done.output))
}

/// The weight that a convolution inside a linear block is.
fn weight_of(conv: &RepConv2d) -> Tensor<4> {
    match conv {
        RepConv2d::Plain(conv) => conv.weight.val(),
        RepConv2d::Block(block) => block.summed(),
        RepConv2d::Stack(stack) => stack.composed().weight(),
    }
}

/// Its bias, if it has one.
fn bias_of(conv: &RepConv2d) -> Option<Tensor<1>> {
    match conv {
        RepConv2d::Plain(conv) => conv.bias.as_ref().map(Param::val),
        RepConv2d::Block(block) => block.bias(),
        RepConv2d::Stack(stack) => stack.composed().bias(),
    }
}

/// Whether a sequence is less work run than composed, in multiply-adds; both ways back take twice as many.
fn is_less_run(branch: &Branch, shape: &ConvShape) -> bool {
    let kind = branch.kind();
    let Some(middle) = branch.mid_channels().filter(|_| kind.nests()) else { return false };
    let [inputs, outputs] = shape.channels.map(|channels| channels / shape.groups);
    let taps: usize = shape.kernel.iter().product();
    let maps = [shape.input, shape.output()].map(|[height, width]| shape.batch * height * width);
    let composed = middle * outputs * inputs * taps;
    let run = middle * (maps[0] * inputs + maps[1] * outputs * taps);
    run < composed
}

#[cfg(test)]
mod tests {
    use burn::nn::PaddingConfig2d;
    use burn::tensor::Device;
    use dyrep_config::{BranchNorm, Preset};

    use super::*;
    use crate::layer::RepConv2dConfig;

    /// The 3×3 layers of a ResNet-18: those of its last stage see 4×4 pixels of a picture of 128².
    #[test]
    fn what_costs_less_is_chosen() {
        for (channels, side, is_run) in [(64, 32, false), (256, 8, false), (512, 4, true)] {
            let layer = RepConv2dConfig::new([channels; 2], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .with_branches(Preset::Dbb)
                .with_norm(BranchNorm::Online)
                .init(&Device::flex());
            let block = layer.block().unwrap();
            let shape = block.shape(&Tensor::zeros([16, channels, side, side], &Device::flex()));
            let run: Vec<String> = block
                .branches()
                .iter()
                .filter(|branch| is_less_run(branch, &shape))
                .map(|branch| branch.name().to_string())
                .collect();
            assert_eq!(run == ["1x1_kxk"], is_run, "{channels} channels: {run:?}");
        }
    }
}
