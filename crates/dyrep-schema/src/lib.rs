//! Numbers within bounds and names from lists, checked while they are read, so that what is wrong has a line.
//!
//! A configuration names a bound beside each field, and whoever reads it, from TOML or JSON, gets serde's own errors with
//! what was expected in words. A reader that knows places can then tell where.
//!
//! ```
//! use dyrep_schema::{Probability, real};
//!
//! #[derive(serde::Deserialize)]
//! struct Flip {
//!     #[serde(deserialize_with = "real::<Probability, _>")]
//!     probability: f64,
//! }
//!
//! assert_eq!(serde_json::from_str::<Flip>(r#"{ "probability": 1 }"#)?.probability, 1.0);
//! let error = serde_json::from_str::<Flip>(r#"{ "probability": 2 }"#).err().expect("a refusal");
//! assert!(error.to_string().contains("expected a number from 0 to 1"));
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! A table whose `name` decides which keys may stand beside it is a [`ByName`].

mod by_name;

use std::fmt;
use std::marker::PhantomData;

pub use by_name::{ByName, by_name};

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A set of real numbers.
pub trait RealBound {
    /// In words.
    const EXPECTED: &str;
    /// Whether a number, which may be infinite or none, is in it.
    fn holds(number: f64) -> bool;
}

/// A set of whole numbers.
pub trait WholeBound {
    /// In words.
    const EXPECTED: &str;
    /// The smallest.
    const MIN: u64 = 1;
    /// The largest. Far beyond what makes sense, near enough that products of two still fit.
    const MAX: u64 = 1_000_000_000;
}

/// A list of names.
pub trait Names {
    /// The names.
    fn all() -> &'static [&'static str];
}

macro_rules! real_bounds {
    ($($name:ident: $expected:literal, |$x:ident| $holds:expr;)*) => {$(
        #[doc = concat!("Expects ", $expected, ".")]
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

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
    // Far beyond what makes sense; logits stay numbers.
    Temperature: "a number from 0.01 to 100", |x| (0.01..=100.0).contains(&x);
}

macro_rules! whole_bounds {
    ($($name:ident: $expected:literal $(, $limit:ident = $value:expr)*;)*) => {$(
        #[doc = concat!("Expects ", $expected, ".")]
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

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
#[derive(Clone, Copy, Debug)]
pub struct Real<B>(f64, PhantomData<B>);

impl<B> Real<B> {
    /// The number.
    #[must_use]
    pub const fn get(&self) -> f64 {
        self.0
    }
}

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
#[derive(Clone, Copy, Debug)]
pub struct Whole<B>(u64, PhantomData<B>);

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

/// A real number.
///
/// # Errors
/// One that the bound does not hold.
pub fn real<'de, B: RealBound, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    Real::<B>::deserialize(d).map(|number| number.0)
}

/// A real number that may be left out.
///
/// # Errors
/// As [`real`].
pub fn some_real<'de, B: RealBound, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
    let number = Option::<Real<B>>::deserialize(d)?;
    Ok(number.map(|number| number.0))
}

/// Real numbers, such as one for each channel, that may be left out.
///
/// # Errors
/// As [`real`], of the first that is wrong.
pub fn some_reals<'de, B: RealBound, D: Deserializer<'de>>(
    d: D,
) -> Result<Option<Vec<f64>>, D::Error> {
    let numbers = Option::<Vec<Real<B>>>::deserialize(d)?;
    Ok(numbers.map(|numbers| numbers.into_iter().map(|number| number.0).collect()))
}

/// Two real numbers, the smaller one first.
///
/// # Errors
/// As [`real`]; more or fewer than two; the larger one first.
pub fn range<'de, B: RealBound, D: Deserializer<'de>>(d: D) -> Result<[f64; 2], D::Error> {
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

/// A whole number.
///
/// # Errors
/// One outside its bounds.
pub fn whole<'de, B: WholeBound, D: Deserializer<'de>>(d: D) -> Result<usize, D::Error> {
    narrow(Whole::<B>::deserialize(d)?.0)
}

/// A whole number of 32 bits, such as a side in pixels.
///
/// # Errors
/// As [`whole`].
pub fn whole_u32<'de, B: WholeBound, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    narrow(Whole::<B>::deserialize(d)?.0)
}

/// A whole number that may be left out.
///
/// # Errors
/// As [`whole`].
pub fn some_whole<'de, B: WholeBound, D: Deserializer<'de>>(
    d: D,
) -> Result<Option<usize>, D::Error> {
    Option::<Whole<B>>::deserialize(d)?.map(|number| narrow(number.0)).transpose()
}

/// Whole numbers.
///
/// # Errors
/// As [`whole`], of the first that is wrong.
pub fn wholes<'de, B: WholeBound, D: Deserializer<'de>>(d: D) -> Result<Vec<usize>, D::Error> {
    Vec::<Whole<B>>::deserialize(d)?.into_iter().map(|number| narrow(number.0)).collect()
}

/// Whole numbers, each above the one before, and one at least.
///
/// # Errors
/// As [`whole`]; none, or another order.
pub fn rising<'de, B: WholeBound, D: Deserializer<'de>>(d: D) -> Result<Vec<usize>, D::Error> {
    let numbers = wholes::<B, D>(d)?;
    if numbers.is_empty() || numbers.windows(2).any(|pair| pair[0] >= pair[1]) {
        let found = format!("{numbers:?}");
        let expected = "one or more rising numbers";
        return Err(D::Error::invalid_value(Unexpected::Other(&found), &expected));
    }
    Ok(numbers)
}

/// Bytes, as whole numbers from 0 to 255.
///
/// # Errors
/// A number above.
pub fn bytes<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
    Vec::<Whole<Byte>>::deserialize(d)?.into_iter().map(|number| narrow(number.0)).collect()
}

/// Red, green and blue, which may be left out.
///
/// # Errors
/// As [`bytes`]; more or fewer than three.
pub fn some_colour<'de, D: Deserializer<'de>>(d: D) -> Result<Option<[u8; 3]>, D::Error> {
    let wrong = |bytes: Vec<u8>| D::Error::invalid_length(bytes.len(), &"a list of 3");
    bytes(d)?.try_into().map(Some).map_err(wrong)
}

/// A seed that TOML can express.
///
/// # Errors
/// A number above 2⁶³ − 1.
pub fn seed<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    Whole::<Seed>::deserialize(d).map(|number| number.0)
}

/// A name of a list.
///
/// # Errors
/// One that is not in it.
pub fn name<'de, N: Names, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    let name = String::deserialize(d)?;
    match N::all().contains(&name.as_str()) {
        true => Ok(name),
        false => Err(D::Error::unknown_variant(&name, N::all())),
    }
}

/// One value or more, each once.
///
/// # Errors
/// None, or one twice.
pub fn each_once<'de, T, D>(d: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de> + PartialEq + fmt::Display,
    D: Deserializer<'de>,
{
    let values = Vec::<T>::deserialize(d)?;
    let twice = values.iter().enumerate().find(|(i, value)| values[..*i].contains(value));
    match twice {
        None if !values.is_empty() => Ok(values),
        None => Err(D::Error::invalid_value(Unexpected::Other("none"), &"at least one name")),
        Some((_, value)) => {
            let found = format!("`{value}` twice");
            Err(D::Error::invalid_value(Unexpected::Other(&found), &"each name once"))
        }
    }
}

fn narrow<T: TryFrom<u64, Error: fmt::Display>, E: Error>(number: u64) -> Result<T, E> {
    T::try_from(number).map_err(E::custom)
}
