//! What stands under a key that says something of weights and is no tensor: numbers and tensors in lists.
//!
//! Each number, tensor and empty list becomes a tensor under the path that leads to it, `fixed_path.3.0`, and so does what is
//! neither: who asks for it says what was expected.

use std::collections::BTreeMap;

use super::tree::tensor;
use super::view::View;
use super::{Archive, Stored};
use crate::pickle::{Item, Node};
use crate::tensor::Number;

/// The most keys that are followed: a file has one.
pub(super) const KEYS: usize = 64;
/// The most that is looked at below a key.
const MOST: usize = 512;
/// How deep lists may lie in one another.
const DEEPEST: usize = 3;

/// What is found at the end of a path.
pub(super) enum Leaf {
    View(View),
    /// A number, a list of nothing, or what is neither.
    Stored(Stored),
}

/// Leaves by the paths that lead there.
pub(super) type Leaves = BTreeMap<String, Leaf>;

/// What `item` at `path` holds. Nothing where it is nothing, or a tensor itself.
///
/// # Errors
/// A tensor that is described in no way that makes sense.
pub(super) fn leaves(archive: &Archive, path: &str, item: Item) -> Result<Leaves, String> {
    let is_tensor = archive.pickle.node(item).is_some_and(|node| tensor(archive, node).is_some());
    let mut found = Leaves::new();
    if item != Item::None && !is_tensor && !add(archive, path, item, 0, &mut found)? {
        let what = other(path, "more than is looked at");
        found = Leaves::from([(path.to_owned(), Leaf::Stored(what))]);
    }
    Ok(found)
}

/// Adds what `item` holds, unless that is too much.
fn add(
    archive: &Archive,
    path: &str,
    item: Item,
    depth: usize,
    found: &mut Leaves,
) -> Result<bool, String> {
    if depth > DEEPEST || found.len() == MOST {
        return Ok(false);
    }
    let node = archive.pickle.node(item);
    if let Some(view) = node.and_then(|node| tensor(archive, node)) {
        let view = view.map_err(|reason| format!("tensor `{path}`: {reason}"))?;
        found.insert(path.to_owned(), Leaf::View(view));
        return Ok(true);
    }
    if let Some(Node::Tuple(items) | Node::List(items)) = node
        && !items.is_empty()
    {
        for (place, item) in items.iter().enumerate() {
            if !add(archive, &format!("{path}.{place}"), *item, depth + 1, found)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    found.insert(path.to_owned(), Leaf::Stored(simple(path, item, node)));
    Ok(true)
}

/// What is no tensor and holds nothing.
fn simple(path: &str, item: Item, node: Option<&Node>) -> Stored {
    let number = |value: f64| {
        let value = value as f32;
        Stored::computed(path.to_owned(), vec![], 4, move || Ok(vec![value]))
    };
    match (item, node) {
        (_, Some(Node::Tuple(_) | Node::List(_))) => {
            Stored::computed(path.to_owned(), vec![0], 0, || Ok(vec![]))
        }
        (_, Some(Node::Text(_))) => other(path, "text"),
        (_, Some(Node::Dict(_))) => other(path, "a dictionary"),
        (Item::Bool(value), _) => number(f64::from(u8::from(value))),
        (Item::Int(value), _) => number(value as f64),
        (Item::Float(value), _) => number(value),
        (Item::None, _) => other(path, "nothing"),
        _ => other(path, "an object"),
    }
}

fn other(path: &str, what: &'static str) -> Stored {
    Stored::new(path.to_owned(), Number::Other(what), vec![], 0, || Ok(vec![]))
}
