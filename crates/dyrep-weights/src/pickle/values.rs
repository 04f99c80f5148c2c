//! Numbers and texts as the older protocols write them.

use super::Item;

/// An integer in digits.
pub(super) fn decimal(digits: &[u8]) -> Item {
    let value = std::str::from_utf8(digits).ok().and_then(|text| text.trim().parse().ok());
    value.map_or(Item::Opaque, Item::Int)
}

/// An integer in two's complement, little-endian.
pub(super) fn long(bytes: &[u8]) -> Item {
    if bytes.len() > 8 {
        return Item::Opaque;
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut whole = [if negative { 0xff } else { 0 }; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    Item::Int(i64::from_le_bytes(whole))
}

/// The text of a string in quotes, as protocol 0 of Python 2 writes it; bytes above 127 come as escapes.
pub(super) fn unquoted(line: &[u8]) -> String {
    let line = line.trim_ascii();
    let inner = [b'\'', b'"']
        .into_iter()
        .find_map(|quote| line.strip_prefix(&[quote]).and_then(|rest| rest.strip_suffix(&[quote])));
    let mut text = String::new();
    let mut escaped = false;
    for character in String::from_utf8_lossy(inner.unwrap_or(line)).chars() {
        match (escaped, character) {
            (false, '\\') => escaped = true,
            (_, character) => {
                text.push(character);
                escaped = false;
            }
        }
    }
    text
}

/// Text in which characters above 255, and line ends, are written `\uXXXX`.
pub(super) fn unescaped(line: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((&first, behind)) = rest.split_first() {
        let digits = match behind.first() {
            Some(b'u') if first == b'\\' => behind.get(1..5),
            Some(b'U') if first == b'\\' => behind.get(1..9),
            _ => None,
        };
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .and_then(char::from_u32);
        match (code, digits) {
            (Some(character), Some(digits)) => {
                text.push(character);
                rest = &behind[1 + digits.len()..];
            }
            _ => {
                text.push(char::from(first));
                rest = behind;
            }
        }
    }
    text
}
