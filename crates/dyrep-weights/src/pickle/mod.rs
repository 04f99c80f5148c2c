//! Python's pickles as data: a tree of what was written, in which every call is a name with its arguments.
//!
//! A pickle is a program for a small stack machine (protocols 0 to 5, PEP 307, 3154, 574). Here it builds [`Node`]s and
//! nothing else: no name is looked up, nothing is called. Whatever one pickle holds twice is one node, so that shared
//! objects cost nothing and cycles are possible; who walks the tree must not follow them.
//!
//! What a pickle can ask for is bounded: by its length, and by the number of objects.

mod input;
mod machine;
mod operations;
mod values;

use std::io;

pub(crate) use machine::read;

/// A value: small ones themselves, others by their node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Item {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Bytes and very long integers, which nothing here looks into.
    Opaque,
    Node(u32),
}

/// An object.
#[derive(Debug, PartialEq)]
pub(crate) enum Node {
    Text(String),
    Tuple(Vec<Item>),
    /// A list or a set.
    List(Vec<Item>),
    Dict(Vec<(Item, Item)>),
    /// A class or function, as `module.name`.
    Global(String),
    /// What the pickle's reader keeps outside of it, by its identification.
    Persistent(Item),
    Object(Box<Object>),
}

/// What a call gave, or an object of a class.
#[derive(Debug, PartialEq)]
pub(crate) struct Object {
    /// What was called: a [`Node::Global`], or something stranger.
    pub(crate) class: Item,
    /// With what: a [`Node::Tuple`].
    pub(crate) arguments: Item,
    /// What it was given afterwards: its attributes.
    pub(crate) state: Item,
    /// What was appended to it, if it is a kind of list.
    pub(crate) items: Vec<Item>,
    /// What was set in it, if it is a kind of dictionary.
    pub(crate) pairs: Vec<(Item, Item)>,
}

/// A pickle that was read.
#[derive(Debug)]
pub(crate) struct Pickle {
    nodes: Vec<Node>,
    pub(crate) root: Item,
}

impl Pickle {
    /// The object that an item stands for.
    pub(crate) fn node(&self, item: Item) -> Option<&Node> {
        match item {
            Item::Node(at) => self.nodes.get(at as usize),
            _ => None,
        }
    }

    pub(crate) fn text(&self, item: Item) -> Option<&str> {
        match self.node(item)? {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A tuple's elements, or a list's.
    pub(crate) fn sequence(&self, item: Item) -> Option<&[Item]> {
        match self.node(item)? {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// The name of a class or function.
    pub(crate) fn global(&self, item: Item) -> Option<&str> {
        match self.node(item)? {
            Node::Global(name) => Some(name),
            _ => None,
        }
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }
}

/// Why a pickle cannot be read.
#[derive(Debug)]
pub(crate) enum PickleError {
    Io(io::Error),
    Malformed(String),
}

impl PickleError {
    fn of(reason: impl Into<String>) -> Self {
        Self::Malformed(reason.into())
    }
}

impl From<io::Error> for PickleError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::of("a pickle ends in its middle"),
            _ => Self::Io(error),
        }
    }
}

#[cfg(test)]
mod tests;
