//! Tables whose `name` says which keys may stand beside it.
//!
//! ```text
//! name = "adamw"        which of the kind it is: comes first, decides what follows
//! betas = [0.9, 0.99]   a key that some names have: with another name refused where it stands
//! weight_decay = 0.05   a key that every name has
//! ```
//!
//! What is wrong with a key is found on reading it and not later, so that the fault has the key's place.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::StrDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

/// A table of this kind.
pub trait ByName: Sized {
    /// What messages call it, such as `[optimizer]`.
    const PLACE: &str;

    /// The names there are.
    const NAMES: &'static [&'static str];

    /// The name that is meant where none is given; without it a name is required.
    const UNNAMED: Option<&'static str>;

    /// Every key that a table of any name can have, `name` among them.
    const KEYS: &'static [&'static str];

    /// Whether tables of this name have this key, one of [`KEYS`](Self::KEYS).
    fn has(name: &str, key: &str) -> bool;

    /// Reads what stands beside the name: keys of [`KEYS`](Self::KEYS) that go with it, and no others.
    ///
    /// # Errors
    /// What the reader finds wrong.
    fn read<'de, A: MapAccess<'de>>(name: &'static str, keys: A) -> Result<Self, A::Error>;
}

/// Reads a table by its name. Of a reader that can give the keys in any order, `name` must come first: a map is asked for.
///
/// # Errors
/// A name that there is none of, or that is missing; a key that no table of this kind has, or that goes with other names;
/// what [`read`](ByName::read) finds.
pub fn by_name<'de, T: ByName, D: Deserializer<'de>>(d: D) -> Result<T, D::Error> {
    d.deserialize_map(Table(PhantomData))
}

struct Table<T>(PhantomData<T>);

impl<'de, T: ByName> Visitor<'de> for Table<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut first = map.next_key_seed(Key::<T>::of(T::UNNAMED))?;
        let mut name = T::UNNAMED;
        if first.as_deref() == Some(NAME) {
            name = Some(map.next_value::<OneOf<T>>()?.0);
            first = None;
        }
        let Some(name) = name else { return Err(A::Error::missing_field(NAME)) };
        T::read(name, Allowed::<T, A> { map, first, name, kind: PhantomData })
    }
}

const NAME: &str = "name";

/// One of the names.
struct OneOf<T>(&'static str, PhantomData<T>);

impl<'de, T: ByName> Deserialize<'de> for OneOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = T::NAMES.iter().find(|known| **known == name);
        let known = known.ok_or_else(|| D::Error::unknown_variant(&name, T::NAMES))?;
        Ok(Self(known, PhantomData))
    }
}

/// The keys beside a name.
struct Allowed<T, A> {
    map: A,
    /// A key that was read already.
    first: Option<String>,
    name: &'static str,
    kind: PhantomData<T>,
}

impl<'de, T: ByName, A: MapAccess<'de>> MapAccess<'de> for Allowed<T, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let key = match self.first.take() {
            Some(key) => Some(key),
            None => self.map.next_key_seed(Key::<T>::of(Some(self.name)))?,
        };
        key.map(|key| seed.deserialize(StrDeserializer::new(&key))).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// A key that goes with a name; any that is known where no name is.
struct Key<T> {
    name: Option<&'static str>,
    kind: PhantomData<T>,
}

impl<T> Key<T> {
    fn of(name: Option<&'static str>) -> Self {
        Self { name, kind: PhantomData }
    }
}

impl<'de, T: ByName> DeserializeSeed<'de> for Key<T> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let key = String::deserialize(deserializer)?;
        if !T::KEYS.contains(&key.as_str()) {
            return Err(D::Error::unknown_field(&key, T::KEYS));
        }
        match self.name {
            Some(name) if key != NAME && !T::has(name, &key) => {
                let (place, others) = (T::PLACE, others::<T>(name, &key));
                Err(D::Error::custom(format!("`{key}` in {place} goes with {others}")))
            }
            _ => Ok(key),
        }
    }
}

/// The names that have a key, which `name` has not, in words.
fn others<T: ByName>(name: &str, key: &str) -> String {
    let (have, lack): (Vec<&str>, Vec<&str>) = T::NAMES.iter().partition(|name| T::has(name, key));
    let listed = |names: &[&str]| format!("`{}`", names.join("`, `"));
    match lack.len() == 1 && have.len() > 1 {
        true => format!("every `name` but `{name}`"),
        false => format!("{}, not with `{name}`", listed(&have)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Shape {
        Round { radius: f64 },
        Straight { sides: Vec<f64> },
    }

    impl ByName for Shape {
        const PLACE: &str = "[shape]";
        const NAMES: &'static [&'static str] = &["circle", "line", "square", "triangle"];
        const UNNAMED: Option<&'static str> = Some("circle");
        const KEYS: &'static [&'static str] = &["name", "radius", "sides"];

        fn has(name: &str, key: &str) -> bool {
            (key == "radius") == (name == "circle")
        }

        fn read<'de, A: MapAccess<'de>>(name: &'static str, mut keys: A) -> Result<Self, A::Error> {
            let (mut radius, mut sides) = (1.0, vec![]);
            while let Some(key) = keys.next_key::<String>()? {
                match key.as_str() {
                    "radius" => radius = keys.next_value()?,
                    _ => sides = keys.next_value()?,
                }
            }
            Ok(if name == "circle" { Self::Round { radius } } else { Self::Straight { sides } })
        }
    }

    #[derive(Debug)]
    struct Section(Shape);

    impl<'de> Deserialize<'de> for Section {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            by_name(deserializer).map(Self)
        }
    }

    #[test]
    fn a_name_decides_which_keys_follow() {
        let read = |text: &str| serde_json::from_str::<Section>(text).map(|section| section.0);
        assert_eq!(read("{}").unwrap(), Shape::Round { radius: 1.0 });
        assert_eq!(read(r#"{ "radius": 2 }"#).unwrap(), Shape::Round { radius: 2.0 });
        let line = read(r#"{ "name": "line", "sides": [3] }"#).unwrap();
        assert_eq!(line, Shape::Straight { sides: vec![3.0] });
        let refused = |text: &str| read(text).unwrap_err().to_string();
        for (text, want) in [
            (r#"{ "side": 1 }"#, "unknown field `side`"),
            (r#"{ "name": "ring" }"#, "unknown variant `ring`"),
            (r#"{ "sides": [] }"#, "`sides` in [shape] goes with every `name` but `circle`"),
            (
                r#"{ "name": "line", "radius": 1 }"#,
                "`radius` in [shape] goes with `circle`, not with `line`",
            ),
        ] {
            assert!(refused(text).starts_with(want), "{}", refused(text));
        }
    }
}
