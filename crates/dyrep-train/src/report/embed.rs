//! A page's data inside a `<script>` element.

use super::types::Page;

/// The page as JSON that may stand in a `<script>` element, whatever its strings hold.
///
/// An HTML parser looks into the element for `</script` and `<!--`; a script that is given the text looks for
/// line ends. None of these characters has a meaning in JSON outside of strings, so writing them as escapes
/// changes nothing about what is read.
pub(super) fn json(page: &Page) -> String {
    let json =
        serde_json::to_string(page).unwrap_or_else(|e| unreachable!("strings and numbers: {e}"));
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                safe.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => safe.push(other),
        }
    }
    safe
}
