//! Pickles of every protocol, and what is none.

use super::machine::MOST;
use super::*;

fn of(bytes: &[u8]) -> Pickle {
    read(&mut &bytes[..]).unwrap()
}

fn refused(bytes: &[u8]) -> String {
    match read(&mut &bytes[..]) {
        Err(PickleError::Malformed(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

/// A dictionary as Python would print it, names for nodes that have no value.
fn shown(pickle: &Pickle, item: Item) -> String {
    let list = |items: &[Item]| {
        items.iter().map(|item| shown(pickle, *item)).collect::<Vec<_>>().join(", ")
    };
    let Some(node) = pickle.node(item) else { return format!("{item:?}") };
    match node {
        Node::Text(text) => format!("'{text}'"),
        Node::Tuple(items) => format!("({})", list(items)),
        Node::List(items) => format!("[{}]", list(items)),
        Node::Dict(pairs) => {
            let pair = |(key, value): &(Item, Item)| {
                format!("{}: {}", shown(pickle, *key), shown(pickle, *value))
            };
            format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        Node::Global(name) => name.clone(),
        Node::Persistent(id) => format!("<{}>", shown(pickle, *id)),
        Node::Object(object) => {
            format!("{}{}", shown(pickle, object.class), shown(pickle, object.arguments))
        }
    }
}

#[test]
fn every_protocol_says_the_same() {
    // {'a': [1, True, None, 2.5], 'b': ('x', -7)}, as Python's `pickle.dumps` writes it.
    let zero = b"(dp0\nVa\np1\n(lp2\nI1\naI01\naNaF2.5\nasVb\np3\n(Vx\np4\nI-7\ntp5\ns.";
    let two = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01\x88NG@\x04\x00\x00\x00\x00\x00\x00eX\x01\x00\x00\x00bq\x03X\x01\x00\x00\x00xq\x04J\xf9\xff\xff\xff\x86q\x05u.";
    let four = b"\x80\x04\x95(\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01\x88NG@\x04\x00\x00\x00\x00\x00\x00e\x8c\x01b\x94\x8c\x01x\x94J\xf9\xff\xff\xff\x86\x94u.";
    for bytes in [&zero[..], two, four] {
        let pickle = of(bytes);
        let text = shown(&pickle, pickle.root);
        assert_eq!(text, "{'a': [Int(1), Bool(true), None, Float(2.5)], 'b': ('x', Int(-7))}");
    }
}

#[test]
fn calls_are_names() {
    for bytes in [
        &b"cos\nsystem\n(S'ls'\ntR."[..],
        b"(S'ls'\nios\nsystem\n.",
        b"(cos\nsystem\nS'ls'\no.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R.",
        b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85\x81.",
    ] {
        let pickle = of(bytes);
        assert_eq!(shown(&pickle, pickle.root), "os.system('ls')");
    }
}

#[test]
fn numbers_and_texts_of_all_forms() {
    let cases: [(&[u8], &str); 12] = [
        (b"L12L\n.", "Int(12)"),
        (b"\x80\x02\x8a\x01\xff.", "Int(-1)"),
        (b"\x80\x02\x8a\x00.", "Int(0)"),
        (b"\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.", "Opaque"),
        (b"M\x01\x02.", "Int(513)"),
        (b"S\"it's\"\n.", "'it's'"),
        (b"S'a\\'b'\n.", "'a'b'"),
        (b"Va\\u00e9\\n\n.", "'aé\\n'"),
        (b"U\x01\xff.", "'\u{fffd}'"),
        (b"\x80\x03C\x02ab.", "Opaque"),
        (b"\x80\x04\x8f(K\x01\x90.", "[Int(1)]"),
        (b"Phere\n.", "<'here'>"),
    ];
    for (bytes, text) in cases {
        let pickle = of(bytes);
        assert_eq!(shown(&pickle, pickle.root), text);
    }
}

#[test]
fn what_is_held_twice_is_one_object_and_may_hold_itself() {
    let pickle = of(b"\x80\x02]q\x00h\x00a.");
    assert_eq!(pickle.sequence(pickle.root).unwrap(), [pickle.root]);
    // What follows the end is not touched.
    let mut rest = &b"K\x01.K\x02."[..];
    assert_eq!(read(&mut rest).unwrap().root, Item::Int(1));
    assert_eq!(read(&mut rest).unwrap().root, Item::Int(2));
}

#[test]
fn what_is_no_pickle_is_refused() {
    for (bytes, reason) in [
        (&b""[..], "ends in its middle"),
        (b".", "empty stack"),
        (b"(K\x01", "ends in its middle"),
        (b"(0.", "empty stack"),
        (b"K\x01(.", "empty stack"),
        (b"t.", "lacks a mark"),
        (b"}(K\x01u.", "a key without a value"),
        (b"NK\x01a.", "no list"),
        (b"h\x07.", "recalls what it never had"),
        (b"\x80\x05\x97.", "elsewhere"),
        (b"\x82\x01.", "registry"),
        (b"\xff.", "operation 0xff"),
        (b"X\xff\xff\xff\x7fa.", "longer than 32 MiB"),
        (b"X\xff\xff\x00\x00a.", "ends in its middle"),
        (b"K\x01K\x02\x93.", "without a name"),
    ] {
        let found = refused(bytes);
        assert!(found.contains(reason), "{found}, not {reason}");
    }
}

#[test]
fn objects_without_end_are_refused() {
    let many = b"]".repeat(MOST + 1);
    assert!(refused(&many).contains("objects"));
    let remembered: Vec<u8> = [&b"N"[..], &b"\x94".repeat(MOST + 1)].concat();
    assert!(refused(&remembered).contains("remembers"));
}
