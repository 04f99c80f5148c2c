//! Figures and lines as people read them, in 80 columns.

use console::Term;

/// Where lines end if nothing is known of the terminal.
const WIDTH: usize = 80;

/// A number with its thousands apart: `3,039,082`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of multiply-adds in three or four digits: `18.4 k`, `1.82 G`.
pub(crate) fn short(number: u64) -> String {
    let value = number as f64;
    let units = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    match units.into_iter().find(|(unit, _)| value >= *unit) {
        None => number.to_string(),
        Some((unit, name)) if value / unit >= 100.0 => format!("{:.0} {name}", value / unit),
        Some((unit, name)) if value / unit >= 10.0 => format!("{:.1} {name}", value / unit),
        Some((unit, name)) => format!("{:.2} {name}", value / unit),
    }
}

/// Bytes: `1.2 MB`.
pub(crate) fn bytes(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} B"),
        _ => format!("{}B", short(number)),
    }
}

/// A number of things: `1 branch`, `2 branches`.
pub(crate) fn number(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// The text cut to `width` characters, the last three of them dots if something is missing.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The text in lines of the terminal's width, those after the first indented; as it is where there is no terminal.
pub(crate) fn wrapped(text: &str, indent: usize) -> String {
    let terminal = Term::stdout();
    match terminal.is_term() {
        true => wrap(text, indent, terminal.size_checked().map_or(WIDTH, |(_, wide)| wide.into())),
        false => text.to_owned(),
    }
}

/// The text in lines of `width` characters, broken at spaces; a longer word has a line to itself.
fn wrap(text: &str, indent: usize, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let start = text.chars().take_while(|character| *character == ' ').count();
    let mut lines = vec![" ".repeat(start)];
    let mut used = start;
    let mut empty = true;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !empty && used + 1 + length > width {
            lines.push(" ".repeat(indent));
            (used, empty) = (indent, true);
        }
        if let Some(line) = lines.last_mut() {
            if !empty {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
        }
        (used, empty) = (used + length, false);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (3_039_082, "3,039,082"), (12, "12")]
        {
            assert_eq!(count(number), text);
        }
        for (number, text) in [
            (7, "7"),
            (1000, "1.00 k"),
            (18_432, "18.4 k"),
            (151_000_000, "151 M"),
            (1_814_000_000, "1.81 G"),
        ] {
            assert_eq!(short(number), text);
        }
        assert_eq!((bytes(12), bytes(1_234_567)), ("12 B".to_owned(), "1.23 MB".to_owned()));
    }

    #[test]
    fn lines_are_broken_at_spaces() {
        let text = "  one  two three four";
        assert_eq!(wrap(text, 4, 11), "  one two\n    three\n    four");
        assert_eq!(wrap(text, 4, 80), text);
        assert_eq!(wrap("averylongwordindeed b", 2, 5), "averylongwordindeed\n  b");
        assert!(
            wrap(&"grew conv1 ".repeat(30), 10, 80).lines().all(|line| line.chars().count() <= 80)
        );
    }

    #[test]
    fn names_are_cut_by_characters() {
        assert_eq!(cut("übergröße", 9), "übergröße");
        assert_eq!(cut("übergröße", 5), "über…");
    }
}
