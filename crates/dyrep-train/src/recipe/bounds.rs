//! Numbers within bounds and names from lists, checked while they are read, so that what is wrong has a line.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A set of real numbers.
pub(super) trait RealBound {
    /// In words.
    const EXPECTED: &str;
    /// Whether a number, which may be infinite or none, is in it.
    fn holds(number: f64) -> bool;
}

/// A set of whole numbers.
pub(super) trait WholeBound {
    /// In words.
    const EXPECTED: &str;
    /// The smallest.
    const MIN: u64 = 1;
    /// The largest. Far beyond what makes sense, near enough that products of two still fit.
    const MAX: u64 = 1_000_000_000;
}

/// A list of names.
pub(super) trait Names {
    /// The names to tell of.
    fn all() -> &'static [&'static str];

    /// Whether a name is one of them.
    fn knows(name: &str) -> bool {
        Self::all().contains(&name)
    }
}

macro_rules! real_bounds {
    ($($name:ident: $expected:literal, |$x:ident| $holds:expr;)*) => {$(
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $name;

        impl RealBound for $name {
            const EXPECTED: &str = $expected;
            fn holds($x: f64) -> bool {
                $holds
            }
        }
    )*};
}

real_bounds! {
    Positive: "a number above 0", |x| x > 0.0 && x.is_finite();
    NotNegative: "a number not below 0", |x| x >= 0.0 && x.is_finite();
    AtLeastOne: "a number not below 1", |x| x >= 1.0 && x.is_finite();
    Probability: "a number from 0 to 1", |x| (0.0..=1.0).contains(&x);
    Share: "a number above 0 and not above 1", |x| x > 0.0 && x <= 1.0;
    BelowOne: "a number from 0 to below 1", |x| (0.0..1.0).contains(&x);
    Between: "a number above 0 and below 1", |x| x > 0.0 && x < 1.0;
    HalfTurn: "a number from 0 to 0.5", |x| (0.0..=0.5).contains(&x);
    Ten: "a number from 0 to 10", |x| (0.0..=10.0).contains(&x);
}

macro_rules! whole_bounds {
    ($($name:ident: $expected:literal $(, $limit:ident = $value:expr)*;)*) => {$(
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $name;

        impl WholeBound for $name {
            const EXPECTED: &str = $expected;
            $(const $limit: u64 = $value;)*
        }
    )*};
}

whole_bounds! {
    Count: "a whole number from 1 to 1000000000";
    OrNone: "a whole number from 0 to 1000000000", MIN = 0;
    // As deep as blocks nest.
    Depth: "a whole number from 1 to 16", MAX = 16;
    // TOML's largest number.
    Seed: "a whole number from 0 to 9223372036854775807", MIN = 0, MAX = i64::MAX as u64;
    // As the transforms' own limit.
    Pixels: "a whole number of pixels from 1 to 9459", MAX = 9459;
    Byte: "a whole number from 0 to 255", MIN = 0, MAX = 255;
    Border: "a whole number of pixels from 0 to 9459", MIN = 0, MAX = 9459;
}

/// A number within bounds.
pub(super) struct Real<B>(f64, PhantomData<B>);

impl<'de, B: RealBound> Deserialize<'de> for Real<B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_f64(Self(0.0, PhantomData))
    }
}

impl<'de, B: RealBound> Visitor<'de> for Real<B> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(B::EXPECTED)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self, E> {
        if B::holds(number) {
            return Ok(Self(number, PhantomData));
        }
        Err(E::invalid_value(Unexpected::Float(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self, E> {
        if B::holds(number as f64) {
            return Ok(Self(number as f64, PhantomData));
        }
        Err(E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self, E> {
        if B::holds(number as f64) {
            return Ok(Self(number as f64, PhantomData));
        }
        Err(E::invalid_value(Unexpected::Signed(number), &self))
    }
}

/// A whole number within bounds.
pub(super) struct Whole<B>(u64, PhantomData<B>);

impl Whole<Pixels> {
    /// As a size.
    pub(super) const fn size(&self) -> usize {
        self.0 as usize
    }
}

impl<'de, B: WholeBound> Deserialize<'de> for Whole<B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(Self(0, PhantomData))
    }
}

impl<'de, B: WholeBound> Visitor<'de> for Whole<B> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(B::EXPECTED)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self, E> {
        if (B::MIN..=B::MAX).contains(&number) {
            return Ok(Self(number, PhantomData));
        }
        Err(E::invalid_value(Unexpected::Unsigned(number), &self))
    }
}

/// A name of a list.
pub(super) struct Name<N>(String, PhantomData<N>);

impl<N> Name<N> {
    pub(super) fn into_inner(self) -> String {
        self.0
    }
}

impl<'de, N: Names> Deserialize<'de> for Name<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match N::knows(&name) {
            true => Ok(Self(name, PhantomData)),
            false => Err(D::Error::unknown_variant(&name, N::all())),
        }
    }
}

pub(super) fn real<'de, B: RealBound, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    Real::<B>::deserialize(d).map(|number| number.0)
}

pub(super) fn some_real<'de, B: RealBound, D: Deserializer<'de>>(
    d: D,
) -> Result<Option<f64>, D::Error> {
    real::<B, D>(d).map(Some)
}

/// One number for each channel.
pub(super) fn some_reals<'de, B: RealBound, D: Deserializer<'de>>(
    d: D,
) -> Result<Option<Vec<f64>>, D::Error> {
    let numbers = Vec::<Real<B>>::deserialize(d)?;
    Ok(Some(numbers.into_iter().map(|number| number.0).collect()))
}

/// Red, green and blue.
pub(super) fn some_colour<'de, D: Deserializer<'de>>(d: D) -> Result<Option<[u8; 3]>, D::Error> {
    let bytes: Vec<u8> =
        Vec::<Whole<Byte>>::deserialize(d)?.iter().map(|byte| byte.0 as u8).collect();
    let wrong = |bytes: Vec<u8>| D::Error::invalid_length(bytes.len(), &"a list of 3");
    bytes.try_into().map(Some).map_err(wrong)
}

/// Two numbers, the smaller one first, with words for both.
pub(super) fn range<'de, B: RealBound, D: Deserializer<'de>>(d: D) -> Result<[f64; 2], D::Error> {
    let numbers: Vec<f64> =
        Vec::<Real<B>>::deserialize(d)?.into_iter().map(|number| number.0).collect();
    let [low, high] = numbers[..] else {
        return Err(D::Error::invalid_length(numbers.len(), &"a list of 2"));
    };
    if low <= high {
        return Ok([low, high]);
    }
    let found = format!("[{low:?}, {high:?}]");
    Err(D::Error::invalid_value(Unexpected::Other(&found), &"the smaller number first"))
}

pub(super) fn whole<'de, B: WholeBound, D: Deserializer<'de>>(d: D) -> Result<usize, D::Error> {
    let Whole(number, _) = Whole::<B>::deserialize(d)?;
    usize::try_from(number).map_err(D::Error::custom)
}

pub(super) fn some_whole<'de, B: WholeBound, D: Deserializer<'de>>(
    d: D,
) -> Result<Option<usize>, D::Error> {
    whole::<B, D>(d).map(Some)
}

/// Whole numbers, each above the one before.
pub(super) fn rising<'de, B: WholeBound, D: Deserializer<'de>>(
    d: D,
) -> Result<Vec<usize>, D::Error> {
    let numbers: Vec<u64> =
        Vec::<Whole<B>>::deserialize(d)?.into_iter().map(|number| number.0).collect();
    if numbers.is_empty() || numbers.windows(2).any(|pair| pair[0] >= pair[1]) {
        let found = format!("{numbers:?}");
        let expected = "one or more rising numbers";
        return Err(D::Error::invalid_value(Unexpected::Other(&found), &expected));
    }
    numbers.into_iter().map(|number| usize::try_from(number).map_err(D::Error::custom)).collect()
}

pub(super) fn seed<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    Whole::<Seed>::deserialize(d).map(|number| number.0)
}

pub(super) fn name<'de, N: Names, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    Name::<N>::deserialize(d).map(|name| name.0)
}

/// Names of a list, each once.
pub(super) fn names<'de, N: Names, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    let names: Vec<String> =
        Vec::<Name<N>>::deserialize(d)?.into_iter().map(|name| name.0).collect();
    let twice = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name));
    match twice {
        None if !names.is_empty() => Ok(names),
        None => Err(D::Error::invalid_value(Unexpected::Other("none"), &"at least one name")),
        Some((_, name)) => {
            let found = format!("`{name}` twice");
            Err(D::Error::invalid_value(Unexpected::Other(&found), &"each name once"))
        }
    }
}
