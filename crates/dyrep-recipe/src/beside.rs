//! A configuration whose section has keys of its own beside it.

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, MapAccess};

/// Reads a configuration from the keys that `own` does not take: it reads the value of each that it does, and tells whether
/// it did.
pub(super) fn read_beside<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    map: A,
    own: impl FnMut(&str, &mut A) -> Result<bool, A::Error>,
) -> Result<T, A::Error> {
    T::deserialize(MapAccessDeserializer::new(Rest { map, own }))
}

/// The section as the configuration sees it.
struct Rest<A, F> {
    map: A,
    own: F,
}

impl<'de, A, F> MapAccess<'de> for Rest<A, F>
where
    A: MapAccess<'de>,
    F: FnMut(&str, &mut A) -> Result<bool, A::Error>,
{
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<String>()? {
            if !(self.own)(&key, &mut self.map)? {
                return seed.deserialize(StrDeserializer::new(&key)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}
