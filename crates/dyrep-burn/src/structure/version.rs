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
