//! The tensors in a pickle's objects, under the paths that lead to them.
//!
//! Dictionaries and their relatives lead on by their keys, lists by their places, a module by the names of its
//! parameters, buffers and parts, and any other object by its attributes. What leads to no tensor is never entered, so
//! that logs and configurations cost nothing, and what leads to itself is entered once.

use std::collections::BTreeMap;

use super::Archive;
use super::beside::{KEYS, Leaves, leaves};
use super::view::{View, key_text, of_object};
use crate::naming::is_read_beside;
use crate::pickle::{Item, Node, Object, Pickle};

/// How deep objects may lie in one another.
const DEEPEST: usize = 200;
/// The most tensors with a path each: one that is shared has several.
const MOST: usize = 1 << 20;

/// What a file's objects lead to, by path, its parts joined by dots.
pub(super) struct Found {
    /// All tensors.
    pub(super) views: BTreeMap<String, View>,
    /// What stands under the keys that a dialect reads beside weights, and is no tensor.
    pub(super) beside: Leaves,
}

/// All tensors, and what says something of them.
///
/// # Errors
/// A tensor that is described in no way that makes sense, and objects without end.
pub(super) fn found(archive: &Archive) -> Result<Found, String> {
    let pickle = &archive.pickle;
    let mut walk = Walk {
        archive,
        leads: leading(archive),
        entered: vec![false; pickle.nodes().len()],
        path: vec![],
        steps: 0,
        keys: 0,
        found: Found { views: BTreeMap::new(), beside: Leaves::new() },
    };
    walk.enter(pickle.root)?;
    Ok(walk.found)
}

/// Which nodes lead to a tensor.
fn leading(archive: &Archive) -> Vec<bool> {
    let pickle = &archive.pickle;
    let mut leads = vec![false; pickle.nodes().len()];
    let mut edges: Vec<(u32, u32)> = vec![];
    let mut open: Vec<u32> = vec![];
    for (at, node) in (0u32..).zip(pickle.nodes()) {
        if tensor(archive, node).is_some() {
            leads[at as usize] = true;
            open.push(at);
            continue;
        }
        each_child(node, |child| {
            if let Item::Node(child) = child {
                edges.push((child, at));
            }
        });
    }
    edges.sort_unstable();
    while let Some(at) = open.pop() {
        let first = edges.partition_point(|(child, _)| *child < at);
        for (_, parent) in edges[first..].iter().take_while(|(child, _)| *child == at) {
            if !std::mem::replace(&mut leads[*parent as usize], true) {
                open.push(*parent);
            }
        }
    }
    leads
}

/// Everything that a node holds.
fn each_child(node: &Node, mut child: impl FnMut(Item)) {
    match node {
        Node::Text(_) | Node::Global(_) | Node::Persistent(_) => {}
        Node::Tuple(items) | Node::List(items) => items.iter().copied().for_each(child),
        Node::Dict(pairs) => pairs.iter().for_each(|(_, value)| child(*value)),
        Node::Object(object) => {
            child(object.arguments);
            child(object.state);
            object.items.iter().for_each(|item| child(*item));
            object.pairs.iter().for_each(|(_, value)| child(*value));
        }
    }
}

/// The tensor that a node is, if it is one.
pub(super) fn tensor(archive: &Archive, node: &Node) -> Option<Result<View, String>> {
    match node {
        Node::Object(object) => of_object(&archive.pickle, object).or_else(|| {
            // A parameter of the oldest form: its only argument is a tensor by its key.
            let class = archive.pickle.global(object.class)?;
            let wraps = matches!(
                class,
                "torch.nn.parameter.Parameter" | "torch.autograd.variable.Variable"
            );
            let first = archive.pickle.sequence(object.arguments)?.first()?;
            let node = archive.pickle.node(*first)?;
            if wraps { by_key(archive, node) } else { None }
        }),
        node => by_key(archive, node),
    }
}

fn by_key(archive: &Archive, node: &Node) -> Option<Result<View, String>> {
    let Node::Persistent(id) = node else { return None };
    let key = key_text(&archive.pickle, *id)?;
    archive.views.get(&key).cloned().map(Ok)
}

struct Walk<'a> {
    archive: &'a Archive,
    leads: Vec<bool>,
    /// Nodes on the way to where the walk is.
    entered: Vec<bool>,
    path: Vec<String>,
    steps: usize,
    /// Keys that were followed to what says something of weights.
    keys: usize,
    found: Found,
}

impl Walk<'_> {
    fn enter(&mut self, item: Item) -> Result<(), String> {
        let Item::Node(at) = item else { return Ok(()) };
        let at = at as usize;
        if !self.leads[at] || self.entered[at] {
            return Ok(());
        }
        self.steps += 1;
        if self.path.len() > DEEPEST || self.steps > 4 * MOST {
            return Err("its objects lie in one another without end".to_owned());
        }
        let archive = self.archive;
        let Some(node) = archive.pickle.node(item) else { return Ok(()) };
        if let Some(view) = tensor(archive, node) {
            let name = self.path.join(".");
            let view = view.map_err(|reason| format!("tensor `{name}`: {reason}"))?;
            self.found.views.insert(name, view);
            return match self.found.views.len() > MOST {
                true => Err(format!("it has more than {MOST} tensors")),
                false => Ok(()),
            };
        }
        self.entered[at] = true;
        let pickle = &archive.pickle;
        match node {
            Node::Tuple(items) | Node::List(items) => self.numbered(items)?,
            Node::Dict(pairs) => self.keyed(pairs)?,
            Node::Object(object) => {
                self.keyed(&contents(pickle, object))?;
                self.numbered(&object.items)?;
                match module(pickle, object.state) {
                    Some(parts) => {
                        for part in parts {
                            self.keyed(&entries(pickle, part))?;
                        }
                    }
                    None => self.keyed(&attributes(pickle, object.state))?,
                }
            }
            _ => {}
        }
        self.entered[at] = false;
        Ok(())
    }

    fn keyed(&mut self, pairs: &[(Item, Item)]) -> Result<(), String> {
        for (key, value) in pairs {
            // Keys that are no names lead to nothing that has one.
            if let Some(key) = key_text(&self.archive.pickle, *key) {
                if is_read_beside(&key) && self.keys < KEYS {
                    self.keys += 1;
                    let path = [&self.path[..], std::slice::from_ref(&key)].concat().join(".");
                    self.found.beside.extend(leaves(self.archive, &path, *value)?);
                }
                self.below(key, *value)?;
            }
        }
        Ok(())
    }

    fn numbered(&mut self, items: &[Item]) -> Result<(), String> {
        items.iter().enumerate().try_for_each(|(i, item)| self.below(i.to_string(), *item))
    }

    fn below(&mut self, part: String, item: Item) -> Result<(), String> {
        self.path.push(part);
        let entered = self.enter(item);
        self.path.pop();
        entered
    }
}

/// What an object holds as a kind of dictionary, however its class writes itself.
fn contents(pickle: &Pickle, object: &Object) -> Vec<(Item, Item)> {
    let mut pairs = object.pairs.clone();
    let arguments = pickle.sequence(object.arguments).unwrap_or_default();
    match (pickle.global(object.class), arguments) {
        // As Python 2 does: from a list of pairs.
        (Some("collections.OrderedDict"), [list]) => {
            for pair in pickle.sequence(*list).unwrap_or_default() {
                if let Some([key, value]) = pickle.sequence(*pair) {
                    pairs.push((*key, *value));
                }
            }
        }
        // As protocols 0 and 1 do: from a class, its base, and what the base holds.
        (Some("copyreg._reconstructor" | "copy_reg._reconstructor"), [_, _, base]) => {
            pairs.extend(entries(pickle, *base));
        }
        _ => {}
    }
    pairs
}

/// A dictionary's entries, or those of a relative.
fn entries(pickle: &Pickle, item: Item) -> Vec<(Item, Item)> {
    match pickle.node(item) {
        Some(Node::Dict(pairs)) => pairs.clone(),
        Some(Node::Object(object)) => contents(pickle, object),
        _ => vec![],
    }
}

/// An object's attributes: a dictionary, or a pair of those with and without slots.
fn attributes(pickle: &Pickle, state: Item) -> Vec<(Item, Item)> {
    match pickle.node(state) {
        Some(Node::Tuple(parts)) => parts.iter().flat_map(|part| entries(pickle, *part)).collect(),
        _ => entries(pickle, state),
    }
}

/// The dictionaries of a module's parameters, buffers and parts, if the state is a module's.
fn module(pickle: &Pickle, state: Item) -> Option<Vec<Item>> {
    let attributes = attributes(pickle, state);
    let named = |name: &str| {
        attributes.iter().find(|(key, _)| pickle.text(*key) == Some(name)).map(|(_, value)| *value)
    };
    let parts = [named("_parameters"), named("_buffers"), named("_modules")];
    (parts[0].is_some() && parts[2].is_some()).then(|| parts.into_iter().flatten().collect())
}
