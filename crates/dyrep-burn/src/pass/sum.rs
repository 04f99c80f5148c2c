//! The kernel that a linear block is while it trains: the sum of its branches', by an executor as one operation where there
//! is one, and by the laws elsewhere.

use burn::backend::DispatchTensor;
use burn::module::Param;
use burn::tensor::Tensor;
use dyrep_config::Core;
use dyrep_kernels::{Form, KernelSum, Term};

use super::plan::read;
use crate::fuse::Kernel;
use crate::geometry::checked_window;
use crate::layer::{Block, Branch, RepConv2d};
use crate::ops::{Plan, run};

impl Block {
    /// The sum of the branches' kernels, before the norm that follows it. Gradients flow through it.
    pub(super) fn summed(&self) -> Kernel {
        let terms = self.running().map(|branch| self.term(branch)).collect();
        let geometry = &self.geometry;
        let sum = KernelSum {
            channels: [geometry.in_channels(), geometry.out_channels()],
            groups: geometry.groups(),
            kernel: geometry.kernel_size(),
            terms,
        };
        match run(Plan::Sum(sum)) {
            Some(done) => {
                Kernel::new(Tensor::from_dispatch(done.output), self.bias(), geometry.clone())
            }
            None => self
                .fuse_branches(self.running())
                .unwrap_or_else(|| unreachable!("one branch always runs")),
        }
    }

    fn term(&self, branch: &Branch) -> Term<DispatchTensor> {
        let window = read(checked_window(branch.kind(), &self.geometry));
        let taken = |weight: Tensor<4>| weight.into_dispatch();
        let weight = |conv: &RepConv2d| match conv {
            RepConv2d::Plain(conv) => conv.weight.val(),
            RepConv2d::Block(block) => block.summed().weight(),
        };
        let first = branch.linear_first().map(|first| taken(first.weight.val()));
        let form = match (branch.kind().core(), first, branch.conv()) {
            (Core::Conv(_), None, Some(conv)) => {
                Form::Kernel { window, weight: taken(weight(conv)) }
            }
            (Core::Conv(_), Some(first), Some(conv)) => {
                Form::Product { window, first, weight: taken(weight(conv)) }
            }
            (Core::Average, Some(first), _) => Form::Average { first },
            (Core::Input, ..) => Form::Identity {
                tap: window.start[0] * self.geometry.kernel_size()[1] + window.start[1],
            },
            // The average of each channel by itself has no parameters.
            (Core::Average, None, _) => {
                let whole = dyrep_kernels::block::Window::whole(self.geometry.kernel_size());
                let kernel = branch.without_end(&self.main_conv().innermost().weight.val());
                Form::Kernel { window: whole, weight: taken(kernel.weight()) }
            }
            (Core::Conv(_), _, None) => unreachable!("its form has a convolution"),
        };
        Term { form, scale: branch.scale().map(Tensor::into_dispatch) }
    }

    /// The sum of the biases, each through what ends its branch.
    fn bias(&self) -> Option<Tensor<1>> {
        let of_branch = |branch: &Branch| {
            let bias = match branch.conv()? {
                RepConv2d::Plain(conv) => conv.bias.as_ref().map(Param::val)?,
                RepConv2d::Block(block) => block.bias()?,
            };
            Some(match branch.scale() {
                Some(scale) => bias * scale,
                None => bias,
            })
        };
        self.running().filter_map(of_branch).reduce(|sum, bias| sum + bias)
    }
}
