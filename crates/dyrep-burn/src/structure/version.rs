//! Files that say their version, and a newer one that says which program it needs.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::StructureError;

/// The oldest program that reads what this one writes: told by a program that is older still.
pub(crate) const NEEDS: &str = "dyrep 0.2";

/// Refuses versions that `newest` is older than, and zero.
pub(crate) fn check_version(
    found: u64,
    needs: Option<&str>,
    newest: u64,
    origin: &str,
) -> Result<(), StructureError> {
    if (1..=newest).contains(&found) {
        return Ok(());
    }
    let needs = needs.map(|program| format!("; it needs {program}")).unwrap_or_default();
    Err(StructureError::Version { origin: origin.to_owned(), found, newest, needs })
}

/// Reads JSON that says its version, which is looked at first.
pub(crate) fn parse_versioned<T: DeserializeOwned>(
    text: &str,
    newest: u64,
    origin: &str,
) -> Result<T, StructureError> {
    let malformed = |source| StructureError::Malformed { origin: origin.to_owned(), source };
    let Head { version, needs } = serde_json::from_str(text).map_err(malformed)?;
    check_version(version, needs.as_deref(), newest, origin)?;
    serde_json::from_str(text).map_err(malformed)
}

/// Read first, so that a file of another version is called that and not malformed.
#[derive(Deserialize)]
struct Head {
    version: u64,
    #[serde(default)]
    needs: Option<String>,
}

/// The JSON of a type and files of it, for one with a `parse` that gets a text and, for messages, where it is from;
/// `refused` says what else than a broken text it refuses.
macro_rules! versioned_file {
    ($type:ty, $what:literal, $refused:literal) => {
        impl $type {
            /// As JSON.
            #[must_use]
            pub fn to_json(&self) -> String {
                serde_json::to_string_pretty(self)
                    .unwrap_or_else(|e| unreachable!("strings and numbers: {e}"))
            }

            /// Reads JSON that [`to_json`](Self::to_json) wrote.
            ///
            /// # Errors
            #[doc = concat!("Text that is not a whole ", $what, ", of another version, or ", $refused, ".")]
            pub fn from_json(text: &str) -> Result<Self, $crate::StructureError> {
                Self::parse(text, $what)
            }

            #[doc = concat!("Writes the ", $what, " to a file: to a temporary one beside it, synced, then renamed.")]
            ///
            /// # Errors
            /// What the system says.
            pub fn save(
                &self,
                path: impl AsRef<std::path::Path>,
            ) -> Result<(), $crate::StructureError> {
                let path = path.as_ref();
                $crate::write_atomically(path, self.to_json().as_bytes())
                    .map_err(|source| $crate::StructureError::Io { path: path.to_owned(), source })
            }

            #[doc = concat!("Reads a file of the ", $what, ".")]
            ///
            /// # Errors
            /// A file that cannot be read, or as [`from_json`](Self::from_json); the file is named.
            pub fn load(path: impl AsRef<std::path::Path>) -> Result<Self, $crate::StructureError> {
                let path = path.as_ref();
                let text = std::fs::read_to_string(path).map_err(|source| {
                    $crate::StructureError::Io { path: path.to_owned(), source }
                })?;
                Self::parse(&text, &path.display().to_string())
            }
        }
    };
}

pub(crate) use versioned_file;
