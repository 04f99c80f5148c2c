//! Python's pickles as data: a tree of what was written, in which every call is a name with its arguments.
//!
//! A pickle is a program for a small stack machine (protocols 0 to 5, PEP 307, 3154, 574). Here it builds [`Node`]s and
//! nothing else: no name is looked up, nothing is called. Whatever one pickle holds twice is one node, so that shared
//! objects cost nothing and cycles are possible; who walks the tree must not follow them.
//!
//! What a pickle can ask for is bounded: by its length, and by the number of objects.

use std::collections::HashMap;
use std::io::{self, BufRead, Read as _};

/// The longest pickle, in bytes: long logs and the state of an optimiser fit.
const LONGEST: u64 = 32 << 20;
/// The most objects, and the most that are remembered: a tensor with its name takes about twelve.
const MOST: usize = 4 << 20;

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

/// Reads one pickle, to its end and no further.
///
/// # Errors
/// What is no pickle, ends early, or is larger than any file of weights needs.
pub(crate) fn read(input: &mut impl BufRead) -> Result<Pickle, PickleError> {
    let mut machine = Machine {
        input: Input { source: input, left: LONGEST },
        nodes: vec![],
        stack: vec![],
        marks: vec![],
        memo: HashMap::new(),
    };
    while machine.step()? {}
    let root = machine.pop()?;
    Ok(Pickle { nodes: machine.nodes, root })
}

/// The bytes of a pickle, counted.
struct Input<'a, R> {
    source: &'a mut R,
    left: u64,
}

impl<R: BufRead> Input<'_, R> {
    fn take(&mut self, count: u64) -> Result<(), PickleError> {
        self.left = self.left.checked_sub(count).ok_or_else(|| {
            PickleError::of(format!("its pickle is longer than {} MiB", LONGEST >> 20))
        })?;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        self.take(N as u64)?;
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// So many bytes; what is declared is not allocated before it is there.
    fn bytes(&mut self, count: u64) -> Result<Vec<u8>, PickleError> {
        self.take(count)?;
        let mut bytes = vec![];
        io::Read::take(&mut *self.source, count).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < count {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(bytes)
    }

    /// The bytes up to the end of a line, without it.
    fn line(&mut self) -> Result<Vec<u8>, PickleError> {
        let mut bytes = vec![];
        io::Read::take(&mut *self.source, self.left).read_until(b'\n', &mut bytes)?;
        self.take(bytes.len() as u64)?;
        match bytes.pop() {
            Some(b'\n') => Ok(bytes),
            _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }
}

/// The stack machine.
struct Machine<'a, R> {
    input: Input<'a, R>,
    nodes: Vec<Node>,
    stack: Vec<Item>,
    /// Where in the stack marks stand, the last one last.
    marks: Vec<usize>,
    memo: HashMap<u64, Item>,
}

impl<R: BufRead> Machine<'_, R> {
    /// One operation; false at the end.
    fn step(&mut self) -> Result<bool, PickleError> {
        let [operation] = self.input.array()?;
        match operation {
            b'.' => return Ok(false),
            // Protocols, frames: they say nothing about the values.
            0x80 => {
                self.input.array::<1>()?;
            }
            0x95 => {
                self.input.array::<8>()?;
            }

            // Numbers.
            b'N' => self.stack.push(Item::None),
            0x88 | 0x89 => self.stack.push(Item::Bool(operation == 0x88)),
            b'I' => {
                let line = self.input.line()?;
                self.stack.push(match &line[..] {
                    b"00" => Item::Bool(false),
                    b"01" => Item::Bool(true),
                    digits => decimal(digits),
                });
            }
            b'L' => {
                let line = self.input.line()?;
                self.stack.push(decimal(line.strip_suffix(b"L").unwrap_or(&line)));
            }
            b'J' => {
                let value = i32::from_le_bytes(self.input.array()?);
                self.stack.push(Item::Int(value.into()));
            }
            b'K' => {
                let [value] = self.input.array()?;
                self.stack.push(Item::Int(value.into()));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.input.array()?);
                self.stack.push(Item::Int(value.into()));
            }
            0x8a | 0x8b => {
                let count =
                    if operation == 0x8a { self.length::<1>()? } else { self.length::<4>()? };
                let bytes = self.input.bytes(count)?;
                self.stack.push(long(&bytes));
            }
            b'F' => {
                let line = self.input.line()?;
                let value = std::str::from_utf8(&line).ok().and_then(|text| text.parse().ok());
                self.stack.push(value.map_or(Item::Opaque, Item::Float));
            }
            b'G' => {
                let value = f64::from_be_bytes(self.input.array()?);
                self.stack.push(Item::Float(value));
            }

            // Text, of Python 2 too, and bytes.
            b'S' => {
                let line = self.input.line()?;
                self.text(unquoted(&line))?;
            }
            b'V' => {
                let line = self.input.line()?;
                self.text(unescaped(&line))?;
            }
            b'T' => self.counted_text::<4>()?,
            b'U' | 0x8c => self.counted_text::<1>()?,
            b'X' => self.counted_text::<4>()?,
            0x8d => self.counted_text::<8>()?,
            b'C' => self.counted_bytes::<1>()?,
            b'B' => self.counted_bytes::<4>()?,
            0x8e | 0x96 => self.counted_bytes::<8>()?,

            // Containers.
            b'(' => self.marks.push(self.stack.len()),
            b')' => self.push(Node::Tuple(vec![]))?,
            b't' => {
                let items = self.to_mark()?;
                self.push(Node::Tuple(items))?;
            }
            0x85..=0x87 => {
                let count = usize::from(operation - 0x84);
                let mut items = vec![];
                for _ in 0..count {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push(Node::Tuple(items))?;
            }
            b']' | 0x8f => self.push(Node::List(vec![]))?,
            b'l' | 0x91 => {
                let items = self.to_mark()?;
                self.push(Node::List(items))?;
            }
            b'}' => self.push(Node::Dict(vec![]))?,
            b'd' => {
                let pairs = self.pairs()?;
                self.push(Node::Dict(pairs))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.to_mark()?;
                self.append(items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(vec![(key, value)])?;
            }
            b'u' => {
                let pairs = self.pairs()?;
                self.set(pairs)?;
            }

            // The stack, and what is remembered.
            b'0' if self.marks.last() == Some(&self.stack.len()) => {
                self.marks.pop();
            }
            b'0' => {
                self.pop()?;
            }
            b'1' => {
                self.to_mark()?;
            }
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'p' => {
                let at = self.number()?;
                self.remember(at)?;
            }
            b'q' => {
                let at = self.length::<1>()?;
                self.remember(at)?;
            }
            b'r' => {
                let at = self.length::<4>()?;
                self.remember(at)?;
            }
            0x94 => self.remember(self.memo.len() as u64)?,
            b'g' => {
                let at = self.number()?;
                self.recall(at)?;
            }
            b'h' => {
                let at = self.length::<1>()?;
                self.recall(at)?;
            }
            b'j' => {
                let at = self.length::<4>()?;
                self.recall(at)?;
            }

            // Names, and calls, of which none happens.
            b'c' => {
                let name = self.dotted()?;
                self.push(Node::Global(name))?;
            }
            0x93 => {
                let name = self.pop()?;
                let module = self.pop()?;
                let both = [module, name].map(|item| self.text_of(item).map(str::to_owned));
                let [Some(module), Some(name)] = both else {
                    return Err(PickleError::of("a pickle names something without a name"));
                };
                self.push(Node::Global(format!("{module}.{name}")))?;
            }
            b'R' | 0x81 => {
                let arguments = self.pop()?;
                let class = self.pop()?;
                self.object(class, arguments)?;
            }
            0x92 => {
                // Named arguments add nothing that weights need.
                self.pop()?;
                let arguments = self.pop()?;
                let class = self.pop()?;
                self.object(class, arguments)?;
            }
            b'o' => {
                let mut items = self.to_mark()?.into_iter();
                let class = items.next().ok_or_else(underflow)?;
                self.push(Node::Tuple(items.collect()))?;
                let arguments = self.pop()?;
                self.object(class, arguments)?;
            }
            b'i' => {
                let name = self.dotted()?;
                let items = self.to_mark()?;
                self.push(Node::Global(name))?;
                let class = self.pop()?;
                self.push(Node::Tuple(items))?;
                let arguments = self.pop()?;
                self.object(class, arguments)?;
            }
            b'b' => {
                let state = self.pop()?;
                let top = self.top()?;
                if let Some(Node::Object(object)) = self.node_mut(top) {
                    object.state = state;
                }
            }
            b'P' => {
                let line = self.input.line()?;
                self.text(String::from_utf8_lossy(&line).into_owned())?;
                let id = self.pop()?;
                self.push(Node::Persistent(id))?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id))?;
            }
            0x82..=0x84 => return Err(PickleError::of("a pickle uses a registry of its program")),
            0x97 | 0x98 => return Err(PickleError::of("a pickle keeps its data elsewhere")),
            other => {
                return Err(PickleError::of(format!("a pickle has the operation {other:#04x}")));
            }
        }
        Ok(true)
    }

    fn push(&mut self, node: Node) -> Result<(), PickleError> {
        if self.nodes.len() >= MOST {
            return Err(PickleError::of(format!("a pickle has more than {MOST} objects")));
        }
        self.stack.push(Item::Node(self.nodes.len() as u32));
        self.nodes.push(node);
        Ok(())
    }

    fn text(&mut self, text: String) -> Result<(), PickleError> {
        self.push(Node::Text(text))
    }

    fn object(&mut self, class: Item, arguments: Item) -> Result<(), PickleError> {
        let state = Item::None;
        let object = Object { class, arguments, state, items: vec![], pairs: vec![] };
        self.push(Node::Object(Box::new(object)))
    }

    /// A length of `N` bytes.
    fn length<const N: usize>(&mut self) -> Result<u64, PickleError> {
        let bytes: [u8; N] = self.input.array()?;
        let mut whole = [0; 8];
        whole[..N].copy_from_slice(&bytes);
        Ok(u64::from_le_bytes(whole))
    }

    fn counted_text<const N: usize>(&mut self) -> Result<(), PickleError> {
        let count = self.length::<N>()?;
        let bytes = self.input.bytes(count)?;
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        self.text(text)
    }

    fn counted_bytes<const N: usize>(&mut self) -> Result<(), PickleError> {
        let count = self.length::<N>()?;
        self.input.take(count)?;
        let passed =
            io::copy(&mut io::Read::take(&mut *self.input.source, count), &mut io::sink())?;
        if passed < count {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.stack.push(Item::Opaque);
        Ok(())
    }

    /// A module and a name, on a line each.
    fn dotted(&mut self) -> Result<String, PickleError> {
        let [module, name] = [self.input.line()?, self.input.line()?];
        Ok(format!("{}.{}", String::from_utf8_lossy(&module), String::from_utf8_lossy(&name)))
    }

    /// A number on a line.
    fn number(&mut self) -> Result<u64, PickleError> {
        let line = self.input.line()?;
        let number = std::str::from_utf8(&line).ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| PickleError::of("a pickle remembers under no number"))
    }

    fn top(&self) -> Result<Item, PickleError> {
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err(underflow());
        }
        self.stack.last().copied().ok_or_else(underflow)
    }

    fn pop(&mut self) -> Result<Item, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// All that was pushed since the last mark, which is gone then.
    fn to_mark(&mut self) -> Result<Vec<Item>, PickleError> {
        let mark = self.marks.pop().ok_or_else(|| PickleError::of("a pickle lacks a mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn pairs(&mut self) -> Result<Vec<(Item, Item)>, PickleError> {
        let items = self.to_mark()?;
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(PickleError::of("a pickle has a key without a value"));
        }
        Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
    }

    fn remember(&mut self, at: u64) -> Result<(), PickleError> {
        if self.memo.len() >= MOST {
            return Err(PickleError::of(format!("a pickle remembers more than {MOST} objects")));
        }
        let top = self.top()?;
        self.memo.insert(at, top);
        Ok(())
    }

    fn recall(&mut self, at: u64) -> Result<(), PickleError> {
        let item = self.memo.get(&at).copied();
        let item = item.ok_or_else(|| PickleError::of("a pickle recalls what it never had"))?;
        self.stack.push(item);
        Ok(())
    }

    fn append(&mut self, new: Vec<Item>) -> Result<(), PickleError> {
        let top = self.top()?;
        match self.node_mut(top) {
            Some(Node::List(items)) => items.extend(new),
            Some(Node::Object(object)) => object.items.extend(new),
            _ => return Err(PickleError::of("a pickle appends to what is no list")),
        }
        Ok(())
    }

    fn set(&mut self, new: Vec<(Item, Item)>) -> Result<(), PickleError> {
        let top = self.top()?;
        match self.node_mut(top) {
            Some(Node::Dict(pairs)) => pairs.extend(new),
            Some(Node::Object(object)) => object.pairs.extend(new),
            _ => return Err(PickleError::of("a pickle sets a key in what is no dictionary")),
        }
        Ok(())
    }

    fn node_mut(&mut self, item: Item) -> Option<&mut Node> {
        match item {
            Item::Node(at) => self.nodes.get_mut(at as usize),
            _ => None,
        }
    }

    fn text_of(&self, item: Item) -> Option<&str> {
        match item {
            Item::Node(at) => match self.nodes.get(at as usize)? {
                Node::Text(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }
}

fn underflow() -> PickleError {
    PickleError::of("a pickle takes from an empty stack")
}

/// An integer in digits.
fn decimal(digits: &[u8]) -> Item {
    let value = std::str::from_utf8(digits).ok().and_then(|text| text.trim().parse().ok());
    value.map_or(Item::Opaque, Item::Int)
}

/// An integer in two's complement, little-endian.
fn long(bytes: &[u8]) -> Item {
    if bytes.len() > 8 {
        return Item::Opaque;
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut whole = [if negative { 0xff } else { 0 }; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    Item::Int(i64::from_le_bytes(whole))
}

/// The text of a string in quotes, as protocol 0 of Python 2 writes it; bytes above 127 come as escapes.
fn unquoted(line: &[u8]) -> String {
    let line = line.trim_ascii();
    let inner = [b'\'', b'"']
        .into_iter()
        .find_map(|quote| line.strip_prefix(&[quote]).and_then(|rest| rest.strip_suffix(&[quote])));
    let mut text = String::new();
    let mut escaped = false;
    for character in String::from_utf8_lossy(inner.unwrap_or(line)).chars() {
        match (escaped, character) {
            (false, '\\') => escaped = true,
            (_, character) => {
                text.push(character);
                escaped = false;
            }
        }
    }
    text
}

/// Text in which characters above 255, and line ends, are written `\uXXXX`.
fn unescaped(line: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((&first, behind)) = rest.split_first() {
        let digits = match behind.first() {
            Some(b'u') if first == b'\\' => behind.get(1..5),
            Some(b'U') if first == b'\\' => behind.get(1..9),
            _ => None,
        };
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .and_then(char::from_u32);
        match (code, digits) {
            (Some(character), Some(digits)) => {
                text.push(character);
                rest = &behind[1 + digits.len()..];
            }
            _ => {
                text.push(char::from(first));
                rest = behind;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Pickle {
        read(&mut &bytes[..]).unwrap()
    }

    fn refused(bytes: &[u8]) -> String {
        match read(&mut &bytes[..]) {
            Err(PickleError::Malformed(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    /// A dictionary as Python would print it, names for nodes that have no value.
    fn shown(pickle: &Pickle, item: Item) -> String {
        let list = |items: &[Item]| {
            items.iter().map(|item| shown(pickle, *item)).collect::<Vec<_>>().join(", ")
        };
        let Some(node) = pickle.node(item) else { return format!("{item:?}") };
        match node {
            Node::Text(text) => format!("'{text}'"),
            Node::Tuple(items) => format!("({})", list(items)),
            Node::List(items) => format!("[{}]", list(items)),
            Node::Dict(pairs) => {
                let pair = |(key, value): &(Item, Item)| {
                    format!("{}: {}", shown(pickle, *key), shown(pickle, *value))
                };
                format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
            }
            Node::Global(name) => name.clone(),
            Node::Persistent(id) => format!("<{}>", shown(pickle, *id)),
            Node::Object(object) => {
                format!("{}{}", shown(pickle, object.class), shown(pickle, object.arguments))
            }
        }
    }

    #[test]
    fn every_protocol_says_the_same() {
        // {'a': [1, True, None, 2.5], 'b': ('x', -7)}, as Python's `pickle.dumps` writes it.
        let zero = b"(dp0\nVa\np1\n(lp2\nI1\naI01\naNaF2.5\nasVb\np3\n(Vx\np4\nI-7\ntp5\ns.";
        let two = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01\x88NG@\x04\x00\x00\x00\x00\x00\x00eX\x01\x00\x00\x00bq\x03X\x01\x00\x00\x00xq\x04J\xf9\xff\xff\xff\x86q\x05u.";
        let four = b"\x80\x04\x95(\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01\x88NG@\x04\x00\x00\x00\x00\x00\x00e\x8c\x01b\x94\x8c\x01x\x94J\xf9\xff\xff\xff\x86\x94u.";
        for bytes in [&zero[..], two, four] {
            let pickle = of(bytes);
            let text = shown(&pickle, pickle.root);
            assert_eq!(text, "{'a': [Int(1), Bool(true), None, Float(2.5)], 'b': ('x', Int(-7))}");
        }
    }

    #[test]
    fn calls_are_names() {
        for bytes in [
            &b"cos\nsystem\n(S'ls'\ntR."[..],
            b"(S'ls'\nios\nsystem\n.",
            b"(cos\nsystem\nS'ls'\no.",
            b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R.",
            b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85\x81.",
        ] {
            let pickle = of(bytes);
            assert_eq!(shown(&pickle, pickle.root), "os.system('ls')");
        }
    }

    #[test]
    fn numbers_and_texts_of_all_forms() {
        let cases: [(&[u8], &str); 12] = [
            (b"L12L\n.", "Int(12)"),
            (b"\x80\x02\x8a\x01\xff.", "Int(-1)"),
            (b"\x80\x02\x8a\x00.", "Int(0)"),
            (b"\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.", "Opaque"),
            (b"M\x01\x02.", "Int(513)"),
            (b"S\"it's\"\n.", "'it's'"),
            (b"S'a\\'b'\n.", "'a'b'"),
            (b"Va\\u00e9\\n\n.", "'aé\\n'"),
            (b"U\x01\xff.", "'\u{fffd}'"),
            (b"\x80\x03C\x02ab.", "Opaque"),
            (b"\x80\x04\x8f(K\x01\x90.", "[Int(1)]"),
            (b"Phere\n.", "<'here'>"),
        ];
        for (bytes, text) in cases {
            let pickle = of(bytes);
            assert_eq!(shown(&pickle, pickle.root), text);
        }
    }

    #[test]
    fn what_is_held_twice_is_one_object_and_may_hold_itself() {
        let pickle = of(b"\x80\x02]q\x00h\x00a.");
        assert_eq!(pickle.sequence(pickle.root).unwrap(), [pickle.root]);
        // What follows the end is not touched.
        let mut rest = &b"K\x01.K\x02."[..];
        assert_eq!(read(&mut rest).unwrap().root, Item::Int(1));
        assert_eq!(read(&mut rest).unwrap().root, Item::Int(2));
    }

    #[test]
    fn what_is_no_pickle_is_refused() {
        for (bytes, reason) in [
            (&b""[..], "ends in its middle"),
            (b".", "empty stack"),
            (b"(K\x01", "ends in its middle"),
            (b"(0.", "empty stack"),
            (b"K\x01(.", "empty stack"),
            (b"t.", "lacks a mark"),
            (b"}(K\x01u.", "a key without a value"),
            (b"NK\x01a.", "no list"),
            (b"h\x07.", "recalls what it never had"),
            (b"\x80\x05\x97.", "elsewhere"),
            (b"\x82\x01.", "registry"),
            (b"\xff.", "operation 0xff"),
            (b"X\xff\xff\xff\x7fa.", "longer than 32 MiB"),
            (b"X\xff\xff\x00\x00a.", "ends in its middle"),
            (b"K\x01K\x02\x93.", "without a name"),
        ] {
            let found = refused(bytes);
            assert!(found.contains(reason), "{found}, not {reason}");
        }
    }

    #[test]
    fn objects_without_end_are_refused() {
        let many = b"]".repeat(MOST + 1);
        assert!(refused(&many).contains("objects"));
        let remembered: Vec<u8> = [&b"N"[..], &b"\x94".repeat(MOST + 1)].concat();
        assert!(refused(&remembered).contains("remembers"));
    }
}
