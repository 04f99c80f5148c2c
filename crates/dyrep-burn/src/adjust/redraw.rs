//! The published code's cut of a block with a block inside: the inner one is fused and grown once more.
//!
//! Its branches are drawn anew and not measured, what they do is taken out of the innermost convolution, so
//! the function at inference stays; what they had learnt is lost, and their momentum is that of others. Kept
//! for [`Fidelity::Published`](super::Fidelity) alone.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

use super::calibrate::set_identity;
use super::{AdjustOptions, LAST_GAMMA};
use crate::layer::{Block, RepConv2d};

/// A block like `old` at `path`, drawn anew, whose `kxk` norms pass values through; parameters keep their ids.
///
/// What it does is not yet what `old` does: the caller gives its innermost convolution the difference.
pub(super) fn redraw(old: &Block, path: &str, options: &AdjustOptions) -> RepConv2d {
    let device = old.main_conv().innermost().weight.val().device();
    let mut builder = options.builder(&device, path, LAST_GAMMA);
    let mut block = Block::build(&old.geometry, &old.form(), &mut builder).valid();
    pass_through(&mut block);
    let mut ids = Ids::default();
    old.visit(&mut ids);
    RepConv2d::Block(Box::new(block.map(&mut ids)))
}

fn pass_through(block: &mut Block) {
    if let Some(norm) = block.main_norm_mut() {
        set_identity(norm);
    }
    block.map_main_conv(|mut conv| {
        if let RepConv2d::Block(inner) = &mut conv {
            pass_through(inner);
        }
        conv
    });
}

/// Reads ids by path from one module, and gives them to another.
#[derive(Default)]
struct Ids {
    path: Vec<String>,
    ids: BTreeMap<String, ParamId>,
}

impl ModuleVisitor for Ids {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.ids.insert(self.path.join("."), param.id);
    }
}

impl ModuleMapper for Ids {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, mut param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if let Some(id) = self.ids.get(&self.path.join(".")) {
            param.id = *id;
        }
        param
    }
}
