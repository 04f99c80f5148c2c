//! Types that are texts to a reader: in files, in messages, on the command line.

/// Lists the variants of an enum with their names, and lets them be written and read by name; `what` says in messages
/// what kind of thing is named.
macro_rules! named {
    ($type:ident, $what:literal, { $($variant:ident => $name:literal,)+ }) => {
        impl $type {
            /// The names of all, in order.
            pub const NAMES: [&'static str; [$($name),+].len()] = [$($name),+];

            /// All there are, in order.
            pub const ALL: [Self; Self::NAMES.len()] = [$(Self::$variant),+];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::UnknownName;

            fn from_str(name: &str) -> Result<Self, $crate::UnknownName> {
                let known = Self::ALL.into_iter().find(|known| known.name() == name);
                known.ok_or_else(|| $crate::UnknownName {
                    what: $what,
                    name: name.to_owned(),
                    known: Self::NAMES.join(", "),
                })
            }
        }

        $crate::text::as_text!($type: &Self::NAMES);
    };
}

/// Lets types stand in files as they are displayed. What cannot be read is, to serde, none of the names behind the type.
macro_rules! as_text {
    ($($type:ty: $names:expr),*) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                text.parse().map_err(|_| serde::de::Error::unknown_variant(&text, $names))
            }
        }
    )*};
}

pub(crate) use {as_text, named};
