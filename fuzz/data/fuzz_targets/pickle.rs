//! Pickles, as PyTorch's files have them: the reader of `dyrep-weights`, which needs no Burn, by itself. Several may follow
//! one another.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "what walks the objects is not here")]
#[path = "../../../crates/dyrep-weights/src/pickle/mod.rs"]
mod pickle;

use pickle::{Item, Node};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while !rest.is_empty() {
        let before = rest.len();
        let Ok(pickle) = pickle::read(&mut rest) else { return };
        let read = before - rest.len();
        assert!(pickle.nodes().len() <= 2 * read, "more objects than operations");
        // Every item leads to a node that is there.
        let check = |item: &Item| {
            assert!(!matches!(item, Item::Node(_)) || pickle.node(*item).is_some(), "{item:?}");
        };
        check(&pickle.root);
        for node in pickle.nodes() {
            match node {
                Node::Tuple(items) | Node::List(items) => items.iter().for_each(check),
                Node::Dict(pairs) => {
                    pairs.iter().for_each(|(key, value)| [key, value].into_iter().for_each(check));
                }
                Node::Persistent(id) => check(id),
                Node::Object(object) => {
                    [&object.class, &object.arguments, &object.state].into_iter().for_each(check);
                    object.items.iter().for_each(check);
                }
                Node::Text(_) | Node::Global(_) => {}
            }
        }
        let _ = (pickle.text(pickle.root), pickle.sequence(pickle.root), pickle.global(pickle.root));
    }
});
