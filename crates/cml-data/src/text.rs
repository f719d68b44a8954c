//! Texts of files, as messages repeat them.

/// Longest text of a file that a message repeats, in characters.
const SHOWN_CHARS: usize = 40;

/// A text cut to a length that fits a message.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The first few names, for a message.
pub(crate) fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("{:?}", shorten(name)))
        .collect();
    if names.len() > SHOWN {
        shown.push(format!("... ({} columns)", names.len()));
    }
    shown.join(", ")
}

/// Which columns are missing, and which are unknown.
pub(crate) fn columns_text(missing: &str, unknown: &str) -> String {
    match (missing, unknown) {
        (missing, "") => format!("{missing} missing"),
        ("", unknown) => format!("{unknown} unknown"),
        (missing, unknown) => format!("{missing} missing, {unknown} unknown"),
    }
}
