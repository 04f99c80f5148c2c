//! Finding and replacing every [`RepConv2d`] inside any module, with no trait and no derive of ours.
//!
//! Burn's derive lets a visitor see parameters and the names of fields, never a layer as a whole. But
//! while a visitor passes, [`RepConv2d`]'s own `visit` and `map` run, and they know the layer. So:
//!
//! 1. a walk marks this thread as walking;
//! 2. Burn's traversal tells the walker each field's name through `enter_module`: the path;
//! 3. on reaching a layer, `RepConv2d` lays itself into a thread-local slot and calls `enter_module` with
//!    a container type that no other module uses ([`HANDOVER`]);
//! 4. the walker, and no other visitor, knows it: it takes the layer from the slot, and for a map lays the
//!    replacement back;
//! 5. `RepConv2d` looks into the slot: what lies there is what it becomes.
//!
//! Without a walk on this thread, traversals cost nothing more than reading one thread-local cell. A
//! foreign visitor that happens to run within a walk sees a pair of calls that cancel out.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;

use burn::module::{Module, ModuleMapper, ModuleVisitor};

use crate::layer::RepConv2d;
use crate::on_drop::{OnDrop, on_drop};

/// The container type that announces a layer in the slot.
const HANDOVER: &str = "dyrep:RepConv2d";

/// What lies between a layer and a walker.
#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    /// Laid in by the layer; still there afterwards if no walker took it.
    Offered(RepConv2d),
    /// Laid back by a walker: what the layer becomes.
    Answered(RepConv2d),
}

thread_local! {
    static WALKS: Cell<usize> = const { Cell::new(0) };
    static SLOT: RefCell<Slot> = const { RefCell::new(Slot::Empty) };
}

/// Marks the thread as walking until what it gives is dropped.
fn walking() -> OnDrop<impl FnOnce()> {
    WALKS.set(WALKS.get() + 1);
    on_drop(|| {
        WALKS.set(WALKS.get() - 1);
        SLOT.take();
    })
}

/// Every [`RepConv2d`] of `module` that is not inside another, with its path, in field order.
///
/// The layers are shared clones: their parameters are the module's own.
#[must_use]
pub fn layers<M: Module>(module: &M) -> Vec<(String, RepConv2d)> {
    let _walking = walking();
    let mut walker = Visitor { path: vec![], found: vec![] };
    module.visit(&mut walker);
    walker.found
}

/// Replaces every [`RepConv2d`] of `module` that is not inside another by what `replace` makes of it.
#[must_use]
pub fn map_layers<M: Module>(
    module: M,
    mut replace: impl FnMut(&str, RepConv2d) -> RepConv2d,
) -> M {
    let _walking = walking();
    module.map(&mut Mapper { path: vec![], replace: &mut replace })
}

/// Called by [`RepConv2d`] when a visitor reaches it; `true` if it was a walker, which needs no more.
pub(crate) fn offer_to_visitor<V: ModuleVisitor>(layer: &RepConv2d, visitor: &mut V) -> bool {
    if WALKS.get() == 0 {
        return false;
    }
    SLOT.set(Slot::Offered(layer.clone()));
    visitor.enter_module("", HANDOVER);
    visitor.exit_module("", HANDOVER);
    matches!(SLOT.take(), Slot::Empty)
}

/// Called by [`RepConv2d`] when a mapper reaches it: breaks with the replacement if it was a walker, else
/// goes on with the layer as it was.
pub(crate) fn offer_to_mapper<M: ModuleMapper>(
    layer: RepConv2d,
    mapper: &mut M,
) -> ControlFlow<RepConv2d, RepConv2d> {
    if WALKS.get() == 0 {
        return ControlFlow::Continue(layer);
    }
    SLOT.set(Slot::Offered(layer));
    mapper.enter_module("", HANDOVER);
    mapper.exit_module("", HANDOVER);
    match SLOT.take() {
        Slot::Answered(layer) => ControlFlow::Break(layer),
        Slot::Offered(layer) => ControlFlow::Continue(layer),
        Slot::Empty => unreachable!("only a walker empties the slot, and a mapping one answers"),
    }
}

struct Visitor {
    path: Vec<String>,
    found: Vec<(String, RepConv2d)>,
}

impl ModuleVisitor for Visitor {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        if container_type == HANDOVER {
            if let Slot::Offered(layer) = SLOT.take() {
                self.found.push((self.path.join("."), layer));
            }
        } else {
            self.path.push(name.to_owned());
        }
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        if container_type != HANDOVER {
            self.path.pop();
        }
    }
}

struct Mapper<'a> {
    path: Vec<String>,
    replace: &'a mut dyn FnMut(&str, RepConv2d) -> RepConv2d,
}

impl ModuleMapper for Mapper<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        if container_type != HANDOVER {
            self.path.push(name.to_owned());
        } else if let Slot::Offered(layer) = SLOT.take() {
            let replacement = (self.replace)(&self.path.join("."), layer);
            SLOT.set(Slot::Answered(replacement));
        }
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        if container_type != HANDOVER {
            self.path.pop();
        }
    }
}
