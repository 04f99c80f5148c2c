//! Text in HTML, slots in a template, and how numbers are written.

/// Text that may stand between tags and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Text whose direction of writing must not reach what stands around it.
pub(super) fn isolated(text: &str) -> String {
    format!("<bdi>{}</bdi>", escape(text))
}

/// The template with every `{{slot}}` filled.
///
/// What is filled in is not looked at again: a title may well be `{{recipe}}`.
pub(super) fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((slot, after)) = after.split_once("}}") else { break };
        filled.push_str(before);
        filled.push_str(&value(slot));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// A count with three or four digits and a unit: `297.3 k`.
pub(super) fn count(value: f64) -> String {
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match units.iter().find(|(size, _)| value.abs() >= *size) {
        Some((size, unit)) if value.abs() >= 100.0 * size => format!("{:.1} {unit}", value / size),
        Some((size, unit)) => format!("{:.2} {unit}", value / size),
        None => format!("{value}"),
    }
}

/// What a change added to a count, with its sign: `+297.3 k`, `−1.18 M`, `±0`.
pub(super) fn difference(before: u64, after: u64) -> String {
    let size = count(before.abs_diff(after) as f64);
    match after.cmp(&before) {
        std::cmp::Ordering::Less => format!("−{size}"),
        std::cmp::Ordering::Equal => "±0".to_owned(),
        std::cmp::Ordering::Greater => format!("+{size}"),
    }
}

/// A share of one: `93.33%`.
pub(super) fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.2}%", 100.0 * share) } else { number(share) }
}

/// A number with four digits that count, by a power of ten where it would be long.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "∞".to_owned() } else { "−∞".to_owned() }
    } else if value == 0.0 {
        "0".to_owned()
    } else if !(1e-3..1e5).contains(&size) {
        format!("{value:.2e}")
    } else {
        // Between the two bounds the exponent lies from -3 to 4, so this stays small.
        let digits = (3 - size.log10().floor() as i32).max(0) as usize;
        format!("{value:.digits$}")
    }
}

/// A time: `38.2 s`, `12 min 31 s`, `3 h 05 min`.
pub(super) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return number(seconds);
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 {
        format!("{hours} h {minutes:02} min")
    } else {
        format!("{minutes} min {seconds:02} s")
    }
}
