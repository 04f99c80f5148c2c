//! TOML as a tree whose keys know where they stand, so that every complaint can name a line.

use toml::de::{DeTable, DeValue};

/// A place: in the file, which is source 0, or in the n-th override, which is source n. Ordered as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    /// 0 for the file, n for the n-th override.
    pub(super) source: usize,
    /// Bytes from the start of the source.
    pub(super) offset: usize,
}

impl At {
    /// Behind everything: where a section is that is not there.
    pub(super) const END: Self = Self { source: usize::MAX, offset: usize::MAX };
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// What no key of a recipe takes, as written: dates, and numbers that do not fit.
    Other(String),
    List(Vec<(At, Value)>),
    Table(Table),
}

/// A key, where it stands, and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) at: At,
    pub(super) key: String,
    pub(super) value: Value,
}

/// Keys and values in the order of their places.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
}

/// What is not TOML, and where.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SyntaxError {
    pub(super) offset: usize,
    pub(super) reason: String,
}

impl From<toml::de::Error> for SyntaxError {
    fn from(error: toml::de::Error) -> Self {
        let offset = error.span().map_or(0, |span| span.start);
        Self { offset, reason: error.message().to_owned() }
    }
}

impl Table {
    /// Reads a file.
    pub(super) fn parse(text: &str) -> Result<Self, SyntaxError> {
        Ok(Self::new(DeTable::parse(text)?.get_ref()))
    }

    fn new(table: &DeTable<'_>) -> Self {
        let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<_>)| Entry {
            at: in_file(key.span().start),
            key: String::from(std::borrow::Cow::as_ref(key.get_ref())),
            value: Value::new(value.get_ref()),
        };
        let mut entries: Vec<Entry> = table.iter().map(entry).collect();
        entries.sort_by_key(|entry| entry.at);
        Self { entries }
    }

    /// The entry of `key`.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The place of the value at `path`, or of the innermost table around it that is there.
    pub(super) fn locate(&self, path: &[&str]) -> Option<At> {
        let (key, rest) = path.split_first()?;
        let entry = self.get(key)?;
        let inner = match &entry.value {
            Value::Table(table) => table.locate(rest),
            _ => None,
        };
        Some(inner.unwrap_or(entry.at))
    }

    /// Puts `value` at `path`, making the tables on the way.
    ///
    /// # Errors
    /// How many keys of the path lead to something that is no table.
    pub(super) fn set(&mut self, path: &[String], at: At, value: &Value) -> Result<(), usize> {
        let Some((key, rest)) = path.split_first() else {
            return Ok(());
        };
        let place = self.entries.iter().position(|entry| entry.key == *key);
        if rest.is_empty() {
            if let Some(place) = place {
                self.entries.remove(place);
            }
            self.entries.push(Entry { at, key: key.clone(), value: value.moved(at) });
            return Ok(());
        }
        let place = place.unwrap_or_else(|| {
            let value = Value::Table(Self::default());
            self.entries.push(Entry { at, key: key.clone(), value });
            self.entries.len() - 1
        });
        match &mut self.entries[place].value {
            Value::Table(table) => table.set(rest, at, value).map_err(|depth| depth + 1),
            _ => Err(1),
        }
    }
}

impl Value {
    /// Reads a value that stands alone.
    pub(super) fn parse(text: &str) -> Result<Self, SyntaxError> {
        Ok(Self::new(DeValue::parse(text)?.get_ref()))
    }

    fn new(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::String(text.clone().into_owned()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Self::Other(number.to_string()), Self::Integer),
            DeValue::Float(number) => Self::float(number.as_str()),
            DeValue::Boolean(value) => Self::Boolean(*value),
            DeValue::Datetime(date) => Self::Other(format!("the date {date}")),
            DeValue::Array(values) => {
                let item = |value: &toml::Spanned<DeValue<'_>>| {
                    (in_file(value.span().start), Self::new(value.get_ref()))
                };
                Self::List(values.iter().map(item).collect())
            }
            DeValue::Table(table) => Self::Table(Table::new(table)),
        }
    }

    /// A number too large to be a float stays as it is written: read as infinity, it would be complained
    /// about by another name.
    fn float(text: &str) -> Self {
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() || !text.contains(|c: char| c.is_ascii_digit()) => {
                Self::Float(number)
            }
            _ => Self::Other(text.to_owned()),
        }
    }

    /// The value with everything in it at one place.
    fn moved(&self, at: At) -> Self {
        match self {
            Self::List(items) => {
                Self::List(items.iter().map(|(_, item)| (at, item.moved(at))).collect())
            }
            Self::Table(table) => {
                let entry = |entry: &Entry| Entry {
                    at,
                    key: entry.key.clone(),
                    value: entry.value.moved(at),
                };
                Self::Table(Table { entries: table.entries.iter().map(entry).collect() })
            }
            plain => plain.clone(),
        }
    }
}

fn in_file(offset: usize) -> At {
    At { source: 0, offset }
}
