//! From the tree to serde: a deserializer whose errors carry places and paths.
//!
//! An enum is a bare name, or a table of one key, the name, and its options: `"horizontal_flip"` and
//! `{ horizontal_flip = { probability = 0.5 } }`. A bare name takes every default there is.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, Expected, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::fault::Fault;
use super::tree::{At, Entry, Table, Value};

/// The options of a bare name.
static NO_OPTIONS: Value = Value::Table(Table { entries: Vec::new() });

/// Reads one value.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a Value);

impl Reader<'_> {
    fn unexpected(&self) -> Unexpected<'_> {
        match self.0 {
            Value::String(text) => Unexpected::Str(text),
            Value::Integer(number) => Unexpected::Signed(*number),
            Value::Float(number) => Unexpected::Float(*number),
            Value::Boolean(value) => Unexpected::Bool(*value),
            Value::Other(text) => Unexpected::Other(text),
            Value::List(_) => Unexpected::Seq,
            Value::Table(_) => Unexpected::Map,
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Integer(number) => match u64::try_from(*number) {
                Ok(number) => visitor.visit_u64(number),
                Err(_) => visitor.visit_i64(*number),
            },
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Other(_) => Err(Fault::invalid_type(self.unexpected(), &visitor)),
            Value::List(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Value::Table(table) => {
                visitor.visit_map(Entries { left: table.entries.iter().collect(), value: None })
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    /// Only what is read by its `name` asks for a map: the name comes first, wherever it stands.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Value::Table(table) = self.0 else {
            return self.deserialize_any(visitor);
        };
        let mut left: Vec<&Entry> = table.entries.iter().collect();
        left.sort_by_key(|entry| entry.key != "name");
        visitor.visit_map(Entries { left: left.into(), value: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(name) => {
                visitor.visit_enum(Variant { name, at: None, options: &NO_OPTIONS })
            }
            Value::Table(table) => match table.entries.as_slice() {
                [Entry { at, key, value }] => {
                    visitor.visit_enum(Variant { name: key, at: Some(*at), options: value })
                }
                entries => {
                    let found = format!("a table of {} keys", entries.len());
                    let expected = OneOf("a table of one key", variants);
                    Err(Fault::invalid_value(Unexpected::Other(&found), &expected))
                }
            },
            _ => Err(Fault::invalid_type(self.unexpected(), &OneOf("a name", variants))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct struct identifier ignored_any
    }
}

/// A kind of value and the names it may have.
struct OneOf(&'static str, &'static [&'static str]);

impl Expected for OneOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.0, self.1.join(", "))
    }
}

/// The entries of a table.
struct Entries<'a> {
    left: std::collections::VecDeque<&'a Entry>,
    value: Option<&'a Entry>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.value = self.left.pop_front();
        let Some(entry) = self.value else {
            return Ok(None);
        };
        let key = seed.deserialize(StrDeserializer::<Fault>::new(&entry.key));
        key.map(Some).map_err(|fault| fault.at(entry.at))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let Some(entry) = self.value.take() else {
            return Err(Fault::custom("a value was asked for before its key"));
        };
        let value = seed.deserialize(Reader(&entry.value));
        value.map_err(|fault| fault.within(&entry.key, entry.at))
    }
}

/// The items of a list.
struct Items<'a>(std::iter::Enumerate<std::slice::Iter<'a, (At, Value)>>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        let Some((i, (at, value))) = self.0.next() else {
            return Ok(None);
        };
        let item = seed.deserialize(Reader(value)).map(Some);
        item.map_err(|fault| fault.within(&format!("[{i}]"), *at))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// A name and its options.
struct Variant<'a> {
    name: &'a str,
    /// None for a bare name, which stands where its key does.
    at: Option<At>,
    options: &'a Value,
}

impl Variant<'_> {
    fn locate(&self, mut fault: Fault) -> Fault {
        fault.path.insert(0, self.name.to_owned());
        fault.at = fault.at.or(self.at);
        fault
    }
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Fault> {
        match seed.deserialize(StrDeserializer::<Fault>::new(self.name)) {
            Ok(variant) => Ok((variant, self)),
            Err(Fault { at: None, path, kind }) => Err(Fault { at: self.at, path, kind }),
            Err(fault) => Err(fault),
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.options {
            Value::Table(table) if table.entries.is_empty() => Ok(()),
            other => {
                let fault = Fault::invalid_type(Reader(other).unexpected(), &"no options");
                Err(self.locate(fault))
            }
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(Reader(self.options)).map_err(|fault| self.locate(fault))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        Reader(self.options).deserialize_any(visitor).map_err(|fault| self.locate(fault))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        Reader(self.options).deserialize_any(visitor).map_err(|fault| self.locate(fault))
    }
}
