//! Blocks and branches as files have them.
//!
//! | version | a block | a branch |
//! |---|---|---|
//! | 2 | `{"branches": […], "norm_after": true}`, `kxk` the first | `"1x1:scale"`, or `{"branch": "kxk.2", "mid_channels": 8, "conv": form, "resting": true}` |
//! | 1 | `{"kxk": form, "branches": […]}` | `"1x1"`, `{"1x1_kxk": {"mid_channels": 8, "conv": form}}` |
//!
//! A stack, in version 2, is `{"layers": [form, …], "composition": "published", "norm_after": true}`, of which the usual is
//! left out.
//!
//! What a branch of version 2 does not say is as in a branch just built. Both are read wherever a block is, so that a file
//! of one version may hold parts that were written by another.

use dyrep_config::{BranchKind, BranchName, BranchSpec};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::form::{BlockForm, BranchForm, Form};

/// A block as a file has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBlock {
    /// Of version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kxk: Option<Box<Form>>,
    branches: Vec<RawBranch>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    norm_after: bool,
}

impl TryFrom<RawBlock> for BlockForm {
    type Error = String;

    fn try_from(raw: RawBlock) -> Result<Self, String> {
        let main = raw.kxk.map(|conv| BranchForm {
            conv: Some(conv),
            ..BranchForm::new(BranchName::MAIN, BranchKind::KXK.into(), 0)
        });
        let others = raw.branches.into_iter().map(BranchForm::try_from);
        let branches = main.into_iter().map(Ok).chain(others).collect::<Result<Vec<_>, _>>()?;
        if branches.is_empty() {
            return Err("a block needs its branch `kxk`".to_owned());
        }
        Ok(Self { branches, norm_after: raw.norm_after })
    }
}

impl From<BlockForm> for RawBlock {
    fn from(block: BlockForm) -> Self {
        let branches = block.branches.into_iter().map(RawBranch::from).collect();
        Self { kxk: None, branches, norm_after: block.norm_after }
    }
}

/// A branch as a file has it.
pub(super) struct RawBranch {
    /// Its name and end.
    text: String,
    mid_channels: Option<usize>,
    conv: Option<Box<Form>>,
    resting: bool,
}

impl TryFrom<RawBranch> for BranchForm {
    type Error = String;

    fn try_from(raw: RawBranch) -> Result<Self, String> {
        let parsed = BranchName::parse_with_end(&raw.text);
        let (name, end, bias) = parsed.map_err(|error| error.to_string())?;
        let spec = BranchSpec { kind: name.kind, end, bias, times: 1 };
        let mut form = Self::new(name, spec, raw.mid_channels.unwrap_or(0));
        if form.mid_channels.is_some() != raw.mid_channels.is_some() {
            let has = if form.mid_channels.is_some() { "needs" } else { "has no" };
            return Err(format!("the branch `{name}` {has} `mid_channels`"));
        }
        if let Some(conv) = raw.conv {
            form.conv = Some(conv);
        }
        form.resting = raw.resting;
        Ok(form)
    }
}

impl From<BranchForm> for RawBranch {
    fn from(form: BranchForm) -> Self {
        let usual = BranchForm::new(form.name, form.spec(), form.mid_channels.unwrap_or(0));
        let text = form.to_string();
        let conv = if form.conv == usual.conv { None } else { form.conv };
        Self { text, mid_channels: form.mid_channels, conv, resting: form.resting }
    }
}

impl Serialize for RawBranch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.mid_channels.is_none() && self.conv.is_none() && !self.resting {
            return serializer.serialize_str(&self.text);
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("branch", &self.text)?;
        if let Some(mid_channels) = self.mid_channels {
            map.serialize_entry("mid_channels", &mid_channels)?;
        }
        if let Some(conv) = &self.conv {
            map.serialize_entry("conv", conv)?;
        }
        if self.resting {
            map.serialize_entry("resting", &true)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for RawBranch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

/// What stands below a branch's name in version 1.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    mid_channels: usize,
    conv: Box<Form>,
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = RawBranch;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "the name of a branch, or an object with its `branch`, `mid_channels` and `conv`",
        )
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawBranch, E> {
        let parsed = BranchName::parse_with_end(text);
        parsed.map_err(E::custom)?;
        Ok(RawBranch { text: text.to_owned(), mid_channels: None, conv: None, resting: false })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawBranch, A::Error> {
        let (mut text, mut mid_channels, mut conv, mut resting) = (None, None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "branch" if text.is_none() => text = Some(map.next_value()?),
                "mid_channels" if mid_channels.is_none() => mid_channels = Some(map.next_value()?),
                "conv" if conv.is_none() => conv = Some(map.next_value()?),
                "resting" if resting.is_none() => resting = Some(map.next_value()?),
                name if text.is_none() && name.parse::<BranchKind>().is_ok() => {
                    let parts: Parts = map.next_value()?;
                    (mid_channels, conv) = (Some(parts.mid_channels), Some(parts.conv));
                    text = Some(key);
                }
                _ => {
                    let known = &["branch", "mid_channels", "conv", "resting"];
                    return Err(A::Error::unknown_field(&key, known));
                }
            }
        }
        let text = text.ok_or_else(|| A::Error::missing_field("branch"))?;
        Ok(RawBranch { text, mid_channels, conv, resting: resting.unwrap_or(false) })
    }
}
