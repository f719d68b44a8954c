//! Names of columns and classes, as files give them.

/// Most bytes of a name.
const MAX_NAME_BYTES: usize = 256;

/// What is wrong with a name, if anything. Empty cells of headers have messages of their own.
pub(crate) fn fault(name: &str) -> Option<&'static str> {
    if name.len() > MAX_NAME_BYTES {
        Some("is longer than 256 bytes")
    } else if name.chars().any(char::is_control) {
        Some("holds control characters")
    } else {
        None
    }
}
