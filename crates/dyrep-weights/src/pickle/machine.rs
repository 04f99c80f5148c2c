//! The stack machine that a pickle is a program for. It builds objects; it looks up no name and calls nothing.

use std::collections::HashMap;
use std::io::BufRead;

use super::input::Input;
use super::{Item, Node, Object, Pickle, PickleError};

/// The most objects, and the most that are remembered: a tensor with its name takes about twelve.
pub(super) const MOST: usize = 4 << 20;

/// Reads one pickle, to its end and no further.
///
/// # Errors
/// What is no pickle, ends early, or is larger than any file of weights needs.
pub(crate) fn read(input: &mut impl BufRead) -> Result<Pickle, PickleError> {
    let mut machine = Machine {
        input: Input::new(input),
        nodes: vec![],
        stack: vec![],
        marks: vec![],
        memo: HashMap::new(),
    };
    while machine.step()? {}
    let root = machine.pop()?;
    Ok(Pickle { nodes: machine.nodes, root })
}

/// The stack machine.
pub(super) struct Machine<'a, R> {
    pub(super) input: Input<'a, R>,
    nodes: Vec<Node>,
    pub(super) stack: Vec<Item>,
    /// Where in the stack marks stand, the last one last.
    pub(super) marks: Vec<usize>,
    pub(super) memo: HashMap<u64, Item>,
}

impl<R: BufRead> Machine<'_, R> {
    pub(super) fn push(&mut self, node: Node) -> Result<(), PickleError> {
        if self.nodes.len() >= MOST {
            return Err(PickleError::of(format!("a pickle has more than {MOST} objects")));
        }
        self.stack.push(Item::Node(self.nodes.len() as u32));
        self.nodes.push(node);
        Ok(())
    }

    pub(super) fn text(&mut self, text: String) -> Result<(), PickleError> {
        self.push(Node::Text(text))
    }

    pub(super) fn object(&mut self, class: Item, arguments: Item) -> Result<(), PickleError> {
        let state = Item::None;
        let object = Object { class, arguments, state, items: vec![], pairs: vec![] };
        self.push(Node::Object(Box::new(object)))
    }

    /// A length of `N` bytes.
    pub(super) fn length<const N: usize>(&mut self) -> Result<u64, PickleError> {
        let bytes: [u8; N] = self.input.array()?;
        let mut whole = [0; 8];
        whole[..N].copy_from_slice(&bytes);
        Ok(u64::from_le_bytes(whole))
    }

    pub(super) fn counted_text<const N: usize>(&mut self) -> Result<(), PickleError> {
        let count = self.length::<N>()?;
        let bytes = self.input.bytes(count)?;
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        self.text(text)
    }

    pub(super) fn counted_bytes<const N: usize>(&mut self) -> Result<(), PickleError> {
        let count = self.length::<N>()?;
        self.input.skip(count)?;
        self.stack.push(Item::Opaque);
        Ok(())
    }

    /// A module and a name, on a line each.
    pub(super) fn dotted(&mut self) -> Result<String, PickleError> {
        let [module, name] = [self.input.line()?, self.input.line()?];
        Ok(format!("{}.{}", String::from_utf8_lossy(&module), String::from_utf8_lossy(&name)))
    }

    /// A number on a line.
    pub(super) fn line_number(&mut self) -> Result<u64, PickleError> {
        let line = self.input.line()?;
        let number = std::str::from_utf8(&line).ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| PickleError::of("a pickle remembers under no number"))
    }

    pub(super) fn top(&self) -> Result<Item, PickleError> {
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err(underflow());
        }
        self.stack.last().copied().ok_or_else(underflow)
    }

    pub(super) fn pop(&mut self) -> Result<Item, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// All that was pushed since the last mark, which is gone then.
    pub(super) fn since_mark(&mut self) -> Result<Vec<Item>, PickleError> {
        let mark = self.marks.pop().ok_or_else(|| PickleError::of("a pickle lacks a mark"))?;
        Ok(self.stack.split_off(mark))
    }

    pub(super) fn pairs(&mut self) -> Result<Vec<(Item, Item)>, PickleError> {
        let items = self.since_mark()?;
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(PickleError::of("a pickle has a key without a value"));
        }
        Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
    }

    pub(super) fn remember(&mut self, at: u64) -> Result<(), PickleError> {
        if self.memo.len() >= MOST {
            return Err(PickleError::of(format!("a pickle remembers more than {MOST} objects")));
        }
        let top = self.top()?;
        self.memo.insert(at, top);
        Ok(())
    }

    pub(super) fn recall(&mut self, at: u64) -> Result<(), PickleError> {
        let item = self.memo.get(&at).copied();
        let item = item.ok_or_else(|| PickleError::of("a pickle recalls what it never had"))?;
        self.stack.push(item);
        Ok(())
    }

    pub(super) fn append(&mut self, new: Vec<Item>) -> Result<(), PickleError> {
        let top = self.top()?;
        match self.node_mut(top) {
            Some(Node::List(items)) => items.extend(new),
            Some(Node::Object(object)) => object.items.extend(new),
            _ => return Err(PickleError::of("a pickle appends to what is no list")),
        }
        Ok(())
    }

    pub(super) fn set(&mut self, new: Vec<(Item, Item)>) -> Result<(), PickleError> {
        let top = self.top()?;
        match self.node_mut(top) {
            Some(Node::Dict(pairs)) => pairs.extend(new),
            Some(Node::Object(object)) => object.pairs.extend(new),
            _ => return Err(PickleError::of("a pickle sets a key in what is no dictionary")),
        }
        Ok(())
    }

    pub(super) fn node_mut(&mut self, item: Item) -> Option<&mut Node> {
        match item {
            Item::Node(at) => self.nodes.get_mut(at as usize),
            _ => None,
        }
    }

    pub(super) fn text_of(&self, item: Item) -> Option<&str> {
        match item {
            Item::Node(at) => match self.nodes.get(at as usize)? {
                Node::Text(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }
}

pub(super) fn underflow() -> PickleError {
    PickleError::of("a pickle takes from an empty stack")
}
