//! The operations of a pickle, by what they make.

use std::io::BufRead;

use super::machine::{Machine, underflow};
use super::values::{decimal, long, unescaped, unquoted};
use super::{Item, Node, PickleError};

impl<R: BufRead> Machine<'_, R> {
    /// One operation; false at the end.
    pub(super) fn step(&mut self) -> Result<bool, PickleError> {
        let [operation] = self.input.array()?;
        let known = operation == b'.'
            || self.frame(operation)?
            || self.number(operation)?
            || self.text_or_bytes(operation)?
            || self.container(operation)?
            || self.stack(operation)?
            || self.call(operation)?;
        match known {
            true => Ok(operation != b'.'),
            false => Err(PickleError::of(format!("a pickle has the operation {operation:#04x}"))),
        }
    }

    /// Protocols and frames, which say nothing about the values.
    fn frame(&mut self, operation: u8) -> Result<bool, PickleError> {
        match operation {
            0x80 => {
                self.input.array::<1>()?;
            }
            0x95 => {
                self.input.array::<8>()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A number.
    fn number(&mut self, operation: u8) -> Result<bool, PickleError> {
        match operation {
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
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Text, of Python 2 too, and bytes.
    fn text_or_bytes(&mut self, operation: u8) -> Result<bool, PickleError> {
        match operation {
            b'S' => {
                let line = self.input.line()?;
                self.text(unquoted(&line))?;
            }
            b'V' => {
                let line = self.input.line()?;
                self.text(unescaped(&line))?;
            }
            b'U' | 0x8c => self.counted_text::<1>()?,
            b'T' | b'X' => self.counted_text::<4>()?,
            0x8d => self.counted_text::<8>()?,
            b'C' => self.counted_bytes::<1>()?,
            b'B' => self.counted_bytes::<4>()?,
            0x8e | 0x96 => self.counted_bytes::<8>()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A container, or what is put into one.
    fn container(&mut self, operation: u8) -> Result<bool, PickleError> {
        match operation {
            b'(' => self.marks.push(self.stack.len()),
            b')' => self.push(Node::Tuple(vec![]))?,
            b't' => {
                let items = self.since_mark()?;
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
                let items = self.since_mark()?;
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
                let items = self.since_mark()?;
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
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What changes the stack, and what is remembered.
    fn stack(&mut self, operation: u8) -> Result<bool, PickleError> {
        match operation {
            b'0' if self.marks.last() == Some(&self.stack.len()) => {
                self.marks.pop();
            }
            b'0' => {
                self.pop()?;
            }
            b'1' => {
                self.since_mark()?;
            }
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'p' => {
                let at = self.line_number()?;
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
                let at = self.line_number()?;
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
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A name, or a call, which does not happen.
    fn call(&mut self, operation: u8) -> Result<bool, PickleError> {
        match operation {
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
                let mut items = self.since_mark()?.into_iter();
                let class = items.next().ok_or_else(underflow)?;
                self.push(Node::Tuple(items.collect()))?;
                let arguments = self.pop()?;
                self.object(class, arguments)?;
            }
            b'i' => {
                let name = self.dotted()?;
                let items = self.since_mark()?;
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
            _ => return Ok(false),
        }
        Ok(true)
    }
}
